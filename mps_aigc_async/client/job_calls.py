"""The client's calls for jobs as objects: to queue a request, to find jobs of the ledger, and to resume them all."""

from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import overload

from ..concurrency.fan_out import FanOut, Run
from ..engine.batch import as_request, bounds_of
from ..engine.job import Job
from ..engine.job_queue import AnyJob
from ..engine.resume_run import ResumeRun, requests_in, stored_request
from ..ledger.versions import parted
from ..model.errors import InvalidRequest
from ..model.outcomes import Outcome
from ..model.requests import AudioRequest, ImageRequest, ImageToVideo, Request, VideoRequest, VideoToAudio
from ..model.results import AudioResult, ImageResult, ImageToVideoResult, Result, VideoResult, VideoToAudioResult
from ..model.states import JobState
from .base import ClientBase, Place


class JobCalls(ClientBase):
    """The calls about jobs as objects, in the client's own ledger."""

    @overload
    def enqueue(self, request: ImageRequest, *, save_to: str | Path | None = None) -> Job[ImageResult]: ...
    @overload
    def enqueue(self, request: VideoRequest, *, save_to: str | Path | None = None) -> Job[VideoResult]: ...
    @overload
    def enqueue(self, request: AudioRequest, *, save_to: str | Path | None = None) -> Job[AudioResult]: ...
    @overload
    def enqueue(self, request: ImageToVideo, *, save_to: str | Path | None = None) -> Job[ImageToVideoResult]: ...
    @overload
    def enqueue(self, request: VideoToAudio, *, save_to: str | Path | None = None) -> Job[VideoToAudioResult]: ...
    def enqueue(self, request: Request, *, save_to: str | Path | None = None) -> AnyJob:
        """Queue a request, and return its job at once. The client makes its jobs in their order, as the limits allow,
        and saves their results into `save_to` if given.

        `await job.stored` to know that the ledger has the request. Raises InvalidRequest for a request that cannot be
        sent; the errors of making it are raised by `job.result()`.
        """
        queue, request = self._usable_queue(), as_request(request)
        self._settings.accounts[0].check(request)
        return queue.enqueue(request, self._ids.id_for(request), save_to)

    async def job(self, job_id: str) -> AnyJob:
        """A job of the ledger, also of an earlier process: by its request's id, in its latest version, or by the
        version's name. Raises InvalidRequest if the ledger lacks it."""
        queue = self._usable_queue()
        stored = await stored_request(await self._open_ledger(), job_id)
        if stored is None:
            raise InvalidRequest("the ledger has no such request: `client.jobs()` lists those it has", job_id=job_id)
        return queue.handle(stored)

    async def jobs(self, *, state: JobState | str | None = None, name: str = "*") -> AsyncIterator[AnyJob]:
        """The jobs of the ledger, also of earlier processes: those in a state, with a name such as `shot-0*`. Begins
        nothing. Raises InvalidRequest for a state that there is not."""
        queue, wanted = self._usable_queue(), None if state is None else _state(state)
        async for stored in requests_in(await self._open_ledger(), *(JobState if wanted is None else (wanted,))):
            if fnmatchcase(parted(stored.version.name)[0], name):
                job = queue.handle(stored)
                if wanted is None or job.state is wanted:
                    yield job

    async def resume(self, *, save_to: Place = None, ledger: Place = None) -> list[Outcome[Request, Result]]:
        """Go on with every request that the ledger has begun or planned, until all have ended: poll, create, and save
        into the folder that each was planned with, or into `save_to`. Return their outcomes.

        Nothing that may be paid for is created again: an unknown create is an outcome with CreateOutcomeUnknown. Where
        other clients of the ledger make a job, its end is waited for. Raises the errors that concern all requests, as
        `run` does.
        """
        engine = self._usable_engine()
        resume = ResumeRun(engine, self._place_of(ledger), save_to)
        fan_out = FanOut(resume.requests(), resume.work, bounds_of(engine), engine.work, resume.prepare, resume.stops)
        async with Run(fan_out) as run:
            return [outcome async for outcome in run]


def _state(state: JobState | str) -> JobState:
    try:
        return JobState(state)
    except ValueError:
        raise InvalidRequest(f"{state!r} is no state of a job: {', '.join(JobState)}") from None
