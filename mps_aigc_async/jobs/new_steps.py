"""The steps that a new version of a request makes: pure."""

from collections.abc import Mapping
from typing import Final

from ..ledger import JobRecord
from ..ledger.versions import Contents, Version, steps_in
from ..model.states import JobState, Kind
from .lookahead import is_near_end

IN_DOUBT: Final = frozenset({JobState.INTENT, JobState.UNKNOWN})
"""The states of a job that is made again only after the user has settled it."""

_OPEN: Final = frozenset({JobState.PLANNED, JobState.INTENT, JobState.SUBMITTED})

WITH_RESULT: Final = frozenset({JobState.DONE, JobState.SAVED})

_BEGUN: Final = WITH_RESULT | {JobState.INTENT, JobState.SUBMITTED}


def steps_to_make(latest: Version, contents: Contents, now: float) -> list[Kind]:
    """The steps that a version after the latest one makes with these contents: all, or those from the first changed one
    on, if the result before it can still be used at `now` (Unix seconds)."""
    kinds = list(contents)
    changes = [kind for kind in kinds if kind not in latest.jobs or latest.jobs[kind].content != contents[kind]]
    first = kinds.index(changes[0]) if changes else 0
    if first and not _can_use(latest.jobs.get(kinds[first - 1]), now):
        first = 0
    return kinds[first:]


def _can_use(job: JobRecord | None, now: float) -> bool:
    return job is not None and job.state in WITH_RESULT and not is_near_end(job, now)


def is_of_begun_chain(job: JobRecord, own: Mapping[Kind, JobRecord], now: float) -> bool:
    """Whether a planned job is a later step of a chain whose first step is made or under way, and can still be used at
    `now` (Unix seconds). `own` has the rows of the job's version."""
    if not job.steps or job.kind is job.steps[0] or job.kind not in (asked := steps_in(own)):
        return False
    first = asked.get(job.steps[0])  # a version without a row of the first step has it from a former version
    return first is None or (first.state in _BEGUN and not is_near_end(first, now))


def is_under_way(version: Version) -> bool:
    """Whether a version is neither made nor failed: made again, it is meant, and no further one."""
    states = {job.state for job in version.jobs.values()}
    return bool(states & _OPEN) and JobState.FAILED not in states
