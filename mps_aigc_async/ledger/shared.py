"""The ledger file that the clients of a process share, in all loops: the first client opens it, the last one closes it.

A web application may make a client per request, and a ledger file has one writer. So each client holds a
`SharedLedger`, its own handle on the open file. Closing a handle disturbs no other client.

One client at a time opens or closes a file (`_File.turn`), and each is counted from before it waits for its turn:

    the opening client is cancelled, or its loop is closed    the next one in the queue opens the file
    the last client closes while another one waits            either the waiting one is counted in time and the file
                                                              stays open, or it opens the file again after the closing
    a closing client is cancelled while it waits              the client whose turn it is uses the file, or fails and
                                                              then closes it as the last one
    the loop of a client is closed                            its handle is closed from another loop, or stays counted

Retries of commits run on the loops' clock, so loops share a file only if they share a clock. A loop in virtual time is
refused a file that another loop has open, and the other way round (`lock`).
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from ..concurrency.across_loops import Lock
from ..concurrency.loops import own_clock
from ..model.budget import Bound
from ..model.errors import LedgerError
from ..model.states import JobState, Kind
from .commits import LAST_TRY_S
from .opening import foreign_error
from .record import JobRecord
from .sole import SoleLedger
from .sqlite import SqliteLedger

T = TypeVar("T")

Owners = tuple[Mapping[str, str], ...]
"""The owner of a client's jobs, and the owners of its further accounts."""

Open = Callable[..., Coroutine[Any, Any, SqliteLedger]]
"""Opens the file at a path for owners: `SqliteLedger.open`."""


class SharedLedger(SoleLedger):
    """A client's handle on an open ledger file, from `join`."""

    durable = True

    def __init__(self, file: "_File", ledger: SqliteLedger) -> None:
        self._file = file
        self.sqlite: Final = ledger
        self._is_closed = False
        self._is_hurried = False
        self._waits: set[asyncio.Timeout] = set()

    def __repr__(self) -> str:
        return f"<SharedLedger on {self.sqlite!r}>"

    @property
    def in_place(self) -> bool:
        return self.sqlite.in_place

    @property
    def account(self) -> str:
        return self.sqlite.account

    def require_in_place(self) -> None:
        self.sqlite.require_in_place()

    async def plan(self, job: JobRecord) -> JobRecord:
        return await self._wait_for(self._usable().plan(job))

    async def put(self, job: JobRecord) -> None:
        await self._wait_for(self._usable().put(job))

    async def put_within(self, intent: JobRecord, bound: Bound) -> None:
        await self._wait_for(self._usable().put_within(intent, bound))

    async def get(self, job_id: str) -> JobRecord | None:
        return await self._usable().get(job_id)

    async def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        return await self._usable().of_request(name)

    async def of_task(self, task_id: str) -> JobRecord | None:
        return await self._usable().of_task(task_id)

    def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        return self._usable().in_state(state)

    def done_between(self, since: float, until: float) -> AsyncIterator[JobRecord]:
        return self._usable().done_between(since, until)

    async def facts(self) -> Mapping[str, str]:
        return await self._usable().facts()

    async def keep_fact(self, name: str, value: str) -> None:
        await self._usable().keep_fact(name, value)

    async def counts(self) -> Mapping[JobState, int]:
        return await self._usable().counts()

    def hurry(self) -> None:
        """Wait only LAST_TRY_S more for each row that cannot be written, and as long for each later row, such as the
        answer to a create in flight. While another client has the file open, the rows may still be written."""
        if self._is_hurried:
            return
        self._is_hurried = True
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time() + LAST_TRY_S)

    async def close(self) -> None:
        """Let go of the file; the last handle closes it. Any loop may do so if this handle's loop is closed."""
        if not self._is_closed:
            self._is_closed = True
            await self._file.leave()

    def _usable(self) -> SqliteLedger:
        if self._is_closed:
            raise LedgerError(f"cannot use the ledger {self.sqlite.path}: this client has closed it")
        return self.sqlite

    async def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        wait = asyncio.timeout(LAST_TRY_S if self._is_hurried else None)
        self._waits.add(wait)
        try:
            async with wait:
                return await work
        except TimeoutError:
            if not wait.expired():
                raise
            raise LedgerError(
                f"cannot write the ledger {self.sqlite.path}: a row still waited to be written when the client closed"
            ) from None
        finally:
            self._waits.discard(wait)


Key = tuple[asyncio.AbstractEventLoop | None, str]
"""The loop, if it has a clock of its own, and the real path: a symlink and a relative path are one file."""


class _File:
    """A ledger file that clients have open, open or close."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._process = os.getpid()
        self._turn = Lock()
        """Held by the client that opens or closes the file."""
        self._ledger: SqliteLedger | None = None
        self._owners: Owners = ()
        self.users = 0
        """The number of clients that have a handle or wait for one."""

    async def open(self, path: Path, owners: Owners, open_it: Open) -> SqliteLedger:
        """The ledger, opened unless it is open."""
        async with self._turn.turn():
            if self._ledger is None:
                self._ledger, self._owners = await open_it(path, *owners), owners
            elif self._owners[0] != owners[0]:
                raise foreign_error(path, owners[0], self._owners[0])
            elif self._owners != owners:
                names = ", ".join(owner["account"] for owner in self._owners)
                raise LedgerError(
                    f"{path} is open in this process with the accounts {names}: open all its clients with the same ones"
                )
            self._ledger.require_in_place()
            return self._ledger

    async def leave(self) -> None:
        """Count a client out. The last one closes the file, and hurries if it is cancelled meanwhile."""
        if self._process != os.getpid():  # the parent goes on with the file
            if self._ledger is not None:
                await self._ledger.close()
            return
        with _guard:
            self.users -= 1
            if self.users:
                return
        async with self._turn.turn():
            await self._close_unused()

    async def _close_unused(self) -> None:
        """Close the file, unless a client has come meanwhile. No await comes before the close of an open file: a
        cancellation there would leave the lock and SQLite's thread behind."""
        with _guard:
            if self.users:
                return
            ledger, self._ledger = self._ledger, None
        try:
            if ledger is not None:
                await ledger.close()
        finally:
            with _guard:
                if not self.users:
                    _files.pop(self._key, None)


_guard = threading.RLock()
"""Held for a few steps, to count clients in and out. It can be taken again by the same thread: the garbage collector
may run there and end a task that opens or closes a ledger."""
_files: dict[Key, _File] = {}
_of_parent: Final[list[_File]] = []
"""The files that a fork has copied, for the references to their loops: the parent waits for its sockets by the same
epoll, and a loop that the child closes takes its own out of it."""


async def join(path: Path, belongs_to: Mapping[str, str], open_it: Open, *others: Mapping[str, str]) -> SharedLedger:
    """A handle on the ledger at a path. The ledger is opened unless a client of this process has it open. `others` are
    the owners of the client's further accounts.

    Raises the errors of `SqliteLedger.open`, and LedgerError for a file that another owner's client has open.
    """
    real_path = os.path.normcase(await asyncio.to_thread(os.path.realpath, path))
    key = own_clock(asyncio.get_running_loop()), real_path
    with _guard:
        file = _files.setdefault(key, _File(key))
        file.users += 1
    try:
        return SharedLedger(file, await file.open(path, (belongs_to, *others), open_it))
    except BaseException:
        await file.leave()
        raise


def _begin_anew() -> None:
    """Begin anew in a forked child: the files are the parent's, and another thread of it may have held the guard."""
    global _guard  # noqa: PLW0603 — it may be held for ever
    _guard = threading.RLock()
    _of_parent.extend(_files.values())
    _files.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
