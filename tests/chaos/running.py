"""Carries out the plan: batches one after another on one account, each through troubled runs and then a calm one."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final, get_args

from mps_aigc_async import JobRecord, LedgerError
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.emulator.services.actions import MPS
from mps_aigc_async.emulator.tasks.storage import Piece
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.testing import FaultProxy, ProxyFault

from .batch import CAPS, INTERRUPTED, SPEED, Orders
from .deck import LOSSES, REFUSED_S, SECONDS, Deck, Ending, Event, Plan, Trouble
from .door import MEDIA, Door
from .facts import Batch, Facts, Happened, Loss, Run, job_of, picture
from .ledgers import Ledger
from .process import BatchProcess

CHAINS: Final = 40
"""A batch's: more than its troubled runs get done."""
TROUBLED_RUNS: Final = 6
"""A batch's after its first one, unless it is done before."""
PAUSE_S: Final = 1.1
"""Seconds from a process's end to the next one's begin: each knows only its own calls, a limit counts any second."""
FAULTY: Final = 0.06
"""The share of calls and downloads that a fault of the proxy befalls in troubled runs."""
UNASKED: Final = 0.25
"""The probability of unasked bytes, each time that a connection is idle in a troubled run."""
DELAY_S: Final = 0.3
ERRORS: Final = ("InternalError", "RequestLimitExceeded", "LimitExceeded.CreateTask", "ResourceUnavailable")
CREATES: Final = ("CreateAigcImageTask", "CreateAigcVideoTask")
REFUSED: Final = 0.02
"""The share of calls that the service refuses in troubled runs, with one of these errors."""
LYING: Final = 0.01
"""The share of creates that it accepts, and calls an InternalError."""
STOPS_WITHIN_S: Final = 20.0
"""After a signal: closing waits 10 s for the creates in flight."""
CALM_WITHIN_S: Final = 120.0
"""A run that nothing disturbs takes some 15 s: one that takes this long hangs."""
LOST_WITHIN_S: Final = 60.0
"""Seconds after its ledger was taken away: running tasks are polled to their end, and saved."""
SECOND_WITHIN_S: Final = 20.0
AGAIN_S: Final = 0.05
"""Between the two signals of who is in a hurry."""

_FAULTS: Final = tuple(f for f in get_args(ProxyFault) if f not in ("gzip_bomb", "oversized"))
"""All but two that cost seconds of a core each; the soak has them."""
_LIE: Final = "InternalError of an accepted create"
_KILLED: Final = frozenset({-signal.SIGKILL})
_MAY_END: Final = {
    Ending.KILL: _KILLED,
    Ending.KILL_OPENING: _KILLED,
    Ending.KILL_CLOSING: _KILLED | {INTERRUPTED},
    Ending.TERMINATE: frozenset({INTERRUPTED}),
    Ending.INTERRUPT: frozenset({INTERRUPTED}),
    Ending.LEAVE: frozenset({INTERRUPTED}),
}


@dataclass(frozen=True, slots=True)
class _World:
    """State that all batches share."""

    emulator: Emulator
    proxy: FaultProxy
    door: Door
    folder: Path
    happened: Happened

    def now(self) -> float:
        return self.emulator.now()

    def running(self, batch: str) -> frozenset[str]:
        """The TaskIds of a batch's tasks that run at the service."""
        now = self.now()
        tasks = self.emulator.service._tasks
        return frozenset(
            task_id for task_id, task in tasks.items() if task.ends_at > now and job_of(task).startswith(f"{batch}-")
        )

    def trouble(self) -> None:
        """From now on calls, downloads and idle connections are troubled."""
        self.door.probability = UNASKED
        for fault in _FAULTS:
            share = FAULTY / len(_FAULTS)
            self.proxy.add(fault, times=None, probability=share, seconds=DELAY_S if fault == "delay" else 0.0)
            if fault not in ("unknown_status", "done_without_urls", "null_fields"):  # of calls alone
                self.proxy.add(fault, action=MEDIA, times=None, probability=share, seconds=DELAY_S)

        for code in ERRORS:
            self.emulator.faults.add(fault="error", code=code, times=None, probability=REFUSED / len(ERRORS))
        # The service lies: the create was accepted, or not, and nothing tells.
        for action in CREATES:
            self.emulator.faults.add(action=action, fault="error", times=None, probability=LYING, accepted=True)

    def calm(self) -> None:
        self.door.probability = 0.0
        self.emulator.faults.clear()
        self.proxy.clear()


async def chaos(folder: Path, *, seed: int, seconds: float = inf, batches: float = inf) -> Facts:
    """Trouble so many batches, or as many as begin in so many seconds, with their ledgers and files in `folder`, and
    let the last one end."""
    begun, deck, ended = time.monotonic(), Deck(seed), list[Batch]()
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(
            Emulator(speed=SPEED, seed=seed, fetch_frames=False, media=_picture, log_size=1_000_000)
        )
        proxy = await stack.enter_async_context(FaultProxy(emulator, seed=seed))
        door = await stack.enter_async_context(Door(proxy.url, emulator.now, seed))
        emulator.service.storage.base_url = door.url
        world = _World(emulator, proxy, door, folder, Happened())
        while len(ended) < batches and time.monotonic() - begun < seconds:
            ended.append(await _Batch(world, f"batch{len(ended):02}", CHAINS).carried_out(deck, begun + seconds))
        return Facts(
            batches=ended,
            happened=world.happened,
            tasks=dict(emulator.service._tasks),
            arrivals=door.arrivals,
            rates={name: action.per_second for name, action in MPS.items()},
            caps=CAPS,
            unasked=door.unasked,
            taken=door.taken,
            spoilt=Counter({(action, str(fault)): times for (action, fault), times in proxy.befallen.items()}),
            refused=Counter(arrival.code or _LIE for arrival in emulator.arrivals if arrival.code or arrival.fault),
            blind_s=door.worst_s,
            took_s=time.monotonic() - begun,
        )


def _picture(piece: Piece) -> bytes:
    return picture(piece.order.prompt, piece.content_type)


class _Batch:
    """A batch through its runs."""

    def __init__(self, world: _World, name: str, chains: int) -> None:
        self._world = world
        self._name = name
        self._chains = chains
        self._ledger = Ledger(world.folder / name)
        self._out = world.folder / f"{name}.files"
        self._clock_s = 0.0
        """How far the machine's clock is off, whichever process looks at it."""
        self._runs: list[Run] = []
        self._taken: tuple[Ending, float] | None = None
        """How and when the ledger was taken, until it is put back."""

    async def carried_out(self, deck: Deck, until: float) -> Batch:
        """Through troubled runs, until the monotonic time `until` at most, and then a calm one."""
        self._world.trouble()
        await self._run(deck.first_plan())
        for _ in range(TROUBLED_RUNS):
            if time.monotonic() >= until:
                break
            await self._run(deck.plan())
            if self._runs[-1].outcomes_are_whole:
                break
        self._world.calm()
        await self._run(None)
        # The next batch's ledger does not know of this one's unknown jobs.
        while self._world.running(self._name):  # noqa: ASYNC110 — a time, no event
            await asyncio.sleep(0.05)
        rows, damage = _read(self._ledger.path)
        return Batch(self._name, self._chains, self._runs, rows, damage, _files(self._out))

    def _orders(self, ledger: Path, *, only_open: bool = False) -> Orders:
        url, out = self._world.door.url, str(self._out)
        return Orders(url, str(ledger), out, self._name, self._chains, self._clock_s, only_open)

    async def _run(self, plan: Plan | None) -> None:
        ended_at = time.monotonic()
        process = await BatchProcess.start(self._orders(self._ledger.path))
        await asyncio.sleep(max(0.0, ended_at + PAUSE_S - time.monotonic()))
        begun_at = self._world.now()
        await process.begin()
        if plan is None:
            ended, may_end = await process.ended_within(CALM_WITHIN_S), frozenset[int]()
        else:
            ended, may_end = await self._troubled(process, plan)
        code, said = await process.end()
        self._runs.append(
            Run(
                batch=self._name,
                begun_at=begun_at,
                ended_at=self._world.now(),
                code=code,
                may_end_with=may_end | {0},
                told=said.told,
                listed=said.listed,
                stopped=said.stopped,
                log=said.log,
                hung=not ended,
            )
        )
        self._give_back()

    def _give_back(self) -> None:
        """Put the ledger back, if it was taken from the run that has just ended."""
        if self._taken is None:
            return
        (how, at), self._taken = self._taken, None
        running = self._world.running(self._name)
        self._world.happened.losses.append(Loss(self._name, how, at, self._runs[-1], running))
        self._ledger.put_back(how)

    async def _troubled(self, process: BatchProcess, plan: Plan) -> tuple[bool, frozenset[int]]:
        """Whether it ended when it had to, and the exit codes that the plan explains."""
        for event in plan.events:
            if await process.ended_within(event.after_s):
                return True, frozenset()
            await self._befall(process, event)
        if await process.ended_within(plan.after_s):
            return True, frozenset()
        if plan.ending in LOSSES:
            return await self._lose(process, plan.ending), frozenset()
        happened = self._world.happened
        happened.troubles[plan.ending] += 1
        match plan.ending:
            case Ending.TERMINATE | Ending.KILL_CLOSING:
                process.send(signal.SIGTERM)
                if plan.ending is Ending.KILL_CLOSING and not await process.ended_within(plan.closing_s):
                    process.send(signal.SIGKILL)
            case Ending.INTERRUPT | Ending.LEAVE:
                process.send(signal.SIGINT)
                if plan.ending is Ending.LEAVE and not await process.ended_within(AGAIN_S):
                    process.send(signal.SIGINT)
            case _:
                process.send(signal.SIGKILL)
        ended = await process.ended_within(STOPS_WITHIN_S)
        if plan.ending is Ending.KILL_OPENING:
            happened.opening[self._ledger.found()] += 1
        return ended, _MAY_END[plan.ending]

    async def _lose(self, process: BatchProcess, how: Ending) -> bool:
        if self._ledger.is_whole():  # else the process has just ended
            self._ledger.take(how)
            self._taken = how, self._world.now()
            self._world.happened.troubles[how] += 1
        return await process.ended_within(LOST_WITHIN_S)

    async def _befall(self, process: BatchProcess, event: Event) -> None:
        world = self._world
        if event.trouble not in SECONDS:
            world.happened.troubles[event.trouble] += 1
        match event.trouble:
            case Trouble.STOP:
                process.send(signal.SIGSTOP)
                await asyncio.sleep(event.amount)
                process.send(signal.SIGCONT)
            case Trouble.CLOCK:
                self._clock_s += event.amount
                await process.tell(f"clock {self._clock_s}")
            case Trouble.DISK_FULL:
                await process.tell("disk full")
                await process.ended_within(event.amount)
                await process.tell("disk free")
            case Trouble.REFUSED:
                await world.proxy.refuse()
                await asyncio.sleep(REFUSED_S)
                await world.proxy.accept()
            case _:
                await self._second(process, event.trouble)

    async def _second(self, process: BatchProcess, how: Trouble) -> None:
        """Another process opens the ledger: to be refused as long as the first one runs."""
        if not _has_ledger(process) or not self._ledger.is_whole():
            return
        with self._ledger.other_name(how) as path:
            second = await BatchProcess.start(self._orders(path, only_open=True))
            if how is Trouble.SECOND_WHILE_STOPPED:
                process.send(signal.SIGSTOP)
            await second.begin()
            ended = await second.ended_within(SECOND_WITHIN_S)
            if how is Trouble.SECOND_WHILE_STOPPED:
                process.send(signal.SIGCONT)
            first_has_it = _has_ledger(process)
            _, said = await second.end()
        happened = self._world.happened
        happened.second_logs.append(said.log)
        if not first_has_it:
            return
        happened.troubles[how] += 1
        if said.stopped is None or not said.stopped.by_ledger:
            happened.let_in.append(f"{self._name}: {how}" + ("" if ended else " (and did not end)"))


def _read(ledger: Path) -> tuple[Sequence[JobRecord], str]:
    """Read the rows, and the damaged ones."""
    try:
        with open_snapshot(ledger) as moment:
            return [job for _, jobs in moment.requests() for job in jobs], moment.fault()
    except LedgerError as error:
        return [], str(error)


def _has_ledger(process: BatchProcess) -> bool:
    return process.has_ledger and not process.has_ended


def _files(folder: Path) -> dict[str, bytes]:
    """Files under their final names; part files that a kill left are hidden."""
    files = folder.iterdir() if folder.exists() else ()
    return {str(file): file.read_bytes() for file in files if not file.name.startswith(".")}
