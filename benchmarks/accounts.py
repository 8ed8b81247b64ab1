"""Two accounts beside one, over HTTP on loopback: a batch that the rate bounds, one that the slots bound, and one in
which one of the two accounts is refused in the middle."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mps_aigc_async import AigcClient, Config, ImageRequest
from mps_aigc_async.emulator import Emulator, Piece

from .table import show

KEYS: Final = {"a": ("AKIDEXAMPLE", "KEYEXAMPLE"), "b": ("AKIDB", "KEYB")}


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch of images, by what bounds it."""

    bound: str
    number: int
    slots: int
    seconds: float
    """Of a task."""
    refused_after: int | None = None
    """The creates of `b` after which the service refuses it."""


BATCHES: Final = (
    _Batch("rate (20/s)", 1200, slots=200, seconds=2.0),
    _Batch("slots (4)", 160, slots=4, seconds=1.0),
    _Batch("slots (4), b refused after 40", 160, slots=4, seconds=1.0, refused_after=40),
)


async def main() -> None:
    rows = []
    for batch in BATCHES:
        alone, _, _ = await _run(batch, "a")
        together, shares, ended = await _run(batch, "ab")
        rows.append(
            (batch.bound, batch.number, f"{alone:.1f}", f"{together:.1f}", f"{together / alone:.3f}",
             f"{shares[0]} / {shares[1]}", f"{ended} of {batch.number}")
        )  # fmt: skip
    header = ("bound by", "images", "one account, s", "two, s", "ratio", "created in a / b", "with results")
    show("Two accounts as one", header, rows)


async def _run(batch: _Batch, names: str) -> tuple[float, Sequence[int], int]:
    """The seconds of a batch, the creates of each account, and the number of requests with results."""
    seconds = (batch.seconds, batch.seconds)
    async with Emulator(image_seconds=seconds, accounts={KEYS["b"][0]: KEYS["b"][1]}, media=_no_picture) as emulator:
        services = emulator.service, emulator.account(KEYS["b"][0])
        if batch.refused_after is not None:
            services[1].faults.add(
                action="CreateAigcImageTask", fault="error", code="FailedOperation.UserArrears",
                after=batch.refused_after, times=None,
            )  # fmt: skip
        requests = [ImageRequest(id=f"shot-{number}", prompt=f"scene {number}") for number in range(batch.number)]
        async with AigcClient(_config(emulator, batch, names)) as client:
            began = time.monotonic()
            ended = [outcome.ok async for outcome in client.run(requests)]
            took_s = time.monotonic() - began
        shares = [service.statistics(emulator.now()).created["image"] for service in services]
    return took_s, shares, sum(ended)


def _config(emulator: Emulator, batch: _Batch, names: str) -> Config:
    accounts = [
        {"account": name, "tencentCloud": {"secretId": KEYS[name][0], "secretKey": KEYS[name][1]}} for name in names
    ]
    return Config.parse(
        {
            "tencentCloud": {"endpoint": emulator.url},
            "concurrency": {"maxImageTasks": batch.slots, "pollIntervalMs": 200},
            "accounts": accounts,
        }
    )


def _no_picture(_: Piece) -> bytes:
    return b"\x89PNG\r\n\x1a\n"
