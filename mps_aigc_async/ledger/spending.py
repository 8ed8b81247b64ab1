"""The total of all creates in a ledger that may be paid for, against which budgets are checked."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

from ..model.budget import NOTHING, Amount
from ..model.states import Kind
from .record import JobRecord

MAY_BE_PAID: Final = "state <> 'planned' AND (state <> 'failed' OR amount IS NOT NULL OR cost IS NOT NULL)"
"""`JobRecord.may_be_paid` in SQL: a failed job keeps its amount only if it may be paid."""

TOTALS: Final = "kind, count(*), count(amount), coalesce(sum(amount), 0), count(cost), coalesce(sum(cost), 0)"
"""The columns of a total, for rows that are grouped by kind."""


def total_of(rows: Iterable[Sequence[object]]) -> Amount:
    """The total of the rows of TOTALS. An image of an older version, without its number, counts as one; a length or a
    cost that the ledger lacks counts as infinite, because no bound can be shown to hold then."""
    total = NOTHING
    for kind, jobs, with_number, number, with_cost, cost in rows:
        missing = int(str(jobs)) - int(str(with_number))
        unknown = missing if kind == Kind.IMAGE else (inf if missing else 0)
        whole_cost = float(str(cost)) if with_cost == jobs else inf
        total += Amount.of(Kind(str(kind)), float(str(number)) + unknown, whole_cost)
    return total


def total_of_jobs(jobs: Iterable[JobRecord]) -> Amount:
    """The total of jobs in memory."""
    rows = [job for job in jobs if job.may_be_paid]
    groups = {kind: [job for job in rows if job.kind is kind] for kind in Kind}
    return total_of(
        (
            kind,
            len(group),
            sum(job.amount is not None for job in group),
            sum(job.amount or 0 for job in group),
            sum(job.cost is not None for job in group),
            sum(job.cost or 0 for job in group),
        )
        for kind, group in groups.items()
        if group
    )
