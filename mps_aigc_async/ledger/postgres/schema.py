"""The tables of ledgers in PostgreSQL, their versions, and the checks of the server before they are used.

The tables have a schema of their own and are always named with it: by a `search_path`, two members could take two
places for one ledger, and pay for each job twice.
"""

# ruff: noqa: S608 — the statements are put together from constant names

from collections.abc import Mapping, Sequence
from typing import Final

from ...model.errors import LedgerError
from ...sharing.connection import Connection, Lost, Refused, Row, Step
from ...sharing.database_url import DatabaseUrl
from ...sharing.reading import Reader
from ..schema import COLUMNS
from ..snapshot import NoLedger
from .open_members import in_words

VERSION: Final = 4

SERVER_VERSION: Final = 130000
"""PostgreSQL 13 is the oldest release with fixes (postgresql.org/support/versioning, 2026-11)."""

OPEN_S: Final = 60
"""Seconds after its last heartbeat for which a member of an older version counts as open: 30 heartbeats."""

_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("attempts", "never_expires", "progress"), "integer"),
    **dict.fromkeys(
        (
            "planned_at", "intent_at", "submitted_at", "slot_until", "ended_at", "expires_at", "saved_at", "sent_at",
            "running_at", "unfinished_at", "begun_at", "finished_at", "amount", "cost",
        ),
        "double precision",
    ),
    # The order of bytes is Python's order: all members lock the rows of a transaction in one order.
    "job_id": 'text COLLATE "C"',
    "position": "bigint",
}  # fmt: skip
"""The types of columns, where not `text`."""

_COLUMNS: Final = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in COLUMNS)

LOCK: Final[Step] = ("SELECT pg_advisory_xact_lock(hashtextextended('mps_aigc_ledger', 0))", {})
"""The lock for a single opening or adoption at a time."""

DURABLE: Final[Step] = ("SET LOCAL synchronous_commit = on", {})
"""The first statement of each transaction that writes: a role or a database may have the setting off."""

CREATE: Final[Sequence[Step]] = tuple(
    (statement, {})
    for statement in (
        "CREATE SCHEMA IF NOT EXISTS mps_aigc_ledger",
        "CREATE TABLE IF NOT EXISTS mps_aigc_ledger.version (only_one boolean PRIMARY KEY, version integer NOT NULL)",
        f"""CREATE TABLE IF NOT EXISTS mps_aigc_ledger.jobs (
            seq bigint GENERATED ALWAYS AS IDENTITY, ledger text COLLATE "C" NOT NULL, owner text NOT NULL, {_COLUMNS},
            token text NOT NULL, member text, author text, claimed_at double precision, adoption text
        )""",
        "CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_id ON mps_aigc_ledger.jobs (ledger, job_id)",
        "CREATE INDEX IF NOT EXISTS jobs_by_state ON mps_aigc_ledger.jobs (ledger, state, planned_at, seq)",
        "CREATE INDEX IF NOT EXISTS jobs_by_task ON mps_aigc_ledger.jobs (ledger, task_id) WHERE task_id IS NOT NULL",
        """CREATE INDEX IF NOT EXISTS jobs_by_end ON mps_aigc_ledger.jobs
            (ledger, coalesce(finished_at, ended_at), seq) WHERE state IN ('done', 'saved')""",
        """CREATE TABLE IF NOT EXISTS mps_aigc_ledger.members (
            id text PRIMARY KEY, ledger text NOT NULL, host text NOT NULL, boot text NOT NULL,
            pid_namespace text NOT NULL, pid integer NOT NULL, started text NOT NULL, program text NOT NULL,
            schema integer NOT NULL, counter bigint NOT NULL, era text NOT NULL, beat_at timestamptz NOT NULL
        )""",
        """CREATE TABLE IF NOT EXISTS mps_aigc_ledger.orphans (
            ledger text NOT NULL, owner text NOT NULL, job_id text NOT NULL, token text NOT NULL,
            task_id text NOT NULL, kind text NOT NULL, model text NOT NULL, at double precision NOT NULL,
            PRIMARY KEY (ledger, owner, task_id)
        )""",
        """CREATE TABLE IF NOT EXISTS mps_aigc_ledger.facts (
            ledger text NOT NULL, owner text NOT NULL, name text NOT NULL, value text NOT NULL,
            PRIMARY KEY (ledger, owner, name)
        )""",
        "INSERT INTO mps_aigc_ledger.version VALUES (true, 1) ON CONFLICT DO NOTHING",
    )
)
"""Version 1. MIGRATIONS add everything later, so that new and old databases become the same."""

MIGRATIONS: Final[Mapping[int, Sequence[str]]] = {
    2: (
        # The requests that are queued for workers (`requests`).
        """CREATE TABLE mps_aigc_ledger.requests (
            seq bigint GENERATED ALWAYS AS IDENTITY, ledger text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
            line text NOT NULL, ended bigint, ended_at double precision, error text, PRIMARY KEY (ledger, name)
        )""",
        "CREATE INDEX requests_by_end ON mps_aigc_ledger.requests (ledger, ended) WHERE ended IS NOT NULL",
        "CREATE INDEX requests_by_failure ON mps_aigc_ledger.requests (ledger) WHERE error IS NOT NULL",
        """CREATE TABLE mps_aigc_ledger.batches (
            ledger text PRIMARY KEY, queued bigint NOT NULL, ended bigint NOT NULL DEFAULT 0,
            failed bigint NOT NULL DEFAULT 0, ends bigint NOT NULL DEFAULT 0,
            drained_at double precision NOT NULL DEFAULT 0
        )""",
    ),
    3: (
        # The chains that run ahead of a later step (`ahead_statements`).
        """CREATE TABLE mps_aigc_ledger.chains_ahead (
            seq bigint GENERATED ALWAYS AS IDENTITY, ledger text COLLATE "C" NOT NULL, owner text NOT NULL,
            kind text NOT NULL, name text COLLATE "C" NOT NULL, most bigint NOT NULL, member text,
            left_at timestamptz, is_ahead boolean NOT NULL DEFAULT false, PRIMARY KEY (ledger, owner, name, kind)
        )""",
        # The workers of a queue, by their numbers at procrastinate, which has no more than their heartbeats.
        """CREATE TABLE mps_aigc_ledger.workers (
            worker bigint PRIMARY KEY, ledger text NOT NULL, host text NOT NULL, pid integer NOT NULL
        )""",
        "DROP INDEX mps_aigc_ledger.requests_by_failure",
        "CREATE INDEX requests_by_failure ON mps_aigc_ledger.requests (ledger, ended) WHERE error IS NOT NULL",
        """CREATE INDEX requests_by_unknown ON mps_aigc_ledger.requests (ledger, ended)
            WHERE error LIKE '{"type": "CreateOutcomeUnknown"%%'""",
        "CREATE INDEX jobs_by_send ON mps_aigc_ledger.jobs (ledger, sent_at) WHERE sent_at IS NOT NULL",
    ),
    # A new database has the columns from the beginning (CREATE).
    4: (
        *(
            f"ALTER TABLE mps_aigc_ledger.jobs ADD COLUMN IF NOT EXISTS {name} {_TYPES.get(name, 'text')}"
            for name in ("position", "save_to", "steps", "amount", "cost")
        ),
        # Covers the sums that a budget is checked against (`spending`).
        """CREATE INDEX jobs_by_cost ON mps_aigc_ledger.jobs (ledger, kind, state) INCLUDE (amount, cost)
            WHERE state <> 'planned'""",
    ),
}
"""The statements of each migration, by the version that it leads to."""

_EXISTS: Final[Step] = ("SELECT to_regclass('mps_aigc_ledger.version') IS NOT NULL", {})
_READ_VERSION: Final[Step] = ("SELECT version FROM mps_aigc_ledger.version", {})

_OLDER: Final = (
    "SELECT program, pid, host FROM mps_aigc_ledger.members "
    f"WHERE schema < %(version)s AND beat_at > clock_timestamp() - interval '{OPEN_S} s' ORDER BY id"
)

_SERVER: Final[Step] = (
    "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), "
    "current_setting('fsync'), current_setting('server_encoding'), pg_is_in_recovery()",
    {},
)


async def prepare_database(url: DatabaseUrl) -> None:
    """Make the tables, or bring them to this version, without opening a ledger. Raises LedgerError."""
    connection = Connection(url)
    try:
        await prepare(connection)
    finally:
        await connection.close()


async def prepare(connection: Connection) -> None:
    """Make the tables, or bring them to this version. Raises LedgerError for a server or tables that cannot be used."""
    try:
        [server] = await connection.run(_SERVER)
        require_usable(str(connection.url), server[0])
        [[(exists,)]] = await connection.run(_EXISTS)
        if not exists:
            await connection.run(DURABLE, LOCK, *CREATE)
        version = await _version(connection)
        for later in range(version + 1, VERSION + 1):
            await connection.run(DURABLE, LOCK, _migration(later))
            await _require_version(connection, later)
    except (Lost, Refused) as error:
        raise LedgerError(f"cannot open the ledger {connection.url.ledger}: {error}") from error


def require_usable(name: str, server: Row) -> None:
    """Raise LedgerError for a server that would lose rows, or cannot hold them."""
    number, version, fsync, encoding, is_replica = server
    if int(number) < SERVER_VERSION:
        raise LedgerError(f"the database {name} is PostgreSQL {version}: a ledger needs version 13 or newer")
    if fsync != "on":
        raise LedgerError(
            f"the database {name} runs with fsync = {fsync}, and would lose paid tasks in a crash: set fsync = on"
        )
    if encoding != "UTF8":
        raise LedgerError(f"the database {name} has the encoding {encoding}: a ledger needs a database with UTF8")
    if is_replica:
        raise LedgerError(f"the database {name} is a replica that cannot be written: give the URL of its primary")


async def _version(connection: Connection) -> int:
    [[(version,)]] = await connection.run(_READ_VERSION)
    if version > VERSION:
        raise LedgerError(
            f"the ledgers in {connection.url} were written by a newer version (schema {version}): "
            "upgrade mps-aigc-async"
        )
    return int(version)


async def require_this_version(connection: Connection) -> None:
    """Check that the tables are there and of this version, and change nothing. Raises LedgerError, Lost, Refused."""
    [[(exists,)]] = await connection.run(_EXISTS)
    require_version(connection.url, await _version(connection) if exists else None)


def version_in(reader: Reader) -> int | None:
    """The version of the tables; None if there are none."""
    if not reader.has_table("mps_aigc_ledger", "version"):
        return None
    [(version,)] = reader.rows(*_READ_VERSION)
    return int(version)


def require_version(url: DatabaseUrl, version: int | None) -> None:
    """Raise LedgerError for tables of another version, or none (None)."""
    if version is None:
        raise NoLedger(f"there is no ledger in the database {url}: the first `mps-aigc run` or `queue` makes it")
    if version != VERSION:
        fix = "upgrade mps-aigc-async" if version > VERSION else "`mps-aigc migrate` brings them to this version"
        raise LedgerError(f"the ledgers in {url} have schema {version}, and this version has schema {VERSION}: {fix}")


def _migration(version: int) -> Step:
    """Write a migration as one statement. Its version, and the older members, are read again inside the transaction:
    another client may have made the migration meanwhile, and a client of an older version may have been opened."""
    statements = ";\n".join(MIGRATIONS[version])
    return (
        f"""DO $migration$ BEGIN
            LOCK TABLE mps_aigc_ledger.members IN SHARE MODE;
            IF (SELECT version FROM mps_aigc_ledger.version) = {version - 1} AND NOT EXISTS (
                SELECT FROM mps_aigc_ledger.members
                WHERE schema < {version} AND beat_at > clock_timestamp() - interval '{OPEN_S} s'
            ) THEN
                {statements};
                UPDATE mps_aigc_ledger.version SET version = {version};
            END IF;
        END $migration$""",
        {},
    )


async def _require_version(connection: Connection, version: int) -> None:
    """Raise LedgerError if older members kept the migration from being made."""
    if await _version(connection) >= version:
        return
    [older] = await connection.run((_OLDER, {"version": version}))
    names = ", ".join(in_words(older)) or "a client just closed"
    raise LedgerError(
        f"the ledgers in {connection.url} must be brought to schema {version}, and clients of an older version are "
        f"open: {names}; close them, wait {OPEN_S} s after a client that was killed, and try again"
    )
