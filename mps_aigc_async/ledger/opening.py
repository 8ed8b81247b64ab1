"""Prepare a ledger file before it is opened for writing: create a new file, or examine an existing one.

A new ledger is written under a temporary name and linked to its own name once all of it is on the disk. So a process
killed at any moment leaves a usable ledger or none, and an empty or half-made file is no ledger.
"""

import errno
import os
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from ..model.errors import LedgerError
from . import schema
from .snapshot import open_snapshot

STALE_S: Final = 3600.0
"""Age in seconds at which a temporary file counts as left by a killed process: creating a ledger takes milliseconds."""

ADDED_LATER: Final = frozenset({"subAppId"})
"""Parts of a ledger's owner that earlier versions did not store: VOD's application, stored since 2026-11."""

_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})
"""The errors of a file system that cannot sync folders."""


def wal_of(ledger: Path) -> Path:
    """The write-ahead log of a ledger. The ledger's path must not contain a symlink."""
    return ledger.with_name(f"{ledger.name}-wal")


def put_in_place(path: Path, belongs_to: Mapping[str, str]) -> Path:
    """Create the ledger if it does not exist; return its path without symlinks. Blocking: run it in a thread."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"cannot make the folder of the ledger {path}: {error.strerror}") from error
    try:
        ledger = Path(os.path.realpath(path))
        if not ledger.exists():
            _refuse_leftovers(ledger)
            _make(ledger, belongs_to)
        _remove_stale(ledger)
        _sync_folder(ledger.parent)
    except OSError as error:
        raise LedgerError(f"cannot make the ledger {path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise LedgerError(f"cannot make the ledger {path}: {error}") from error
    return ledger


def _refuse_leftovers(ledger: Path) -> None:
    """Raise LedgerError if the log of a lost ledger exists: SQLite would replay it into the new one."""
    for suffix in ("-wal", "-journal"):
        left = ledger.with_name(f"{ledger.name}{suffix}")
        # The log first: another process may be creating the ledger now, and its log comes after the ledger.
        if left.exists() and not ledger.exists():
            raise LedgerError(
                f"there is no ledger {ledger}, but its {left.name} is there, which holds its latest jobs: put that "
                f"ledger back beside it; if the ledger is lost, move {left.name} away, and restore a backup or start "
                "a new ledger (the next run pays again for every job that it does not know)"
            )


def _make(ledger: Path, belongs_to: Mapping[str, str]) -> None:
    temporary = ledger.with_name(f".{ledger.name}.{secrets.token_hex(4)}.new")
    try:
        _write(temporary, belongs_to)
        _publish(temporary, ledger)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write(file: Path, belongs_to: Mapping[str, str]) -> None:
    """Write all tables and the owner, and sync them to disk."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = MEMORY")  # a half-made file is never used, so it needs no rollback
        database.execute("BEGIN")
        migrations = (statement for migration in schema.MIGRATIONS.values() for statement in migration)
        for statement in (*schema.CREATE, *migrations):
            database.execute(statement)
        database.executemany("INSERT INTO belongs_to VALUES (?, ?)", belongs_to.items())
        database.execute("COMMIT")
    with file.open("rb+") as ledger:
        os.fsync(ledger.fileno())


def _publish(temporary: Path, ledger: Path) -> None:
    """Give the file its name, unless another process has just created the ledger."""
    try:
        ledger.hardlink_to(temporary)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links, such as FAT
        if not ledger.exists():
            temporary.rename(ledger)


def _remove_stale(ledger: Path) -> None:
    """Remove the temporary files of killed processes, and a second name of the ledger itself."""
    with os.scandir(ledger.parent) as entries:
        temporary = [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(f".{ledger.name}.") and entry.name.endswith(".new")
        ]
    for left in temporary:
        with suppress(OSError):  # another process removes it too
            if left.samefile(ledger) or time.time() - left.stat().st_mtime > STALE_S:
                left.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the ledger's name durable, where folders can be synced. Windows has no such call, and some file systems of
    virtual machines and networks refuse it (SQLite ignores the refusal too)."""
    if os.name == "nt":  # pragma: no cover
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def examine(path: Path, owners: Sequence[Mapping[str, str]]) -> None:
    """Raise LedgerError for a file that must not be written: damaged, of other owners, or of a newer version.

    Opens the file read-only, so that the file and the `-wal` of a killed process stay unchanged. Blocking: run it in a
    thread.
    """
    with open_snapshot(path) as snapshot:
        if fault := snapshot.fault():
            raise LedgerError(
                f"the ledger {path} is damaged ({fault}), and was not changed: keep a copy, and recover its rows with "
                f"`sqlite3 {path} .recover`"
            )
        owner = snapshot.owner()
        if not snapshot.has_sent():
            return
        further = [other for name, other in snapshot.further_owners().items() if snapshot.has_running(name)]
    if not any(_is_for(mine, owner) for mine in owners):
        raise foreign_error(path, owners[0], owner)
    for one in further:
        if not any(_is_for(mine, one) for mine in owners):
            raise LedgerError(
                f"{path} has tasks that run, or may run, in account {one.get('account')!r}, and no other account can "
                "poll them: add that account to the config's `accounts`, as it was (backend, endpoint, vod.subAppId)"
            )


def _is_for(belongs_to: Mapping[str, str], owner: Mapping[str, str]) -> bool:
    return not _differences(belongs_to, owner)


def foreign_error(path: Path, belongs_to: Mapping[str, str], owner: Mapping[str, str]) -> LedgerError:
    """The error for a client of one owner (`belongs_to`) and the ledger of another."""
    part = next(iter(_differences(belongs_to, owner)), "account")
    same = (
        ' (the same account with a new key? set "account" in the config to the old name)' if part == "account" else ""
    )
    return LedgerError(
        f"{path} belongs to {part} {owner.get(part)!r}, and this client is of {part} {belongs_to[part]!r}: "
        f"its tasks cannot be polled from here; use another ledger, or the other configuration{same}"
    )


def _differences(belongs_to: Mapping[str, str], owner: Mapping[str, str]) -> Sequence[str]:
    """The parts in which the client and the ledger's owner differ."""
    missing = missing_parts(belongs_to, owner)
    return [part for part, value in belongs_to.items() if owner.get(part) != value and part not in missing]


def missing_parts(belongs_to: Mapping[str, str], owner: Mapping[str, str]) -> Mapping[str, str]:
    """The client's values of the owner's parts that an earlier version has not stored: the ledger takes them over."""
    return {part: value for part, value in belongs_to.items() if part in ADDED_LATER and part not in owner}
