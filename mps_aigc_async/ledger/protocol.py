"""The protocol of a ledger, the record of jobs."""

import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from ..model.budget import Bound
from ..model.states import JobState, Kind
from .record import JobRecord

CLOSE_GRACE_S: Final = 6.5
"""Seconds that closing waits for creates in flight: an answer that arrives is a task that is not lost. A ledger
waits as long for a database that is silent: it may be back in time for the answers. The whole end takes 10 s at most,
also of a worker whose database stays silent: 1.5 s for its queue, and 1.5 s for ledger and limit store, which are
hurried from the beginning."""

UNBOUNDED: Final = sys.maxsize
"""The bound of a chain that has begun: its URL ages, and waiting makes it no younger."""


class Ledger(Protocol):
    """The record of jobs, one row each."""

    @property
    def durable(self) -> bool:
        """Whether the ledger outlives the client."""
        ...

    @property
    def account(self) -> str:
        """The account that the ledger belongs to. A job names its account if that may be another one."""
        ...

    @property
    def in_place(self) -> bool:
        """Whether the next process will find the ledger under its path. After closing: the answer at the close."""
        ...

    @property
    def member(self) -> str:
        """The id by which rows name this client as their driver; empty where no other can use the ledger meanwhile."""
        ...

    def confirm(self, intent: JobRecord) -> None:
        """Raise an error if the create of an intent must not be sent now. Fast enough to call right before the first
        byte.

        Raises LedgerError if the ledger is no longer in place: the next process would not know of the create. Where
        several members share the ledger: JobTaken if others have taken the job, and ClaimInDoubt if they may have."""
        ...

    async def plan(self, job: JobRecord) -> JobRecord:
        """Store a new job, or return the stored job of the same id, perhaps with other content."""
        ...

    async def replace(self, job: JobRecord, new: JobRecord) -> JobRecord:
        """Write another plan over a job that has cost nothing (`versions.is_free`); return the stored row. `job` is the
        row that the caller has read. Raises JobTaken if it has changed."""
        ...

    async def put(self, job: JobRecord) -> None:
        """Write the job's new state. If it cannot be written now, wait, and raise LedgerError when the ledger closes.
        Raise LedgerError at once if waiting cannot help."""
        ...

    async def note(self, job: JobRecord) -> None:
        """Write the terms of the row that the caller has just read: its place, folder and steps and, in the same state,
        its amount and cost. Where several members share the ledger, the state may have changed since, and is left as it
        is. Raises JobTaken if the job was claimed or planned again since."""
        ...

    async def claim(
        self, job: JobRecord, intent: JobRecord, ahead_of: Collection[Kind] = (), bound: Bound | None = None
    ) -> None:
        """Write the intent of the job's next create, as `put` does. `job` is the row that the caller has read. Where
        several members share the ledger, the job is this member's from now on; `intent` has a token of its own
        (`claims.new_token`). Raises JobTaken if the row has changed, or another member drives the job.

        `ahead_of` has the kinds for which a chain needs `run_ahead` before its first step: raises NotAhead if a planned
        job's chain does not run ahead of one of them any more.

        `bound` bounds the ledger's total with this intent, in the transaction that writes it: raises BudgetReached,
        and writes nothing, if the total would exceed it. A row without an amount that the budget bounds, or without a
        cost, counts as unbounded."""
        ...

    async def run_ahead(self, name: str, kind: Kind, most: Callable[[], int]) -> None:
        """Wait until fewer than `most()` chains of all members run ahead of their step of a kind, and count the chain
        of this request from now on, until `end_ahead` or `leave_ahead`. Returns at once where one process uses the
        ledger: its clients count by themselves. Raises LedgerError."""
        ...

    def end_ahead(self, name: str, kind: Kind) -> None:
        """The chain no longer runs ahead: its step of the kind is created, or it has failed."""
        ...

    def leave_ahead(self, name: str, kind: Kind) -> None:
        """This member no longer runs the chain: it counts for a minute more, in which another member may go on with
        it."""
        ...

    async def settle(self, job: JobRecord) -> None:
        """Write the user's decision about an unknown job, as `put` does. Where several members share the ledger, raises
        JobTaken if the job is no longer unknown, or if its create may still be sent and the job is planned again."""
        ...

    async def changed(self, job: JobRecord) -> None:
        """Wait until the job's row is another than this one, which another member drives."""
        ...

    async def absence(self) -> None:
        """Wait until there may be jobs to adopt: a member is gone or has left."""
        ...

    async def adopt(self) -> Sequence[JobRecord]:
        """Take the jobs of members that are gone; return those that ask for something. A *submitted* job is this
        member's from now on, to be polled; an *intent* has become *unknown*. Jobs that were planned are free."""
        ...

    async def get(self, job_id: str) -> JobRecord | None:
        """The job of this id. Raises DamagedRow if its row cannot be used."""
        ...

    async def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        """The jobs of the request of this name, by kind, in one read. Raises DamagedRow if one of the rows cannot be
        used."""
        ...

    async def of_task(self, task_id: str) -> JobRecord | None:
        """The job of a task, if the ledger has it."""
        ...

    def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        """All jobs in one state, the oldest first, each once; a damaged row is logged and skipped.
        A job is listed by the state that `get` returns, even if its row still waits to be written.
        A job that enters or leaves the state meanwhile may be listed or not: a file is read in portions, and the loop
        turns between two portions."""
        ...

    def done_between(self, since: float, until: float) -> AsyncIterator[JobRecord]:
        """All jobs that are *done* or *saved* and whose task ended in [since, until) (`done_at`, Unix seconds), each
        once and in any order; a damaged row is logged and skipped.
        A job that is done meanwhile may be listed or not."""
        ...

    async def facts(self) -> Mapping[str, str]:
        """Facts learned about the service, by name."""
        ...

    async def keep_fact(self, name: str, value: str) -> None:
        """Store a fact learned about the service. Raises LedgerError if it cannot be written."""
        ...

    async def counts(self) -> Mapping[JobState, int]:
        """The number of jobs of each state, as `in_state` lists them; states without jobs are left out."""
        ...

    def hurry(self) -> None:
        """Prepare for closing: from now on, give up each row that cannot be written within a few seconds."""
        ...

    async def close(self) -> None: ...
