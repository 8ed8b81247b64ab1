"""Four workers, and trouble that is no kill: what was lost or made twice, and what the workers say of it.

- PostgreSQL is restarted in the middle of the batch.
- One worker is cut off for 30 s, from the database and the service: it runs in a network namespace of its own, and its
  cable is pulled. This needs root, and Linux.
- One worker stands still for a minute (SIGSTOP): its requests go to others, and it creates none of them later.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from subprocess import run as run_command
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from mps_aigc_async.emulator import Emulator
from tests.postgres_server import PostgresServer, postgres_server

from .server import Front, nothing_before
from .table import show
from .worker_trials import LOG, Disturb, Trial, Workers, run

CHAINS: Final = 500
"""The batch takes 100 s."""
BEGINS_S: Final = 10.0
RESTART_S: Final = 3.0
CUT_S: Final = 30.0
STOPPED_S: Final = 60.0

PLACE: Final = "mps-aigc-cut"
"""The network namespace."""
CABLE: Final = "mps-aigc-here"
HERE: Final = "10.231.7.1"
THERE: Final = "10.231.7.2"


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
    front: Front = nothing_before,
    elsewhere: tuple[str, ...] = (),
    place: Callable[[str], str] = str,
) -> Trial:
    """`place` makes the database's URL one that all workers reach."""
    with postgres.database() as database, TemporaryDirectory() as name:
        folder = Path(name)
        try:
            return await run(place(database), folder, disturb, front=front, elsewhere=elsewhere, chains=CHAINS)
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
    with _namespace():
        async with _relay(postgres.port) as port:
            return await _trial(
                postgres,
                _cut,
                front=_relayed,
                elsewhere=("ip", "netns", "exec", PLACE),
                place=lambda url: url.replace(f"127.0.0.1:{postgres.port}", f"{HERE}:{port}"),
            )


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


@asynccontextmanager
async def _relayed(emulator: Emulator) -> AsyncIterator[str]:
    """The emulator, at the cable's end."""
    port = urlsplit(emulator.url).port
    assert port is not None
    async with _relay(port) as relay:
        yield f"http://{HERE}:{relay}"


@asynccontextmanager
async def _relay(port: int) -> AsyncIterator[int]:
    """A port at the cable's end for one on loopback."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass(reader, onward[1]))
            both.create_task(_pass(onward[0], writer))

    async with await asyncio.start_server(connect, HERE) as server:
        yield int(server.sockets[0].getsockname()[1])


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
