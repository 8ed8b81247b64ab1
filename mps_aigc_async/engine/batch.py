"""What becomes of each item of a batch: it is read, carried out and told; and of each job that is only to be saved."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ..concurrency.fan_out import Begun
from ..jobs.chains import Pipelines
from ..ledger import JobRecord
from ..model.errors import DamagedRow, InvalidRequest, LedgerError
from ..model.outcomes import Outcome
from ..model.parsing import parse
from ..model.requests import REQUEST_ID, Request, Step
from ..model.unexpected import as_aigc_error
from ..network.folders import Folder, absolute, prepare_folder
from ..policy.retries import stops_a_batch
from .assembly import Engine
from .request_ids import RequestIds

BatchItem = Request | Mapping[str, Any]
"""A request, or a batch file's line as decoded JSON."""


class BatchRun:
    """One `run`: what happens to each of its items."""

    def __init__(self, engine: Engine, ledger: Path | None, save_to: str | Path | None, ids: RequestIds) -> None:
        self._engine = engine
        self._ledger = ledger
        self._save_to = save_to
        self._ids = ids
        self._read = 0
        self._folder: Folder | None = None
        self._pipelines: Pipelines | None = None

    async def prepare(self) -> None:
        self._folder = await folder_for(self._save_to)
        self._pipelines = await self._engine.pipelines(self._ledger)

    async def work(self, item: BatchItem, begun: Begun) -> Outcome[BatchItem]:
        self._read += 1
        number = f"item {self._read}"
        try:
            request = as_request(item)
            name = self._ids.id_for(request)
        except Exception as error:  # noqa: BLE001 — an item may be any object, and its attributes may raise anything
            name = _own_id(item) or number
            return Outcome(
                job_id=name, request=item, error=as_aigc_error(error, f"reading {number}").with_context(job_id=name)
            )
        assert self._pipelines is not None  # noqa: S101 — prepared before the first item
        outcome = await self._pipelines.outcome(request, name, self._folder, begun)
        return replace(cast("Outcome[BatchItem]", outcome), request=item)

    @staticmethod
    def stops(outcome: Outcome[BatchItem]) -> BaseException | None:
        """Errors that no other item would escape."""
        error = outcome.error
        if isinstance(error, DamagedRow):
            return None
        return error if isinstance(error, LedgerError) or (error is not None and stops_a_batch(error)) else None


class UnsavedRun:
    """One `save_unsaved`: which jobs it takes, and what happens to each."""

    def __init__(
        self, engine: Engine, ledger: Path | None, save_to: str | Path, only: Callable[[JobRecord], bool]
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._save_to = save_to
        self._only = only
        self._ready: tuple[Pipelines, Folder] | None = None

    async def prepare(self) -> None:
        folder = await prepared_folder(self._save_to)
        self._ready = await self._engine.pipelines(self._ledger), folder

    async def jobs(self) -> AsyncIterator[JobRecord]:
        assert self._ready is not None  # noqa: S101 — prepared before the first job is read
        pipelines, _ = self._ready
        async for job in pipelines.unsaved():
            if self._only(job):
                yield job

    async def work(self, job: JobRecord, begun: Begun) -> Outcome[JobRecord]:
        begun()  # no job waits to be created here
        assert self._ready is not None  # noqa: S101 — as above
        pipelines, folder = self._ready
        return await pipelines.save_job(job, folder)

    @staticmethod
    def stops(outcome: Outcome[JobRecord]) -> BaseException | None:
        """A ledger that cannot be written: it could not keep the other files either."""
        is_general = isinstance(outcome.error, LedgerError) and not isinstance(outcome.error, DamagedRow)
        return outcome.error if is_general else None


def as_request(item: BatchItem) -> Request:
    """The item as a request. Raises InvalidRequest for anything else."""
    request = parse(item) if isinstance(item, Mapping) else item
    if not isinstance(request, Request):
        kinds = "an ImageRequest, a VideoRequest, an AudioRequest"
        raise InvalidRequest(f"{type(item).__name__} is not a request: give {kinds} or a chain of them")
    return request


def _own_id(item: object) -> str:
    """The id that a line gives itself, if it is one; another fault of the line may keep it from being a request."""
    own = None
    with suppress(Exception):  # as when the item was read
        own = item.get("id") if isinstance(item, Mapping) else None
    return own if isinstance(own, str) and REQUEST_ID.fullmatch(own) else ""


def as_step(item: BatchItem) -> Step:
    """The request of a single task. Raises InvalidRequest for anything else."""
    request = as_request(item)
    if not isinstance(request, Step):
        raise InvalidRequest(f"{type(request).__name__} is a chain of tasks: `generate` and `run` make it")
    return request


def require_many(requests: object) -> None:
    """Raise InvalidRequest for what is no iterable of requests, or one that is a single thing."""
    is_single = isinstance(requests, str | bytes | Mapping | Request)
    if is_single or not isinstance(requests, Iterable | AsyncIterable):
        kind = type(requests).__name__
        raise InvalidRequest(f"`run` takes a list or another iterable of requests, not {kind}; `generate` makes one")


async def folder_for(save_to: str | Path | None) -> Folder | None:
    return None if save_to is None else await prepared_folder(save_to)


async def prepared_folder(save_to: str | Path) -> Folder:
    """The folder, made and found to be writable. Raises ConfigError."""
    # The ledger's paths stay valid when the working directory or a symlink changes.
    return await asyncio.to_thread(lambda: prepare_folder(absolute(save_to)))
