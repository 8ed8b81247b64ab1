"""`report`: a batch's folder as a page."""

from pathlib import Path

from ..model.errors import AigcError, ConfigError, InvalidRequest
from ..model.plain_text import visible_line
from ..report import write
from ..sharing.database_url import is_database_url
from .ledgers import URL, NamedLedger, named_ledger
from .screen import complain, is_quiet, program, say, say_json


def report(*, folder: str, ledger: str | None, as_json: bool) -> None:
    """Write DIR/index.html: the results side by side, and the failures. Needs no keys and no network."""
    if is_database_url(folder):
        raise InvalidRequest(f"name the folder of the files too: `{program()} report DIR --ledger {URL}`")
    named = None if ledger is None else named_ledger(ledger)
    if named is not None and named.database is not None:
        named.require_present()
        _make(Path(folder))  # the files may be on other hosts
    page = str(write(Path(folder), ledger=None if named is None else named.place))
    if as_json:
        say_json({"page": page})
    else:
        say(visible_line(page))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error


def print_page(folder: Path, ledger: NamedLedger) -> None:
    """Write the page at the end of a batch and print its path. A failure is a note and changes nothing else."""
    try:
        path = write(folder, ledger=ledger.place)
        if not is_quiet():
            say(f"report page: {visible_line(str(path))}")
    except AigcError as error:
        complain(f"note: there is no report page: {visible_line(error.reason)}")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 — the batch is over: its exit code is its own
        complain(
            f"note: there is no report page ({type(error).__name__}); "
            f"{program()} report {folder}{ledger.option} retries"
        )
