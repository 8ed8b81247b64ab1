"""Requests to their outcomes where a client has several accounts: each request runs in one of them.

The ledger decides where a request may go on. A task that runs, or may run, belongs to its account. A chain stays in its
account; if that account is refused in the middle, the next step goes to another account that can read the result: a
temporary URL is readable by all, an object in a bucket by the accounts whose config names the bucket.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from ..concurrency.callbacks import ignore
from ..concurrency.owner import TaskOwner
from ..jobs.new_steps import WITH_RESULT
from ..jobs.origins import complete_kinds
from ..jobs.stored_inputs import has_stored_files
from ..jobs.terms import Terms
from ..ledger import JobRecord, OtherAccount
from ..ledger.versions import version_for
from ..model.errors import AccountError, AigcError, InvalidRequest
from ..model.outcomes import Failure, Outcome
from ..model.requests import CosStore, Request, Step, steps_of
from ..model.results import Result
from ..model.states import Ending, JobState, Kind
from .resumed import AccountJobs, ResumedLedger
from .routing import Place, Route, Router

RequestT = TypeVar("RequestT", bound=Request)


class Runner(Protocol):
    """Runs requests: in one account (`jobs.runner`), or in several."""

    async def outcome(self, request: RequestT, request_id: str, terms: Terms) -> Outcome[RequestT, Result]: ...

    async def plan(self, request: Request, request_id: str, terms: Terms) -> str: ...

    async def submit(self, request: Step, request_id: str) -> JobRecord: ...

    async def finish(self, job: JobRecord, request: Step) -> JobRecord: ...


class RoutedRunner:
    """Runs requests in the accounts of a client."""

    def __init__(self, ledger: ResumedLedger, router: Router, work: TaskOwner) -> None:
        self._ledger = ledger
        self._router = router
        self._work = work

    async def outcome(self, request: RequestT, request_id: str, terms: Terms) -> Outcome[RequestT, Result]:
        """Run a request to its end. An exception of any class becomes part of the outcome."""
        last: Outcome[RequestT, Result] | None = None
        refusals: dict[str, AccountError] = {}
        left: set[str] = set()
        """The accounts that the request has left because they had no room for it: each once."""
        full_account = ""
        """The account that gave the request up, as it was refused for now too often: another one tries it once."""
        while True:
            try:
                if terms.kept_kinds is None:
                    version = await version_for(self._ledger.common.ledger, request, request_id)
                    terms = replace(terms, kept_kinds=complete_kinds(version.jobs))
                place = await self._place(request, request_id, refusals, full_account)
            except AigcError as error:
                return last or Failure(job_id=request_id, request=request, error=error.with_context(job_id=request_id))

            account, begin = place.desk.account.name, partial(_begin, place, terms.on_begin)
            on_no_room = ignore if account in left else place.wait_again
            # The accounts have queues of their own: a request that waits for one would hold up those of another.
            terms_here = replace(terms, rank=None, on_begin=begin, on_no_room=on_no_room)
            work = self._ledger.accounts[account].runner.outcome(request, request_id, terms_here)
            outcome = await place.run(work, self._work, f"request {request_id} in {account}")
            if outcome is None:  # another account can start it now
                if place.had_no_room:
                    left.add(account)
                continue
            if isinstance(outcome.error, AccountError):
                last, refusals[account] = outcome, outcome.error
                self._router.set_aside(account, outcome.error)
            elif _is_for_now(outcome.error) and not full_account:
                last, full_account = outcome, account
                self._router.note_no_room(place.desk, place.kind)
            elif not isinstance(outcome.error, OtherAccount):
                return outcome

    async def plan(self, request: Request, request_id: str, terms: Terms) -> str:
        """Plan all jobs of a request, and return the name of its version. Planned jobs are common to the accounts."""
        return await self._ledger.first.runner.plan(request, request_id, terms)

    async def submit(self, request: Step, request_id: str) -> JobRecord:
        """Bring the job of a single request to the point where the service has accepted it. A job beyond it is
        returned."""
        refusals: dict[str, AccountError] = {}
        while True:
            place = await self._place(request, request_id, refusals)
            runner = self._ledger.accounts[place.desk.account.name].runner
            work = runner.submit(request, request_id)
            try:
                job = await place.run(work, self._work, f"request {request_id} in {place.desk.account.name}")
            except OtherAccount:
                continue
            except AccountError as refusal:
                refusals[place.desk.account.name] = refusal
                self._router.set_aside(place.desk.account.name, refusal)
                continue
            if job is not None:
                return job

    async def finish(self, job: JobRecord, request: Step) -> JobRecord:
        """Bring a submitted job to its end."""
        return await self._ledger.of_job(job).runner.finish(job, request)

    # --- the route ----------------------------------------------------------------------------------------------------

    async def _place(
        self, request: Request, request_id: str, refusals: Mapping[str, AccountError], full_account: str = ""
    ) -> Place:
        """Wait for a place in an account that may run the request. Raises AccountError if none can, or if the request
        belongs to an account that has refused it (`refusals`)."""
        jobs = (await version_for(self._ledger.common.ledger, request, request_id)).jobs
        before: JobRecord | None = None
        kinds = [step.kind for step in steps_of(request)]
        while kinds:
            job = jobs.get(kinds[0])
            if job is None or job.state is JobState.PLANNED:
                return await self._router.take(self._route(kinds, job, before, full_account))
            before = job
            if job.state not in WITH_RESULT:  # it runs, or may run, or has failed
                break
            del kinds[0]
        account = self._account_of(before)
        if account in refusals:  # a create that is sent again, or a call about the result: no other account can help
            raise refusals[account]
        return self._router.enter(account, kinds)

    def _route(
        self, kinds: Sequence[Kind], job: JobRecord | None, before: JobRecord | None, full_account: str
    ) -> Route:
        """The accounts in which a request's next step may be created: the first one, or the one after a result."""
        kind, *later = kinds
        accounts, home = tuple(self._ledger.accounts), ""
        if job is not None and (bound := self._ledger.common.account_of(job)):
            accounts, home = (bound,), bound
        elif before is not None:
            home = self._ledger.common.account_of(before)
            accounts = tuple(
                name for name, one in self._ledger.accounts.items() if name == home or _can_read(one, before)
            )
        if not accounts:
            raise InvalidRequest(
                f"the {before.kind if before else kind} before is stored in the account {home}, which the config "
                "lacks: add the account to the config's `accounts`"
            )
        accounts = tuple(name for name in accounts if name != full_account) or accounts
        return Route(kind, accounts, home, tuple(later))

    def _account_of(self, job: JobRecord | None) -> str:
        return self._ledger.of_job(job).account.name


def _begin(place: Place, on_begin: Callable[[], None]) -> None:
    place.begin()
    on_begin()


def _is_for_now(error: AigcError | None) -> bool:
    """Whether a create was refused for now, as often as the policy allows: another account may do better."""
    return error is not None and error.ending is Ending.REFUSED_FOR_NOW


def _can_read(other: AccountJobs, job: JobRecord) -> bool:
    """Whether another account can use the result of a done job."""
    if has_stored_files(job):
        return False
    if not job.never_expires:
        return bool(job.urls)
    ours, theirs = other.account.settings.buckets.store, None
    with suppress(AigcError, ValueError):
        theirs = CosStore.model_validate(job.sent_fields().get("store"))
    return ours is not None and theirs is not None and (ours.bucket, ours.region) == (theirs.bucket, theirs.region)
