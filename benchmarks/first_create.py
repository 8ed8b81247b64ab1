"""The time from the begin of `run` to the first create at the service, at any caps, and the items read by then.

The service is the emulator in a process of its own; both clocks are this machine's. The input has no end.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from mps_aigc_async import AigcClient, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.model.events import Event, Submitted

from .memory import resident_mib
from .record import keep
from .server import Server, serving
from .table import show

CAPS: Final = (10, 1_000, 10_000)
CREATES: Final = 40
"""Two seconds of creates: how much is read and kept meanwhile is to be seen too."""
BOUND_S: Final = 0.3


@dataclass(frozen=True)
class First:
    cap: int
    """Tasks at once, of images and of videos each."""
    ledger: str
    first_s: float
    """From the call of `run` to the first create's arrival."""
    read_at_first: int
    """Requests read when its answer was here."""
    read_at_last: int
    """The same when the last of `CREATES` was answered."""
    grown_mib: float
    """The growth of resident memory during the run."""


async def main() -> None:
    measured = []
    for cap in CAPS:
        for ledger in ("memory", "file"):
            async with serving(fetch_frames=False) as server:
                with TemporaryDirectory() as folder:
                    measured.append(await _first(server, cap, ledger, Path(folder)))
    show(
        f"the first create (bound: {BOUND_S} s)",
        ("cap", "ledger", "first create", "read by then", f"read at create {CREATES}", "memory"),
        [
            (
                f"{one.cap:,}",
                one.ledger,
                f"{1000 * one.first_s:.0f} ms",
                one.read_at_first,
                one.read_at_last,
                f"{one.grown_mib:+.1f} MiB",
            )
            for one in measured
        ],
    )
    keep("first_create", {"bound_s": BOUND_S, "runs": [asdict(one) for one in measured]})


async def _first(server: Server, cap: int, ledger: str, folder: Path) -> First:
    read, read_at, enough = 0, list[int](), asyncio.Event()

    def chains() -> Iterator[ImageToVideo]:
        nonlocal read
        while True:
            read += 1
            yield ImageToVideo(image=ImageRequest(prompt=f"image {read}"), video=VideoRequest(prompt="it moves"))

    def note(event: Event) -> None:
        if isinstance(event, Submitted):
            read_at.append(read)
            if len(read_at) == CREATES:
                enough.set()

    async with AigcClient(
        server.config(cap, cap, 5000), ledger=folder / "jobs.db" if ledger == "file" else None
    ) as client:
        client.on_event(note)
        before, began = resident_mib(), time.time()
        async with client.run(chains()):
            await enough.wait()
        growth = resident_mib() - before
    creates = [arrival.at for arrival in (await server.report()).arrivals if arrival.action.startswith("Create")]
    return First(cap, ledger, min(creates) - began, read_at[0], read_at[CREATES - 1], growth)
