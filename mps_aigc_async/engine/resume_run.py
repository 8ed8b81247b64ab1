"""Going on with the requests of a ledger without the program that planned them: each row has the request's content, its
folder and the steps that belong to it."""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..concurrency.fan_out import Begun
from ..jobs.terms import Terms
from ..ledger import JobRecord, Ledger
from ..ledger.record import request_of
from ..ledger.versions import Version, parted, request_in, versions_in
from ..model.errors import AigcError, DamagedRow
from ..model.outcomes import Failure, Outcome
from ..model.requests import Request
from ..model.results import Result
from ..model.states import JobState, Kind
from ..model.unexpected import as_aigc_error
from .assembly import Engine
from .batch import Folders, general_error
from .ledgers import LedgerPlace

_log: Final = logging.getLogger("mps_aigc_async")

_OPEN: Final = (JobState.SUBMITTED, JobState.DONE, JobState.UNKNOWN, JobState.PLANNED)
"""The states with work left, the most urgent first: URLs expire."""


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request as the ledger has it."""

    version: Version
    request: Request
    save_to: str
    position: int | None
    is_latest: bool
    """Whether no later version has taken its place."""

    @property
    def states(self) -> Mapping[Kind, JobState]:
        return {kind: job.state for kind, job in self.version.jobs.items()}

    @property
    def is_whole(self) -> bool:
        """Whether the ledger has all steps of the request. A row of an older version does not say so."""
        steps = next(iter(self.version.jobs.values())).steps
        return bool(steps) and set(steps) <= set(self.version.jobs)


def exact_name(name: str) -> str:
    """The name that means this very version, whatever content others have: `shot-001@1` for the first one.

    >>> exact_name("shot-001"), exact_name("shot-001@2")
    ('shot-001@1', 'shot-001@2')
    """
    base, number = parted(name)
    return f"{base}@{number}"


async def stored_request(ledger: Ledger, name: str) -> StoredRequest | None:
    """The request of a version's name; without a number, of its latest version. None if the ledger lacks it. Raises
    InvalidRequest and DamagedRow for rows that are no request."""
    base, number = parted(name)
    versions = await versions_in(ledger, base)
    if not versions[-1].jobs or number > len(versions):
        return None
    version = versions[-1] if name == base else versions[number - 1]
    jobs = list(version.jobs.values())
    save_to = next((job.save_to for job in reversed(jobs) if job.save_to), "")
    is_latest = version is versions[-1]
    return StoredRequest(version, request_in(version), save_to, jobs[-1].position, is_latest)


async def requests_in(ledger: Ledger, *states: JobState) -> AsyncIterator[StoredRequest]:
    """The requests that have a job in one of these states, each version once."""
    seen: set[str] = set()
    for state in states:
        async for job in ledger.in_state(state):
            name = request_of(job.job_id)
            if name in seen:
                continue
            seen.add(name)
            try:
                stored = await stored_request(ledger, exact_name(name))
            except (AigcError, DamagedRow) as error:
                _log.error("%s cannot be read from the ledger: %s", name, error)
                continue
            if stored is not None:
                yield stored


class ResumeRun:
    """A `resume` of a client: the work on each request that the ledger has begun or planned."""

    def __init__(self, engine: Engine, place: LedgerPlace | None, save_to: str | Path | None) -> None:
        self._engine = engine
        self._place = place
        self._save_to = save_to
        self._folders = Folders()

    async def prepare(self) -> None:
        """Open the ledger, and check the folder."""
        await self._engine.resume_ledger(self._place)
        if self._save_to is not None:
            await self._folders.at(self._save_to)

    async def requests(self) -> AsyncIterator[StoredRequest]:
        """The requests with work left. Where another member of the ledger drives a job, its end is waited for."""
        ledger = (await self._engine.resume_ledger(self._place)).common.ledger
        async for stored in requests_in(ledger, *_OPEN):
            jobs = list(stored.version.jobs.values())
            if not _has_work(stored, jobs):
                continue
            if stored.is_whole:
                yield stored
            elif JobState.PLANNED in stored.states.values():
                _log.warning(
                    "%s is not resumed: the ledger does not have all of its steps, or an older version has planned it; "
                    "run its request again",
                    stored.version.name,
                )

    async def work(self, stored: StoredRequest, on_begin: Begun) -> Outcome[Request, Result]:
        """Run one request to its end. An exception of any class becomes part of the outcome."""
        name = stored.version.name
        try:
            folder = stored.save_to or (str(self._save_to) if self._save_to is not None else "")
            save_to = await self._folders.at(folder) if folder else None
        except Exception as error:  # noqa: BLE001 — one request's folder must not end the others
            failure = as_aigc_error(error, f"preparing {name}").with_context(job_id=name)
            return Failure(job_id=name, request=stored.request, error=failure, index=stored.position)
        runner = await self._engine.runner(self._place)
        terms = Terms(save_to=save_to, position=stored.position, on_begin=on_begin)
        return await runner.outcome(stored.request, exact_name(name), terms)

    def stops(self, outcome: Outcome[Request, Result]) -> BaseException | None:
        """The outcome's error, if every other request would fail with it."""
        return general_error(self._engine, outcome.error)


def _has_work(stored: StoredRequest, jobs: list[JobRecord]) -> bool:
    """Whether anything is left to poll, save, create or settle: a done job that nobody saves needs nothing, and a
    planned step of a former version is not made any more."""
    states = set(stored.states.values())
    if JobState.PLANNED in states and not stored.is_latest:
        return False
    return bool(states & {JobState.SUBMITTED, JobState.PLANNED, JobState.UNKNOWN}) or any(
        job.state is JobState.DONE and job.save_to for job in jobs
    )
