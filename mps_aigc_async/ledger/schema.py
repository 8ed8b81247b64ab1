"""The tables of a ledger file, their versions, and the conversion of a job to a row and back."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, cast

from ..model.results import Usage
from ..model.states import JobState, Kind
from .damage import damaged_row
from .record import JobRecord

VERSION: Final = 8
APPLICATION_ID: Final = 0x4D505341
"""`MPSA`: marks ledgers among SQLite files."""

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
"""Version 1. MIGRATIONS add everything later, in new files and in old ones, so that both become the same."""

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
        # `expires_at` is NULL for a result that never expires and for a result of unknown expiry.
        "ALTER TABLE jobs ADD COLUMN never_expires INTEGER",
        "ALTER TABLE jobs ADD COLUMN progress INTEGER",
        "ALTER TABLE jobs ADD COLUMN usage TEXT",
        "ALTER TABLE jobs ADD COLUMN begun_at REAL",
        "ALTER TABLE jobs ADD COLUMN finished_at REAL",
        "PRAGMA user_version = 5",
    ),
    6: (
        "ALTER TABLE jobs ADD COLUMN durations TEXT",
        "PRAGMA user_version = 6",
    ),
    7: (
        # NULL for the account that the ledger belongs to.
        "ALTER TABLE jobs ADD COLUMN account TEXT",
        "PRAGMA user_version = 7",
    ),
    8: (
        "ALTER TABLE jobs ADD COLUMN position INTEGER",
        "ALTER TABLE jobs ADD COLUMN save_to TEXT",
        "ALTER TABLE jobs ADD COLUMN steps TEXT",
        "ALTER TABLE jobs ADD COLUMN amount REAL",
        "ALTER TABLE jobs ADD COLUMN cost REAL",
        # Covers the sums that a budget is checked against (`spending`).
        "CREATE INDEX jobs_by_cost ON jobs (kind, state, amount, cost) WHERE state <> 'planned'",
        "PRAGMA user_version = 8",
    ),
}
"""The statements of each migration, by the version that it leads to. A migration is one transaction."""

WRITER: Final = "writer"
"""The row of `belongs_to` that names the process that last opened the ledger for writing."""

FACT: Final = "fact: "
"""The prefix of those names in `belongs_to` that are facts learned about the service."""

ALSO: Final = "also: "
"""The prefix of those names in `belongs_to` that are further accounts, each with its owner as JSON."""

COLUMNS: Final = (
    "job_id", "kind", "content", "planned_at", "state", "intent_at", "task_id", "submitted_at", "slot_until",
    "request_id", "urls", "resolution", "ended_at", "expires_at", "saved_at", "files", "error",
    "filled_in", "attempts", "sent_at", "running_at", "unfinished_at",
    "session_id", "file_ids",
    "bare_file_ids", "never_expires", "progress", "usage", "begun_at", "finished_at",
    "durations",
    "position", "save_to", "steps", "amount", "cost",
)  # fmt: skip
"""The columns of a job's record. PostgreSQL has the account in its column `owner`."""

FILE_COLUMNS: Final = (*COLUMNS, "account")
"""The columns of a job in a file."""

Row = tuple[str | float | None, ...]


def to_file_row(job: JobRecord) -> Row:
    return (*to_row(job), job.account or None)


def from_file_row(row: Row) -> JobRecord:
    """Read the job in a row of FILE_COLUMNS. Raises DamagedRow."""
    *columns, account = row
    if not isinstance(account, str | None):
        raise damaged_row(str(row[0]), f"`account` has a value of type {type(account).__name__}")
    job = from_row(tuple(columns))
    return replace(job, account=account) if account else job


def to_row(job: JobRecord) -> Row:
    values = (
        job.job_id, job.kind.value, job.content, job.planned_at, job.state.value, job.intent_at, job.task_id,
        job.submitted_at, job.slot_until, job.request_id, _urls_column(job), job.resolution, job.ended_at,
        job.expires_at, job.saved_at, json.dumps(job.files), json.dumps(job.error, ensure_ascii=False),
        json.dumps(job.filled_in, ensure_ascii=False), job.attempts, job.sent_at, job.running_at, job.unfinished_at,
        job.session_id, json.dumps(job.file_ids),
        json.dumps(job.bare_file_ids), int(job.never_expires), job.progress, _usage_column(job.usage),
        job.begun_at, job.finished_at,
        _durations_column(job),
        job.position, job.save_to or None, " ".join(job.steps) or None, job.amount, job.cost,
    )  # fmt: skip
    return tuple(_storable(value) if isinstance(value, str) else value for value in values)


def _urls_column(job: JobRecord) -> str:
    """The column `urls`: a list of URLs, or an object with more fields (audio only)."""
    more = {"duration": job.duration, "videos": job.videos}
    return json.dumps({"urls": job.urls, **more} if any(more.values()) else job.urls)


def _durations_column(job: JobRecord) -> str | None:
    """The column `durations`: the seconds of each audio and of each of its videos."""
    lengths = {"urls": job.durations, "videos": job.video_durations}
    return json.dumps(lengths) if any(lengths.values()) else None


def _usage_column(usage: Usage | None) -> str | None:
    """The column `usage`: the service's counts under the names of `Usage`."""
    if usage is None:
        return None
    return json.dumps({name: count for name, count in asdict(usage).items() if count is not None})


def _storable(text: str) -> str:
    """Replace half a character: a service's text may be cut, and the row of a paid task must not be lost for it."""
    return text.encode("utf-8", "replace").decode()


_NUMBERS: Final = frozenset({
    "planned_at", "intent_at", "submitted_at", "slot_until", "ended_at", "expires_at", "saved_at", "attempts",
    "sent_at", "running_at", "unfinished_at", "never_expires", "progress", "begun_at", "finished_at", "position",
    "amount", "cost",
})  # fmt: skip
_NEVER_NULL: Final = frozenset({"job_id", "kind", "content", "planned_at", "state", "urls", "files", "error"})
_TYPES: Final = tuple(
    ({int, float} if name in _NUMBERS else {str}) | (set() if name in _NEVER_NULL else {type(None)}) for name in COLUMNS
)
"""The Python types allowed in each column: SQLite itself stores any type in any column."""

_NO_TIMES: Final = frozenset({
    "attempts", "slot_until", "never_expires", "progress", "position", "amount", "cost",
})  # fmt: skip
_TIMES: Final = tuple((COLUMNS.index(name), name) for name in COLUMNS if name in _NUMBERS - _NO_TIMES)
"""The columns of times, by their place in a row. A slot may be held without an end."""

DATES: Final = (-62135596800.0, 253402300800.0)
"""The range of Python's dates, the years 1 to 9999, in Unix seconds; the end is excluded."""

_MOST_ATTEMPTS: Final = 2**31
"""More creates than any job has had. SQLite might be unable to store a greater number again."""

_MOST_POSITIONS: Final = 2**63
"""The end of SQLite's integers."""

_Texts = tuple[str, ...]

_Value = str | float | None


def from_row(row: Row) -> JobRecord:
    """Read the job in a row of COLUMNS. Columns that an older version lacked are NULL. Raises DamagedRow."""
    for value, types, name in zip(row, _TYPES, COLUMNS, strict=True):
        if type(value) not in types:
            raise damaged_row(str(row[0]), f"`{name}` has a value of type {type(value).__name__}")
    for place, name in _TIMES:
        if (value := row[place]) is not None and not DATES[0] <= float(value) < DATES[1]:
            raise damaged_row(str(row[0]), f"`{name}` has no time")
    fields: dict[str, object] = dict(zip(COLUMNS, row, strict=True))
    for column, place, read in _READERS:
        try:
            fields[column] = read(row[place])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            # No cause: its text may quote a URL, whose query is a signature.
            raise damaged_row(str(row[0]), f"`{column}` cannot be read") from None
    fields["urls"], fields["videos"], fields["duration"] = cast("_Media", fields["urls"])
    fields["durations"], fields["video_durations"] = cast("_Lengths", fields["durations"])
    return JobRecord(**fields)  # type: ignore[arg-type] # the schema gives each column its type


_Media = tuple[_Texts, _Texts, float | None]


def _read_urls(value: _Value) -> _Media:
    """The fields that share the column `urls`: the URLs, the videos and the duration of an audio."""
    results = _parse(value)
    if not isinstance(results, dict):
        return _texts(results), (), None
    return _texts(results["urls"]), _texts(results.get("videos", [])), _number(results.get("duration"))


_Lengths = tuple[tuple[float | None, ...], tuple[float | None, ...]]


def _read_durations(value: _Value) -> _Lengths:
    lengths = _object(_parse(value or "{}"))
    return _numbers(lengths.get("urls", [])), _numbers(lengths.get("videos", []))


def _read_error(value: _Value) -> dict[str, Any]:
    error = _object(_parse(value))
    _texts(list(error.values()))
    return error


def _read_usage(value: _Value) -> Usage | None:
    """The counts that this version knows; a newer version of the same schema may have stored more."""
    stored_counts = _object(_parse(value or "{}"))
    counts = {name: _number(stored_counts[name]) for name in Usage.__dataclass_fields__ if name in stored_counts}
    return Usage(**counts) if counts else None


def _read_progress(value: _Value) -> int | None:
    return None if value is None else range(101).index(int(value))


_BY_COLUMN: Final[Mapping[str, Callable[[_Value], object]]] = {
    "kind": lambda value: Kind(str(value)),
    "state": lambda value: JobState(str(value)),
    "urls": _read_urls,
    "files": lambda value: _texts(_parse(value)),
    "error": _read_error,
    "filled_in": lambda value: _object(_parse(value or "{}")),
    "file_ids": lambda value: _texts(_parse(value or "[]")),
    "bare_file_ids": lambda value: _texts(_parse(value or "[]")),
    "usage": _read_usage,
    "durations": _read_durations,
    "progress": _read_progress,
    "attempts": lambda value: range(_MOST_ATTEMPTS).index(int(value or 0)),
    "session_id": lambda value: value or "",
    "position": lambda value: None if value is None else range(_MOST_POSITIONS).index(int(value)),
    "save_to": lambda value: value or "",
    "steps": lambda value: tuple(map(Kind, str(value or "").split())),
    "never_expires": bool,
}
_READERS: Final = [(column, COLUMNS.index(column), read) for column, read in _BY_COLUMN.items()]
"""The columns that are converted, in the order of reading: name, place in a row, function to the record's field."""


def text_or_bytes(column: bytes) -> str | bytes:
    """A connection's `text_factory`: undecodable text must damage its row only, not fail the whole query."""
    try:
        return column.decode()
    except UnicodeDecodeError:
        return column


def _parse(text: _Value) -> Any:  # noqa: ANN401 — the callers check the types
    """Parse a column of JSON. Most columns are empty; parsing these too would double the time of reading a row."""
    match text:
        case "[]":
            return []
        case "{}":
            return {}
        case _:
            return json.loads(str(text))


def _texts(value: object) -> _Texts:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
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


def _numbers(values: object) -> tuple[float | None, ...]:
    if not isinstance(values, list):
        raise TypeError
    return tuple(map(_number, values))
