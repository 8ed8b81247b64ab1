"""The page on disk: read the ledger, write `index.html` beside the files it shows."""

import os
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ..engine.backends import creates_per_s
from ..engine.ledgers import LedgerPlace, open_snapshot_at
from ..ledger import JobRecord
from ..ledger.snapshot import LEDGER_FILE, LedgerChanged, Snapshot
from ..ledger.versions import steps_in
from ..model.errors import ConfigError
from ..model.states import Word
from ..network.partfile import which_exist
from .overview import Overview
from .shots import Shot, clock, rate, seconds, shot_of
from .timeline import LEFT, WIDTH, draw

if TYPE_CHECKING:
    from jinja2 import Template

PER_PAGE: Final = 2000
"""Most shots on one page, so that a browser scrolls and searches well. A larger batch has several pages."""

_MARK: Final = b'<meta name="generator" content="mps-aigc report">'
"""The mark of a report, which may be overwritten; a user's own index.html lacks it."""


def write(folder: Path, *, ledger: LedgerPlace | None = None, wall: float | None = None) -> Path:
    """Write `folder/index.html` from a ledger, by default `folder/ledger.db`; return its path. Blocking: use a thread
    in async code.

    May be called while the batch runs. Raises LedgerError for a ledger that cannot be read, and ConfigError for a
    missing extra, a folder that cannot be written, and an index.html that is no report.
    """
    template, place = _template(), folder / LEDGER_FILE if ledger is None else ledger
    now = time.time() if wall is None else wall
    try:
        try:
            return _read_and_write(folder, place, template, now)
        except LedgerChanged:  # a run has begun meanwhile; beside a writer, the second reading sees a single moment
            return _read_and_write(folder, place, template, now)
    except OSError as error:
        raise ConfigError(f"cannot write the report into {folder}: {error.strerror}") from error


def _read_and_write(folder: Path, place: LedgerPlace, template: "Template", now: float) -> Path:
    with open_snapshot_at(place) as ledger:
        return _write(folder, ledger, template, now)


def _write(folder: Path, ledger: Snapshot, template: "Template", now: float) -> Path:
    overview = Overview(now)
    for shot, jobs in _shots(folder, ledger, now):
        overview.add(shot, jobs)
    pages = [_name(number) for number in range(max(1, -(-overview.shots // PER_PAGE)))]
    shots = _shots(folder, ledger, now)
    creates = creates_per_s(_backend_of(ledger))
    for number, name in enumerate(pages):
        text = template.generate(
            title=folder.resolve().name,
            overview=overview,
            picture=draw(overview.spans, creates) if overview.tasks == len(overview.spans) else None,
            shots=[shot for shot, _ in islice(shots, PER_PAGE)],
            page=number,
            pages=pages,
            place_of=lambda shot: f"{pages[(shot - 1) // PER_PAGE]}#s{shot}",
            now=now,
        )
        _put(folder / name, text)
    return folder / pages[0]


def _backend_of(ledger: Snapshot) -> str:
    """The backend of the ledger's jobs; of several owners, the first one's."""
    return next((owner.get("backend", "") for owner, _ in ledger.by_owner()), "")


def _name(page: int) -> str:
    return "index.html" if page == 0 else f"index-{page + 1}.html"


def _shots(folder: Path, ledger: Snapshot, now: float) -> Iterator[tuple[Shot, Sequence[JobRecord]]]:
    def find(file: str) -> str | None:
        """The file's URL: in the folder, which may have moved since, or else at its saved path."""
        for path in (folder / Path(file).name, Path(file)):
            if which_exist([str(path)])[0]:
                return quote(os.fsencode(os.path.relpath(path, folder).replace(os.sep, "/")))
        return None

    for number, (name, jobs) in enumerate(ledger.requests(), start=1):
        own = list(steps_in({job.kind: job for job in jobs}).values())
        yield shot_of(number, name, own, find=find, now=now), own


def _put(path: Path, text: Iterator[str]) -> None:
    """Write the page whole or not at all, and never over a file that is no report."""
    if path.exists() and _MARK not in path.read_bytes()[:2000]:
        raise ConfigError(f"{path} is no report of mps-aigc: move it away, so that the report can be written there")
    part = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")  # two writers may run at once
    try:
        with part.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.writelines(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _template() -> "Template":
    try:
        import jinja2  # noqa: PLC0415 — an extra: imported only where it is used
    except ModuleNotFoundError as error:
        raise ConfigError("the report needs its extra: pip install '.[report]' in a clone of mps-aigc-async") from error
    here = Path(__file__).parent
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": seconds, "iso": _iso, "offset": _offset, "rate": rate}
    environment.globals |= {
        # Only this style and this script are allowed, by their hashes, so that no prompt can run code.
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "clock": clock,
        "Word": Word,
        "picture_width": WIDTH,
        "picture_left": LEFT,
    }
    return environment.get_template("page.html.jinja")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _offset(at: float) -> str:
    """This machine's offset from UTC, such as +0800."""
    return f"{datetime.fromtimestamp(at).astimezone():%z}"


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
