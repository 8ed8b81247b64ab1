"""A ledger as one of a client's accounts sees it.

Requests and planned jobs are common to the accounts. From the intent on, a job belongs to the account that creates its
task: that account polls it. A result is common again, so that a chain may go on in another account.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ..model.budget import Bound
from ..model.states import JobState, Kind
from .claims import OtherAccount
from .protocol import UNBOUNDED, Ledger
from .record import JobRecord

_BOUND: Final = frozenset({JobState.PLANNED, JobState.INTENT, JobState.SUBMITTED, JobState.UNKNOWN})
"""The states in which only the job's account can go on with it, if it has one."""


def _is_free(job: JobRecord) -> bool:
    """Whether any account may create the job's task. A create that the user makes again (`settle`) keeps its session:
    only the account that may have accepted the first one can refuse the second."""
    return job.state is JobState.PLANNED and not job.has_sent_session


class CommonLedger:
    """A ledger that the accounts of a client have in common: each account gets a view of it."""

    def __init__(self, ledger: Ledger, accounts: Collection[str]) -> None:
        self.ledger: Final = ledger
        self._first: Final = next(iter(accounts))
        self._most_ahead: dict[tuple[str, Kind], Callable[[], int]] = {}
        """By account and kind of step: the bound of the account that was last told."""
        self._turn = asyncio.Lock()
        self._adopted: dict[str, list[JobRecord]] = {name: [] for name in accounts}
        self._absence = {name: asyncio.Event() for name in accounts}

    def view_of(self, account: str) -> "AccountLedger":
        """The ledger as an account sees it."""
        return AccountLedger(self, account)

    def account_of(self, job: JobRecord) -> str:
        """The account that a job's task belongs to; empty for a planned job that any account may create."""
        return "" if _is_free(job) else job.account or self.ledger.account

    def is_for(self, job: JobRecord, account: str) -> bool:
        """Whether this account of the client goes on with a job. Nothing runs in an account that the client lacks: its
        results and its failed jobs are the first account's."""
        owner = self.account_of(job)
        return owner in ("", account) or (owner not in self._adopted and account == self._first)

    def most_ahead(self, account: str, kind: Kind, most: Callable[[], int]) -> Callable[[], int]:
        """The most chains of all accounts together that may run ahead: the sum of what each account can use. A chain
        that has begun is bounded by nothing."""
        if most() >= UNBOUNDED:
            return most
        self._most_ahead[account, kind] = most
        return lambda: sum(bound() for (_, of_kind), bound in self._most_ahead.items() if of_kind is kind)

    async def absence(self, account: str) -> None:
        """Wait until there may be jobs of this account to adopt."""
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(self.ledger.absence()), group.create_task(self._absence[account].wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        self._absence[account].clear()

    async def adopt(self, account: str) -> Sequence[JobRecord]:
        """Adopt the jobs of all accounts; return those of this one, also of another account's adoption."""
        async with self._turn:
            for job in await self.ledger.adopt():
                owner = self.account_of(job)
                if owner in self._adopted:
                    self._adopted[owner].append(job)
                    self._absence[owner].set()
        jobs, self._adopted[account] = self._adopted[account], []
        return jobs


class AccountLedger:
    """The view of one account. Closing it does nothing: the client closes the ledger."""

    def __init__(self, common: CommonLedger, account: str) -> None:
        self.common: Final = common
        self.account: Final = account
        self._ledger = common.ledger

    def __repr__(self) -> str:
        return f"<AccountLedger of {self.account} on {self._ledger!r}>"

    @property
    def durable(self) -> bool:
        return self._ledger.durable

    @property
    def in_place(self) -> bool:
        return self._ledger.in_place

    @property
    def member(self) -> str:
        return self._ledger.member

    # --- writes -------------------------------------------------------------------------------------------------------

    def confirm(self, intent: JobRecord) -> None:
        self._ledger.confirm(intent)

    async def plan(self, job: JobRecord) -> JobRecord:
        row = await self._ledger.plan(job)
        return row if row is job else self._usable(row)

    async def replace(self, job: JobRecord, new: JobRecord) -> JobRecord:
        return await self._ledger.replace(job, new)

    async def put(self, job: JobRecord) -> None:
        await self._ledger.put(self._signed(job))

    async def note(self, job: JobRecord) -> None:
        await self._ledger.note(self._signed(job))

    async def claim(
        self, job: JobRecord, intent: JobRecord, ahead_of: Collection[Kind] = (), bound: Bound | None = None
    ) -> None:
        await self._ledger.claim(job, self._signed(intent), ahead_of, bound)

    async def run_ahead(self, name: str, kind: Kind, most: Callable[[], int]) -> None:
        await self._ledger.run_ahead(name, kind, self.common.most_ahead(self.account, kind, most))

    def end_ahead(self, name: str, kind: Kind) -> None:
        self._ledger.end_ahead(name, kind)

    def leave_ahead(self, name: str, kind: Kind) -> None:
        self._ledger.leave_ahead(name, kind)

    async def settle(self, job: JobRecord) -> None:
        await self._ledger.settle(self._signed(job))

    def _signed(self, job: JobRecord) -> JobRecord:
        """The row with its account: this one, if no other has made the task."""
        account = "" if _is_free(job) else job.account or self.account
        return job if job.account == account else replace(job, account=account)

    async def changed(self, job: JobRecord) -> None:
        await self._ledger.changed(job)

    async def absence(self) -> None:
        await self.common.absence(self.account)

    async def adopt(self) -> Sequence[JobRecord]:
        return [self._named(job) for job in await self.common.adopt(self.account)]

    async def keep_fact(self, name: str, value: str) -> None:
        await self._ledger.keep_fact(name, value)

    # --- reads --------------------------------------------------------------------------------------------------------

    def _named(self, job: JobRecord) -> JobRecord:
        account = self.common.account_of(job)
        return job if job.account == account else replace(job, account=account)

    def _usable(self, job: JobRecord) -> JobRecord:
        """A row that this account can go on with. Raises OtherAccount."""
        job = self._named(job)
        if job.state in _BOUND and job.account not in ("", self.account):
            raise OtherAccount(job.job_id, job.account)
        return job

    async def get(self, job_id: str) -> JobRecord | None:
        job = await self._ledger.get(job_id)
        return None if job is None else self._usable(job)

    async def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        return {kind: self._named(job) for kind, job in (await self._ledger.of_request(name)).items()}

    async def of_task(self, task_id: str) -> JobRecord | None:
        job = await self._ledger.of_task(task_id)
        return job if job is not None and self.common.account_of(job) == self.account else None

    async def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        """The account's jobs in one state; each planned job, of all accounts."""
        async for job in self._ledger.in_state(state):
            if self.common.is_for(job, self.account):
                yield self._named(job)

    async def done_between(self, since: float, until: float) -> AsyncIterator[JobRecord]:
        async for job in self._ledger.done_between(since, until):
            if self.common.account_of(job) == self.account:
                yield self._named(job)

    async def facts(self) -> Mapping[str, str]:
        return await self._ledger.facts()

    async def counts(self) -> Mapping[JobState, int]:
        """The number of jobs of each state, of all accounts."""
        return await self._ledger.counts()

    # --- the end ------------------------------------------------------------------------------------------------------

    def hurry(self) -> None:
        """Do nothing: the client hurries the ledger."""

    async def close(self) -> None:
        """Do nothing: the client closes the ledger."""
