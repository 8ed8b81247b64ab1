"""The ledger that a command line names: a file, a folder that `run` wrote into, or a `postgresql://` URL."""

import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ..engine.ledgers import LedgerPlace, file_at, ledger_place, open_snapshot_at
from ..ledger.postgres import require_ledger
from ..ledger.snapshot import LEDGER_FILE, Snapshot, ledger_at
from ..model.errors import LedgerError
from ..model.plain_text import visible_line
from ..sharing.database_url import DatabaseUrl, is_database_url, require_path
from .screen import complain

_SHOWN_IN_PS: Final = (
    "note: other users of this machine can read a command line, and the password in its URL (ps): leave the password "
    "out, and set PGPASSWORD or write it into ~/.pgpass"
)

URL: Final = "URL"
"""The word for a database's URL in commands that messages suggest: the URL itself may have a password."""

URL_FORM: Final = "postgresql://USER@HOST:5432/DATABASE?ledger=NAME"


@dataclass(frozen=True, slots=True)
class NamedLedger:
    """A ledger by the words of a user."""

    place: LedgerPlace
    for_client: str | Path = field(repr=False)
    """The ledger as a client takes it. A URL may have a password."""
    shown: str
    """The word for it in commands that messages suggest."""

    @property
    def database(self) -> DatabaseUrl | None:
        """The database, for a ledger that several processes may write at once."""
        return self.place if isinstance(self.place, DatabaseUrl) else None

    @property
    def is_of_folder(self) -> bool:
        """Whether the ledger is the one of a folder that `run` wrote into."""
        return isinstance(self.place, Path) and self.place.name == LEDGER_FILE

    @property
    def option(self) -> str:
        """The option for commands that also take a folder; empty for the folder's own ledger."""
        return "" if self.is_of_folder else f" --ledger {shlex.quote(self.shown)}"

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Read the ledger. Raises LedgerError."""
        return open_snapshot_at(self.place)

    def require_present(self) -> None:
        """Raise LedgerError if there is no such ledger: a client would make one."""
        if isinstance(self.place, DatabaseUrl):
            require_ledger(self.place)
        elif not self.place.is_file():
            raise LedgerError(f"there is no ledger {self.place}: `mps-aigc run … --out DIR` keeps one in DIR")


def named_ledger(text: str) -> NamedLedger:
    """The ledger of a command line: a URL, a file, or a folder with a ledger. Raises ConfigError."""
    if is_database_url(text):
        return _database(text)
    require_path(text)
    return ledger_file(ledger_at(file_at(text)), text)


def named_file_or_database(text: str) -> NamedLedger:
    """The ledger of an option that may make it: a URL, a file, or a folder that is there. Raises ConfigError."""
    if is_database_url(text):
        return _database(text)
    require_path(text)
    file = file_at(text)
    return ledger_file(ledger_at(file) if file.is_dir() else file)


def ledger_file(file: Path, shown: str = "") -> NamedLedger:
    return NamedLedger(file, file, shown or str(file))


def owner_line(owner: Mapping[str, str]) -> str:
    """A heading for the jobs of one owner, in a ledger that has several."""
    others = ", ".join(value for name, value in owner.items() if name != "account" and value)
    return visible_line(f"jobs of the account {owner.get('account', '')} ({others})")


def _database(text: str) -> NamedLedger:
    place = ledger_place(text)
    if urlsplit(text).password or "password=" in urlsplit(text).query:
        complain(_SHOWN_IN_PS)
    return NamedLedger(place, text, URL)
