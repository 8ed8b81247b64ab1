"""Calls per second: all four actions saturated by ours, one action by each limiter, and one shared with a stranger.

The figures come from the server's log of arrivals (the emulator's, with a strict one-second window): the calls accepted
from the first arrival on (the start is not left out), the most arrivals in any half-open second, and the refusals.
`trouble` has the conditions, `limiters` the contestants.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Final

from mps_aigc_async import AigcClient
from mps_aigc_async.emulator import Arrival
from mps_aigc_async.wire.mps import LIMITS

from . import record
from .limiters import ACTION, ANSWERED_WITHIN_S, CONTESTANTS, RATE, Contestant
from .limiters import ours as ours_alone
from .server import serving
from .stranger import Answers, stranger
from .table import show
from .trouble import CONDITIONS, Condition

SECONDS: Final = 60.0
PEER_SECONDS: Final = 15.0
BEYOND_S: Final = 1.5
"""For as long as that they go on, so that the last second counted is a whole one."""
LOG: Final = 1_000_000
"""Calls that the server notes: without a limiter, many times more come than are accepted."""
STRANGER_S, SETTLED_S = 60.0, 10.0
"""Seconds that the stranger stays, and seconds after its arrival from which the remaining rate and refusals count."""
ACTIONS: Final = ("CreateAigcImageTask", "DescribeAigcImageTask", "CreateAigcVideoTask", "DescribeAigcVideoTask")


@dataclass(frozen=True)
class Figures:
    used: float
    """The accepted calls, as a share of the documented rate."""
    most: int
    """The most that arrived in any half-open second."""
    refused: int


Results = Mapping[str, Mapping[str, Figures]]
"""By action or contestant, then by condition."""


async def main() -> None:
    ours: dict[str, dict[str, Figures]] = {action: {} for action in ACTIONS}
    for condition in CONDITIONS:
        for action, figures in (await _all_actions(condition)).items():
            ours[action][condition.name] = figures
    _show(f"Ours: all actions at once for {SECONDS:g} s; used, most in any 1 s, refused", ours)
    shared = await _shared()
    show(f"Half of {ACTION}'s rate taken by a stranger, after {SETTLED_S:g} s", list(shared), [list(shared.values())])
    peers = {
        name: {condition.name: await _alone(contestant, condition) for condition in CONDITIONS}
        for name, contestant in CONTESTANTS.items()
    }
    _show(f"{ACTION} alone, {RATE}/s, for {PEER_SECONDS:g} s; used, most in any 1 s, refused", peers)
    record.keep("pacing", {"limits": {a: LIMITS[a] for a in ACTIONS}, **_plain(ours, peers), "stranger": shared})


def _show(title: str, results: Results) -> None:
    cells = [[_cell(figures) for figures in by_condition.values()] for by_condition in results.values()]
    show(
        title,
        ("", *(condition.name for condition in CONDITIONS)),
        [(name, *row) for name, row in zip(results, cells, strict=True)],
    )


def _cell(figures: Figures) -> str:
    return f"{figures.used:.1%} {figures.most} {figures.refused}"


def _plain(ours: Results, peers: Results) -> dict[str, object]:
    return {
        part: {name: {where: asdict(figures) for where, figures in row.items()} for name, row in results.items()}
        for part, results in (("ours", ours), ("peers", peers))
    }


# All actions at once


async def _all_actions(condition: Condition) -> dict[str, Figures]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(condition.front))
        await stack.enter_async_context(condition.here())
        client = await stack.enter_async_context(AigcClient(server.config(images=1, videos=1, poll_ms=60_000)))
        tasks = {
            kind: await client.call(f"CreateAigc{kind}Task", {"Prompt": "the one asked about"})
            for kind in ("Image", "Video")
        }
        made = len((await server.report()).arrivals)
        await asyncio.sleep(1.1)  # the windows are empty again
        await _for(SECONDS + BEYOND_S, _saturate(client, tasks))
        arrivals = (await server.report()).arrivals[made:]
    return {action: figures(arrivals, action, SECONDS) for action in ACTIONS}


async def _saturate(client: AigcClient, tasks: Mapping[str, Mapping[str, object]]) -> None:
    async def send(action: str, params: Mapping[str, object]) -> None:
        while True:
            await client.call(action, params)

    async with asyncio.TaskGroup() as group:
        for action in ACTIONS:
            task_id = tasks["Image" if "Image" in action else "Video"]["TaskId"]
            params = {"Prompt": "x"} if action.startswith("Create") else {"TaskId": task_id}
            for _ in range(int(LIMITS[action]) * ANSWERED_WITHIN_S):
                group.create_task(send(action, params))


# A single action


async def _alone(contestant: Contestant, condition: Condition) -> Figures:
    async with serving(condition.front, log_size=LOG) as server, condition.here():
        await _for(PEER_SECONDS + BEYOND_S, contestant(server))
        return figures((await server.report()).arrivals, ACTION, PEER_SECONDS)


async def _for(seconds: float, calling: Coroutine[None, None, None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await calling


# With a stranger


async def _shared() -> dict[str, object]:
    async with serving() as server:
        calling = asyncio.create_task(ours_alone(server))
        await asyncio.sleep(2.0)
        theirs = await stranger(server.url, RATE / 2, STRANGER_S)
        calling.cancel()
        await asyncio.wait({calling})
        return _left(theirs, (await server.report()).arrivals)


def _left(theirs: Answers, arrivals: Sequence[Arrival]) -> dict[str, object]:
    """Our arrivals during the stranger's stay."""
    begin, end = theirs[0][0] + SETTLED_S, theirs[-1][0]
    all_of_it = [arrival.code is None for arrival in arrivals if begin <= arrival.at < end]
    strangers = [is_accepted for at, is_accepted in theirs if begin <= at < end]
    our_accepted = sum(all_of_it) - sum(strangers)
    calls = len(all_of_it) - len(strangers)
    return {
        "used of what is left": our_accepted / (RATE / 2 * (end - begin)),
        "our calls": calls,
        "refused": calls - our_accepted,
        "refused of our calls": (calls - our_accepted) / calls,
        "refused of the stranger's": 1 - sum(strangers) / len(strangers),
    }


def figures(arrivals: Sequence[Arrival], action: str, seconds: float) -> Figures:
    assert len(arrivals) < LOG
    times = [arrival.at for arrival in arrivals if arrival.action == action]
    accepted_times = [arrival.at for arrival in arrivals if arrival.action == action and arrival.code is None]
    return Figures(
        used=bisect_left(accepted_times, times[0] + seconds) / (LIMITS[action] * seconds),
        most=max(bisect_left(times, time + 1.0) - first for first, time in enumerate(times)),
        refused=len(times) - len(accepted_times),
    )
