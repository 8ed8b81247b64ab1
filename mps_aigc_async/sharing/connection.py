"""One connection to PostgreSQL: opened when it is first used, and again after it was lost.

A transaction is sent in one go, from BEGIN to COMMIT (the pipeline mode of psycopg): it takes one round trip, and no
lock is held while an answer travels. The caller of a transaction may be cancelled; the transaction itself runs to its
end, in a task of its own: a statement that is interrupted would leave the connection unusable, and its outcome open.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from ..concurrency.owner import TaskOwner
from ..model.errors import ConfigError
from .database_url import DatabaseUrl
from .patience import Patience

Value: TypeAlias = str | float | int | bool | bytes | Sequence[str] | None
Row: TypeAlias = tuple[Any, ...]
Step: TypeAlias = tuple[str, Mapping[str, Value]]
"""A statement with its parameters, written `%(name)s`."""

CONNECT_S: Final = 5.0
"""Seconds for opening a connection to one host."""

ANSWER_S: Final = 5.0
"""Seconds for a transaction, and as many more for a connection that is opened first. A server that is silent for longer
is taken for lost: a member whose packets were lost once must write its next heartbeat before the others, who look for
10 s (`looks`), take it for gone."""

GRACE_S: Final = 0.3
"""Seconds more for the driver to notice that its connection was broken."""

CLOSE_S: Final = 1.0
"""Seconds for a transaction under way when its connection is closed."""

_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""A role or a database may have another level by default, at which a statement does not see the rows that others
have committed since the transaction began."""


_PASSING: Final = ("08", "25", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE for a state that passes, or that its operator ends: connection, transaction state (a server that
may only be read: one that a failover has left, an ALTER DATABASE), rolled back for another transaction's sake,
resources (a full disk), a lock that is not free, intervention and timeouts, the system. Taken for a refusal, it would
cost the ledger the TaskIds that it is given meanwhile."""

_AWAY: Final = ("08", "57P")
"""Beginnings of the SQLSTATE for a server that is not there. The driver has none for a connection that fails."""


_is_ours: Final = ContextVar("mps_aigc_transaction", default=False)
"""Whether the running task is a transaction of ours."""


class Lost(Exception):
    """The database cannot be reached or written now, or the connection broke: it may come back. The outcome of a
    transaction that was under way is open. The message is one sentence without secrets."""


class Refused(Exception):
    """The database refuses: a retry cannot help. The message is one sentence with the fix, without secrets."""

    lacks_table = False
    """Whether a table does not exist."""


class Connection:
    """A connection of one loop, for one transaction at a time."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.url: Final = url
        self._psycopg = driver()
        self._turn = asyncio.Lock()
        self._work = TaskOwner()
        self._connection: Any = None
        self._patience = Patience(ANSWER_S)
        self._wait: asyncio.Timeout | None = None
        """Ends the transaction under way, and the opening of its connection."""
        self._leaving: asyncio.TimerHandle | None = None
        """Breaks the connection if the transaction under way is not answered in time."""

    async def run(self, *steps: Step) -> list[list[Row]]:
        """Run the statements as one transaction; return the rows of each. Each statement sees the rows that others
        have committed before it. Raises Lost or Refused."""
        return await asyncio.shield(self._work.start(self._run(steps), "database transaction"))

    async def _run(self, steps: Sequence[Step]) -> list[list[Row]]:
        _is_ours.set(True)
        async with self._turn:
            loop = asyncio.get_running_loop()
            began = loop.time()
            seconds = self._patience.wait_s(began)
            if not seconds:
                raise Lost(f"the database {self.url} does not answer")
            is_open = self._connection is not None and not self._connection.closed
            if not is_open and not self._patience.is_hurried:
                seconds *= 2  # a silent host may come before the one that answers
            self._leaving = loop.call_later(seconds, self._hang_up)
            try:
                async with asyncio.timeout(seconds + GRACE_S) as self._wait:
                    connection = await self._connected()
                    async with connection.pipeline():  # without `transaction()`, which waits for BEGIN and for COMMIT
                        await connection.execute(_BEGIN)
                        cursors = [await connection.execute(statement, values) for statement, values in steps]
                        await connection.execute("COMMIT")
                    return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]
            except TimeoutError:
                raise await self._silent(began) from None
            except self._psycopg.Error as error:
                if self._leaving.when() <= loop.time():
                    raise await self._silent(began) from None
                raise await self._mapped(error) from None
            except BaseException:
                await self._drop()
                raise
            finally:
                self._leaving.cancel()

    async def _silent(self, began: float) -> Lost:
        await self._drop()
        now = asyncio.get_running_loop().time()
        self._patience.note_silence(now)
        return Lost(f"the database {self.url} has not answered for {now - began:.1f} s")

    def hurry(self, seconds: float) -> None:
        """Wait only so long for all answers together, the one under way included: the user waits for the end."""
        loop = asyncio.get_running_loop()
        self._patience.hurry(loop.time() + seconds)
        if self._leaving is not None and not self._leaving.cancelled():
            at = min(self._leaving.when(), loop.time() + seconds)
            self._leaving.cancel()
            self._leaving = loop.call_at(at, self._hang_up)
            if self._wait is not None:  # the connection may be one that opens
                with suppress(RuntimeError):  # the transaction has just ended
                    self._wait.reschedule(at + GRACE_S)

    def _hang_up(self) -> None:
        if self._connection is not None:
            hang_up(self._connection)

    async def _connected(self) -> Any:  # noqa: ANN401 — psycopg is imported only where it is used
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self.url)
        return self._connection

    async def _mapped(self, error: Exception) -> Lost | Refused:
        await self._drop()  # a transaction that failed is still open
        if is_loss(error):
            state = _state(error)
            is_away = not state or state.startswith(_AWAY)
            return Lost(failure_text(self.url, "cannot be reached" if is_away else "refused", error))
        refused = Refused(failure_text(self.url, "refused", error))
        refused.lacks_table = _state(error) == "42P01"
        return refused

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self._psycopg.Error):
                await connection.close()

    async def close(self) -> None:
        """Close the connection. A transaction that is under way may end first, if the server answers soon."""
        self.hurry(CLOSE_S)
        await self._work.close(ANSWER_S)
        await self._drop()

    def break_off(self) -> None:
        """Close the connection of a loop that has ended: without a loop, and without waiting."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()


def hang_up(connection: Any) -> None:  # noqa: ANN401 — psycopg is imported only where it is used
    """Break a connection of psycopg's to a silent server: its transaction fails at once. If it were cancelled instead,
    the driver would ask the server to cancel it, and wait 10 s more for the answer."""
    if not connection.closed:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as connected:
            connected.shutdown(socket.SHUT_RDWR)


def is_loss(error: BaseException) -> bool:
    """Whether the database cannot be reached or written now, or rolled a transaction back: the same may succeed
    later."""
    psycopg = driver()
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or _state(error)[:2] in _PASSING


def _state(error: BaseException) -> str:
    """The SQLSTATE of a driver's error; empty without one."""
    return getattr(error, "sqlstate", None) or ""


async def connect(url: DatabaseUrl) -> Any:  # noqa: ANN401 — psycopg is imported only where it is used
    """A new connection of psycopg's. Raises its errors."""
    return await driver().AsyncConnection.connect(
        url.dsn,
        autocommit=True,
        prepare_threshold=None,  # a pooler may hand each transaction to another connection
        connect_timeout=int(CONNECT_S),
        application_name="mps-aigc-async",
    )


_ADVICE: Final[Mapping[str, str]] = {
    "password authentication failed": "check the user, and the password in the URL, PGPASSWORD or ~/.pgpass",
    "no password supplied": "set PGPASSWORD, or write the password into ~/.pgpass or the URL",
    "no pg_hba.conf entry": "the server lets nobody in from here: ask for a line in its pg_hba.conf, perhaps with TLS",
    "does not support ssl": "the server has no TLS: leave sslmode=require out, if the network is yours",
    "certificate": "name the server's certificate authority: ?sslmode=verify-full&sslrootcert=FILE",
    'column "': "another program has a table of this name: name another database",
    "does not exist": "check the name, or have it made (CREATE DATABASE, CREATE ROLE)",
    "permission denied for database": "let the user make the tables: GRANT CREATE ON DATABASE … TO …",
    "permission denied for schema public": "let the user make the tables: GRANT CREATE, USAGE ON SCHEMA public TO …",
    "permission denied": "another user has made the tables: as that user, GRANT the user USAGE of the schema, and "
    "SELECT, INSERT, UPDATE, DELETE on its tables mps_aigc_…",
    "no schema has been selected": "the database lacks the schema public: CREATE SCHEMA public",
    "invalid uri query parameter": "correct it, or leave it out",
    "invalid sslmode": "write disable, prefer, require, verify-ca or verify-full",
    "percent-encoded": "write %20 for a space",
    "too many": "raise max_connections of the server, or put a pooler before it",
    "read-only": "name the primary server, not a replica; or set default_transaction_read_only = off",
    "statement timeout": "give the user more time: ALTER ROLE … SET statement_timeout = '10s'",
    "lock timeout": "give the user more time: ALTER ROLE … SET lock_timeout = '10s'",
    "idle-in-transaction timeout": "give the user more time: ALTER ROLE … SET idle_in_transaction_session_timeout = "
    "'10s'",
    "refused": "check the host and the port, and that the server runs",
    "resolve": "check the host's name",
    "translate host name": "check the host's name",
    "timeout": "check the host and the port, and any firewall between",
}
"""By words of the driver or the server: libpq reports no code for a connection that fails."""


def failure_text(url: DatabaseUrl, verb: str, error: Exception) -> str:
    """A sentence on a failure: the first line of the driver's message, without secrets, and the fix."""
    lines = url.masked(str(error)).strip().splitlines() or [type(error).__name__]
    text = lines[0].strip().rstrip(".")
    message = " ".join(lines).lower()
    advice = next((f" ({advice})" for words, advice in _ADVICE.items() if words in message), "")
    return f"the database {url} {verb}: {text}{advice}"


def driver() -> Any:  # noqa: ANN401 — as above
    """The module psycopg. Raises ConfigError where it is not installed."""
    try:
        import psycopg  # noqa: PLC0415 — an extra
    except ImportError:
        raise ConfigError(
            "a postgresql:// URL needs its extra: pip install '.[postgres]' in a clone of mps-aigc-async"
        ) from None
    logging.getLogger("psycopg").addFilter(_is_not_ours)  # a second time does nothing
    return psycopg


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """Whether to log a record of the driver's. It warns of a transaction that ends with an error, some lines each
    time; the error itself is raised as Lost or Refused, and told once."""
    return not _is_ours.get()
