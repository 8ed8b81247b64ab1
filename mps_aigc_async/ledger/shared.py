"""The ledger file that the clients of a loop share: the first client opens it, the last one closes it.

A web application may make a client per request, and a ledger file has one writer. So each client holds a
`SharedLedger`, its own handle on the open file. Closing a handle disturbs no other client.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from ..concurrency.home import Home
from ..model.errors import LedgerError
from ..model.states import JobState, Kind
from .commits import LAST_TRY_S
from .opening import foreign_error
from .record import JobRecord
from .sqlite import SqliteLedger

T = TypeVar("T")

Open = Callable[[Path, Mapping[str, str]], Coroutine[Any, Any, SqliteLedger]]


class SharedLedger:
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

    def confirm(self) -> None:
        self.sqlite.confirm()

    async def plan(self, job: JobRecord) -> JobRecord:
        return await self._wait_for(self._usable().plan(job))

    async def put(self, job: JobRecord) -> None:
        await self._wait_for(self._usable().put(job))

    async def claim(self, job: JobRecord, intent: JobRecord) -> None:
        await self._wait_for(self._usable().claim(job, intent))

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
        """Let go of the file; the last handle closes it. If the file's loop has ended, close the file at once: no other
        client can use it."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._file.home.is_here:
            await self._file.leave()
        else:
            _forget(self._file)
            await self.sqlite.close()

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


class _File:
    """A ledger file that is open, opening or closing."""

    def __init__(self, key: str, belongs_to: Mapping[str, str], opening: Coroutine[Any, Any, SqliteLedger]) -> None:
        self.key = key
        self.belongs_to = belongs_to
        self.home = Home.here()
        self.users = 0
        """The number of clients that have a handle or wait for one."""
        self.opening = asyncio.create_task(opening, name=f"open {key}")
        self.opening.add_done_callback(self._opening_ended)
        self.closing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        opening = self.opening
        return self.closing is None and opening.done() and not opening.cancelled() and opening.exception() is None

    def _opening_ended(self, opening: asyncio.Task[SqliteLedger]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            _forget(self)  # the next client retries

    async def handle(self) -> SharedLedger:
        """A handle, once the file is open. No client owns the opening: cancelling one client does not stop the
        others."""
        self.users += 1
        try:
            ledger = await asyncio.shield(self.opening)
            ledger.confirm()
        except LedgerError as error:
            await self.leave()
            raise copy(error) from error.__cause__  # a new error for each client, which adds its own ids
        except BaseException:
            await self.leave()
            raise
        return SharedLedger(self, ledger)

    async def leave(self) -> None:
        """Count a client out. The last one closes the file, and hurries if it is cancelled meanwhile."""
        self.users -= 1
        if self.users:
            return
        self.closing = asyncio.create_task(self._close(), name=f"close {self.key}")
        try:
            await asyncio.shield(self.closing)
        except asyncio.CancelledError:
            self.closing.cancel()
            await asyncio.wait({self.closing})
            await self._close()  # a task cancelled before its first step has closed nothing
            raise

    async def _close(self) -> None:
        """Close the file. No await comes before the close of an open file: a cancellation there would leave the lock
        and SQLite's thread behind, and the process could neither open the ledger again nor end."""
        try:
            if not self.opening.done():
                self.opening.cancel()
                await asyncio.wait({self.opening})
            if not self.opening.cancelled() and self.opening.exception() is None:
                await self.opening.result().close()
        finally:
            _forget(self)


_files: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _File]] = WeakKeyDictionary()
"""The files by loop and by real path, so that a symlink and a relative path are one file."""


def _forget(file: _File) -> None:
    files = _files.get(file.home.loop, {})
    if files.get(file.key) is file:
        del files[file.key]


async def join(path: Path, belongs_to: Mapping[str, str], open_it: Open) -> SharedLedger:
    """A handle on the ledger at a path. The ledger is opened unless a client of this loop has it open.

    Raises the errors of `SqliteLedger.open`, and LedgerError for a file that another owner's client has open.
    """
    key = os.path.normcase(await asyncio.to_thread(os.path.realpath, path))
    files = _files.setdefault(asyncio.get_running_loop(), {})
    while True:
        file = files.get(key)
        if file is None:
            file = files[key] = _File(key, belongs_to, open_it(path, belongs_to))
        elif file.closing is not None:
            await asyncio.wait({file.closing})
            continue
        elif file.belongs_to != belongs_to:
            await asyncio.wait({file.opening})
            if file.is_open:
                raise foreign_error(path, belongs_to, file.belongs_to)
            continue
        return await file.handle()
