"""A ledger in use: the jobs of earlier processes have been resumed, for each account of the client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ..jobs.jobs import Jobs
from ..jobs.runner import RequestRunner
from ..ledger import CommonLedger, JobRecord, Ledger
from ..model.errors import TaskNotFound
from ..model.requests import Request
from ..model.settlement import Settlement
from ..model.states import Kind
from ..wire.dialect import TaskStatus
from .account import AccountParts


@dataclass(frozen=True, slots=True)
class AccountJobs:
    """One account's part in a ledger."""

    account: AccountParts
    ledger: Ledger
    """The ledger as the account sees it."""
    jobs: Jobs
    """The jobs of the ledger, one by one."""
    runner: RequestRunner
    """Runs requests in this account."""


class ResumedLedger:
    """The ledger, with the part of each account."""

    def __init__(self, common: CommonLedger, accounts: Mapping[str, AccountJobs]) -> None:
        self.common: Final = common
        self.accounts: Final = accounts

    @property
    def first(self) -> AccountJobs:
        return next(iter(self.accounts.values()))

    def of_job(self, job: JobRecord | None) -> AccountJobs:
        """The part of the account that a job belongs to; the first account's for a job that belongs to none."""
        return self.first if job is None else self.accounts.get(self.common.account_of(job), self.first)

    async def of_task(self, kind: Kind, task_id: str) -> AccountJobs:
        """The part of the account that a task belongs to: by the ledger, else the first account in which the service
        knows the task. Raises the error of a poll."""
        if len(self.accounts) == 1:
            return self.first
        job = await self.common.ledger.of_task(task_id)
        if job is not None:
            return self.of_job(job)
        for one in self.accounts.values():
            try:
                await one.account.calls.send(one.account.dialect.describe(kind, task_id))
            except TaskNotFound:
                continue
            return one
        return self.first

    async def poll(self, kind: Kind, task_id: str) -> TaskStatus:
        """Poll a task once, in its account."""
        account = (await self.of_task(kind, task_id)).account
        return await account.calls.send(account.dialect.describe(kind, task_id))

    async def settle(self, job_id: str, how: Settlement) -> JobRecord:
        """Carry out the user's decision about an unknown job, in its account."""
        job = await self.common.ledger.get(job_id)
        return await self.of_job(job).jobs.settling.settle(job_id, how)

    async def new_version(self, name: str, request: Request | None) -> str:
        """Plan a new version of a request; return its name. Planned jobs are common to the accounts."""
        return await self.first.jobs.redoing.new_version(name, request)

    async def retry_failed(self, only: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """Retry the failed jobs that `only` accepts, of all accounts; return the changed jobs."""
        return [job for one in self.accounts.values() for job in await one.jobs.settling.retry_failed(only)]

    async def retry_request(self, request: Request, name: str, only: Callable[[JobRecord], bool]) -> None:
        """Retry the failed jobs that `only` accepts of the version that a request means, of all accounts. Raises
        InvalidRequest if the ledger has the request with other content."""
        for one in self.accounts.values():
            await one.jobs.settling.retry_request(request, name, only)
