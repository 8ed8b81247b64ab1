"""The ledger file's tables, their versions, and a job as a row of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, cast

from ..model.results import Usage
from ..model.states import JobState, Kind
from .damage import damaged_row
from .record import JobRecord

VERSION: Final = 5
APPLICATION_ID: Final = 0x4D505341
"""`MPSA`: tells our files from other SQLite files."""

CREATE: Final = (
    "CREATE TABLE belongs_to (what TEXT PRIMARY KEY, is_for TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE jobs (
        job_id TEXT PRIMARY KEY, kind TEXT NOT NULL, content TEXT NOT NULL, planned_at REAL NOT NULL,
        state TEXT NOT NULL, intent_at REAL, task_id TEXT, submitted_at REAL, slot_until REAL, request_id TEXT,
        urls TEXT NOT NULL, resolution TEXT, ended_at REAL, expires_at REAL, saved_at REAL, files TEXT NOT NULL,
        error TEXT NOT NULL
    )""",
    "CREATE INDEX jobs_by_state ON jobs (state, planned_at)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    "PRAGMA user_version = 1",
)
"""Version 1. What came later is added by MIGRATIONS, to a new file as to an old one: there is one way to be current."""

MIGRATIONS: Final[Mapping[int, Sequence[str]]] = {
    2: (
        "ALTER TABLE jobs ADD COLUMN filled_in TEXT",
        "ALTER TABLE jobs ADD COLUMN attempts INTEGER",
        "ALTER TABLE jobs ADD COLUMN sent_at REAL",
        "ALTER TABLE jobs ADD COLUMN running_at REAL",
        "ALTER TABLE jobs ADD COLUMN unfinished_at REAL",
        "PRAGMA user_version = 2",
    ),
    3: (
        "ALTER TABLE jobs ADD COLUMN session_id TEXT",
        "ALTER TABLE jobs ADD COLUMN file_ids TEXT",
        "PRAGMA user_version = 3",
    ),
    4: (
        # Not unique: a file of an older version may hold a TaskId twice.
        "CREATE INDEX jobs_by_task ON jobs (task_id) WHERE task_id IS NOT NULL",
        "PRAGMA user_version = 4",
    ),
    5: (
        "ALTER TABLE jobs ADD COLUMN bare_file_ids TEXT",
        # `expires_at` is NULL for a result that never expires and for one whose end nobody knows.
        "ALTER TABLE jobs ADD COLUMN never_expires INTEGER",
        "ALTER TABLE jobs ADD COLUMN progress INTEGER",
        "ALTER TABLE jobs ADD COLUMN usage TEXT",
        "ALTER TABLE jobs ADD COLUMN begun_at REAL",
        "ALTER TABLE jobs ADD COLUMN finished_at REAL",
        "PRAGMA user_version = 5",
    ),
}
"""By the version that each leads to; each is one transaction."""

WRITER: Final = "writer"
"""The row of `belongs_to` that names the process that last opened the ledger for writing."""

FACT: Final = "fact: "
"""How the names of the rows of `belongs_to` begin that keep what was learnt about the service."""

COLUMNS: Final = (
    "job_id", "kind", "content", "planned_at", "state", "intent_at", "task_id", "submitted_at", "slot_until",
    "request_id", "urls", "resolution", "ended_at", "expires_at", "saved_at", "files", "error",
    "filled_in", "attempts", "sent_at", "running_at", "unfinished_at",
    "session_id", "file_ids",
    "bare_file_ids", "never_expires", "progress", "usage", "begun_at", "finished_at",
)  # fmt: skip

Row = tuple[str | float | None, ...]


def to_row(job: JobRecord) -> Row:
    values = (
        job.job_id, job.kind.value, job.content, job.planned_at, job.state.value, job.intent_at, job.task_id,
        job.submitted_at, job.slot_until, job.request_id, _made(job), job.resolution, job.ended_at,
        job.expires_at, job.saved_at, json.dumps(job.files), json.dumps(job.error, ensure_ascii=False),
        json.dumps(job.filled_in, ensure_ascii=False), job.attempts, job.sent_at, job.running_at, job.unfinished_at,
        job.session_id, json.dumps(job.file_ids),
        json.dumps(job.bare_file_ids), int(job.never_expires), job.progress, _used(job.usage), job.begun_at,
        job.finished_at,
    )  # fmt: skip
    return tuple(_storable(value) if isinstance(value, str) else value for value in values)


def _made(job: JobRecord) -> str:
    """The column `urls`: a list of them, and an object where there is more to tell (of audio alone)."""
    more = {"duration": job.duration, "videos": job.videos}
    return json.dumps({"urls": job.urls, **more} if any(more.values()) else job.urls)


def _used(usage: Usage | None) -> str | None:
    """The column `usage`: what the service told, by our names."""
    if usage is None:
        return None
    return json.dumps({name: told for name, told in asdict(usage).items() if told is not None})


def _usage(told: dict[str, Any]) -> Usage | None:
    """A newer version of the same schema may know more of it: that is left out here."""
    known = {name: _number(told[name]) for name in Usage.__dataclass_fields__ if name in told}
    return Usage(**known) if known else None


def _storable(text: str) -> str:
    """A service's text may be cut in the middle of a character: no reason to lose the row of a paid task."""
    return text.encode("utf-8", "replace").decode()


_NUMBERS: Final = frozenset({
    "planned_at", "intent_at", "submitted_at", "slot_until", "ended_at", "expires_at", "saved_at", "attempts",
    "sent_at", "running_at", "unfinished_at", "never_expires", "progress", "begun_at", "finished_at",
})  # fmt: skip
_NEVER_NULL: Final = frozenset({"job_id", "kind", "content", "planned_at", "state", "urls", "files", "error"})
_TYPES: Final = tuple(
    ({int, float} if name in _NUMBERS else {str}) | (set() if name in _NEVER_NULL else {type(None)}) for name in COLUMNS
)
"""The Python types allowed in each column: SQLite itself stores any type in any column."""

_NO_TIMES: Final = frozenset({"attempts", "slot_until", "never_expires", "progress"})
_TIMES: Final = tuple((COLUMNS.index(name), name) for name in COLUMNS if name in _NUMBERS - _NO_TIMES)
"""The clock's readings, by their place in a row. A slot may be held without an end."""

DATES: Final = (-62135596800.0, 253402300800.0)
"""Unix seconds from which, and up to which, Python has a date: the years 1 to 9999."""

_MOST_ATTEMPTS: Final = 2**31
"""More creates than any job has had: a greater number might be one that SQLite cannot store again."""

_Texts = tuple[str, ...]


def from_row(row: Row) -> JobRecord:
    """The job in a row of COLUMNS. Columns that an older version did not have are NULL. Raises DamagedRow."""
    for value, types, name in zip(row, _TYPES, COLUMNS, strict=True):
        if type(value) not in types:
            raise damaged_row(str(row[0]), f"`{name}` has a value of type {type(value).__name__}")
    for place, name in _TIMES:
        if (value := row[place]) is not None and not DATES[0] <= float(value) < DATES[1]:
            raise damaged_row(str(row[0]), f"`{name}` has no time")
    values = dict(zip(COLUMNS, row, strict=True))
    column = "kind"
    try:
        kind = Kind(str(values[column]))
        column = "state"
        state = JobState(str(values[column]))
        column = "urls"
        made = _decoded(values[column])
        made = made if isinstance(made, dict) else {"urls": made}
        urls, videos, duration = _texts(made["urls"]), _texts(made.get("videos", [])), _number(made.get("duration"))
        column = "files"
        files = _texts(_decoded(values[column]))
        column = "error"
        error = _object(_decoded(values[column]))
        _texts(list(error.values()))
        column = "filled_in"
        filled_in = _object(_decoded(values[column] or "{}"))
        column = "file_ids"
        file_ids = _texts(_decoded(values[column] or "[]"))
        column = "bare_file_ids"
        bare_file_ids = _texts(_decoded(values[column] or "[]"))
        column = "usage"
        usage = _usage(_object(_decoded(values[column] or "{}")))
        column = "progress"
        progress = None if values[column] is None else range(101).index(int(values[column] or 0))
        column = "attempts"
        attempts = range(_MOST_ATTEMPTS).index(int(values[column] or 0))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        # No cause: its text may quote a URL, whose query is a signature.
        raise damaged_row(str(row[0]), f"`{column}` cannot be read") from None
    return JobRecord(
        **values  # type: ignore[arg-type] # the schema gives each column its type
        | {
            "kind": kind,
            "state": state,
            "urls": urls,
            "duration": duration,
            "videos": videos,
            "files": files,
            "error": error,
            "filled_in": filled_in,
            "attempts": attempts,
            "session_id": str(values["session_id"] or ""),
            "file_ids": file_ids,
            "bare_file_ids": bare_file_ids,
            "never_expires": bool(values["never_expires"]),
            "progress": progress,
            "usage": usage,
        }
    )


def text_or_bytes(stored: bytes) -> str | bytes:
    """A connection's `text_factory`: undecodable text must damage its row only, not fail the whole query."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _decoded(text: str | float | None) -> Any:  # noqa: ANN401 — what it holds is from_row's to know
    """A column of JSON. Most are empty, and parsing them would be half of the time of reading a row."""
    match text:
        case "[]":
            return []
        case "{}":
            return {}
        case _:
            return json.loads(str(text))


def _texts(value: object) -> _Texts:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError
    return tuple(value)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _number(value: object) -> float | None:
    if value is not None and type(value) not in (int, float):
        raise TypeError
    return cast("float | None", value)
