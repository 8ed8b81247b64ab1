"""The files of a result: their names, and their saving where the user says, outside of any ledger."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Final

from ..model.errors import ConfigError, DownloadError, ResultExpired
from ..model.results import AudioResult, Result, StepResult, steps_made
from ..model.states import Kind
from .downloads import MAY_HAVE_EXPIRED, Downloads, Readable, unchanged
from .filenames import stem_of
from .folders import absolute, prepare_folder
from .media import SUFFIXES, medium_of

FETCH_S: Final = 3600.0
"""Most seconds of a fetch that has begun: enough for 100 MB at 28 kB/s."""

NEW_S: Final = 10.0
"""Seconds in which a refused URL is retried: a storage's copies of a new result may lag behind its task."""

BEGIN_S: Final = 60.0
"""Seconds in which a failed fetch is retried: its caller waits, and may call again."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file of a result, and its name without suffix."""

    url: str
    """Empty for a stored file that has only an id."""
    name: str
    kind: Kind
    file_id: str = ""


def result_files(
    kind: Kind, urls: Sequence[str], bare_file_ids: Sequence[str], videos: Sequence[str], stem: str
) -> Iterator[ResultFile]:
    """The files of a task's result: `stem`, `stem+2` …, and last the video that the sound was put on."""
    # No stem contains a plus, unlike a hyphen: `shot-2` may be another request. A chain's video has the stem itself.
    own = [(url, "", kind) for url in urls] + [("", file_id, kind) for file_id in bare_file_ids]
    sounding = [(url, "", Kind.VIDEO) for url in videos]
    for some, name in ((own, stem), (sounding, f"{stem}+sound")):
        for number, (url, file_id, medium) in enumerate(some, 1):
            yield ResultFile(url, name if number == 1 else f"{name}+{number}", medium, file_id)


async def save_result(result: Result, path: str | Path) -> tuple[Path, ...]:
    """Save a result as files, without a client: see `save_files`."""
    downloads = Downloads()
    try:
        return await save_files(result, path, downloads)
    finally:
        await downloads.close()


async def save_files(
    result: Result, path: str | Path, downloads: Downloads, readable: Readable = unchanged
) -> tuple[Path, ...]:
    """Save a result as files at a path, and return them. A file is never replaced by one of other content.

    Raises ConfigError for a folder that cannot be written, and ResultExpired or DownloadError after every file that can
    be saved has been saved.
    """
    steps = steps_made(result)
    place = await asyncio.to_thread(_place_at, path, steps[0].task_id)
    files: list[Path] = []
    faults: list[DownloadError | ResultExpired] = []
    if not any(step.urls or step.bare_file_ids for step in steps):
        raise DownloadError("the result has no URL and no file's id: there is nothing to save")
    for step in steps:
        videos = step.videos if isinstance(step, AudioResult) else ()
        for file in result_files(step.kind, step.urls, step.bare_file_ids, videos, place.stem):
            try:
                files.append(await _save(step, file, place, downloads, readable))
            except DownloadError as error:
                faults.append(_fault_of(step, error))
    if faults:
        raise faults[0]
    return tuple(files)


@dataclass(frozen=True, slots=True)
class _Place:
    folder: Path
    stem: str
    suffix: str
    """The user's suffix, for the files of its medium; empty for none."""


def _place_at(path: str | Path, task_id: str) -> _Place:
    """The place that a path means: a folder, or a file with or without suffix. Blocking. Raises ConfigError."""
    where = absolute(path)
    is_folder = str(path).endswith(("/", os.sep)) or _is_folder(where)
    folder, name = (where, stem_of(task_id)) if is_folder else (where.parent, where.name)
    prepare_folder(folder)
    suffix = Path(name).suffix
    return _Place(folder, name.removesuffix(suffix), suffix) if suffix.lower() in SUFFIXES else _Place(folder, name, "")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a folder on the way that must not be entered, or a name that is too long
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another path") from error


async def _save(step: StepResult, file: ResultFile, place: _Place, downloads: Downloads, readable: Readable) -> Path:
    if not file.url:
        raise DownloadError(f"there is no URL for file {file.file_id}: `save_to` and `save_unsaved` ask VOD for it")
    left_s = inf if step.expires_at is None else (step.expires_at - datetime.now(UTC)).total_seconds()
    return await downloads.save(
        file.url,
        place.folder / file.name,
        file.kind,
        within_s=FETCH_S,
        begin_within_s=BEGIN_S,
        new_for_s=NEW_S if left_s > 0 else 0.0,
        readable=readable,
        suffix=place.suffix if medium_of(place.suffix.lower(), file.kind) is file.kind else "",
    )


def _fault_of(step: StepResult, error: DownloadError) -> DownloadError | ResultExpired:
    """The error for the user: a refused URL whose time is over has expired."""
    fault: DownloadError | ResultExpired = error
    if error.refused and step.expires_at is not None and step.expires_at <= datetime.now(UTC):
        fault = ResultExpired(f"the result's URLs expired at {step.expires_at:%Y-%m-%d %H:%M} UTC: {error.message}")
    elif error.refused and step.never_expires and not step.file_ids:
        hint = "the result is in your own bucket: `client.save(result, path)` signs its URL"
        fault = DownloadError(f"{error.message.replace(MAY_HAVE_EXPIRED, '')}; {hint}")
    return fault.with_context(task_id=step.task_id)
