"""The rules that must hold; each function returns the facts that violate its rule, or nothing."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mps_aigc_async import JobRecord, JobState, Kind
from mps_aigc_async.emulator.tasks.window import WINDOW_S
from mps_aigc_async.ledger.record import request_of

from .batch import Told, chains
from .door import Arrival
from .facts import Batch, Facts, job_of, picture

ON_THE_WAY_S: Final = 0.6
"""A create that arrives this long after its ledger was taken may have passed its check before: a quarter of a second
lies between that and its send time (`limits.LEAD_S`), and a busy machine delays the rest."""

_CONTENT_TYPES: Final = {Kind.IMAGE: "image/png", Kind.VIDEO: "video/mp4"}
_TRACEBACK: Final = "Traceback (most recent call last)"


def made_twice(facts: Facts) -> list[str]:
    """Find jobs with more than one accepted create."""
    return [f"{job}: {made} tasks" for job, made in Counter(map(job_of, facts.tasks.values())).items() if made > 1]


def lost(facts: Facts) -> list[str]:
    """Tasks at the service that no row names and whose jobs nobody lists as unknown: paid for, and forgotten."""
    known = {job.task_id for job in facts.rows}
    listed = {listed.job for batch in facts.batches for listed in batch.last.listed}
    return [
        f"{task_id} of {job_of(task)}"
        for task_id, task in facts.tasks.items()
        if task_id not in known and job_of(task) not in listed
    ]


def swapped(facts: Facts) -> list[str]:
    """Rows with another job's task, files with another job's picture, videos of another chain's image. Not those that
    came of unasked bytes which crossed a request on the way: no client can tell them from its answer."""
    crossed = [taken.written for taken in facts.taken if not taken.in_good_time]
    return [swap.text for swap in _swaps(facts) if not any(swap.came_of(written) for written in crossed)]


@dataclass(frozen=True, slots=True)
class _Swap:
    text: str
    marks: Sequence[bytes]
    """The other job's TaskIds and picture: one of them is in the answer that it came of."""

    def came_of(self, answer: bytes) -> bool:
        return any(mark in answer for mark in self.marks)


def _swaps(facts: Facts) -> Iterator[_Swap]:
    for job in facts.rows:
        if job.task_id is not None and _owner(facts, job.task_id) != job.job_id:
            yield _Swap(f"{job.job_id} has task {job.task_id} of {_owner(facts, job.task_id)}", [job.task_id.encode()])
    for batch in facts.batches:
        yield from _wrong_files(facts, batch)
    yield from _wrong_frames(facts)


def _owner(facts: Facts, task_id: str) -> str:
    return job_of(facts.tasks[task_id]) if task_id in facts.tasks else "nobody"


def _wrong_files(facts: Facts, batch: Batch) -> Iterator[_Swap]:
    prompts = batch.prompts
    for job in batch.rows:
        for file in job.files:
            content = batch.files.get(file, b"")
            if content != picture(prompts[job.job_id], _CONTENT_TYPES[job.kind]):
                shown = f"{content[16:60]!r}, {len(content)} bytes" if content else "not there"
                yield _Swap(f"{job.job_id}: {file} is {shown}", _marks(facts, content))


def _marks(facts: Facts, content: bytes) -> list[bytes]:
    """A picture and the TaskIds that it may be of."""
    tasks = [task_id.encode() for task_id, task in facts.tasks.items() if f"|{task.order.prompt}|".encode() in content]
    return [*tasks, content] if content else []


def _wrong_frames(facts: Facts) -> Iterator[_Swap]:
    images = {job.job_id: job.task_id or "" for job in facts.rows if job.kind is Kind.IMAGE}
    for task in facts.tasks.values():
        url = getattr(task.order, "first_url", "")
        image = images.get(f"{request_of(job_of(task))}/{Kind.IMAGE}", "")
        if url and f"/media/{image}/" not in url:
            path = url.partition("?")[0]
            yield _Swap(f"{job_of(task)} begins with {path}, not with task {image}", [path.split("/")[-2].encode()])


def over_the_rate(facts: Facts) -> list[str]:
    """Find seconds in which more calls of an action than its limit arrived for certain."""
    return [f"{action}: {over} times" for action, over in certain_excesses(facts).items() if over]


def certain_excesses(facts: Facts) -> Mapping[str, int]:
    """By action, how often its limit was passed even if each call came as the door's own delay allows."""
    by_action = defaultdict[str, list[Arrival]](list)
    for arrival in facts.arrivals:
        by_action[arrival.action].append(arrival)
    return {action: _excesses(by_action[action], limit) for action, limit in facts.rates.items()}


def _excesses(arrivals: Sequence[Arrival], limit: int) -> int:
    return sum(
        1 for first, last in zip(arrivals, arrivals[limit:], strict=False) if last.at - first.not_before < WINDOW_S
    )


def over_the_caps(facts: Facts) -> list[str]:
    """More tasks of one kind at the service at once than the batch was allowed."""
    most = most_running(facts)
    return [f"{kind}: {most[kind]} at once" for kind, cap in facts.caps.items() if most[kind] > cap]


def most_running(facts: Facts) -> Mapping[str, int]:
    """By kind, the most tasks that ran at the service at once."""
    changes = defaultdict[str, list[tuple[float, int]]](list)
    for task in facts.tasks.values():
        changes[task.kind] += [(task.created_at, 1), (task.ends_at, -1)]
    return {kind: _peak(changes[kind]) for kind in facts.caps}


def _peak(changes: Sequence[tuple[float, int]]) -> int:
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def not_final(facts: Facts) -> list[str]:
    """Jobs that are not in a final state, once each."""
    wrong = []
    for batch in facts.batches:
        rows = Counter(job.job_id for job in batch.rows)
        wrong += [f"{job}: {rows[job]} rows" for job in {*batch.prompts, *rows} if rows[job] != (job in batch.prompts)]
        wrong += [f"{job.job_id}: {job.state} {job.error}" for job in batch.rows if not _may_stay(job, batch)]
        wrong += [f"{batch.name}: run {number} did not end" for number, run in enumerate(batch.runs) if run.hung]
    return wrong


def _may_stay(job: JobRecord, batch: Batch) -> bool:
    """A job is saved, failed or unknown, or the video of an image that never came: that one was never begun."""
    if job.state is not JobState.PLANNED:
        return job.state in (JobState.SAVED, JobState.FAILED, JobState.UNKNOWN)
    image = next((row for row in batch.rows if row.job_id == f"{request_of(job.job_id)}/{Kind.IMAGE}"), None)
    came = image is None or image.state not in (JobState.UNKNOWN, JobState.FAILED)
    return job.kind is Kind.VIDEO and job.intent_at is None and not came


def untrue(facts: Facts) -> list[str]:
    """Outcomes of the calm run that differ from the ledger, and those that it failed to report exactly once."""
    wrong = []
    for batch in facts.batches:
        rows = {job.job_id: job for job in batch.rows}
        true = Counter(_by_the_ledger(chain.id or "", rows) for chain in chains(batch.name, batch.chains))
        told = Counter(batch.last.told)
        wrong += [f"told, not true: {outcome}" for outcome in (told - true).elements()]
        wrong += [f"true, not told: {outcome}" for outcome in (true - told).elements()]
        wrong += [f"{batch.name} stopped: {batch.last.stopped}"] * (batch.last.stopped is not None)
    return wrong


def _by_the_ledger(request: str, rows: Mapping[str, JobRecord]) -> Told:
    jobs = [rows.get(f"{request}/{kind}") for kind in (Kind.IMAGE, Kind.VIDEO)]
    ended_it = next((job for job in jobs if job and job.state in (JobState.FAILED, JobState.UNKNOWN)), None)
    return Told(
        request=request,
        error=None if ended_it is None else type(ended_it.recorded_error()).__name__,
        tasks=tuple(job.task_id or "" for job in jobs if job and job.state is JobState.SAVED),
    )


def wrongly_failed(facts: Facts) -> list[str]:
    """Jobs that failed here, and whose task the service has done: paid for, and given up."""
    return [
        f"{job.job_id}: {job.error}"
        for job in facts.rows
        if job.state is JobState.FAILED
        and any(job_of(task) == job.job_id and task.failure is None for task in facts.tasks.values())
    ]


def badly_listed(facts: Facts) -> list[str]:
    """Jobs of unknown outcome that the calm run did not list, once."""
    wrong = []
    for batch in facts.batches:
        listed = Counter(listed.job for listed in batch.last.listed)
        wrong += [job for job in {*batch.unknown, *listed} if listed[job] != (job in batch.unknown)]
    return wrong


def tracebacks(facts: Facts) -> list[str]:
    """Find runs that ended in a traceback, or in a way that their trouble does not explain."""
    wrong = []
    for batch in facts.batches:
        for number, run in enumerate(batch.runs):
            if _TRACEBACK in run.log:
                wrong.append(f"{batch.name}, run {number}: {_last_lines(run.log)}")
            elif run.code not in run.may_end_with and not run.hung:
                wrong.append(f"{batch.name}, run {number}: exit code {run.code}")
            wrong += [
                f"{told.request}: {told.error}" for told in run.told if told.error in ("UnexpectedError", "AigcError")
            ]
    return wrong + [_last_lines(log) for log in facts.happened.second_logs if _TRACEBACK in log]


def _last_lines(log: str) -> str:
    return log[log.index(_TRACEBACK) :][-2000:]


def damaged(facts: Facts) -> list[str]:
    """Ledgers that SQLite finds damaged, or that can't be read."""
    return [f"{batch.name}: {batch.damage}" for batch in facts.batches if batch.damage]


def let_in(facts: Facts) -> list[str]:
    """Second processes that opened a ledger which another process was writing."""
    return facts.happened.let_in


def created_without_ledger(facts: Facts) -> list[str]:
    """Creates that went out after their ledger was taken, by the same process."""
    return [
        f"{arrival.job}: {arrival.not_before - loss.at:.2f} s after {loss.how}"
        for loss in facts.happened.losses
        for arrival in facts.arrivals
        if arrival.job.startswith(f"{loss.batch}-")
        and loss.at + ON_THE_WAY_S < arrival.not_before
        and arrival.at <= loss.run.ended_at
    ]


def untold(facts: Facts) -> list[str]:
    """Tasks that ran on when a batch whose ledger was taken had ended, and that its log does not name."""
    return [
        f"{task_id} after {loss.how} ({loss.batch})"
        for loss in facts.happened.losses
        for task_id in sorted(loss.running)
        if task_id not in loss.run.log and not _is_unknown(facts, task_id)
    ]


def _is_unknown(facts: Facts, task_id: str) -> bool:
    """Whether nobody could name it: its create was never answered."""
    job = job_of(facts.tasks[task_id])
    return any(job in batch.unknown for batch in facts.batches)


def asked_on_poisoned(facts: Facts) -> list[str]:
    """Calls sent on connections on which bytes were lying that nobody had asked for."""
    return [
        f"{taken.action}, {taken.after_s:.3f} s after {taken.unasked}" for taken in facts.taken if taken.in_good_time
    ]


CHECKS: Final[Mapping[str, Callable[[Facts], list[str]]]] = {
    "jobs made twice": made_twice,
    "tasks lost: in no row and not listed as unknown": lost,
    "answers swapped: tasks, files, first frames of another job": swapped,
    "calls on a connection with unasked bytes": asked_on_poisoned,
    "actions over their rate in any one second": over_the_rate,
    "kinds over their cap of running tasks": over_the_caps,
    "jobs not in a final state, once each": not_final,
    "outcomes that the ledger does not have so": untrue,
    "jobs failed here and done at the service": wrongly_failed,
    "unknown jobs not listed, once": badly_listed,
    "runs and outcomes that ended in a traceback": tracebacks,
    "ledgers damaged": damaged,
    "second processes let in": let_in,
    "creates after their ledger was taken": created_without_ledger,
    "running tasks not told after it": untold,
}
"""The checks by name; each must find nothing."""
