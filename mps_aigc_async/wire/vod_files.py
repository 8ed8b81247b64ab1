"""VOD's `Output`: the files of a task, their lifetime, and the usage that is billed.

Sources: AigcImageTaskOutputFileInfo, AigcVideoTaskOutputFileInfo, AigcAudioTaskOutputFileInfo, AigcVideoTaskUsage,
MediaBasicInfo of the VOD API (2018-07-17), as of the official SDK 3.1.194 (2026-10).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta, timezone
from typing import Final

from ..model.results import Usage
from ..policy.lifetimes import Lifetime
from . import answers
from .answers import as_text

PERMANENT: Final = "permanent"
"""StorageMode of a file that VOD stores permanently; `Temporary` is the documented default."""

CHINA: Final = timezone(timedelta(hours=8))
"""The zone of a time without a zone. The documents always name a zone (`Z`, `+08:00`). Tencent's own zone is 8 hours
before the same digits in UTC: to read an expiry too early costs less than to read it too late."""

FIRST_YEAR: Final = 2000
"""Earliest year of a real time: VOD began in 2015, and services write an unset time as `0001-01-01T00:00:00Z`."""

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

FILES: Final = ("FileInfos",)
"""The member of an output for the results of an image or a video."""
AUDIOS: Final = ("AudioInfos", *FILES)
"""The member for an audio's results (AigcAudioTaskOutput). Files in the other kinds' member are billed results too."""
FILMS: Final = ("VideoInfos",)
"""The member for the videos that got an audio's sound."""

MOST_USED: Final = 10**15
"""Most of anything that a task can use: a greater number, and infinity, is ignored."""


@dataclass(frozen=True, slots=True)
class Files:
    """The results of one task."""

    infos: tuple[dict[str, object], ...]
    made_after: float | None = None
    """A time at which the files did not exist yet, by the service's word (Unix seconds)."""

    @classmethod
    def of(cls, task: Mapping[str, object], made_after: float | None = None, members: Sequence[str] = FILES) -> "Files":
        """The files in a task's member, from these members of its output."""
        output = task.get("Output")
        lists = [output.get(member) for member in members] if isinstance(output, dict) else []
        infos = (_as_info(entry) for entries in lists for entry in answers.entries(entries))
        return cls(tuple(info for info in infos if info is not None), made_after)

    def with_files(self, others: "Files") -> "Files":
        """These files and other files of the same task."""
        return Files((*self.infos, *others.infos), self.made_after)

    @property
    def urls(self) -> tuple[str, ...]:
        return answers.urls(list(self.infos))

    @property
    def durations(self) -> tuple[float | None, ...]:
        """The seconds of each of `urls`; empty if no file has any."""
        return answers.durations(list(self.infos))

    @property
    def file_ids(self) -> tuple[str, ...]:
        return tuple(file_id for info in self.infos if (file_id := _file_id(info)))

    @property
    def bare_file_ids(self) -> tuple[str, ...]:
        """The ids of the files that have no URL."""
        return Files(tuple(info for info in self.infos if not answers.urls([info]))).file_ids

    @property
    def lifetime(self) -> Lifetime:
        """The lifetime of the files that can be fetched, by the service's word."""
        fetchable = [info for info in self.infos if answers.urls([info]) or _file_id(info)]
        return Lifetime.of_all([_lifetime(info, self.made_after) for info in fetchable])

    @property
    def resolution(self) -> str | None:
        for info in self.infos:
            meta = info.get("MetaData")
            size = (_pixels(meta.get("Width")), _pixels(meta.get("Height"))) if isinstance(meta, dict) else (0, 0)
            if all(size):
                return f"{size[0]}x{size[1]}"
        return None


def _as_info(entry: object) -> dict[str, object] | None:
    """An entry of FileInfos. A bare URL is a file too."""
    if isinstance(entry, dict):
        return entry
    return {"FileUrl": entry} if isinstance(entry, str) and "://" in entry else None


def _file_id(info: Mapping[str, object]) -> str:
    return answers.task_id(info.get("FileId"))  # file ids come in the same forms


def _lifetime(info: Mapping[str, object], made_after: float | None) -> Lifetime:
    # FileId's document: valid if StorageMode is Permanent. So a file with an id and no URL is stored permanently.
    mode = as_text(info.get("StorageMode")).casefold()
    permanent = mode == PERMANENT or (not mode and not answers.urls([info]))
    expire_time = as_text(info.get("ExpireTime"))
    ends_at = moment(expire_time)
    if ends_at is not None and made_after is not None and ends_at <= made_after:
        # No file expires before it exists. With this end no chain would go on, though the URL can be fetched.
        ends_at = None
    # ExpireTime's document: stored for ever by default.
    return Lifetime(permanent, endless=_is_never(expire_time) or (permanent and not expire_time), ends_at=ends_at)


def moment(value: object) -> float | None:
    """An ISO 8601 time as Unix seconds; None for an unset, endless or unreadable one.

    >>> moment("2026-10-01T10:00:00Z") == moment("2026-10-01T18:00:00+08:00") == moment("2026-10-01 18:00:00")
    True
    >>> moment("9999-12-31T23:59:59Z"), moment("0000-00-00T00:00:00Z"), moment(""), moment("soon"), moment(5)
    (None, None, None, None, None)
    """
    date = _parse(as_text(value)) if isinstance(value, str) else None
    if date is None or not FIRST_YEAR <= date.year < MAXYEAR:
        return None
    return date.timestamp()


def _parse(time: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(time)
    except ValueError:
        return None
    return date if date.utcoffset() is not None else date.replace(tzinfo=CHINA)


def _is_never(time: str) -> bool:
    """Whether a time is VOD's word for never: `9999-12-31T23:59:59Z` (MediaBasicInfo.ExpireTime)."""
    date = _parse(time)
    return date is not None and date.year == MAXYEAR


def percent(value: object) -> int | None:
    """Progress from 0 to 100, as a number or as the relay's text.

    >>> percent(37), percent("37%"), percent(" 99.9 % "), percent(101), percent("half"), percent(True)
    (37, 37, 99, None, None, None)
    """
    try:
        progress = float(as_text(value).removesuffix("%"))
    except ValueError:
        return None
    return int(progress) if 0 <= progress <= 100 else None


def usage(task: Mapping[str, object]) -> Usage | None:
    """The task's use and output, as billed; None if the answer does not say."""
    output = task.get("Output")
    counts = output.get("Usage") if isinstance(output, dict) else None
    if not isinstance(counts, dict):
        return None
    numbers = {name: number for key, name in USAGE_KEYS.items() if (number := _number(counts.get(key))) is not None}
    return Usage(**numbers) if numbers else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < MOST_USED else None


def _pixels(value: object) -> int:
    """The number of pixels; 0 for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
