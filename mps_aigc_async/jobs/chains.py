"""What a request is made of: one job for an image, a video or an audio, two or three linked ones for a chain."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Final, TypeVar

from ..concurrency.alongside import running_alongside
from ..concurrency.callbacks import ignore
from ..ledger import JobRecord
from ..ledger.record import request_of
from ..limits import Slot
from ..model.defaults import Defaults
from ..model.errors import AigcError, InvalidRequest, ResultExpired
from ..model.outcomes import Outcome
from ..model.requests import Request, Step, model_label, steps_of
from ..model.results import (
    AudioResult,
    ImageResult,
    ImageToVideoResult,
    Partial,
    Result,
    StepResult,
    VideoResult,
    VideoToAudioResult,
)
from ..model.settlement import Settlement
from ..model.states import JobState, Kind
from ..model.unexpected import as_aigc_error
from ..network.folders import Folder
from .creates import Order
from .jobs import Jobs
from .lookahead import NEAR_END_S, Lookahead, Lookaheads

RequestT = TypeVar("RequestT", bound=Request)


_GOES_ON: Final[Mapping[Kind, Callable[[object], dict[str, object]]]] = {
    # The input that a chain's step takes from the one before it: a URL, or a result that VOD tells by its id alone.
    Kind.VIDEO: lambda made: {"first_frame": made},
    Kind.AUDIO: lambda made: {"videos": (made,)},
}


class Pipelines:
    """Runs requests to their outcomes, in one ledger."""

    def __init__(
        self,
        jobs: Jobs,
        defaults: Defaults,
        check: Callable[[Request], None],
        ahead: Lookaheads,
        wall: Callable[[], float],
    ) -> None:
        self._jobs = jobs
        self._defaults = defaults
        self._check = check
        self._ahead = ahead
        self._wall = wall

    async def outcome(
        self, request: RequestT, name: str, save_to: Folder | None, begun: Callable[[], None] = ignore
    ) -> Outcome[RequestT]:
        """How the request ends. An exception of any class becomes part of the outcome. `begun` is called when the first
        step no longer waits to be created."""
        made: list[StepResult] = []
        try:
            if isinstance(request, Step):
                result: Result = await self._single(request, name, save_to, begun)
            else:
                result = await self._chain(request, name, save_to, made, begun)
        except Exception as error:  # noqa: BLE001 — one job's exception must not end the batch
            before_last = made[: len(steps_of(request)) - 1]
            ours = as_aigc_error(error, f"making {name}").with_context(job_id=name)
            return Outcome(job_id=name, request=request, error=ours, partial=_partial(before_last))
        return Outcome(job_id=name, request=request, result=result)

    async def submit(self, request: Step, name: str) -> JobRecord:
        """The job of a single request, accepted by the service (or further, if it was there already)."""
        await self._check_new(request, name)
        job = await self._plan(request, name)
        return await self._jobs.submit(job, self._order(request, partial(self._defaults.apply, request)))

    async def finish(self, job: JobRecord, request: Step) -> JobRecord:
        """A submitted job, brought to its end."""
        return await self._jobs.finish_accepted(job, Order(partial(self._defaults.apply, request)))

    async def attach(self, kind: Kind, task_id: str) -> JobRecord:
        """A task of another ledger or none, waited for to its end."""
        return await self._jobs.attach(kind, task_id)

    async def settle(self, job_id: str, how: Settlement) -> JobRecord:
        """The user's word on a job of unknown outcome."""
        return await self._jobs.settle(job_id, how)

    async def retry_failed(self) -> list[JobRecord]:
        """The user's word that failed jobs are to be tried again."""
        return await self._jobs.retry_failed()

    def unsaved(self) -> AsyncIterator[JobRecord]:
        """The jobs that are paid for and not saved."""
        return self._jobs.unsaved()

    async def save_job(self, job: JobRecord, save_to: Folder) -> Outcome[JobRecord]:
        """Bring one such job to its task's end and save its results, whatever became of the request that it was made
        for. Create nothing. An exception of any class becomes part of the outcome."""
        try:
            made = await self._jobs.end_task(job)
            saved = await self._jobs.save(made, save_to.path, save_to.stem_of(request_of(job.job_id)))
            return Outcome(job_id=job.job_id, request=job, result=saved.result())
        except Exception as error:  # noqa: BLE001 — one job's exception must not end the saving of the others
            ours = as_aigc_error(error, f"saving {job.job_id}").with_context(job_id=job.job_id, task_id=job.task_id)
            return Outcome(job_id=job.job_id, request=job, error=ours)

    async def _single(self, request: Step, name: str, save_to: Folder | None, begun: Callable[[], None]) -> StepResult:
        """Make a request of one step. Thousands may wait here at once: it keeps nothing that it does not need."""
        await self._check_new(request, name)
        order = self._order(request, partial(self._defaults.apply, request), begun)
        job = await self._jobs.finish(await self._plan(request, name, begun), order)
        if save_to is not None:
            job = await self._jobs.save(job, save_to.path, save_to.stem_of(name))
        return job.result()

    async def _chain(
        self,
        request: Request,
        name: str,
        save_to: Folder | None,
        made: list[StepResult],
        begun: Callable[[], None],
    ) -> Result:
        """Make each step from the one before it. What is made by then is in `made`, whatever happens."""
        await self._check_new(request, name)
        steps = steps_of(request)
        jobs = [await self._plan(step, name, begun) for step in steps]
        saving: list[asyncio.Task[JobRecord]] = []
        failure: AigcError | None = None
        async with AsyncExitStack() as stack:
            ahead = {step.kind: self._ahead.over(made_from, step.kind) for made_from, step in pairwise(steps)}
            places = await self._places(jobs, [self._model(step) for step in steps], ahead, stack, begun)

            def begun_or_held_up() -> None:
                begun()
                for places_ahead in ahead.values():  # a refusal may have told that the model is crowded
                    places_ahead.refresh()

            before: JobRecord | None = None
            try:
                for step, planned in zip(steps, jobs, strict=True):
                    order = self._order(step, partial(self._request_of, step, before), begun_or_held_up)
                    if before is not None and self._is_near_end(before):
                        await self._jobs.learn_time(before)  # right after the start our clock may be wrong
                    before = job = await self._made(planned, order, places.get(step.kind), ahead.get(step.kind))
                    made.append(job.result())
                    if save_to is None:
                        continue
                    save = self._jobs.save(job, save_to.path, save_to.stem_of(name))
                    if step is steps[-1]:
                        made[-1] = (await save).result()
                    else:
                        saving.append(await stack.enter_async_context(running_alongside(save)))
            except Exception as error:  # noqa: BLE001 — the finished steps are saved after an exception of any class
                failure = as_aigc_error(error, f"making {name}")
                for place in places.values():  # saving may take hours, and must not hold up other chains
                    place.release()
            # What was made is paid for, whatever became of the rest: it is saved before we say so.
            for number, save_of_it in enumerate(saving):
                try:
                    made[number] = (await save_of_it).result()
                except Exception as error:  # noqa: BLE001 — the other steps are still saved
                    failure = failure or as_aigc_error(error, f"saving {name}")
        if failure is not None:
            raise failure
        return _whole(made)

    async def _places(
        self,
        jobs: Sequence[JobRecord],
        models: Sequence[str],
        ahead: Mapping[Kind, Lookahead],
        stack: AsyncExitStack,
        held_up: Callable[[], None],
    ) -> dict[Kind, Slot]:
        """For each step that goes on from another, a place among those that may be ahead of its kind's tasks.

        All of them before the first step, and the last one first: whoever holds places waits for earlier ones alone.
        """
        places: dict[Kind, Slot] = {}
        for step in reversed(range(1, len(jobs))):
            if (job := jobs[step]).state is JobState.PLANNED:
                places[job.kind] = place = await ahead[job.kind].acquire(models[: step + 1], held_up)
                stack.callback(place.release)
        return places

    async def _made(self, job: JobRecord, order: Order, place: Slot | None, ahead: Lookahead | None) -> JobRecord:
        """One step's job, its task ended well."""
        if place is not None:
            job = await self._jobs.submit(job, order)
            if ahead is not None:
                ahead.refresh()
            place.release()
        return await self._jobs.finish(job, order)

    def _request_of(self, step: Step, before: JobRecord | None) -> Step:
        """A chain's step as it is sent: with the URL of the step before it, if that lives long enough to be fetched."""
        if before is None:
            return self._defaults.apply(step)
        if self._is_near_end(before):
            raise ResultExpired(
                f"the {before.kind}'s URL ends at {_clock(before.expires_at)}, too soon for the {step.kind} that goes "
                f"on from it; the {step.kind} was not created (nothing was paid for it)",
                task_id=before.task_id,
            )
        return self._defaults.apply(step.model_copy(update=_GOES_ON[step.kind](_handed_on(before))))

    def _is_near_end(self, before: JobRecord) -> bool:
        # Without a time it never expires, or nobody knows when: the service's own fetch decides, and costs nothing.
        return before.expires_at is not None and self._wall() > before.expires_at - NEAR_END_S

    def _order(self, request: Step, resolve: Callable[[], Step], begun: Callable[[], None] = ignore) -> Order:
        return Order(resolve, begun, self._model(request))

    def _model(self, request: Step) -> str:
        """The model that is asked for, by name and version."""
        sent = self._defaults.apply(request)
        return model_label(sent.model_name, sent.model_version)

    async def _check_new(self, request: Request, name: str) -> None:
        """Judge what has not begun; what has is paid for, and gone on with whatever the config says by now."""
        kinds = [step.kind for step in steps_of(request)]
        # A chain may have got a step more since it began.
        if await self._jobs.has_begun(f"{name}/{kinds[0]}") and await self._jobs.exists(f"{name}/{kinds[-1]}"):
            return
        self._check(request)
        for other in Kind:
            if other not in kinds and await self._jobs.exists(f"{name}/{other}"):
                raise InvalidRequest(
                    f"the id is taken: the ledger has it with {other}; give the new request another id"
                )

    async def _plan(self, request: Step, name: str, begun: Callable[[], None] = ignore) -> JobRecord:
        return await self._jobs.plan(f"{name}/{request.kind}", request.kind, request, begun)


def _whole(made: Sequence[StepResult]) -> Result:
    """What a chain's steps made, as its result."""
    match made:
        case [ImageResult() as image, VideoResult() as video]:
            return ImageToVideoResult(image=image, video=video)
        case [ImageResult() as image, VideoResult() as video, AudioResult() as audio]:
            return ImageToVideoResult(image=image, video=video, audio=audio)
        case [VideoResult() as video, AudioResult() as audio]:
            return VideoToAudioResult(video=video, audio=audio)
        case _:
            raise AssertionError(f"no chain has these steps: {made}")


def _partial(made: Sequence[StepResult]) -> Partial | None:
    """What a chain's steps made, the last one left out."""
    match made:
        case [ImageResult() as image, VideoResult() as video]:
            return ImageToVideoResult(image=image, video=video)
        case [ImageResult() | VideoResult() as one]:
            return one
        case _:
            return None


def _handed_on(before: JobRecord) -> object:
    """The input of the next step: the first URL of the one before it, or its result, if that has an id alone."""
    return before.urls[0] if before.urls else before.result()


def _clock(at: float | None) -> str:
    return "an unknown time" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
