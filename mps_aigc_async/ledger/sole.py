"""The part of a ledger's protocol that is the same for each ledger which one process uses at a time: no other member
can take a job."""

from abc import ABC, abstractmethod
from asyncio import Event
from collections.abc import Callable, Collection, Sequence

from ..model.budget import Bound
from ..model.states import Kind
from .record import JobRecord


class SoleLedger(ABC):
    """A ledger without other members."""

    @property
    def member(self) -> str:
        return ""

    @abstractmethod
    async def put(self, job: JobRecord) -> None: ...

    async def note(self, job: JobRecord) -> None:
        """Write the row: nobody else can have changed it since it was read."""
        await self.put(job)

    @abstractmethod
    def require_in_place(self) -> None:
        """Raise LedgerError if the ledger is no longer in place."""

    def confirm(self, intent: JobRecord) -> None:  # noqa: ARG002 — nobody else can have taken its job
        self.require_in_place()

    async def claim(
        self,
        job: JobRecord,  # noqa: ARG002 — the row before fences among members
        intent: JobRecord,
        ahead_of: Collection[Kind] = (),  # noqa: ARG002 — as below
        bound: Bound | None = None,
    ) -> None:
        await (self.put(intent) if bound is None else self.put_within(intent, bound))

    @abstractmethod
    async def put_within(self, intent: JobRecord, bound: Bound) -> None:
        """Write an intent if the ledger's total stays within the budget with it. Raises BudgetReached."""

    # The clients of one process count their chains by themselves (`jobs.lookahead`).

    async def run_ahead(self, name: str, kind: Kind, most: Callable[[], int]) -> None:  # noqa: B027 — as above
        """Count nothing."""

    def end_ahead(self, name: str, kind: Kind) -> None:  # noqa: B027 — as above
        """Count nothing."""

    def leave_ahead(self, name: str, kind: Kind) -> None:  # noqa: B027 — as above
        """Count nothing."""

    async def replace(self, job: JobRecord, new: JobRecord) -> JobRecord:  # noqa: ARG002 — as above
        await self.put(new)
        return new

    async def settle(self, job: JobRecord) -> None:
        await self.put(job)

    async def changed(self, job: JobRecord) -> None:
        """Raise an error: no job is another member's."""
        raise AssertionError(f"{job.job_id} is driven by {job.driver}, in a ledger without other members")

    async def absence(self) -> None:
        """Wait for ever: no other member can be gone."""
        await Event().wait()

    async def adopt(self) -> Sequence[JobRecord]:
        return ()
