"""An SQLite connection in a thread of its own, for all loops of a process.

Each piece of work is one function that runs in the thread to its end: a transaction is never left open halfway,
whatever becomes of the loop or the caller that asked for it, and no two overlap.

Not aiosqlite: its thread ends when it delivers an answer to a loop that has been closed meanwhile, and then everybody
else who uses the connection waits for ever (0.22.1; its thread also keeps a process alive that ends with an open
connection).
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from ..concurrency.callbacks import ignore
from ..concurrency.worker_thread import WorkerThread

T = TypeVar("T")


class Database:
    """An open connection, from `open`. A process that ends with an open ledger does not wait for its thread: its rows
    are on the disk, or their callers have not been told so."""

    def __init__(self) -> None:
        self._thread = WorkerThread("ledger")
        self._connection: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, uri: str) -> "Database":
        """Connect to the file of a URI. Raises sqlite3.Error; nothing is left open then."""
        database = cls()
        try:
            await database._in_thread(partial(database._connect, uri))
        except BaseException:
            await database.close()
            raise
        return database

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of a function that uses the connection, and runs in its thread.

        A caller that is cancelled leaves work that has begun; work that has not begun is not done. Raises the
        function's exceptions, and sqlite3.ProgrammingError once the connection is closed.
        """
        return await self._in_thread(partial(self._use, work))

    async def rows(self, query: str, *values: str | float) -> list[tuple[Any, ...]]:
        """The rows of a query, with values as the file has them. All are read in one piece of work: nothing is left to
        read when a caller is cancelled."""
        return await self.run(lambda connection: connection.execute(query, values).fetchall())

    async def close(self, then: Callable[[], None] = ignore) -> None:
        """Close the connection after the work that waits, call `then` in the thread, and end the thread.

        All of it happens even if the caller is cancelled or its loop is closed.
        """
        with suppress(RuntimeError):  # closed before
            closing = asyncio.get_running_loop().run_in_executor(self._thread, self._close, then)
            self._thread.end()
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                await asyncio.wait({closing})
                raise

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError:  # the thread takes no more work
            raise sqlite3.ProgrammingError("the connection is closed") from None
        return await answer

    def _connect(self, uri: str) -> None:
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._connection is not None  # noqa: S101 — no work comes before the opening or after the closing
        return work(self._connection)

    def _close(self, then: Callable[[], None]) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        finally:
            then()
