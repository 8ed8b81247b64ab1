"""A chain's life: each step is made from the result of the step before it, and saved while the next one is made."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Final

from ..concurrency.alongside import running_alongside
from ..ledger import JobRecord, NotAhead
from ..ledger.record import request_of
from ..ledger.versions import Version
from ..model.defaults import Defaults
from ..model.errors import AigcError, ResultExpired
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
from ..model.states import JobState, Kind
from ..model.unexpected import as_aigc_error
from .creation import Order
from .jobs import Jobs
from .lookahead import Lookaheads, is_near_end
from .places import Place, regain
from .stored_inputs import has_stored_files
from .terms import Terms

_INPUT: Final[Mapping[Kind, Callable[[object], dict[str, object]]]] = {
    # The field of a chain's step that takes the result before it: a URL, or a result that VOD stores.
    Kind.VIDEO: lambda result: {"first_frame": result},
    Kind.AUDIO: lambda result: {"videos": (result,)},
}


@dataclass(frozen=True, slots=True)
class ChainContext:
    """The parts of the client that a chain needs."""

    jobs: Jobs
    defaults: Defaults
    lookaheads: Lookaheads
    wall: Callable[[], float]
    """The service's time, in Unix seconds."""


class Chain:
    """A run of one chain."""

    def __init__(
        self,
        context: ChainContext,
        request: Request,
        version: Version,
        terms: Terms,
    ) -> None:
        self._jobs = context.jobs
        self._defaults = context.defaults
        self._wall = context.wall
        self._steps = steps_of(request)
        self._version = version
        self._terms = terms
        self._lookaheads = {
            step.kind: context.lookaheads.over(before, step.kind) for before, step in pairwise(self._steps)
        }
        self._saves: list[asyncio.Task[JobRecord]] = []
        """The saving of each step but the last, in their order."""
        self.rows: list[JobRecord] = []
        """The rows of the steps that have results, in their order."""

    @property
    def partial_result(self) -> Partial | None:
        """The paid results of the steps before the last one, however the chain ended."""
        return partial_of([row.result() for row in self.rows[: len(self._steps) - 1]])

    async def run(self) -> Result:
        """Make and save all steps. Raises the first error, after the steps that succeeded have been saved."""
        jobs = await self._jobs.plan(self._steps, self._version, self._terms)
        await self._terms.confirm()
        async with AsyncExitStack() as stack:
            self._promise(jobs, stack)
            places = await self._acquire_places(jobs, stack)
            failure = await self._make_steps(jobs, places, stack)
            # The results so far are paid for, however the chain ended: they are saved before the error is raised.
            save_failure = await self._finish_saves()
        failure = failure or save_failure
        if failure is not None:
            raise failure
        return chain_result([row.result() for row in self.rows])

    def _promise(self, jobs: Sequence[JobRecord], stack: AsyncExitStack) -> None:
        """Reserve the run's budget for the steps to make: of a begun chain now, else from its first create on."""
        purse = self._terms.purse
        estimates = {
            job.job_id: self._jobs.estimate(self._defaults.apply(step))
            for step, job in zip(self._steps, jobs, strict=True)
            if job.state is JobState.PLANNED
        }
        if purse is None or not estimates:
            return
        stack.callback(purse.end, tuple(estimates))
        if jobs[0].state is JobState.PLANNED:
            first, *_ = estimates
            purse.expect(first, {job_id: estimate for job_id, estimate in estimates.items() if job_id != first})
        else:
            purse.promise(estimates)

    async def _acquire_places(self, jobs: Sequence[JobRecord], stack: AsyncExitStack) -> dict[Kind, Place]:
        """Take a place ahead for each step but the first that has no task yet. A caller that is cancelled leaves the
        places.

        All places are taken before the first step begins, and the last step's first: a chain that holds places waits
        only for places of earlier steps. So no two chains can wait for each other.
        """
        await self._terms.in_turn()
        models = [model_of(step, self._defaults) for step in self._steps]
        has_begun = jobs[0].state is not JobState.PLANNED
        places: dict[Kind, Place] = {}
        for number in reversed(range(1, len(jobs))):
            if (job := jobs[number]).state is JobState.PLANNED:
                place = self._jobs.place(request_of(job.job_id), job.kind, self._lookaheads[job.kind])
                stack.callback(place.leave)
                hold_up = partial(self._hold_up, job.kind)
                await place.acquire(models[: number + 1], hold_up, self._terms.let_pass, has_begun=has_begun)
                places[job.kind] = place
        return places

    async def _make_steps(
        self, jobs: Sequence[JobRecord], places: Mapping[Kind, Place], stack: AsyncExitStack
    ) -> AigcError | None:
        """Make one step after the other. Return the error that ended the chain, if any."""
        before: JobRecord | None = None
        try:
            for number, (step, new_job) in enumerate(zip(self._steps, jobs, strict=True), start=1):
                if new_job.state is JobState.PLANNED:
                    await self._prepare(jobs[number:], stack)
                before = await self._make_step(step, new_job, before, places)
                before.result()  # raises for a damaged row, before another step is paid for
                self.rows.append(before)
                await self._save(before, stack)
        except Exception as error:  # noqa: BLE001 — the finished steps are saved after an exception of any class
            for place in places.values():  # saving may take hours, and must not hold up other chains
                place.end()
            return as_aigc_error(error, f"making {self._version.name}")
        return None

    async def _prepare(self, later: Sequence[JobRecord], stack: AsyncExitStack) -> None:
        """Refuse the chain before a step is paid for, if a later step would be refused."""
        for job in later:
            if job.state is JobState.PLANNED:
                stack.callback(self._jobs.release, job)
                await self._jobs.prepare(job)

    async def _make_step(
        self, step: Step, job: JobRecord, before: JobRecord | None, places: Mapping[Kind, Place]
    ) -> JobRecord:
        """Bring one step's job to the end of its task. The place ahead is free as soon as the task is accepted."""
        request, model = partial(self._request_after, before, step), model_of(step, self._defaults)
        order = Order(request, replace(self._terms, on_begin=self._begin_or_hold_up), model)
        if before is None:
            return await self._make_first(job, replace(order, ahead_of=_bounded(places)), places)
        if is_near_end(before, self._wall()):
            await self._jobs.learn_time(before)  # shortly after the start our clock may be wrong
        if step.kind in places:
            job = await self._jobs.submit(job, order)
            self._lookaheads[step.kind].refresh()
            places[step.kind].end()
        return await self._jobs.finish(job, order)

    async def _make_first(self, job: JobRecord, order: Order, places: Mapping[Kind, Place]) -> JobRecord:
        """Make the first step. If other members took this one for gone before its create, wait for the places again,
        in their order."""
        while True:
            try:
                return await self._jobs.finish(job, order)
            except NotAhead:
                await regain([places[kind] for kind in order.ahead_of])

    def _hold_up(self, kind: Kind) -> None:
        self._terms.on_begin()
        self._terms.on_no_room(kind)

    def _begin_or_hold_up(self) -> None:
        self._terms.on_begin()
        for lookahead in self._lookaheads.values():  # a refusal may have said that the model is crowded
            lookahead.refresh()

    def _request_after(self, before: JobRecord | None, step: Step) -> Step:
        """The request to send for a step: asked for when the step has its slot, because a URL ages."""
        if before is not None:
            step = link(step, before, self._wall())
        return self._defaults.apply(step)

    async def _save(self, job: JobRecord, stack: AsyncExitStack) -> None:
        """Save a step: the last one now, any other alongside the steps after it."""
        if (folder := self._terms.save_to) is None:
            return
        save = self._jobs.save(job, folder.path, folder.stem_of(request_of(job.job_id)))
        if job.kind is self._steps[-1].kind:
            self.rows[-1] = await save
        else:
            self._saves.append(await stack.enter_async_context(running_alongside(save)))

    async def _finish_saves(self) -> AigcError | None:
        """Wait for the saving of each step. Return the first error, if any."""
        failure: AigcError | None = None
        for number, save in enumerate(self._saves):
            try:
                self.rows[number] = await save
            except Exception as error:  # noqa: BLE001 — the other steps are still saved
                failure = failure or as_aigc_error(error, f"saving {self._version.name}")
        return failure


def _bounded(places: Mapping[Kind, Place]) -> tuple[Kind, ...]:
    """The kinds of the places that the ledger counts, in the order in which they are taken."""
    return tuple(kind for kind, place in places.items() if place.is_bounded)


def model_of(step: Step, defaults: Defaults) -> str:
    """The model that a step is sent with, by name and version."""
    request = defaults.apply(step)
    return model_label(request.model_name, request.model_version)


def link(step: Step, before: JobRecord, now: float) -> Step:
    """Give a chain's step the result before it as input. Raises ResultExpired if the result's URL expires too soon."""
    if is_near_end(before, now):
        raise ResultExpired(
            f"the {before.kind}'s URL expires at {_clock(before.expires_at)}, too soon for the {step.kind} that uses "
            f"it; the {step.kind} was not created (nothing was paid for it)",
            task_id=before.task_id,
        )
    # A result that is stored for good is handed on as such: it may need a signature, or go by its file id.
    has_url_alone = bool(before.urls) and not (before.never_expires or has_stored_files(before))
    result: object = before.urls[0] if has_url_alone else before.result()
    return step.model_copy(update=_INPUT[step.kind](result))


def chain_result(results: Sequence[StepResult]) -> Result:
    """The results of a chain's steps as the chain's result."""
    match results:
        case [ImageResult() as image, VideoResult() as video]:
            return ImageToVideoResult(image=image, video=video)
        case [ImageResult() as image, VideoResult() as video, AudioResult() as audio]:
            return ImageToVideoResult(image=image, video=video, audio=audio)
        case [VideoResult() as video, AudioResult() as audio]:
            return VideoToAudioResult(video=video, audio=audio)
        case _:
            raise AssertionError(f"no chain has these steps: {results}")


def partial_of(results: Sequence[StepResult]) -> Partial | None:
    """The results of a chain's steps before its last one, as an outcome's `partial`; None without any."""
    match results:
        case [ImageResult() as image, VideoResult() as video]:
            return ImageToVideoResult(image=image, video=video)
        case [ImageResult() | VideoResult() as result]:
            return result
        case _:
            return None


def _clock(at: float | None) -> str:
    return "an unknown time" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
