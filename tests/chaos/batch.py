"""The batch that trouble befalls: `python -m tests.chaos.batch JSON`, the same command again until it ends.

The program prints "ready" when its imports are done, and begins when a line "go" comes. Then the program prints "open"
when its ledger is open, and "closing" before it closes the ledger. Further lines change its machine: `clock SECONDS`
sets its wall clock that far off, `disk full` makes every write to a file fail (EFBIG), `disk free` ends that. Its
results are lines of JSON: the outcomes, the jobs that `client.unknown()` lists, and last of all the error that ended
the batch early, if any.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

from mps_aigc_async import AigcClient, AigcError, Config, ImageRequest, ImageToVideo, LedgerError, Outcome, VideoRequest
from mps_aigc_async.cli.interrupts import SIGNALS, Interrupted, Interrupts
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.jobs.unknown_creates import UNKNOWN_SLOT_S
from mps_aigc_async.limits import PROBE_S
from mps_aigc_async.model.results import Result, steps_made
from mps_aigc_async.network.transport import Timeouts

CAPS: Final = {"image": 10, "video": 8}
SPEED: Final = 150.0
"""The emulator's: images of 0.4 to 1.2 s, videos of 1.2 to 2 s."""
TIMEOUTS: Final = Timeouts(connect=3.0, read=2.0, total=4.0)
"""Short: a call that hangs is one trouble of many, and must not outlast the others."""
JITTER_MS: Final = 100
"""The most seconds between a send and its arrival: a machine busy with tests takes tens of milliseconds."""
INTERRUPTED: Final = 130

_MARGIN_S: Final = 6.5
"""Counted from the intent, a create's slot outlives the longest task by this much, as the real minutes do: its process
may be stopped or find its disk full (`deck`) for seconds between an intent and its create, and be killed then."""
_log: Final = logging.getLogger("batch")
_IN_DOUBT: Final = "mps_aigc_async.jobs.unknown_creates.UNKNOWN_SLOT_S"
_PROBE: Final = "mps_aigc_async.limits.caps.PROBE_S"

_SPOILT: Final = {13: ("image", "fail-later"), 26: ("video", "fail-later"), 39: ("video", "forbidden-content")}
"""A few chains fail by the service's word: trouble must not confuse failed with unknown."""


@dataclass(frozen=True, slots=True)
class Orders:
    """The instructions for one run of a batch."""

    url: str
    ledger: str
    out: str
    name: str
    chains: int
    clock_s: float = 0.0
    """How far the machine's wall clock is off when it begins."""
    only_open: bool = False
    """Open the ledger and end: the second process, which is to be refused."""


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome, as far as ledger and service can confirm it."""

    request: str
    error: str | None
    """The error's class."""
    tasks: tuple[str, ...]
    """The TaskIds of the results, a failed chain's image among them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A job that `client.unknown()` lists."""

    job: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The error that ended the batch before all of it was done."""

    stopped: str
    """Its class."""
    reason: str
    by_ledger: bool
    """Whether it is a LedgerError."""


def stopped_by(error: AigcError) -> Stopped:
    return Stopped(type(error).__name__, str(error), isinstance(error, LedgerError))


def chains(name: str, number: int) -> list[ImageToVideo]:
    """The batch of this name. Each prompt begins with its job's id, by which the service's tasks are told apart."""
    return [_chain(f"{name}-{index:03}", *_SPOILT.get(index % 40, ("", ""))) for index in range(number)]


def _chain(name: str, spoilt: str, word: str) -> ImageToVideo:
    prompts = {kind: f"{name}/{kind} {word if kind == spoilt else ''}".rstrip() for kind in ("image", "video")}
    return ImageToVideo(
        id=name, image=ImageRequest(prompt=prompts["image"]), video=VideoRequest(prompt=prompts["video"])
    )


class Machine:
    """The clock and the disk that the batch believes in."""

    def __init__(self, clock_s: float) -> None:
        self._off_s = clock_s
        self._go = threading.Event()

    def wall(self) -> float:
        return time.time() + self._off_s

    def listen(self) -> None:
        """Follow the lines of standard input. Read past Python's buffer, whose lock a thread must not hold at exit."""
        rest = b""
        while piece := os.read(0, 4096):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._follow(line.decode())

    def _follow(self, line: str) -> None:
        match line.split():
            case ["go"]:
                self._go.set()
            case ["clock", seconds]:
                self._off_s = float(seconds)
            case ["disk", state]:
                _limit_files(full=state == "full")

    def wait_for_go(self) -> None:
        self._go.wait()


def _limit_files(*, full: bool) -> None:
    """No byte of a file beyond its first can be written while it is full. Python ignores the signal that comes with
    the error."""
    import resource  # not on Windows, where this trouble is left out

    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 if full else most, most))


async def main(orders: Orders, machine: Machine) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": orders.url}
    concurrency = {"maxImageTasks": CAPS["image"], "maxVideoTasks": CAPS["video"], "pollIntervalMs": 200}
    config = Config.parse({"tencentCloud": keys, "concurrency": concurrency, "pacing": {"jitterMs": JITTER_MS}})
    client = AigcClient(config, ledger=orders.ledger, timeouts=TIMEOUTS, wall=machine.wall)
    # The tasks are as many times shorter than the real ones: so is the time for which an unknown create keeps its slot,
    # and that until a full service is tried again.
    scaled = {kind: seconds / SPEED + _MARGIN_S for kind, seconds in UNKNOWN_SLOT_S.items()}
    try:
        with Interrupts() as interrupts, patch.dict(_IN_DOUBT, scaled), patch(_PROBE, PROBE_S / SPEED):
            _say("begun")
            async with client:
                _say("open")
                try:
                    if not orders.only_open:
                        await interrupts.stoppable(_outcomes(client, orders))
                finally:
                    _say("closing")
    except AigcError as error:
        _tell(stopped_by(error))
    finally:
        for number in SIGNALS:  # all is done: one that comes now would only look like a crash
            signal.signal(number, signal.SIG_IGN)


async def _outcomes(client: AigcClient, orders: Orders) -> None:
    stopped = None
    try:
        async for outcome in client.run(chains(orders.name, orders.chains), save_to=Path(orders.out)):
            _tell(_told(outcome))
            if outcome.error is not None:
                _log.info("%s: %s: %s", outcome.job_id, type(outcome.error).__name__, outcome.error)
    except AigcError as error:
        stopped = stopped_by(error)
    for job in await client.unknown():
        _tell(Listed(job.job_id))
    if stopped is not None:
        _tell(stopped)


def _told(outcome: Outcome[BatchItem, Result]) -> Told:
    return Told(
        request=outcome.job_id,
        error=None if outcome.error is None else type(outcome.error).__name__,
        tasks=tuple(made.task_id for made in steps_made(outcome.result or outcome.partial)),
    )


def _tell(what: Told | Listed | Stopped) -> None:
    _say(json.dumps(asdict(what)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _run() -> int:
    orders = Orders(**json.loads(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    machine = Machine(orders.clock_s)
    threading.Thread(target=machine.listen, name="machine", daemon=True).start()
    _say("ready")
    machine.wait_for_go()
    try:
        asyncio.run(main(orders, machine))
    except Interrupted:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(_run())
