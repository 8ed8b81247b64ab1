"""The tasks of a shared ledger that no row could take."""

from dataclasses import dataclass

from ..model.states import Kind


@dataclass(frozen=True, slots=True)
class Orphan:
    """A task that no row could take, because others had taken its job: the task may be billed, and nobody polls it."""

    job_id: str
    task_id: str
    kind: Kind
    model: str
    at: float
    """When its create was answered, by the server's clock (Unix seconds)."""
