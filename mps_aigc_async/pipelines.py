"""What a request is made of: one job for an image, a video or an audio, two or three linked ones for a chain."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any, Final, TypeVar

from .callbacks import ignore
from .catalog import Strictness, judge
from .creates import Order
from .errors import AigcError, InvalidRequest, ResultExpired
from .faults import as_aigc_error
from .folders import Folder
from .jobs import Jobs
from .ledger import JobRecord
from .limits import Slot, Slots
from .requests import CosStore, Request, Step, check, model_label, steps_of
from .results import (
    AudioResult,
    ImageResult,
    ImageToVideoResult,
    Outcome,
    Partial,
    Result,
    StepResult,
    VideoResult,
    VideoToAudioResult,
)
from .settlement import Settlement
from .states import JobState, Kind
from .wire.dialect import Dialect, TaskRequest

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=Request)

NEAR_END_S: Final = 600.0
"""The URL of a chain's image or video must live this much longer when the next step is created: the task may wait at
the service before it is fetched."""

USUAL_S: Final[Mapping[Kind, float]] = {Kind.VIDEO: 300.0, Kind.AUDIO: 300.0}
"""The longest that the guide of 2026-05-29 calls usual for a video (3 to 5 minutes). No document tells an audio's."""

_GOES_ON: Final[Mapping[Kind, Callable[[object], dict[str, object]]]] = {
    # The input that a chain's step takes from the one before it: a URL, or a result that VOD tells by its id alone.
    Kind.VIDEO: lambda made: {"first_frame": made},
    Kind.AUDIO: lambda made: {"videos": (made,)},
}


@dataclass(frozen=True, slots=True)
class ImageDefaults:
    """What an image request that names no model takes."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class VideoDefaults:
    """What a video request that names no model takes."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None
    duration: int | None = None
    enable_audio: bool | None = None


@dataclass(frozen=True, slots=True)
class AudioDefaults:
    """What an audio request that names no model takes."""

    enabled: bool = True
    model_name: str | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """The user's defaults for requests."""

    image: ImageDefaults = field(default_factory=ImageDefaults)
    video: VideoDefaults = field(default_factory=VideoDefaults)
    audio: AudioDefaults = field(default_factory=AudioDefaults)

    def of(self, kind: Kind) -> ImageDefaults | VideoDefaults | AudioDefaults:
        match kind:
            case Kind.IMAGE:
                return self.image
            case Kind.VIDEO:
                return self.video
            case Kind.AUDIO:
                return self.audio

    def apply(self, request: TaskRequest) -> TaskRequest:
        """The request with what it leaves open filled in; one that names its own model takes nothing.

        >>> from mps_aigc_async.requests import VideoRequest
        >>> Defaults(video=VideoDefaults(model_name="Kling", duration=5)).apply(VideoRequest(prompt="x")).duration
        5
        """
        if request.model_name is not None:
            return request
        defaults = self.of(request.kind)
        missing = {
            name: value
            for name in ("model_name", "model_version", "duration", "enable_audio")
            if (value := getattr(defaults, name, None)) is not None and getattr(request, name, None) is None
        }
        return request.model_copy(update=missing)

    def complete(self, request: Request) -> Request:
        """The request, or all steps of it, with what they leave open filled in."""
        steps = steps_of(request)
        if steps == (request,):
            return self.apply(steps[0])
        return request.model_copy(update={step.kind.value: self.apply(step) for step in steps})

    def check(self, request: Request) -> None:
        """Refuse what cannot be served as configured. Raises InvalidRequest."""
        check(request)
        for step in steps_of(request):
            if not self.of(step.kind).enabled:
                raise InvalidRequest(
                    f"{step.kind} generation is disabled: set mps.{step.kind}Generation.enabled to true in the config"
                )


def ensure_sendable(
    request: Request, defaults: Defaults, dialect: Dialect, store: CosStore | None, strictness: Strictness
) -> None:
    """Refuse what could not be sent, all steps of it, before the first is paid for. Raises InvalidRequest."""
    defaults.check(request)
    asked = defaults.complete(request)
    for step in steps_of(asked):
        dialect.create(step, store)
    judge(asked, strictness)


def chains_ahead(kind: Kind, slots: Mapping[Kind, int], proven: int, url_life_s: float) -> int:
    """How many chains of the same models may have their steps before the one of this kind begun or done, and that one
    not created yet.

    Enough to keep all their slots busy, and no more than are `usable`. What counts are not the config's slots, which
    the service may not grant, but as many as it is `proven` to run at once.

    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 2, Kind.VIDEO: 1, Kind.AUDIO: 1}, proven=1, url_life_s=12 * 3600)
    3
    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 1000, Kind.VIDEO: 100, Kind.AUDIO: 1}, proven=1, url_life_s=12 * 3600)
    71
    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 1000, Kind.VIDEO: 100, Kind.AUDIO: 1}, proven=1, url_life_s=inf)
    1100
    """
    kinds = list(Kind)
    busy = sum(slots[one] for one in kinds[: kinds.index(kind) + 1])
    return max(1, min(busy, usable(kind, proven, url_life_s)))


def usable(kind: Kind, proven: int, url_life_s: float) -> int:
    """How many chains may be ahead of this kind's step, if `proven` of its tasks run at once: half of what they can use
    while the first URL that waits for them lives. With one video slot, 144 five-minute videos outlive a 12-hour URL."""
    if url_life_s == inf:
        return sys.maxsize
    return max(1, int(proven * (url_life_s - NEAR_END_S) / USUAL_S[kind] / 2))


class Ahead:
    """How far chains may run ahead of their steps of one kind, by what is known of the slots.

    Chains of the same models have places of their own: those that wait for a crowded model's room let others pass. The
    places of all of them are bounded by the URLs' life.
    """

    def __init__(self, kind: Kind, slots: Mapping[Kind, Slots], url_life_s: float) -> None:
        self._kind = kind
        self._slots = slots
        self._url_life_s = url_life_s
        self._places = Slots(1)
        self._crowded: frozenset[str] = frozenset()
        """The models of which the service takes few tasks at once."""

    async def acquire(self, models: Sequence[str], held_up: Callable[[], None] = ignore) -> Slot:
        """A place for one chain of these models, up to the one of this kind, from before its first step is begun until
        its step of this kind is created.

        `held_up` is called if the wait may be one for a crowded model's chains: others may pass then.
        """
        self.look()
        if not self._crowded.isdisjoint(models):
            held_up()
        return await self._places.acquire(model=_BETWEEN.join(models), held_up=held_up)

    def look(self) -> None:
        """Go by what is known now: a task that was accepted may prove a place more, a refusal that there are less."""
        in_force = {kind: slots.in_force for kind, slots in self._slots.items()}
        proven, learnt = self._slots[self._kind].proven, self._slots[self._kind].learnt_of_models

        def of_same_models(models: str) -> int:
            of_last = max(1, learnt.get(models.rpartition(_BETWEEN)[2], proven))
            return chains_ahead(self._kind, in_force, min(proven, of_last), self._url_life_s)

        self._places.resize(usable(self._kind, proven, self._url_life_s), of_same_models)
        crowded = frozenset(model for slots in self._slots.values() for model in slots.learnt_of_models)
        if crowded != self._crowded:
            self._crowded = crowded
            self._places.hold_up(lambda models: not crowded.isdisjoint(models.split(_BETWEEN)))


_BETWEEN: Final = " → "
"""Stands between the models of a chain in the name of its places."""


@dataclass(frozen=True, slots=True)
class Lookahead:
    """How far chains may run ahead of a step, by whether what the step goes on from expires."""

    expiring: Mapping[Kind, Ahead]
    lasting: Mapping[Kind, Ahead]
    is_kept: Callable[[Step], bool]
    """Whether a request's results are stored without an end."""

    @classmethod
    def of(cls, slots: Mapping[Kind, Slots], url_life_s: float, is_kept: Callable[[Step], bool]) -> "Lookahead":
        expiring, lasting = ({kind: Ahead(kind, slots, life_s) for kind in USUAL_S} for life_s in (url_life_s, inf))
        return cls(expiring, lasting, is_kept)

    def over(self, before: Step, kind: Kind) -> Ahead:
        """The chains that may have `before` made and their step of this kind not created yet."""
        return (self.lasting if self.is_kept(before) else self.expiring)[kind]


class Pipelines:
    """Runs requests to their outcomes, in one ledger."""

    def __init__(
        self,
        jobs: Jobs,
        defaults: Defaults,
        check: Callable[[Request], None],
        ahead: Lookahead,
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
            ours = as_aigc_error(error, f"making {name}").about(job_id=name)
            return Outcome(job_id=name, request=request, error=ours, partial=_partial(before_last))
        return Outcome(job_id=name, request=request, result=result)

    async def submit(self, request: TaskRequest, name: str) -> JobRecord:
        """The job of a single request, accepted by the service (or further, if it was there already)."""
        await self._check_new(request, name)
        job = await self._plan(request, name)
        return await self._jobs.submit(job, self._order(request, partial(self._defaults.apply, request)))

    async def finish(self, job: JobRecord, request: TaskRequest) -> JobRecord:
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

    def stop_creating(self) -> None:
        """Send no create that is not sent yet."""
        self._jobs.stop_creating()

    async def _single(
        self, request: TaskRequest, name: str, save_to: Folder | None, begun: Callable[[], None]
    ) -> StepResult:
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
                    places_ahead.look()

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
                        saving.append(await stack.enter_async_context(_beside(save)))
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
        ahead: Mapping[Kind, Ahead],
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

    async def _made(self, job: JobRecord, order: Order, place: Slot | None, ahead: Ahead | None) -> JobRecord:
        """One step's job, its task ended well."""
        if place is not None:
            job = await self._jobs.submit(job, order)
            if ahead is not None:
                ahead.look()
            place.release()
        return await self._jobs.finish(job, order)

    def _request_of(self, step: TaskRequest, before: JobRecord | None) -> TaskRequest:
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

    def _order(
        self, request: TaskRequest, resolve: Callable[[], TaskRequest], begun: Callable[[], None] = ignore
    ) -> Order:
        return Order(resolve, begun, self._model(request))

    def _model(self, request: TaskRequest) -> str:
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

    async def _plan(self, request: TaskRequest, name: str, begun: Callable[[], None] = ignore) -> JobRecord:
        return await self._jobs.plan(f"{name}/{request.kind}", request.kind, request, begun)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run `work` beside the block; leaving the block ends it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


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
