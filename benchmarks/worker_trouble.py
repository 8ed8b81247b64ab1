"""Four workers, and trouble that is no kill: what was lost or made twice, and what the workers say of it.

- PostgreSQL is restarted in the middle of the batch.
- One worker is cut off for 30 s, from the database and the service: it runs in a network namespace of its own, and its
  cable is pulled. This needs root, and Linux.
- One worker stands still for a minute (SIGSTOP): its requests go to others, and it creates none of them later.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import run as run_command
from tempfile import TemporaryDirectory
from typing import Final

from tests.postgres_server import PostgresServer, postgres_server

from .relay import relaying
from .table import show
from .worker_trials import LOG, Disturb, Trial, Workers, run

CHAINS: Final = 500
"""The batch takes 100 s."""
BEGINS_S: Final = 20.0
RESTART_S: Final = 3.0
CUT_S: Final = 30.0
STOPPED_S: Final = 60.0

PLACE: Final = "mps-aigc-cut"
"""The network namespace."""
CABLE: Final = "mps-aigc-here"
LOOPBACK: Final = "127.0.0.1"
HERE: Final = "10.231.7.1"
THERE: Final = "10.231.7.2"
_IN_PLACE: Final = ("ip", "netns", "exec", PLACE)


async def main() -> None:
    rows = []
    with postgres_server() as postgres:
        rows.append(_row("PostgreSQL restarted", await _trial(postgres, partial(_restart, postgres=postgres))))
        rows.append(_row(f"one stopped for {STOPPED_S:g} s", await _trial(postgres, _stop)))
        if os.geteuid() == 0:
            rows.append(_row(f"one cut off for {CUT_S:g} s", await _trial_of_a_cut(postgres)))
        else:
            print("a cut needs root")
    show(
        f"4 workers, {CHAINS} chains, one trouble each",
        ("trouble", "finished", "unknown", "failed", "twice", "rate used", "most at once", "s"),
        rows,
    )


def _row(name: str, trial: Trial) -> tuple[object, ...]:
    ends = trial.ends
    return (
        name, ends["finished"], ends["unknown"], ends["failed"], trial.twice, f"{trial.used:.1%}", trial.most,
        f"{trial.seconds:.0f}",
    )  # fmt: skip


async def _trial(
    postgres: PostgresServer,
    disturb: Disturb,
    *,
    port: int = 0,
    elsewhere: Sequence[str] = (),
) -> Trial:
    with postgres.database() as database, TemporaryDirectory() as name:
        folder = Path(name)
        try:
            return await run(database, folder, disturb, port=port, elsewhere=elsewhere, chains=CHAINS)
        finally:
            print((folder / LOG).read_text(errors="replace"), flush=True)


async def _restart(_workers: Workers, postgres: PostgresServer) -> None:
    await asyncio.sleep(BEGINS_S)
    await asyncio.to_thread(postgres.stop)
    await asyncio.sleep(RESTART_S)
    await asyncio.to_thread(postgres.start)


async def _stop(workers: Workers) -> None:
    await asyncio.sleep(BEGINS_S)
    workers[0].send_signal(signal.SIGSTOP)
    await asyncio.sleep(STOPPED_S)
    workers[0].send_signal(signal.SIGCONT)


async def _cut(_workers: Workers) -> None:
    await asyncio.sleep(BEGINS_S)
    _ip(f"link set {CABLE} down")
    await asyncio.sleep(CUT_S)
    _ip(f"link set {CABLE} up")


async def _trial_of_a_cut(postgres: PostgresServer) -> Trial:
    """All workers name the same addresses, on loopback: in the namespace, a relay has their other ends."""
    service = _free_port()
    ports = (service, postgres.port)
    with _namespace():
        async with relaying(HERE, LOOPBACK, ports):
            arguments = (LOOPBACK, HERE, *map(str, ports))
            relay = await asyncio.create_subprocess_exec(
                *_IN_PLACE, sys.executable, "-m", "benchmarks.relay", *arguments
            )
            try:
                return await _trial(postgres, _cut, port=service, elsewhere=_IN_PLACE)
            finally:
                relay.terminate()
                await relay.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _namespace() -> Iterator[None]:
    """A network namespace with a cable to this one."""
    _ip(f"netns add {PLACE}")
    try:
        _ip(f"link add {CABLE} type veth peer name eth0 netns {PLACE}")
        _ip(f"address add {HERE}/24 dev {CABLE}")
        _ip(f"link set {CABLE} up")
        _ip(f"-n {PLACE} address add {THERE}/24 dev eth0")
        _ip(f"-n {PLACE} link set eth0 up")
        _ip(f"-n {PLACE} link set lo up")
        yield
    finally:
        _ip(f"netns delete {PLACE}")


def _ip(arguments: str) -> None:
    run_command(("ip", *arguments.split()), check=True)  # noqa: S603, S607 — own words; ip is in /sbin or /usr/sbin
