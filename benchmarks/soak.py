"""20,000 chains, saved, with 2% faults of every sort on every call and download: do the counts add up, is memory flat?

The service answers at 2,000 calls a second and ends its tasks within a second or so; between it and the client stands
the fault proxy, which also refuses connections for a while now and then. Every result is the same few bytes, or
rendering would take most of the time. The batch is then run once more: that run fetches the results that could not be
saved, and must create nothing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args
from unittest.mock import patch

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, JobState, Kind, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.jobs import unknown_creates
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.limits import caps
from mps_aigc_async.network import downloads
from mps_aigc_async.network.transport import Timeouts
from mps_aigc_async.testing import FaultProxy, ProxyFault

from .memory import resident_mib
from .server import Report, account, serving
from .table import show

CHAINS, FAULTY, RATE, CAP = 20_000, 0.02, 2_000, 300
ACTIONS = tuple(f"{verb}Aigc{kind}Task" for verb in ("Create", "Describe") for kind in ("Image", "Video"))
ERRORS = ("InternalError", "RequestLimitExceeded", "LimitExceeded.CreateTask", "ResourceUnavailable")
REFUSED_S, EVERY_S = 0.3, 20.0
"""How long connections are refused at a time, and how often."""
RESULT = b"\x89PNG\r\n" + bytes(2000)


@asynccontextmanager
async def spoiling(emulator: Emulator) -> AsyncIterator[str]:
    """In the server's process: the proxy with its faults, and the emulator's own."""

    async def the_same(_: object) -> bytes:
        return RESULT

    share = FAULTY / (len(get_args(ProxyFault)) + len(ERRORS))
    for code in ERRORS:
        emulator.faults.add(fault="error", code=code, times=None, probability=share)
    with patch.object(emulator._gallery, "get", the_same):  # noqa: SLF001 — see above
        async with FaultProxy(emulator) as proxy:
            for fault in get_args(ProxyFault):
                seconds = 0.5 if fault == "delay" else 0.0
                proxy.add(fault, times=None, probability=share, seconds=seconds)
                try:
                    proxy.add(fault, action="Media", times=None, probability=share, seconds=seconds)
                except ValueError:  # not of downloads
                    continue
            refusals = asyncio.create_task(_refuse_now_and_then(proxy))
            try:
                yield proxy.url
            finally:
                refusals.cancel()
                await asyncio.wait({refusals})
                await proxy.accept()


async def _refuse_now_and_then(proxy: FaultProxy) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        await proxy.refuse()
        await asyncio.sleep(REFUSED_S)
        await proxy.accept()


def chains() -> Iterator[ImageToVideo]:
    """Make the requests: 1 in 200 is refused, and 1 in 200 fails later, an image or a video."""
    words = {50: "forbidden-content", 150: "fail-later"}
    for number in range(CHAINS):
        image, video = words.get(number % 400, ""), words.get((number - 200) % 400, "")
        yield ImageToVideo(
            id=f"shot-{number:05}",
            image=ImageRequest(prompt=f"picture {number} {image}"),
            video=VideoRequest(prompt=f"film {number} {video}"),
        )


async def main() -> None:
    with (
        TemporaryDirectory() as name,
        # The service's time runs faster here than these constants of ours know.
        patch.dict(unknown_creates.UNKNOWN_SLOT_S, {Kind.IMAGE: 2.0, Kind.VIDEO: 2.0}),
        patch.object(caps, "PROBE_S", 0.2),
        patch.object(downloads, "STARTS", (RATE, 1.0)),
        # And its oversized results are smaller.
        patch.dict(downloads.MAX_BYTES, {Kind.IMAGE: 10 << 20, Kind.VIDEO: 10 << 20}),
    ):
        await _soak(Path(name))


async def _soak(folder: Path) -> None:
    rates = dict.fromkeys(ACTIONS, RATE)
    quick = {"image_seconds": (0.3, 1.0), "video_seconds": (0.5, 1.5), "fetch_frames": False}
    async with serving(spoiling, **quick, limits=rates, log_size=10) as server:
        config = Config.parse(
            {
                "tencentCloud": account(server.url),
                "concurrency": {"maxImageTasks": CAP, "maxVideoTasks": CAP, "pollIntervalMs": 300},
                "limits": rates,
            }
        )
        began = time.monotonic()
        first, sizes = await _run(config, folder)
        took = time.monotonic() - began
        before = (await server.report()).statistics.created
        again, _ = await _run(config, folder)
        report = await server.report()
    _show(first, again, sizes, took)
    _show_counts(folder, report, created_again=sum(report.statistics.created.values()) - sum(before.values()))


async def _run(config: Config, folder: Path) -> tuple[Counter[str], list[float]]:
    """How the outcomes ended, and the resident memory in MiB at every tenth of the batch."""
    ends, sizes = Counter[str](), list[float]()
    client = AigcClient(config, ledger=folder / "ledger.db", timeouts=Timeouts(connect=5, read=3, total=5))
    async with client, client.run(chains(), save_to=folder) as outcomes:
        async for outcome in outcomes:
            ends["ok" if outcome.ok else type(outcome.error).__name__] += 1
            if ends.total() % (CHAINS // 10) == 0:
                sizes.append(await asyncio.to_thread(resident_mib))
    return ends, sizes


def _show(first: Counter[str], again: Counter[str], sizes: list[float], took: float) -> None:
    rows = [(end, first[end], again[end]) for end in sorted(first | again)]
    title = f"{CHAINS} chains with {FAULTY:.0%} faults in {took:.0f} s; then once more"
    show(title, ("outcome", "first", "again"), [*rows, ("all", first.total(), again.total())])
    growth = sizes[-1] / sizes[len(sizes) // 2 - 1] - 1
    show(
        f"resident memory, MiB: {growth:+.1%} from the middle to the end",
        [f"{tenth + 1}/10" for tenth in range(len(sizes))],
        [[f"{size:.0f}" for size in sizes]],
    )


def _show_counts(folder: Path, report: Report, *, created_again: int) -> None:
    with open_snapshot(folder / "ledger.db") as snapshot:
        rows = {job.job_id: job for _, jobs in snapshot.requests() for job in jobs}
    states = Counter(job.state for job in rows.values())
    task_ids = {job.task_id for job in rows.values() if job.task_id}
    unknown = {job.prompt for job in rows.values() if job.state is JobState.UNKNOWN}
    creates = Counter(report.prompts.values())
    lost_tasks = [task for task, prompt in report.prompts.items() if task not in task_ids and prompt not in unknown]
    show(
        "what the ledger and the service say",
        ("what", "figure"),
        [
            ("requests", CHAINS),
            ("jobs", len(rows)),
            *((f"… {state}", number) for state, number in sorted(states.items())),
            ("tasks at the service", len(report.prompts)),
            ("… known by their TaskId", len(task_ids & report.prompts.keys())),
            ("… of jobs listed as unknown", sum(creates[prompt] for prompt in unknown)),
            ("made twice", sum(number - 1 for number in creates.values())),
            ("lost", len(lost_tasks)),
            ("created by the second run", created_again),
            ("files", sum(1 for file in folder.iterdir() if file.suffix in (".png", ".mp4"))),
        ],
    )
