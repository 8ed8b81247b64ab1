"""The work on each item of a batch, and on each job that is only saved."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from ..concurrency.fan_out import Begun, Bounds
from ..concurrency.ranks import Ranks
from ..jobs.purse import Purse
from ..jobs.terms import Terms, agree
from ..ledger import JobRecord
from ..ledger.record import request_of
from ..ledger.versions import versions_in
from ..model.budget import Budget
from ..model.errors import AigcError, DamagedRow, InvalidRequest, LedgerError
from ..model.outcomes import Failure, Outcome, Success
from ..model.parsing import parse
from ..model.plain_text import visible_line
from ..model.requests import REQUEST_ID, Request, Step
from ..model.results import Result
from ..model.states import JobState
from ..model.unexpected import as_aigc_error
from ..network.folders import Folder, absolute, prepare_folder
from .assembly import Engine
from .ledgers import LedgerPlace
from .request_ids import RequestIds
from .resumed import ResumedLedger
from .routed_runner import Runner

_log: Final = logging.getLogger("mps_aigc_async")


@dataclass(frozen=True, slots=True)
class Placed:
    """A request of a larger batch, with its place there; None leaves the place that the ledger has."""

    request: Request
    position: int | None


BatchItem = Request | Mapping[str, Any] | Placed
"""A request, or a batch file's line as decoded JSON."""

READ_AHEAD: Final = 40
"""Most requests of a batch that are read and wait to be created: as many as the limits of all kinds allow in a second.
So no send time waits for the reading, and the first create does not wait for thousands of lines."""

SAVING: Final = 100
"""Requests of a batch that may be in progress beyond the slots: they are saved, or wait to be created."""


def bounds_of(engine: Engine) -> Bounds:
    """How far the reading of a batch may run ahead of its creates and of its saves."""
    return Bounds(under_way=2 * sum(engine.capacities.values()) + SAVING, waiting=READ_AHEAD * len(engine.accounts))


_UNSAVED: Final = frozenset({JobState.SUBMITTED, JobState.DONE})
"""The states of a job that is paid for and not saved."""


class BatchRun:
    """A `run` of a client: the work on each of its items."""

    def __init__(
        self,
        engine: Engine,
        ledger: LedgerPlace | None,
        save_to: str | Path | None,
        ids: RequestIds,
        budget: Budget | None = None,
    ) -> None:
        self._engine = engine
        self._purse = None if budget is None else Purse(budget)
        self._ledger = ledger
        self._save_to = save_to
        self._ids = ids
        self._ranks = Ranks()
        self._item_count = 0
        self._folder: Folder | None = None
        self._runner: Runner | None = None

    async def prepare(self) -> None:
        """Make the folder and open the ledger."""
        self._folder = await folder_for(self._save_to)
        self._runner = await self._engine.runner(self._ledger)
        if self._purse is not None:
            in_use = await self._engine.resume_ledger(self._ledger)
            for one in in_use.accounts.values():
                await one.jobs.price_ended()
            await in_use.first.runner.promise_begun(self._purse)

    async def work(
        self, item: BatchItem, on_begin: Begun, confirm: Callable[[], Awaitable[None]] = agree
    ) -> Outcome[BatchItem, Result]:
        """Run one item to its outcome. An item that is no request has a failed outcome. The first creates of requests
        queue for their slots in the order of these calls. `confirm` is as in `Terms`."""
        rank = self._ranks.enter()
        try:
            return await self._work(item, Terms(rank=rank, on_begin=rank.and_let_pass(on_begin), confirm=confirm))
        finally:
            rank.let_pass()

    async def _work(self, item: BatchItem, terms: Terms) -> Outcome[BatchItem, Result]:
        index: int | None
        index, self._item_count = self._item_count, self._item_count + 1
        if isinstance(item, Placed):
            index, item = item.position, item.request
        number = f"item {self._item_count}"
        try:
            request = as_request(item)
            request_id = self._ids.id_for(request)
        except Exception as error:  # noqa: BLE001 — an item may be any object, and its attributes may raise anything
            failed_id = _own_id(item) or number
            failure = as_aigc_error(error, f"reading {number}").with_context(job_id=failed_id)
            return Failure(job_id=failed_id, request=item, error=failure, index=index)
        assert self._runner is not None  # noqa: S101 — prepared before the first item
        terms = replace(terms, save_to=self._folder, position=index, purse=self._purse)
        outcome = await self._runner.outcome(request, request_id, terms)
        return replace(cast("Outcome[BatchItem, Result]", outcome), request=item, index=index)

    async def retry(self, item: BatchItem, name: str, only: Callable[[JobRecord], bool]) -> None:
        """Retry the failed jobs of a request that `only` accepts. Raises LedgerError."""
        in_use = await self._engine.resume_ledger(self._ledger)
        with suppress(InvalidRequest):  # the outcome of the item tells it
            work = in_use.retry_request(as_request(item), name, only)
            await self._engine.work.run_for(work, f"retry of {name}")

    async def save_versions(self, name: str, but: str) -> None:
        """Save the results of all versions of a request, `but` one, that are paid for and not saved. The worker that
        had begun them may be gone. A failure is logged."""
        if self._folder is None:
            return
        in_use = await self._engine.resume_ledger(self._ledger)
        try:
            versions = await versions_in(in_use.common.ledger, name)
        except LedgerError as error:  # a damaged row, or one of another account
            _log.warning("%s: its versions cannot be read: %s", name, visible_line(str(error)))
            return
        jobs = {job.job_id: job for version in versions for job in version.jobs.values()}
        for job in jobs.values():
            if job.state not in _UNSAVED or request_of(job.job_id) == but:
                continue
            outcome = await save_job(in_use, self._folder, job)
            if outcome.error is not None:
                _log.warning("%s is not saved: %s", job.job_id, visible_line(str(outcome.error)))

    def stops(self, outcome: Outcome[BatchItem, Result]) -> BaseException | None:
        """The outcome's error, if every other item would fail with it."""
        return general_error(self._engine, outcome.error)


def general_error(engine: Engine, error: AigcError | None) -> AigcError | None:
    """The error, if every other request would fail with it."""
    if error is None or isinstance(error, DamagedRow):
        return None
    return error if isinstance(error, LedgerError) or engine.stops_a_batch(error) else None


async def save_job(in_use: ResumedLedger, folder: Folder, job: JobRecord) -> Outcome[JobRecord, Result]:
    """Bring one job to its task's end and save its results. Creates nothing. An exception of any class becomes part of
    the outcome."""
    jobs = in_use.of_job(job).jobs
    try:
        row = await jobs.end_task(job)
        row = await jobs.save(row, folder.path, folder.stem_of(request_of(job.job_id)))
        return Success(job_id=job.job_id, request=job, result=row.result())
    except Exception as error:  # noqa: BLE001 — one job's exception must not end the saving of the others
        failure = as_aigc_error(error, f"saving {job.job_id}").with_context(job_id=job.job_id, task_id=job.task_id)
        return Failure(job_id=job.job_id, request=job, error=failure)


class UnsavedRun:
    """A `save_unsaved` of a client: its choice of jobs, and the work on each of them."""

    def __init__(
        self, engine: Engine, ledger: LedgerPlace | None, save_to: str | Path, only: Callable[[JobRecord], bool]
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._save_to = save_to
        self._only = only
        self._ready: tuple[ResumedLedger, Folder] | None = None

    async def prepare(self) -> None:
        """Make the folder and open the ledger."""
        folder = await prepared_folder(self._save_to)
        self._ready = await self._engine.resume_ledger(self._ledger), folder

    async def jobs(self) -> AsyncIterator[JobRecord]:
        """The chosen jobs among those that are paid for and not saved."""
        assert self._ready is not None  # noqa: S101 — prepared before the first job is read
        in_use, _ = self._ready
        for one in in_use.accounts.values():
            async for job in one.jobs.unsaved():
                if self._only(job):
                    yield job

    async def work(self, job: JobRecord, on_begin: Begun) -> Outcome[JobRecord, Result]:
        """Bring one job to its task's end and save its results, even if no batch asks for its request any more.

        Creates nothing. An exception of any class becomes part of the outcome.
        """
        on_begin()  # no job waits to be created here
        assert self._ready is not None  # noqa: S101 — as above
        return await save_job(*self._ready, job)

    @staticmethod
    def stops(outcome: Outcome[JobRecord, Result]) -> BaseException | None:
        """The outcome's error, if the ledger cannot be written: it could record no other file either."""
        is_general = isinstance(outcome.error, LedgerError) and not isinstance(outcome.error, DamagedRow)
        return outcome.error if is_general else None


def as_request(item: BatchItem) -> Request:
    """The item as a request. Raises InvalidRequest for any other item."""
    request = parse(item) if isinstance(item, Mapping) else item.request if isinstance(item, Placed) else item
    if not isinstance(request, Request):
        kinds = "an ImageRequest, a VideoRequest, an AudioRequest"
        raise InvalidRequest(f"{type(item).__name__} is not a request: give {kinds} or a chain of them")
    return request


def _own_id(item: object) -> str:
    """The id of a line that is no request, if the id is well formed: the fault may be elsewhere in the line."""
    own = None
    with suppress(Exception):  # an item may be any object
        own = item.get("id") if isinstance(item, Mapping) else None
    own = str(own) if type(own) is int else own
    return own if isinstance(own, str) and REQUEST_ID.fullmatch(own) else ""


def as_step(item: BatchItem) -> Step:
    """The item as the request of a single task. Raises InvalidRequest for any other item."""
    request = as_request(item)
    if not isinstance(request, Step):
        raise InvalidRequest(f"{type(request).__name__} is a chain of tasks: `generate` and `run` make it")
    return request


def require_many(requests: object) -> None:
    """Raise InvalidRequest for anything but many requests. A text, a mapping and a request are single items."""
    is_single = isinstance(requests, str | bytes | Mapping | Request)
    if is_single or not isinstance(requests, Iterable | AsyncIterable):
        kind = type(requests).__name__
        raise InvalidRequest(f"`run` takes a list or another iterable of requests, not {kind}; `generate` makes one")


async def folder_for(save_to: str | Path | None) -> Folder | None:
    """The folder to save into; None without one. Raises ConfigError."""
    return None if save_to is None else await prepared_folder(save_to)


async def prepared_folder(save_to: str | Path) -> Folder:
    """Make the folder, and check that it is writable. Raises ConfigError."""
    # Absolute: the ledger's paths stay valid when the working directory or a symlink changes.
    return await asyncio.to_thread(lambda: prepare_folder(absolute(save_to)))


class Folders:
    """The folders of many requests, each prepared once."""

    def __init__(self) -> None:
        self._folders: dict[str, Folder] = {}

    async def at(self, save_to: str | Path) -> Folder:
        """The folder at a path. Raises ConfigError."""
        path = str(save_to)
        if path not in self._folders:
            self._folders[path] = await prepared_folder(path)
        return self._folders[path]
