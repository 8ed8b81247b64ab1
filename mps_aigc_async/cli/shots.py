"""The shots of a ledger in words: a census of the jobs, and a line for each shot with its reason and the next step."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..ledger.record import request_of
from ..ledger.snapshot import Snapshot
from ..ledger.versions import Version, name_of, parted, versions_of
from ..model.plain_text import visible_line
from ..model.states import JobState, Kind, Word, word_for
from ..report.shots import shot_of
from .tables import screen_width

ATTENTION: Final = frozenset({Word.FAILED, Word.UNKNOWN, Word.BLOCKED, Word.DONE})
"""The states that need a user, or the same command again."""

ONE_LINE: Final = 100
"""Columns from which a shot takes one line. On a narrower screen the reason and the next step have their own lines."""

_ENDS_A_CHAIN: Final = frozenset({JobState.FAILED, JobState.UNKNOWN, JobState.INTENT})


@dataclass(frozen=True, slots=True)
class ListedShot:
    """A shot, by its job that needs the user most."""

    id: str
    state: Word
    kind: Kind
    reason: str
    next_step: str
    task_id: str | None
    is_earlier_version: bool


def census_in_words(snapshot: Snapshot, now: float) -> Counter[tuple[Kind, Word]]:
    """The number of jobs by kind and state at `now` (Unix seconds)."""
    ends = {
        job_id: _word_of_end(snapshot, job_id, kind, state, now)
        for job_id, kind, state in snapshot.states()
        if state in _ENDS_A_CHAIN
    }
    counts: Counter[tuple[Kind, Word]] = Counter()
    for job_id, kind, state in snapshot.states():
        word = ends.get(job_id) or word_for(state, before=_before(ends, job_id, kind))
        counts[kind, word] += 1
    return counts


def _word_of_end(snapshot: Snapshot, job_id: str, kind: Kind, state: JobState, now: float) -> Word:
    if state is not JobState.INTENT:
        return word_for(state)
    job = snapshot.of_request(request_of(job_id)).get(kind)
    return word_for(state, intent_s=None if job is None or job.intent_at is None else now - job.intent_at)


def _before(ends: Mapping[str, Word], job_id: str, kind: Kind) -> Word | None:
    """The word for an earlier step of the chain that has ended it, if one has."""
    earlier = list(Kind)[: list(Kind).index(kind)]
    return next((word for one in earlier if (word := ends.get(f"{request_of(job_id)}/{one}"))), None)


def listed_shots(
    snapshot: Snapshot,
    words: frozenset[Word] | None,
    next_steps: Mapping[Word, str],
    now: float,
    *,
    earlier_versions: bool = False,
) -> Iterator[ListedShot]:
    """The shots in these states (None: in any) at `now`, in the order of planning. Of a shot with several versions the
    latest one comes first, and the others only with `earlier_versions`. `next_steps` replaces the general advice."""
    numbers = _latest_versions(snapshot)
    for name, jobs in snapshot.requests():
        base, number = parted(name)
        if number > 1:
            continue  # listed with the first version
        latest = numbers.get(base, 1)
        rows = [{job.kind: job for job in jobs}, *(snapshot.of_request(name_of(base, n)) for n in range(2, latest + 1))]
        for version in reversed(versions_of(base, rows)):
            if version.jobs and (earlier_versions or version.number == latest):
                shot = _listed(version, next_steps, now, is_earlier_version=version.number < latest)
                if words is None or shot.state in words:
                    yield shot


def _listed(version: Version, next_steps: Mapping[Word, str], now: float, *, is_earlier_version: bool) -> ListedShot:
    shot = shot_of(0, version.name, list(version.jobs.values()), find=str, now=now)
    step = next(step for step in shot.steps if step.standing is shot.standing)
    return ListedShot(
        id=version.name,
        state=shot.standing,
        kind=step.kind,
        reason=step.reason,
        next_step=next_steps.get(shot.standing, step.advice),
        task_id=version.jobs[step.kind].task_id,
        is_earlier_version=is_earlier_version,
    )


def _latest_versions(snapshot: Snapshot) -> Mapping[str, int]:
    """The number of the latest version of each request that has several."""
    numbers: dict[str, int] = {}
    for job_id, _, _ in snapshot.states():
        base, number = parted(request_of(job_id))
        if number > 1:
            numbers[base] = max(number, numbers.get(base, 1))
    return numbers


def lines_of(shot: ListedShot) -> Sequence[str]:
    """A shot for the screen: one line on a wide one."""
    earlier = ", earlier version" if shot.is_earlier_version else ""
    head = visible_line(f"{shot.id}: {shot.state} ({shot.kind}{earlier})")
    details = [visible_line(text) for text in (shot.reason, shot.next_step and f"→ {shot.next_step}") if text]
    width = max(screen_width(), 20)
    if width >= ONE_LINE:
        return [" ".join([f"{head}:" if details else head, *details])]
    return [
        head,
        *(
            line
            for text in details
            for line in textwrap.wrap(text, width - 2, initial_indent="  ", subsequent_indent="  ")
        ),
    ]
