"""VOD's `Output`: the files that a task has made, how long they live, and what was used to make them.

Sources: AigcImageTaskOutputFileInfo, AigcVideoTaskOutputFileInfo, AigcVideoTaskUsage, MediaBasicInfo of the VOD API
(2018-07-17), as of the official SDK 3.1.194 (2026-10).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta, timezone
from typing import Final

from ..model.results import Usage
from ..policy.lifetimes import Lifetime
from . import answers
from .answers import as_text

PERMANENT: Final = "permanent"
"""StorageMode of a file that is kept; `Temporary` is the documented default."""

CHINA: Final = timezone(timedelta(hours=8))
"""The zone of a time that names none. The documents always name one (`Z`, `+08:00`). This is Tencent's own, and 8 hours
before the same digits in UTC: an end that is read too early costs less than one that is read too late."""

FIRST_YEAR: Final = 2000
"""VOD began in 2015. An earlier year (`0001-01-01T00:00:00Z`) is how a service writes an unset time."""

USAGE_KEYS: Final[Mapping[str, str]] = {
    "OutputSeconds": "output_seconds",
    "InputSeconds": "input_seconds",
    "TotalSeconds": "total_seconds",
    "InputImageCount": "input_images",
    "InputTokens": "input_tokens",
    "ThoughtTokens": "thought_tokens",
}
KEYS: Final = (
    "Output", "FileInfos", *answers.URL_KEYS[:2], "FileId", "StorageMode", "ExpireTime", "MetaData", "Width", "Height",
    "Usage", *USAGE_KEYS, "ProcedureTaskIds",
)  # fmt: skip
"""Keys of the output, as VOD writes them."""

MOST_USED: Final = 10**15
"""No task uses as much of anything: a greater number, or infinity, tells nothing."""


@dataclass(frozen=True, slots=True)
class Files:
    """The results of one task."""

    infos: tuple[dict[str, object], ...]
    made_after: float | None = None
    """When the service had not made them yet, by its own word (Unix seconds)."""

    @classmethod
    def of(cls, task: Mapping[str, object], made_after: float | None = None) -> "Files":
        """The files in a task's member, whatever else is there."""
        output = task.get("Output")
        found = output.get("FileInfos") if isinstance(output, dict) else None
        infos = (_as_info(entry) for entry in answers.entries(found))
        return cls(tuple(info for info in infos if info is not None), made_after)

    @property
    def urls(self) -> tuple[str, ...]:
        return answers.urls(list(self.infos))

    @property
    def file_ids(self) -> tuple[str, ...]:
        return tuple(file_id for info in self.infos if (file_id := _file_id(info)))

    @property
    def bare_file_ids(self) -> tuple[str, ...]:
        """The ids of the files that have no URL."""
        return Files(tuple(info for info in self.infos if not answers.urls([info]))).file_ids

    @property
    def lifetime(self) -> Lifetime:
        """How long they live, by what the service says of those that can be fetched."""
        found = [info for info in self.infos if answers.urls([info]) or _file_id(info)]
        return Lifetime.of_all([_lifetime(info, self.made_after) for info in found])

    @property
    def resolution(self) -> str | None:
        for info in self.infos:
            meta = info.get("MetaData")
            size = (_pixels(meta.get("Width")), _pixels(meta.get("Height"))) if isinstance(meta, dict) else (0, 0)
            if all(size):
                return f"{size[0]}x{size[1]}"
        return None


def _as_info(entry: object) -> dict[str, object] | None:
    """An entry of FileInfos. A URL alone is a file too."""
    if isinstance(entry, dict):
        return entry
    return {"FileUrl": entry} if isinstance(entry, str) and "://" in entry else None


def _file_id(info: Mapping[str, object]) -> str:
    return answers.task_id(info.get("FileId"))  # an id of the same forms


def _lifetime(info: Mapping[str, object], made_after: float | None) -> Lifetime:
    # Documented of FileId: valid where StorageMode is Permanent. So a file that is told by its id alone is kept.
    mode = as_text(info.get("StorageMode")).casefold()
    permanent = mode == PERMANENT or (not mode and not answers.urls([info]))
    told = as_text(info.get("ExpireTime"))
    ends_at = moment(told)
    if ends_at is not None and made_after is not None and ends_at <= made_after:
        ends_at = None  # no file ends before it is made: nothing would go on from it, though its URL can be fetched
    # Documented of ExpireTime: kept for ever by default.
    return Lifetime(permanent, endless=_is_never(told) or (permanent and not told), ends_at=ends_at)


def moment(value: object) -> float | None:
    """An ISO 8601 time as Unix seconds; None for an unset, endless or unreadable one.

    >>> moment("2026-10-01T10:00:00Z") == moment("2026-10-01T18:00:00+08:00") == moment("2026-10-01 18:00:00")
    True
    >>> moment("9999-12-31T23:59:59Z"), moment("0000-00-00T00:00:00Z"), moment(""), moment("soon"), moment(5)
    (None, None, None, None, None)
    """
    parsed = _parsed(as_text(value)) if isinstance(value, str) else None
    if parsed is None or not FIRST_YEAR <= parsed.year < MAXYEAR:
        return None
    return parsed.timestamp()


def _parsed(told: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(told)
    except ValueError:
        return None
    return parsed if parsed.utcoffset() is not None else parsed.replace(tzinfo=CHINA)


def _is_never(told: str) -> bool:
    """Whether a time is VOD's word for never: `9999-12-31T23:59:59Z` (MediaBasicInfo.ExpireTime)."""
    parsed = _parsed(told)
    return parsed is not None and parsed.year == MAXYEAR


def percent(value: object) -> int | None:
    """Progress from 0 to 100, as a number or as the relay's text.

    >>> percent(37), percent("37%"), percent(" 99.9 % "), percent(101), percent("half"), percent(True)
    (37, 37, 99, None, None, None)
    """
    try:
        told = float(as_text(value).removesuffix("%"))
    except ValueError:
        return None
    return int(told) if 0 <= told <= 100 else None


def usage(task: Mapping[str, object]) -> Usage | None:
    """The task's use and output, as they are billed; None if the answer does not tell."""
    output = task.get("Output")
    found = output.get("Usage") if isinstance(output, dict) else None
    if not isinstance(found, dict):
        return None
    told = {name: number for key, name in USAGE_KEYS.items() if (number := _number(found.get(key))) is not None}
    return Usage(**told) if told else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < MOST_USED else None


def _pixels(value: object) -> int:
    """0 for what is no size."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
