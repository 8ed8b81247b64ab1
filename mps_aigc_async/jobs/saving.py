"""Save one job's results as files, and record each file in the ledger as soon as it is complete.

done → done (some files) → saved (all files): a dead URL does not stop the other results, and the next run fetches only
the missing ones.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Final, TypeVar

from ..concurrency.at_once import all_at_once
from ..concurrency.callbacks import ignore
from ..ledger import JobRecord, JobTaken, Ledger
from ..model.errors import AigcError, DownloadError, ResultExpired
from ..model.states import JobState
from ..network.downloads import MAY_HAVE_EXPIRED, Downloads, Readable, unchanged
from ..network.partfile import which_exist
from ..network.result_files import ResultFile, result_files
from .announcer import Announcer

T = TypeVar("T")
_log: Final = logging.getLogger("mps_aigc_async")

NEAR_END_S: Final = 3600.0
"""Warn of each failed attempt when the result's URL expires within this many seconds."""

NEW_S: Final = 60.0
"""Seconds after its task's end in which a refused URL is retried. No document names a time. A storage's copies catch up
within seconds, and if the result is really gone, the extra minute costs nothing."""

LEAST_S: Final = 60.0
"""Seconds in which a fetch may begin although the result's URL has expired by our clock: the clock may be wrong, and
only a refusal proves the expiry."""

TO_THE_END_S: Final = 3600.0
"""Seconds beyond its URL's life in which a fetch may end: a storage judges a URL when it is asked for. An hour suffices
for 100 MB at 28 kB/s, and bounds a result that comes byte by byte."""


LOCATE_S: Final = 5.0
"""Seconds between two questions for the URL of a file that is new and has none yet."""

TELLS_NO_URL: Final = (
    "this service gives no URLs of stored files; the file is at VOD under that id: fetch it with VOD's own API, or use "
    "StorageMode Temporary, which gives a URL"
)
"""Why a file cannot be saved here although it was made."""

NOT_THERE: Final = "the service does not have the file, or gives no URL of it"
"""Why a stored file has no URL. The error counts as a refusal by the server (`DownloadError.refused`)."""

Locate = Callable[[Sequence[str]], Awaitable[Mapping[str, str] | None]]
"""Returns the URLs of stored files by their ids; None if the service has no such action."""


def _results(job: JobRecord, stem: str) -> list[ResultFile]:
    """A job's results in the order of its files."""
    return list(result_files(job.kind, job.urls, job.bare_file_ids, job.videos, stem))


async def _nowhere(_file_ids: Sequence[str]) -> None:
    """Return None: the service gives no URLs of stored files."""


def _without_reason(_url: str) -> str:
    return "the keys need cos:GetObject"


class Saver:
    """Saves jobs' results, each within `save_s` seconds, the user's setting."""

    def __init__(
        self,
        ledger: Ledger,
        downloads: Downloads,
        announcer: Announcer,
        *,
        url_life_s: float,
        wall: Callable[[], float],
        locate: Locate = _nowhere,
        readable: Readable = unchanged,
        doubt_keys: Callable[[], None] = ignore,
        why_refused: Callable[[str], str] = _without_reason,
        save_s: float = inf,
    ) -> None:
        self._locate = locate
        self._readable = readable
        self._doubt_keys = doubt_keys
        self._why_refused = why_refused
        self._ledger = ledger
        self._downloads = downloads
        self._url_life_s = url_life_s
        self._wall = wall
        self._announcer = announcer
        self._save_s = save_s

    async def save(self, job: JobRecord, folder: Path, stem: str) -> JobRecord:
        """Save a done job's results as `folder/stem.*`; existing files are left as they are.

        A saved job whose files were moved or deleted stays saved if they cannot be fetched again. Raises ResultExpired
        or DownloadError after every result that can be saved has been saved.
        """
        results = _results(job, stem)
        files = list(job.files) if len(job.files) == len(results) else [""] * len(results)
        there = await asyncio.to_thread(which_exist, files)
        if job.state is JobState.SAVED and files and all(there):
            return job
        if job.state is JobState.DONE:
            files = [file if is_there else "" for file, is_there in zip(files, there, strict=True)]
        missing = {number for number, is_there in enumerate(there) if not is_there}
        row = _Row(self._ledger, job, files, set(missing))
        bare = {number: results[number] for number in sorted(missing) if results[number].file_id}
        fetches = [self._fetch(row, number, results[number], folder) for number in sorted(missing - set(bare))]
        if bare:
            fetches.append(self._fetch_bare(row, bare, folder))
        faults = [error for errors in await all_at_once(fetches) for error in errors]
        if faults and job.state is JobState.SAVED:  # its user has moved the files, or has deleted them
            _log.info("%s stays saved: %s is not in its place any more", job.job_id, ", ".join(job.files))
            return job
        if faults:
            raise self._error(job, faults, len(results))
        job = job.moved(JobState.SAVED, files=tuple(row.files), saved_at=self._wall())
        await self._ledger.put(job)
        self._announcer.tell_saved(job)
        return job

    async def _fetch_bare(self, row: "_Row", results: Mapping[int, ResultFile], folder: Path) -> list[DownloadError]:
        """Save the results that have only an id; return the errors of those that are not saved."""
        urls, why = await self._urls_of(row.job, [result.file_id for result in results.values()])
        fetches = [
            self._fetch(row, number, replace(result, url=url), folder)
            for number, result in results.items()
            if (url := urls.get(result.file_id))
        ]
        errors = [
            DownloadError(f"there is no URL for file {result.file_id}: {why}")
            for number, result in results.items()
            if not urls.get(result.file_id) and not await row.keep_moved(number, folder)
        ]
        for error in errors:
            error.refused = why == NOT_THERE
        return errors + [error for some in await all_at_once(fetches) for error in some]

    async def _urls_of(self, job: JobRecord, file_ids: Sequence[str]) -> tuple[Mapping[str, str], str]:
        """The URLs of files by their ids, and why there is none for the others. The service is asked repeatedly for the
        URL of a new file, because the service's readers may lag behind its task."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._new_for_s(job)
        try:
            async with asyncio.timeout(min(self._save_s, TO_THE_END_S)):
                while True:
                    urls = await self._locate(file_ids)
                    if urls is None:
                        return {}, TELLS_NO_URL
                    if set(file_ids) <= urls.keys() or loop.time() >= until:
                        return urls, NOT_THERE
                    await asyncio.sleep(LOCATE_S)
        except TimeoutError:
            return {}, "the service did not give it in time"
        except AigcError as error:
            return {}, f"the service refused to give it ({error})"

    async def _fetch(self, row: "_Row", number: int, result: ResultFile, folder: Path) -> list[DownloadError]:
        """Save one result and record it in the ledger, or return the error that prevented it."""
        job = row.job
        left_s = max(self._left_s(job), LEAST_S)
        try:
            file = await self._downloads.save(
                result.url,
                folder / result.name,
                result.kind,
                within_s=min(left_s + TO_THE_END_S, self._save_s),
                begin_within_s=left_s,
                new_for_s=self._new_for_s(job),
                on_retry=lambda error, delay_s: self._tell_retry(job, error, delay_s),
                readable=self._readable if _is_in_own_bucket(job) else unchanged,
            )
        except DownloadError as error:
            return [] if error.refused and await row.keep_moved(number, folder) else [error]
        await row.keep(number, file)
        return []

    def _new_for_s(self, job: JobRecord) -> float:
        """Seconds for which the job's results are still new."""
        if _is_in_own_bucket(job):  # a signature may be refused at the moment when keys change
            return NEW_S
        age_s = inf if job.ended_at is None else self._wall() - job.ended_at
        return min(max(NEW_S - age_s, 0.0), NEW_S)

    def _left_s(self, job: JobRecord) -> float:
        """Seconds until the URLs expire; a URL's full life where they never do, or where nobody knows when: a fetch
        needs an end of its own, and the next run may fetch again."""
        return self._url_life_s if job.expires_at is None else job.expires_at - self._wall()

    def _tell_retry(self, job: JobRecord, error: DownloadError, delay_s: float) -> None:
        """Announce the retry of a failed download, and log a warning if the URL expires soon."""
        error.with_context(job_id=job.job_id, task_id=job.task_id)
        if error.refused and _is_in_own_bucket(job):
            self._doubt_keys()  # temporary keys of unknown end may have ended
        left_s = inf if job.expires_at is None else self._left_s(job)
        if left_s < NEAR_END_S:
            _log.warning("%s; its URL expires in %.0f minutes", error, left_s / 60)
        self._announcer.tell_retry(job, error, delay_s)

    def _error(self, job: JobRecord, faults: Sequence[DownloadError], results: int) -> AigcError:
        """Combine the faults of all missing results in one error."""
        reasons = "; ".join(fault.message for fault in faults)
        text = reasons if results == 1 else f"{len(faults)} of {results} results are not saved: {reasons}"
        refused = all(fault.refused for fault in faults)
        if refused and _is_in_own_bucket(job):
            why = self._why_refused(next(iter(job.urls), ""))
            text = f"{text.replace(MAY_HAVE_EXPIRED, '')}; the results are in your own bucket, and do not expire: {why}"
        error: AigcError
        if refused and self._left_s(job) <= 0:
            error = ResultExpired(f"the result's URLs expired at {_clock(job.expires_at)}, before it was saved: {text}")
        else:
            error = download = DownloadError(text)
            download.refused = refused
        return error.with_context(job_id=job.job_id, task_id=job.task_id)


def _is_in_own_bucket(job: JobRecord) -> bool:
    """Whether the results are stored for good, and not at VOD."""
    return job.never_expires and not job.file_ids


def _clock(at: float | None) -> str:
    return "an unknown time" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


class _Row:
    """A job's row while its results arrive, in any order."""

    def __init__(self, ledger: Ledger, job: JobRecord, files: list[str], missing: set[int]) -> None:
        self._ledger = ledger
        self._missing = missing
        self._one_at_a_time = asyncio.Lock()
        self.job = job
        self.files = files

    async def keep(self, number: int, file: Path) -> None:
        """Record a file in the ledger; the last file is recorded by the move to *saved*."""
        async with self._one_at_a_time:
            self.files[number] = str(file)
            self._missing.discard(number)
            if self._missing:
                with suppress(JobTaken):  # another member has saved all of them, and the last file here is recorded
                    await self._ledger.put(self.job.moved(self.job.state, files=tuple(self.files)))

    async def keep_moved(self, number: int, folder: Path) -> bool:
        """Whether a result that was saved elsewhere is a file of the same name in this folder: keep it from there.

        The user has moved the folder. Called only for a result that can no longer be fetched; any other result is
        fetched and compared.
        """
        name = Path(self.job.files[number]).name if number < len(self.job.files) else ""
        if not name or not await asyncio.to_thread(_has_content, folder / name):
            return False
        await self.keep(number, folder / name)
        return True


def _has_content(file: Path) -> bool:
    try:
        return file.is_file() and file.stat().st_size > 0
    except (OSError, ValueError):
        return False
