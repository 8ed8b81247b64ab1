"""Requests to their outcomes: one job for an image, a video or an audio; two or three linked jobs for a chain."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ..ledger import JobRecord
from ..ledger.record import job_ids, request_of
from ..model.defaults import Defaults
from ..model.errors import AigcError, BudgetReached, ClientClosed, DamagedRow, InvalidRequest, LedgerError
from ..model.outcomes import Failure, Origin, Outcome, Success
from ..model.requests import Request, Step, steps_of
from ..model.results import Result, steps_made
from ..model.states import JobState, Kind
from ..model.unexpected import as_aigc_error
from ..policy.retries import stops_a_batch
from .chains import Chain, ChainContext, model_of
from .creation import Order
from .jobs import Jobs, Judge
from .lookahead import Lookaheads
from .origins import complete_kinds, origins_of
from .pricing import request_in_row
from .purse import Purse
from .terms import Terms

RequestT = TypeVar("RequestT", bound=Request)


class RequestRunner:
    """Runs requests to their outcomes, in one ledger."""

    def __init__(
        self,
        jobs: Jobs,
        defaults: Defaults,
        check: Callable[[Request], Awaitable[None]],
        lookaheads: Lookaheads,
        wall: Callable[[], float],
    ) -> None:
        self._jobs = jobs
        self._defaults = defaults
        self._check = check
        self._chain_context = ChainContext(jobs, defaults, lookaheads, wall)

    async def outcome(self, request: RequestT, request_id: str, terms: Terms) -> Outcome[RequestT, Result]:
        """Run a request to its end. An exception of any class becomes part of the outcome."""
        chain: Chain | None = None
        kept_kinds: frozenset[Kind] = frozenset()
        name, terms = request_id, self._terms_of(request, terms)

        async def judge(jobs: Mapping[Kind, JobRecord]) -> None:
            nonlocal kept_kinds
            kept_kinds = complete_kinds(jobs) if terms.kept_kinds is None else terms.kept_kinds
            await self._judge(request, terms, jobs)

        def origins(jobs: Sequence[JobRecord]) -> tuple[Origin, ...]:
            return origins_of(request, jobs, kept_kinds, self._defaults)

        try:
            result: Result
            if isinstance(request, Step):
                job = await self._single(request, name, self._order(request, terms), judge)
                name, result, rows = request_of(job.job_id), job.result(), [job]
            else:
                version = await self._jobs.version_for(request, request_id)
                name = version.name
                await judge(version.jobs)
                chain = Chain(self._chain_context, request, version, terms)
                result, rows = await chain.run(), chain.rows
        except Exception as error:  # noqa: BLE001 — one job's exception must not end the batch
            failure = as_aigc_error(error, f"making {name}").with_context(job_id=name)
            name = request_of(failure.job_id or "") or name  # of a single request, its version
            partial_result = None if chain is None else chain.partial_result
            if chain is not None and not _goes_on_later(failure):
                await self._jobs.leave_room(name)
            rows = [] if chain is None else chain.rows[: len(steps_made(partial_result))]
            return Failure(job_id=name, request=request, error=failure, partial=partial_result, origins=origins(rows))
        finally:
            if terms.purse is not None:
                terms.purse.end(tuple(job_ids(name).values()))
        return Success(job_id=name, request=request, result=result, origins=origins(rows))

    def _terms_of(self, request: Request, terms: Terms) -> Terms:
        """The terms with the request's steps and, for a run with a budget, the estimates of a chain's later ones."""
        terms = terms.of(request)
        if terms.purse is None:
            return terms
        later = steps_of(request)[1:]
        return replace(terms, estimates={step.kind: self._jobs.estimate(self._defaults.apply(step)) for step in later})

    async def promise_begun(self, purse: Purse) -> None:
        """Promise room to the steps that the ledger's begun chains still need, before new requests take it. Where
        several runs share the ledger, their rows have the amounts, and other runs end the promises."""
        for job in await self._jobs.steps_of_begun_chains():
            with suppress(DamagedRow, InvalidRequest):
                estimate = self._jobs.estimate(self._defaults.apply(request_in_row(job)))
                if self._jobs.are_shared:
                    await self._jobs.note_room(job, estimate)
                else:
                    purse.promise({job.job_id: estimate})

    async def plan(self, request: Request, request_id: str, terms: Terms) -> str:
        """Plan all jobs of a request, and return the name of its version. Raises InvalidRequest."""
        terms = terms.of(request)
        version = await self._jobs.version_for(request, request_id)
        await self._judge(request, terms, version.jobs)
        await self._jobs.plan(steps_of(request), version, terms)
        return version.name

    async def submit(self, request: Step, request_id: str) -> JobRecord:
        """Bring the job of a single request to the point where the service has accepted it. A job beyond it is
        returned."""
        order = self._order(request, Terms().of(request))
        return await self._jobs.submit_single(request, request_id, order, partial(self._judge, request, order.terms))

    async def finish(self, job: JobRecord, request: Step) -> JobRecord:
        """Bring a submitted job to its end."""
        return await self._jobs.finish_accepted(job, Order(partial(self._defaults.apply, request)))

    async def _single(self, request: Step, name: str, order: Order, judge: Judge) -> JobRecord:
        """Make a request of one step. Thousands may wait here at once, so its frame holds only necessary values."""
        job = await self._jobs.finish_single(request, name, order, judge)
        if (folder := order.terms.save_to) is not None:
            job = await self._jobs.save(job, folder.path, folder.stem_of(request_of(job.job_id)))
        return job

    async def _judge(self, request: Request, terms: Terms, jobs: Mapping[Kind, JobRecord]) -> None:
        """Check a request that has not begun. A request that has begun is paid for, and goes on under any config.
        Raises InvalidRequest."""
        kinds = [step.kind for step in steps_of(request)]
        first = jobs.get(kinds[0])
        # A chain may have got a step more since it began.
        if first is not None and first.state is not JobState.PLANNED and kinds[-1] in jobs:
            return
        if terms.purse is not None:
            for step in steps_of(request):
                terms.purse.require_known(self._jobs.estimate(self._defaults.apply(step)))
        await self._check(request)

    def _order(self, request: Step, terms: Terms) -> Order:
        return Order(partial(self._defaults.apply, request), terms, model_of(request, self._defaults))


def _goes_on_later(error: AigcError) -> bool:
    """Whether a request that ended so is not at its end: its next run goes on."""
    return stops_a_batch(error) or isinstance(error, BudgetReached | ClientClosed | LedgerError)
