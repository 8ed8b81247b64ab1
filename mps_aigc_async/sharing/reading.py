"""Reading PostgreSQL at one moment, without a loop: for commands that only show."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final

from .connection import CONNECT_S, Lost, Row, Value, driver, failure_text
from .database_url import DatabaseUrl

PORTION: Final = 2000
"""Rows that are in memory at a time."""

_HAS_TABLE: Final = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = %(schema)s AND tablename = %(table)s)"
)


class Reader:
    """A transaction that only reads, and sees the database as it was when it began."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 — psycopg is imported only where it is used
        self._connection = connection
        self._cursors = 0

    def rows(self, statement: str, values: Mapping[str, Value]) -> Iterator[Row]:
        """The rows of a statement, read in portions."""
        self._cursors += 1
        with self._connection.cursor(name=f"rows_{self._cursors}") as cursor:
            cursor.itersize = PORTION
            cursor.execute(statement, values)
            yield from cursor

    def has_table(self, schema: str, table: str) -> bool:
        """Whether there was such a table when the transaction began. Not `to_regclass`: it finds a table that others
        have made since then, and whose rows this transaction does not see."""
        [(exists,)] = self.rows(_HAS_TABLE, {"schema": schema, "table": table})
        return bool(exists)


@contextmanager
def reading(url: DatabaseUrl) -> Iterator[Reader]:
    """Read a database. Raises Lost."""
    psycopg = driver()
    try:
        connection = psycopg.connect(url.dsn, connect_timeout=int(CONNECT_S), application_name="mps-aigc-async")
        with closing(connection):
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SET LOCAL search_path = public")  # the tables of the limits are there, for all roles
            yield Reader(connection)
    except psycopg.Error as error:
        raise Lost(failure_text(url, "cannot be read", error)) from None
