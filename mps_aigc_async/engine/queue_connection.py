"""The connections of procrastinate to its database, which wait for a database that cannot be reached.

Procrastinate's worker ends at the first lost connection, and waits for ever for a server that falls silent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from typing import Any, Final, LiteralString, TypeVar
from weakref import WeakSet

import procrastinate
import psycopg_pool
from procrastinate.exceptions import ConnectorException, NoResult, UniqueViolation

from ..concurrency.cancellation import is_being_cancelled
from ..model.errors import LedgerError
from ..sharing.connection import CONNECT_S, failure_text, hang_up, is_loss
from ..sharing.database_url import DatabaseUrl
from ..sharing.outages import Outages

_log: Final = logging.getLogger("mps_aigc_async")

T = TypeVar("T")

SILENT_S: Final = 8
"""Seconds until a server that falls silent is taken for lost."""

AGAIN_S: Final = 0.5
"""Seconds until a lost database is asked again."""

HURRY_S: Final = 1.0
"""Seconds for which a worker that is stopped waits for its queue. The ledger, which closes later, waits longer."""

GRACE_S: Final = 0.2
"""Seconds for a query to fail whose connection was broken."""

_RAISED: Final = "P0001"
"""The SQLSTATE of an error that procrastinate's own functions raise."""

_FOREIGN_KEY: Final = "23503"
"""The SQLSTATE of a fetch by a worker that was forgotten. The next look enters it again (`RequestQueue.give_back`)."""


class ItemGone(Exception):
    """The item is not at this worker any more: another worker has taken it over, or has ended it."""


class _GivenUp(LedgerError):
    """The database stayed lost until the end of the worker. Others take its items when its heartbeats are missing."""


class QueueConnector(procrastinate.PsycopgConnector):
    """Does again what a lost database has stopped, until it is done or the worker ends."""

    def __init__(self, url: DatabaseUrl) -> None:
        super().__init__(
            conninfo=url.dsn,
            name="mps-aigc queue",
            min_size=1,
            max_size=4,
            timeout=CONNECT_S,
            configure=self._note,
            kwargs={
                "prepare_threshold": None,  # a pooler may hand each transaction to another connection
                "connect_timeout": int(CONNECT_S),
                "application_name": "mps-aigc-async",
                "tcp_user_timeout": 1000 * SILENT_S,
                "keepalives_idle": SILENT_S - 3,
                "keepalives_interval": 1,
                "keepalives_count": 3,
            },
        )
        self._url = url
        self._outages = Outages()
        self._connections = WeakSet[Any]()
        self._waits: set[asyncio.Timeout] = set()
        self._give_up_at = inf
        self._leaving: asyncio.TimerHandle | None = None
        """Breaks the connections once the database is given up."""
        for name in ("psycopg", "psycopg.pool"):
            logging.getLogger(name).addFilter(_is_not_ours)  # a second time does nothing

    async def open_async(self, pool: psycopg_pool.AsyncConnectionPool | None = None) -> None:
        with _quiet():  # the tasks of the pool begin here
            await super().open_async(pool)

    async def close_async(self) -> None:
        """Close the connections, of a lost database too."""
        self.hurry()
        with _quiet():
            await self.pool.close(timeout=GRACE_S)  # a pool of open connections closes at once
            await super().close_async()
        if self._leaving is not None:
            self._leaving.cancel()

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:  # noqa: ANN401 — procrastinate's
        with suppress(ItemGone, _GivenUp):
            await self.patiently(lambda: super(QueueConnector, self).execute_query_async(query, **arguments))

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 — as above
        return await self.patiently(lambda: super(QueueConnector, self).execute_query_one_async(query, **arguments))

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401 — as above
        return await self.patiently(lambda: super(QueueConnector, self).execute_query_all_async(query, **arguments))

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:  # noqa: ANN401 — as above
        with suppress(_GivenUp):
            await self.patiently(lambda: super(QueueConnector, self).listen_notify(on_notification, channels))

    async def patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do `act`, again after each loss of the database until the worker ends (`hurry`). So it may be done twice.

        Raises LedgerError for a loss at the end, and for what the database refuses; ItemGone."""
        while True:
            try:
                result = await self._once(act)
            except (ConnectorException, psycopg_pool.PoolTimeout, TimeoutError) as error:
                await self._pause(error)
            else:
                if self._outages.ends_told():
                    _log.warning("the queue in %s can be reached again; what waited for it is done", self._url)
                if is_being_cancelled():  # the pool's `asyncio.wait_for` may forget it, before Python 3.12
                    raise asyncio.CancelledError
                return result

    async def _once(self, act: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout_at(self._timeout_at) as wait:
            self._waits.add(wait)
            try:
                with _quiet():
                    return await act()
            finally:
                self._waits.discard(wait)

    async def _pause(self, error: Exception) -> None:
        """Wait before the next try, or raise."""
        if isinstance(error, NoResult | UniqueViolation):
            raise error
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        state = getattr(cause, "sqlstate", None)
        if state == _RAISED:
            raise ItemGone from None
        is_lost = isinstance(error, psycopg_pool.PoolTimeout | TimeoutError) or is_loss(cause)
        if not is_lost and state != _FOREIGN_KEY:
            raise LedgerError(failure_text(self._url, "cannot be used as a queue", cause)) from None
        now = asyncio.get_running_loop().time()
        if now >= self._give_up_at:
            raise _GivenUp(failure_text(self._url, "cannot be used as a queue", cause)) from None
        if is_lost and self._outages.is_news(now):
            _log.warning("%s (retrying)", failure_text(self._url, "cannot be reached by its queue", cause))
        await asyncio.sleep(min(AGAIN_S, self._give_up_at - now))

    def hurry(self) -> None:
        """Wait only HURRY_S more for the database: the user waits for the end."""
        if self._give_up_at == inf:
            loop = asyncio.get_running_loop()
            self._give_up_at = loop.time() + HURRY_S
            self._leaving = loop.call_at(self._give_up_at, self._hang_up)
            for wait in self._waits:
                wait.reschedule(self._timeout_at)

    @property
    def _timeout_at(self) -> float | None:
        return None if self._give_up_at == inf else self._give_up_at + GRACE_S

    async def _note(self, connection: Any) -> None:  # noqa: ANN401 — psycopg is imported only where it is used
        self._connections.add(connection)

    def _hang_up(self) -> None:
        for connection in self._connections:
            hang_up(connection)


_is_ours: Final = ContextVar("mps_aigc_queue", default=False)
"""Whether the running task uses our pool."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings of each failed or closed connection out of the log. `Outages` tell of the loss once."""
    before = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(before)


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """Whether to log a record of psycopg's."""
    return not _is_ours.get()
