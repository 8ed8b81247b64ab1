"""The limits of all processes of a user on a machine: SQLite files in one folder.

A transaction is synchronous on the loop and takes some 0.1 ms. SQLite never waits inside: a busy file is tried again
after a pause of asyncio's.

The journal is a rollback journal and not a WAL. SQLite keeps, by process, the locks that it believes to hold on a
file, and a fork copies that belief without the locks. With a rollback journal no lock is held between transactions,
and no fork happens within one (`_transactions`), so a child's own connection begins with a true belief. A WAL's
connection holds its lock all the time: in a child, SQLite would take it for held. Nothing is synced, because after a
crash of the machine another boot counts anyway; the journal still protects from a process that is killed.
"""

import asyncio
import os
import re
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import lru_cache
from logging import getLogger
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakSet

from ...sharing.lock_holder import lock_holder
from ...sharing.member import boot_id
from ...sharing.patience import Patience
from .file_owner import make_for_owner
from .store import (
    LOOK_S,
    SCHEMAS,
    LimitsLost,
    NewerStore,
    Row,
    Schema,
    Step,
    StoreUnusable,
    Value,
    newer_store,
)

T = TypeVar("T")

_log: Final = getLogger("mps_aigc_async")

OLDEST: Final = (3, 35)
"""The first SQLite with RETURNING (2021-03)."""

PATIENCE_S: Final = 5.0
"""Seconds for which another process may hold the file's lock. A transaction takes 0.1 ms, so such a process stands
still (Ctrl-Z, a debugger)."""

_PAUSES: Final = 0.001, 0.02
"""The first pause in seconds before a busy file is tried again, and the longest. A timer of asyncio takes 1 ms."""

_STAT_S: Final = 0.02
"""Seconds between two looks at the time of the file's latest change: some 2 µs each."""

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_transactions = threading.RLock()
"""Held in each transaction, and for each fork."""

_databases: "WeakSet[HostDatabase]" = WeakSet()

_never_closed: Final[list[sqlite3.Connection]] = []
"""Connections that a fork has copied. A reference is kept here, because Python would close them with the last one."""


class HostDatabase:
    """An SQLite file of a loop (`store.StoreDatabase`). Open it with `HostDatabase.open`."""

    uncertainty_s = 0.0

    def __init__(self, path: Path, schemas: Sequence[Schema], clock: Callable[[], float], boot: str) -> None:
        self.path: Final = path
        self.generation = 0
        self._schemas = schemas
        self._clock = clock
        self._boot = boot
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """The device and inode that were opened."""
        self._patience = Patience(PATIENCE_S)
        self._told_of_holder = False
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<HostDatabase {self.path}>"

    @classmethod
    async def open(
        cls,
        path: Path,
        schemas: Sequence[Schema],
        *,
        clock: Callable[[], float] = time.monotonic,
        boot: str | None = None,
    ) -> "HostDatabase":
        """Open or create the file. `clock` must be the loop's clock, and the same in all processes.

        Raises StoreUnusable, NewerStore, or LimitsLost while another process stands still in it.
        """
        if sqlite3.sqlite_version_info < OLDEST:
            raise StoreUnusable(
                f"the limit store {path} needs SQLite 3.35 or newer, and Python has {sqlite3.sqlite_version}: use a "
                'newer build of Python, or set limitStore to "process"'
            )
        database = cls(path, schemas, clock, boot_id() if boot is None else boot)
        try:
            await database._patiently(database._connected)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnusable(f"the limit store {path} cannot be used: {_failure(path, error)}") from error
        _databases.add(database)
        return database

    @property
    def is_in_place(self) -> bool:
        return self._file is not None and self._file == _inode(self.path)

    async def run(self, *steps: Step) -> list[list[Row]]:
        if self._is_closed:
            raise LimitsLost(f"the limit store {self.path} was closed")
        try:
            return await self._patiently(lambda: self._transaction(steps))
        except (StoreUnusable, NewerStore) as error:
            self._drop()
            raise LimitsLost(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise LimitsLost(f"the limit store {self.path} cannot be used any more ({error}): {_fix(error)}") from error

    async def _patiently(self, act: Callable[[], T]) -> T:
        """Call `act` until no other process holds the file's lock."""
        began, pause = self._clock(), _PAUSES[0]
        patience_s = self._patience.wait_s(began)
        while True:
            try:
                result = act()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY:
                    raise
            else:
                self._told_of_holder = False
                return result
            if self._clock() - began > patience_s:
                self._patience.note_silence(self._clock())
                raise self._held_too_long(self._clock() - began)
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _PAUSES[1])

    def _held_too_long(self, seconds: float) -> LimitsLost:
        holder = lock_holder(self.path) or "another process"
        text = f"{holder} has held the limit store {self.path} for {seconds:.0f} s and stands still: continue or end it"
        if not self._told_of_holder:
            _log.warning("%s; until then no create is sent", text)
        self._told_of_holder = True
        return LimitsLost(text)

    def _transaction(self, steps: Sequence[Step]) -> list[list[Row]]:
        with _transactions:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            with _undone(connection):
                now = self._clock()  # once the lock is ours: times then grow from one transaction to the next
                rows = [_execute(connection, statement, values, now) for statement, values in steps]
                connection.execute("COMMIT")
            return rows

    def _connected(self) -> sqlite3.Connection:
        """The connection to the file that is at the path now."""
        if self._connection is not None and self.is_in_place:
            return self._connection
        with _transactions:
            former = self._file
            self._drop()
            self._connection = connection = self._connect()
        if former is not None:  # also after a failure: the file may have been emptied in its place
            self.generation += 1
        if former not in (None, self._file):
            _log.warning("the limit store %s was removed or replaced, and begins anew", self.path)
        return connection

    def _connect(self) -> sqlite3.Connection:
        if self.path.parent == _place():  # checked at each opening: a cleaner of /tmp makes its name free for all
            default_folder()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_for_owner(self.path)
        # A connection belongs to its loop, and only the end of the loop may come in another thread.
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = PERSIST")
            connection.execute("PRAGMA synchronous = OFF")
            connection.create_function("greatest", -1, _greatest, deterministic=True)
            connection.create_function("least", -1, _least, deterministic=True)
            connection.create_function("power", 2, pow, deterministic=True)
            connection.create_function("pg_notify", 2, _notify_nobody)
            file = _inode(self.path)
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._file = file
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        with _undone(connection):
            connection.execute(SCHEMAS)
            for schema in self._schemas:
                self._prepare_schema(connection, schema)
            connection.execute("COMMIT")

    def _prepare_schema(self, connection: sqlite3.Connection, schema: Schema) -> None:
        now = self._clock()
        row = connection.execute(
            "SELECT version, began_at, boot FROM mps_aigc_schemas WHERE name = ?", (schema.name,)
        ).fetchone()
        if row is not None and row[0] != schema.version:
            raise newer_store(str(self.path), row[0])
        if row is not None and row[2] == self._boot and row[1] <= now:
            return
        for statement in schema.at_boot if row else schema.tables:
            _execute(connection, statement, {}, now)
        connection.execute(
            "INSERT OR REPLACE INTO mps_aigc_schemas VALUES (?, ?, ?, ?)",
            (schema.name, schema.version, now, self._boot),
        )

    def loop_time(self, store_time: float) -> float:
        return store_time

    async def wait_for_change(self) -> None:
        began, before = self._clock(), self._changed_at()
        while self._changed_at() == before and self._clock() - began < LOOK_S:  # noqa: ASYNC110 — a file has no event
            await asyncio.sleep(_STAT_S)

    def _changed_at(self) -> int:
        with suppress(OSError):
            return self.path.stat().st_mtime_ns
        return 0

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def leave_to_parent(self) -> None:
        """In a forked child: keep off the parent's connection; the next transaction opens an own one."""
        if self._connection is not None:
            _never_closed.append(self._connection)
        self._connection = self._file = None

    def hurry(self, seconds: float) -> None:
        self._patience.hurry(self._clock() + seconds)

    async def close(self) -> None:
        self._is_closed = True
        _databases.discard(self)
        self._drop()
        self._file = None


class _undone:  # noqa: N801 — reads as a word of the `with` statement
    """Roll the transaction back if it fails."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


def _execute(connection: sqlite3.Connection, statement: str, values: dict[str, Value], now: float) -> list[Row]:
    with closing(connection.execute(sqlite_text(statement), {**values, "now": now})) as cursor:
        return cursor.fetchall()


@lru_cache(maxsize=500)
def sqlite_text(statement: str) -> str:
    """A statement of the store as SQLite reads it.

    >>> sqlite_text("UPDATE t SET at = {now} WHERE key = %(key)s")
    'UPDATE t SET at = :now WHERE key = :key'
    """
    return re.sub(r"%\((\w+)\)s", r":\1", statement).replace("{now}", ":now").replace("%%", "%")


def _greatest(*values: float | None) -> float | None:
    """The largest value that is not NULL, as PostgreSQL has it."""
    try:
        return max(values)  # type: ignore[type-var] # a NULL is rare, and looking for it costs as much again
    except TypeError:
        return max((value for value in values if value is not None), default=None)


def _least(*values: float | None) -> float | None:
    try:
        return min(values)  # type: ignore[type-var] # as above
    except TypeError:
        return min((value for value in values if value is not None), default=None)


def _notify_nobody(_channel: str, _payload: str) -> None: ...


def _fix(error: Exception) -> str:
    """The way out of an error of SQLite or of the system."""
    if not isinstance(error, sqlite3.Error):
        return "make the folder usable"
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return "look at the disk's free space"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return "let this user write the folder and its files"
    return "remove the file once no client is open"  # damaged, or its tables are: the members make it anew


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _failure(path: Path, error: sqlite3.Error | OSError) -> str:
    """The reason why a file cannot be opened, and the fix."""
    folder = path.parent
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{folder} is not a folder; set limitStore to another one"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not write into {folder}; allow it (chown, chmod), or set limitStore to another folder"
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"{reason}; {_fix(error)}, or set limitStore to another folder"


def default_folder() -> Path:
    """The folder of the user's limits on this machine, made if it is missing: computed from the user alone, because
    cron, sudo and systemd must find the same. Raises StoreUnusable."""
    folder = _place()
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        info = folder.lstat()
    except OSError as error:
        raise StoreUnusable(
            f"the folder {folder} of the limit store cannot be made ({error.strerror}): set limitStore to a folder "
            'that all processes of the account can write, or to "process"'
        ) from error
    if hasattr(os, "getuid"):
        _require_own(folder, info)
    return folder


def present_folder() -> Path | None:
    """The folder of the user's limits on this machine, if it is there: for readers. Raises StoreUnusable."""
    folder = _place()
    try:
        info = folder.lstat()
    except OSError:
        return None
    if hasattr(os, "getuid"):
        _require_own(folder, info)
    return folder


def _require_own(folder: Path, info: os.stat_result) -> None:
    """Check that nobody else can put files or links into the folder: any user may write to /tmp."""
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        kind = "belongs to another user" if stat.S_ISDIR(info.st_mode) else "is not a folder"
        raise StoreUnusable(
            f"the folder {folder} of the limit store {kind}: have it removed, or set limitStore to another folder"
        )
    if info.st_mode & 0o077:
        raise StoreUnusable(f"other users may enter the folder {folder} of the limit store: chmod 700 {folder}")


def _place() -> Path:
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 — of one system

        text = ctypes.create_unicode_buffer(260)
        ctypes.windll.shell32.SHGetFolderPathW(None, 0x1C, None, 0, text)  # CSIDL_LOCAL_APPDATA
        return Path(text.value) / "mps-aigc"
    if sys.platform == "darwin":
        return Path(os.confstr(65537) or "/tmp") / f"mps-aigc-{os.getuid()}"  # noqa: S108 — _CS_DARWIN_USER_TEMP_DIR
    return Path("/tmp") / f"mps-aigc-{os.getuid()}"  # noqa: S108 — `_require_own` checks it


def _begin_anew() -> None:
    global _transactions  # noqa: PLW0603 — a lock that was copied while it was held stays held
    _transactions = threading.RLock()
    for database in list(_databases):
        database.leave_to_parent()


def _wait_for_transactions() -> None:
    _transactions.acquire()


def _go_on() -> None:
    _transactions.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_wait_for_transactions, after_in_parent=_go_on, after_in_child=_begin_anew)
