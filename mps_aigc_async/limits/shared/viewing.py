"""Reading a store of the limits for people: without a loop, and without joining or making anything."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ...sharing.connection import Lost
from ...sharing.database_url import DatabaseUrl
from ...sharing.lock_holder import lock_holder
from ...sharing.member import boot_id
from ...sharing.reading import reading
from . import view
from .host import PATIENCE_S, present_folder
from .members import MEMBERS
from .pace_statements import PACES
from .postgres import CLOCK
from .slot_statements import SLOTS
from .store import NOW, Row, StoreUnusable, newer_store
from .view import LimitsView

Rows = Callable[[str], list[Row]]
"""Reads the rows of a statement."""

_VERSIONS: Final = {schema.name: schema.version for schema in (PACES, MEMBERS, SLOTS)}

_SCHEMAS: Final = "SELECT name, version, began_at, boot FROM mps_aigc_schemas"


def view_of(place: Path | DatabaseUrl | None) -> LimitsView:
    """Read the store at a place: a folder, a database, or the user's folder on this host. A store that nobody has used
    yet is empty. Raises StoreUnusable or NewerStore."""
    if isinstance(place, DatabaseUrl):
        return _of_database(place)
    folder = place or present_folder()
    if folder is None:
        return LimitsView("of this host, which nobody has used yet")
    if folder.exists() and not folder.is_dir():
        raise StoreUnusable(f"the limit store {folder} is not a folder: set limitStore to a folder")
    return _of_folder(folder)


def _of_folder(folder: Path) -> LimitsView:
    with _host_file(folder / "paces.sqlite") as rows:
        paces = view.paces_of(rows(view.PACES)) if rows is not None and _is_of_this_boot(rows, "paces") else []
    with _host_file(folder / "slots.sqlite") as rows:
        if rows is None:
            return LimitsView(str(folder), paces=paces)
        return _with_slots(str(folder), paces, rows, is_of_this_boot=_is_of_this_boot(rows, "members"))


def _of_database(url: DatabaseUrl) -> LimitsView:
    try:
        with reading(url) as reader:

            def rows(statement: str) -> list[Row]:
                return list(reader.rows(statement.replace(NOW, CLOCK), {}))

            if not reader.has_table("public", "mps_aigc_schemas") or not _schemas(str(url), rows) >= _VERSIONS.keys():
                return LimitsView(str(url))
            return _with_slots(str(url), view.paces_of(rows(view.PACES)), rows, is_of_this_boot=True)
    except Lost as error:
        raise StoreUnusable(f"the limit store cannot be read: {error}") from None


def _with_slots(place: str, paces: list[view.PaceView], rows: Rows, *, is_of_this_boot: bool) -> LimitsView:
    members = view.members_of(rows(view.MEMBERS), is_of_earlier_boot=not is_of_this_boot)
    tickets, caps = (rows(view.TICKETS), rows(view.CAPS)) if is_of_this_boot else ([], [])
    kinds = view.kinds_of(rows(view.KEYS), rows(view.SLOTS), tickets, caps, members=members)
    return LimitsView(place, members, paces, kinds)


def _schemas(place: str, rows: Rows) -> set[str]:
    """The parts of the store that are there. Raises NewerStore."""
    versions: Mapping[str, int] = {name: version for name, version, _, _ in rows(_SCHEMAS)}
    for name, version in versions.items():
        if _VERSIONS.get(name, version) != version:
            raise newer_store(place, version)
    return set(versions)


def _is_of_this_boot(rows: Rows, schema: str) -> bool:
    """Whether the state of a host's file counts still: its times are those of the machine's boot."""
    return any(
        name == schema and boot == boot_id() and began_at <= time.monotonic()
        for name, _, began_at, boot in rows(_SCHEMAS)
    )


@contextmanager
def _host_file(file: Path) -> Iterator[Rows | None]:
    """Read a file of the host's store at one moment; None for one that is not there, or empty. Raises StoreUnusable."""
    if not file.is_file() or file.stat().st_size == 0:
        yield None
        return
    try:
        # Not read-only: SQLite undoes the half transaction of a process that was killed. `mode=rw` makes no file.
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA busy_timeout = {int(1000 * PATIENCE_S)}")
            connection.execute("BEGIN")

            def rows(statement: str) -> list[Row]:
                return connection.execute(statement.replace(NOW, ":now"), {"now": time.monotonic()}).fetchall()

            has_tables = rows("SELECT 1 FROM sqlite_schema WHERE name = 'mps_aigc_schemas'")
            yield rows if has_tables and _schemas(str(file), rows) else None
    except sqlite3.Error as error:
        holder = lock_holder(file)
        fix = f"{holder} holds it: continue or end it" if holder else "remove the file, or look at its disk"
        raise StoreUnusable(f"the limit store {file} cannot be read ({error}): {fix}") from None
