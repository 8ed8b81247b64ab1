"""A ledger file before it is opened for writing: made and put in place whole, or examined.

A new ledger is made under a temporary name and linked to its own when all of it is on the disk. So a file that is empty
or half made was never ours, and a process that is killed at any moment leaves a ledger that can be opened, or none.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from ..errors import LedgerError
from . import schema
from .reading import reading

STALE_S: Final = 3600.0
"""Seconds after which a temporary file is a killed process's: making a ledger takes milliseconds."""


def wal_of(ledger: Path) -> Path:
    """The write-ahead log of a ledger whose path has no symlink."""
    return ledger.with_name(f"{ledger.name}-wal")


def put_in_place(path: Path, belongs_to: Mapping[str, str]) -> Path:
    """Make the ledger if there is none, and return its path without symlinks. Blocking: run it in a thread."""
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
    """SQLite would play a lost ledger's log into the new one."""
    for suffix in ("-wal", "-journal"):
        left = ledger.with_name(f"{ledger.name}{suffix}")
        if left.exists():
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
    """All tables and the owner, on the disk when this returns."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = MEMORY")  # what is half made is never used, so nothing rolls it back
        database.execute("BEGIN")
        for statement in (*schema.CREATE, *(one for step in schema.MIGRATIONS.values() for one in step)):
            database.execute(statement)
        database.executemany("INSERT INTO belongs_to VALUES (?, ?)", belongs_to.items())
        database.execute("COMMIT")
    with file.open("rb+") as made:
        os.fsync(made.fileno())


def _publish(temporary: Path, ledger: Path) -> None:
    """Put the file under its name, unless another process has put one there."""
    try:
        ledger.hardlink_to(temporary)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links, such as FAT
        if not ledger.exists():
            temporary.rename(ledger)


def _remove_stale(ledger: Path) -> None:
    """Remove what killed processes left: their temporary files, and a second name of the ledger itself."""
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
    """Make the ledger's name durable, where folders can be synced: Windows has no such call."""
    if os.name == "nt":  # pragma: no cover
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def examine(path: Path, belongs_to: Mapping[str, str]) -> None:
    """Raise LedgerError for a file that is not to be written: damaged, another's, of a newer version.

    Read-only, so that it stays as it is, with what a killed process left beside it. Blocking: run it in a thread.
    """
    with reading(path) as snapshot:
        if fault := snapshot.fault():
            raise LedgerError(
                f"the ledger {path} is damaged ({fault}), and was not changed: keep a copy, and recover its rows with "
                f"`sqlite3 {path} .recover`"
            )
        owner = snapshot.owner()
        others = [what for what, whom in belongs_to.items() if owner.get(what) != whom]
        if not others or not snapshot.has_sent():
            return
    what = others[0]
    same = (
        ' (the same account with a new key? set "account" in the config to the old name)' if what == "account" else ""
    )
    raise LedgerError(
        f"{path} belongs to {what} {owner.get(what)!r}, and this client is of {what} {belongs_to[what]!r}: "
        f"its tasks cannot be polled from here; use another ledger, or the other configuration{same}"
    )
