"""The tables of procrastinate: made, and brought to the version of the installed package.

The package ships its migrations, and records nowhere which of them a database has. So a comment on the table of items
names the last one. Tables without the comment were made by another program, and their version is not known here.
"""

import re
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeAlias

from procrastinate.schema import SchemaManager

from ..ledger.postgres.schema import LOCK, OPEN_S
from ..model.errors import LedgerError
from ..sharing.connection import Row, Step
from ..sharing.database_url import DatabaseUrl

RowsOf: TypeAlias = Callable[[Step], Awaitable[list[Row]]]
"""Runs a statement of a transaction."""

COMMENT: Final = "procrastinate migration "
"""The beginning of the comment. The name of a migration follows, without its file's ending."""

_COMMENT_OF: Final[Step] = (
    "SELECT to_regclass('procrastinate_jobs') IS NOT NULL, "
    "obj_description(to_regclass('procrastinate_jobs'), 'pg_class')",
    {},
)

_WORKERS: Final[Step] = (
    "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %(open_s)s)",
    {"open_s": OPEN_S},
)

_NAME: Final = re.compile(r"\d\d\.\d\d\.\d\d_\w+")


def migrations() -> list[str]:
    """The names of the installed package's migrations, in their order."""
    return sorted(file.stem for file in _folder().glob("*.sql") if _NAME.fullmatch(file.stem))


async def advance(rows_of: RowsOf, url: DatabaseUrl) -> bool:
    """Make the tables, or the next migration, in the transaction of `rows_of`; return whether more migrations follow.
    Each has a transaction of its own: what one adds to an enumeration can be used after its commit.

    Raises LedgerError for tables that are newer, that another program has made, or that workers use meanwhile.
    """
    await rows_of(LOCK)
    [(exists, comment)] = await rows_of(_COMMENT_OF)
    if not exists:
        await rows_of((SchemaManager.get_schema(), {}))
        await rows_of(note_of(migrations()[-1]))
        return False
    missing = _missing(url, comment or "")
    if not missing:
        return False
    [(workers,)] = await rows_of(_WORKERS)
    if workers:
        raise LedgerError(
            f"the queue's tables in {url} must be brought to procrastinate {version('procrastinate')}, and "
            f"{workers} of its workers are open: end them (`mps-aigc drain --ledger URL` for each ledger in the "
            f"database), wait {OPEN_S} s after one that was killed, and try again"
        )
    await rows_of(((_folder() / f"{missing[0]}.sql").read_text(encoding="utf-8"), {}))
    await rows_of(note_of(missing[0]))
    return len(missing) > 1


def note_of(migration: str) -> Step:
    """The statement that notes a migration as the last one. PostgreSQL takes no parameters in it."""
    return f"COMMENT ON TABLE procrastinate_jobs IS '{COMMENT}{migration}'", {}


def _missing(url: DatabaseUrl, comment: str) -> list[str]:
    """The migrations that a database lacks, by its comment. Raises LedgerError."""
    names, last = migrations(), comment.removeprefix(COMMENT)
    if last in names:
        return names[names.index(last) + 1 :]
    here = f"procrastinate {version('procrastinate')}"
    if comment.startswith(COMMENT):
        raise LedgerError(
            f"the queue's tables in {url} were made by a newer procrastinate than {here.partition(' ')[2]} (its "
            f"migration {last}): pip install --upgrade procrastinate"
        )
    raise LedgerError(
        f"the tables of procrastinate in {url} were made by another program, so their version is not known: name a "
        f"database of its own for the ledger. Or, if that program has {here} too, and each of its workers names its "
        f"queues, let this one keep the tables up to date: {note_of(names[-1])[0]}"
    )


def _folder() -> Path:
    return Path(SchemaManager.get_migrations_path())
