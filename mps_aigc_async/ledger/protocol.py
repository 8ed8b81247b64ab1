"""A ledger's protocol: where jobs are kept."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from ..model.states import JobState, Kind
from .record import JobRecord


class Ledger(Protocol):
    """Where jobs are kept."""

    @property
    def durable(self) -> bool:
        """Whether it outlives the client."""
        ...

    @property
    def in_place(self) -> bool:
        """Whether the next process will find the ledger under its path; after closing, the answer at that moment."""
        ...

    def confirm(self) -> None:
        """Raise LedgerError if the ledger is no longer in place: the next process would not know of a create that is
        sent now. Fast enough to be called right before the first byte."""
        ...

    async def plan(self, job: JobRecord) -> JobRecord:
        """Keep a new job, or return the one kept under its id. Raises InvalidRequest if that has other content."""
        ...

    async def put(self, job: JobRecord) -> None:
        """Write the job's new state. If it cannot be written now, wait, and raise LedgerError when the ledger closes;
        raise it at once if waiting cannot help."""
        ...

    async def get(self, job_id: str) -> JobRecord | None:
        """The job of this id. Raises DamagedRow if its row cannot be used."""
        ...

    async def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        """The jobs of the request of this name, by kind, in one read. Raises DamagedRow if one of the rows cannot be
        used."""
        ...

    async def of_task(self, task_id: str) -> JobRecord | None:
        """The job that this task is of, if it is one's here."""
        ...

    def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        """All jobs in one state, the oldest first, each once; a damaged row is logged and skipped.
        A job is listed by the state that `get` tells, though its row may still wait to be written.
        A job that enters or leaves the state meanwhile may be among them or not: a file is read in portions, and the
        loop turns between them."""
        ...

    async def facts(self) -> Mapping[str, str]:
        """Facts learnt about the service, by name."""
        ...

    async def keep_fact(self, name: str, value: str) -> None:
        """Keep a fact learnt about the service. Raises LedgerError if it cannot be written."""
        ...

    async def counts(self) -> Mapping[JobState, int]:
        """Jobs by state, as `in_state` lists them; states without jobs are left out."""
        ...

    def hurry(self) -> None:
        """Prepare for closing: from now on, give up each row that cannot be written within a few seconds."""
        ...

    async def close(self) -> None: ...
