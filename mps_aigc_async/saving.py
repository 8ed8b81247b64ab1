"""One job's results, from their URLs into files, each in the ledger as soon as it is there.

done → done (some of the files) → saved (all of them): a dead URL keeps no other result from being saved, and the next
run fetches only what is missing.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar

from . import events
from .downloads import Downloads
from .errors import AigcError, DownloadError, ResultExpired
from .ledger import JobRecord, Ledger
from .partfile import are_there
from .states import JobState, Kind

T = TypeVar("T")
Emit = Callable[..., None]
"""Takes an event's class, its job, and the fields of its own."""

_log: Final = logging.getLogger("mps_aigc_async")

NEAR_END_S: Final = 3600.0
"""Seconds before its URL's end from which on a result that is not saved yet is warned of."""

NEW_S: Final = 60.0
"""Seconds after its task's end in which a URL that is refused is asked again. No document names a time; a storage's
copies catch up within seconds, and a minute more costs a result that is really gone nothing."""

LEAST_S: Final = 60.0
"""Seconds for which a result's fetching is begun though its URL has ended by our clock: that may be wrong, and only a
refusal proves the end."""

TO_THE_END_S: Final = 3600.0
"""Seconds beyond its URL's life in which a result's fetching may end, or have waited for its place: a storage judges a
URL when it is asked. In an hour 100 MB come at 28 kB/s; one that comes by the byte must not keep a batch for ever."""


@dataclass(frozen=True, slots=True)
class _Result:
    """One of a job's results, and the name of its file without suffix."""

    url: str
    name: str
    kind: Kind


def _results(job: JobRecord, stem: str) -> list[_Result]:
    """A job's results in the order of its files: `stem`, `stem+2` …, and last the video that a sound was put on."""
    # A plus, which no stem holds: `shot-2` may be a request of its own, and a chain's video has the stem itself.
    kinds = ((job.urls, stem, job.kind), (job.videos, f"{stem}+sound", Kind.VIDEO))
    return [
        _Result(url, name if number == 1 else f"{name}+{number}", kind)
        for urls, name, kind in kinds
        for number, url in enumerate(urls, 1)
    ]


class Saver:
    """Saves jobs' results. `save_s` are the seconds that the user allows for it."""

    def __init__(
        self,
        ledger: Ledger,
        downloads: Downloads,
        *,
        url_life_s: float,
        wall: Callable[[], float],
        emit: Emit,
        save_s: float = inf,
    ) -> None:
        self._ledger = ledger
        self._downloads = downloads
        self._url_life_s = url_life_s
        self._wall = wall
        self._emit = emit
        self._save_s = save_s

    async def save(self, job: JobRecord, folder: Path, stem: str) -> JobRecord:
        """Save a done job's results as `folder/stem.*`; files that are there already are left as they are.

        Raises ResultExpired or DownloadError, once everything is saved that could be.
        """
        results = _results(job, stem)
        files = list(job.files) if len(job.files) == len(results) else [""] * len(results)
        there = await asyncio.to_thread(are_there, files)
        if job.state is JobState.SAVED and files and all(there):
            return job
        if job.state is JobState.DONE:
            files = [file if is_there else "" for file, is_there in zip(files, there, strict=True)]
        missing = {number for number, is_there in enumerate(there) if not is_there}
        row = _Row(self._ledger, job, files, set(missing))
        fetches = [self._fetch(row, number, results[number], folder) for number in sorted(missing)]
        faults = [error for error in await _together(fetches) if error is not None]
        if faults:
            raise self._error(job, faults, len(results))
        saved = job.moved(JobState.SAVED, files=tuple(row.files), saved_at=self._wall())
        await self._ledger.put(saved)
        self._emit(events.Saved, saved, task_id=saved.task_id or "", files=saved.files)
        return saved

    async def _fetch(self, row: "_Row", number: int, result: _Result, folder: Path) -> DownloadError | None:
        """Save one result and keep it in the ledger; return the error of one that cannot be had."""
        job = row.job
        left_s = max(self._left_s(job), LEAST_S)
        age_s = inf if job.ended_at is None else self._wall() - job.ended_at
        try:
            file = await self._downloads.save(
                result.url,
                folder / result.name,
                result.kind,
                within_s=min(left_s + TO_THE_END_S, self._save_s),
                begin_within_s=left_s,
                new_for_s=min(max(NEW_S - age_s, 0.0), NEW_S),
                on_retry=lambda error, delay_s: self._fetched_again(job, error, delay_s),
            )
        except DownloadError as error:
            return error
        await row.keep(number, file)
        return None

    def _left_s(self, job: JobRecord) -> float:
        """Seconds that the URLs live by what we know."""
        return self._url_life_s if job.expires_at is None else job.expires_at - self._wall()

    def _fetched_again(self, job: JobRecord, error: DownloadError, delay_s: float) -> None:
        """A result could not be fetched, and will be tried again; near its end that is a warning."""
        error.about(job_id=job.job_id, task_id=job.task_id)
        left_s = inf if job.expires_at is None else self._left_s(job)
        if left_s < NEAR_END_S:
            _log.warning("%s; its URL ends in %.0f minutes", error, left_s / 60)
        self._emit(events.Retried, job, error=error, delay_s=delay_s)

    def _error(self, job: JobRecord, faults: Sequence[DownloadError], results: int) -> AigcError:
        """One error for all results that are missing."""
        reasons = "; ".join(fault.message for fault in faults)
        text = reasons if results == 1 else f"{len(faults)} of {results} results are not saved: {reasons}"
        refused = all(fault.refused for fault in faults)
        error: AigcError
        if refused and self._left_s(job) <= 0:
            life = f"{self._url_life_s / 3600:g} hours"
            error = ResultExpired(f"the result's URLs have outlived their {life} before it was saved: {text}")
        else:
            error = download = DownloadError(text)
            download.refused = refused
        return error.about(job_id=job.job_id, task_id=job.task_id)


class _Row:
    """A job's row while its results come, in any order."""

    def __init__(self, ledger: Ledger, job: JobRecord, files: list[str], missing: set[int]) -> None:
        self._ledger = ledger
        self._missing = missing
        self._one_at_a_time = asyncio.Lock()
        self.job = job
        self.files = files

    async def keep(self, number: int, file: Path) -> None:
        """Write that a file is there; the last one is left to the row that says *saved*."""
        async with self._one_at_a_time:
            self.files[number] = str(file)
            self._missing.discard(number)
            if self._missing:
                await self._ledger.put(self.job.moved(self.job.state, files=tuple(self.files)))


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all; cancelled, or when one of them raises, none goes on."""
    if len(work) < 2:  # most jobs have one result: a task of its own would cost and help nobody
        return [await one for one in work]
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
