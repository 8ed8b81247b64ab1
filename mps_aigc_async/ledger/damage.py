"""Errors for rows of a ledger that cannot be used."""

from ..model.errors import DamagedRow


def damaged_row(job_id: str, fault: str, *, task_id: str | None = None) -> DamagedRow:
    """The error for a row that is unreadable or contradicts itself."""
    return DamagedRow(
        f"the ledger's row of this job is damaged: {fault}; {DamagedRow.REMEDY}", job_id=job_id, task_id=task_id
    )


def shared_task(task_id: str, first_job: str, job_id: str) -> DamagedRow:
    """The error for a job whose TaskId belongs to an earlier job as well."""
    return DamagedRow(
        f"the ledger has task {task_id} twice, for {first_job} and for this job: compare both with the service's "
        f"console; {DamagedRow.REMEDY}",
        job_id=job_id,
        task_id=task_id,
    )
