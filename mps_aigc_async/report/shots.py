"""The page's words about a request, from the rows of its jobs."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from pydantic import JsonValue

from ..ledger import JobRecord
from ..model.errors import AigcError, CreateOutcomeUnknown, DamagedRow, DownloadError, ResultExpired
from ..model.states import JobState, Kind, Word, word_for
from ..policy.advice import advice_for

_QUERY: Final = re.compile(r"(?<=[^\s?])\?[^\s\"'<>]*=[^\s\"'<>]*")

MOVED: Final = "its file is not in its place any more: it was moved or deleted after it was saved"

Find = Callable[[str], str | None]
"""Finds a file of the ledger and returns its relative URL; None if the file is missing."""

Facts = Sequence[tuple[str, str]]
"""Names and values for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A job of a request."""

    kind: Kind
    standing: Word
    prompt: str
    model: str
    settings: Facts
    timings: Facts
    ids: Facts
    files: Sequence[str]
    """Relative URLs."""
    films: Sequence[str] = ()
    """Relative URLs of the videos with an audio's sound; `files` has the audio itself."""
    reason: str
    """The reason for a failure, or the next step; empty for a job that needs nothing."""
    advice: str
    error: AigcError | None
    """The error for which the job needs attention. Jobs with the same fault have the same reason in it."""

    @property
    def media(self) -> Sequence[tuple[Kind, str]]:
        """The files to show: the kind of player and the URL of each."""
        return [*((self.kind, file) for file in self.files), *((Kind.VIDEO, film) for film in self.films)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A request."""

    number: int
    """The request's place on the page: from 1."""
    name: str
    standing: Word
    """The word of the job that needs the user most."""
    steps: Sequence[Step]

    @property
    def poster(self) -> str | None:
        """The image that a chain's video shows before it plays: its first frame."""
        return next((step.files[0] for step in self.steps if step.kind is Kind.IMAGE and step.files), None)


def shot_of(number: int, name: str, jobs: Sequence[JobRecord], *, find: Find, now: float) -> Shot:
    """Turn a request's rows into a shot for the page at `now` (Unix seconds)."""
    in_order = sorted(jobs, key=lambda job: list(Kind).index(job.kind))
    steps: list[Step] = []
    for before, job in pairwise([None, *in_order]):
        if job is not None:
            steps.append(_step(job, before, steps[-1].standing if steps else None, find, now))
    standing = min((step.standing for step in steps), key=list(Word).index)
    return Shot(number=number, name=name, standing=standing, steps=steps)


def _step(job: JobRecord, before: JobRecord | None, before_word: Word | None, find: Find, now: float) -> Step:
    fields = _fields_of(job)
    own = len(job.files) - len(job.videos)
    files, films = (
        [place for file in paths if file and (place := find(file)) is not None]
        for paths in (job.files[:own], job.files[own:])
    )
    is_complete = len(files) + len(films) == sum(map(bool, job.files))
    standing, reason, error = _verdict(job, before, before_word, is_complete, now)
    return Step(
        kind=job.kind,
        standing=standing,
        prompt=str(fields.get("prompt", "")),
        model=" ".join(str(fields[name]) for name in ("model_name", "model_version") if fields.get(name)),
        settings=tuple(_settings({**fields, **_lengths(job)})),
        timings=tuple(_timings(job)),
        ids=tuple(_ids(job)),
        files=files,
        films=films,
        reason=reason,
        advice=advice_for(error) if error is not None else "",
        error=error,
    )


def _ids(job: JobRecord) -> Iterator[tuple[str, str]]:
    """The service's ids of the job's task, its request and its files."""
    ids = (("task", job.task_id), ("request", job.request_id), *(("file", file_id) for file_id in job.file_ids))
    return ((name, value) for name, value in ids if value)


def _fields_of(job: JobRecord) -> dict[str, JsonValue]:
    """The request's fields. A damaged row has fewer fields, so that the page is written all the same."""
    with suppress(DamagedRow):
        return {**job.filled_in, **job.sent_fields()}
    return job.filled_in


_Verdict = tuple[Word, str, AigcError | None]
"""The word for the state, the reason, and the error whose advice fits."""


def _verdict(
    job: JobRecord, before: JobRecord | None, before_word: Word | None, is_complete: bool, now: float
) -> _Verdict:
    """Judge a job. `before` is the chain's job before it; `is_complete` says whether all saved files are there."""
    word = word_for(
        job.state,
        before=before_word,
        intent_s=None if job.state is not JobState.INTENT else now - (job.intent_at or now),
    )
    match job.state:
        case JobState.FAILED | JobState.UNKNOWN:
            error = job.recorded_error()
            return word, f"{clean(error.reason)}{_left_by(job)}", error
        case JobState.DONE:
            not_saved = "not all saved" if any(job.files) else "not saved"
            return _not_here(job, not_saved if is_complete else "its file is gone", now)
        case JobState.SAVED:
            return word, "" if is_complete else MOVED, None
        case JobState.SUBMITTED:
            return word, "at the service: run the same command again to poll it to its end", None
        case JobState.INTENT if word is Word.RUNNING:
            return word, "its create was being sent when this was written", None
        case JobState.INTENT:  # its process died; the next process to open the ledger stores the same error
            unknown = CreateOutcomeUnknown("the process ended while the create was under way")
            return word, unknown.reason, unknown
        case _:
            return _not_created(word, job, before, now)


def _left_by(job: JobRecord) -> str:
    """The number of results that a failed task left, for the reason: look at them before a retry."""
    count = max(len(job.urls) + len(job.bare_file_ids), len(job.file_ids))
    return f" (it left {count} {'result' if count == 1 else 'results'}, which the ledger keeps)" if count else ""


def _not_here(job: JobRecord, fault: str, now: float) -> _Verdict:
    """Judge a job whose results are not all in the folder: by the life of their URLs."""
    source = "its URL" if job.urls or job.videos else "its file at VOD"
    if job.expires_at is None:
        expiry = "does not expire" if job.never_expires else "expires at an unknown time"
        return Word.DONE, f"{fault}; {source} {expiry}", DownloadError(fault)
    if now < job.expires_at:
        return Word.DONE, f"{fault}; {source} expires at {clock(job.expires_at)}", DownloadError(fault)
    error = ResultExpired(f"{fault}, and {source} has expired")
    return Word.DONE, f"{fault}, and {source} expired at {clock(job.expires_at)}", error


def _not_created(word: Word, job: JobRecord, before: JobRecord | None, now: float) -> _Verdict:
    """Judge a job before its create. A video needs its image's URL, and a sound its video's; both URLs may expire."""
    if before is not None:
        link = _LINK[job.kind]
        if word is Word.BLOCKED:
            return word, f"it {link} the {before.kind}, and there is no {before.kind}", None
        is_done = before.state in (JobState.DONE, JobState.SAVED)
        if is_done and before.expires_at is not None and now >= before.expires_at:
            error = ResultExpired(f"not created: the URL of the {before.kind} that it {link} has expired")
            return Word.BLOCKED, error.reason, error
    return word, "nothing was paid for it yet; run the same command again to create it", None


_LINK: Final = {Kind.VIDEO: "begins with", Kind.AUDIO: "is made for"}
"""The relation of a chain's job to the job before it."""

_SHOWN_ELSEWHERE: Final = frozenset({"prompt", "model_name", "model_version", "first_frame", "last_frame"})


def _settings(fields: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """The request's plain settings, without lists and objects: these are in the ledger."""
    for name, value in fields.items():
        if name not in _SHOWN_ELSEWHERE and isinstance(value, str | int | float):
            word = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
            yield name.replace("_", " "), f"{word} s" if name == "duration" else str(word)


def _lengths(job: JobRecord) -> dict[str, JsonValue]:
    """The seconds of an audio task's results, as far as the service reports them."""
    lengths = job.durations or job.video_durations  # an older row has the first one alone
    if len(lengths) < 2:
        return {} if job.duration is None else {"duration": job.duration}
    return {"durations": ", ".join("unknown" if length is None else f"{length} s" for length in lengths)}


def _timings(job: JobRecord) -> Iterator[tuple[str, str]]:
    sent_at = job.sent_at if job.sent_at is not None else job.intent_at
    if sent_at is None or job.state is JobState.PLANNED:
        return
    yield "sent", f"{clock(sent_at)}, {seconds(sent_at - job.planned_at)} after it was planned"
    if job.attempts > 1:
        yield "creates sent", f"{job.attempts}, this is the last"
    if job.submitted_at is None:
        return
    yield "accepted after", seconds(job.submitted_at - sent_at)
    if job.running_at is not None:
        yield "in the queue", seconds(job.running_at - job.submitted_at)
    if job.ended_at is None:
        return
    yield "at the service", seconds(job.ended_at - job.submitted_at)
    if job.begun_at is not None and job.finished_at is not None:
        yield "run time", seconds(job.finished_at - job.begun_at)
    if job.usage is not None and job.usage.output_seconds is not None:
        yield "billed output", f"{job.usage.output_seconds:g} s"
    if job.unfinished_at is not None:
        yield "end noticed within", seconds(job.ended_at - job.unfinished_at)
    if job.saved_at is not None:
        yield "saved after", seconds(job.saved_at - job.ended_at)


def clean(reason: str) -> str:
    """Remove the queries of URLs from a reason: the service may quote a URL with its signature.

    >>> clean("cannot fetch https://r.example/x.png?sign=abc&t=1 in time")
    'cannot fetch https://r.example/x.png in time'
    """
    return _QUERY.sub("", reason)


def seconds(length: float) -> str:
    """A length of time for people.

    >>> [seconds(length) for length in (0.034, 4.25, 74.4, 232, 7500)]
    ['34 ms', '4.2 s', '74 s', '3 min 52 s', '2 h 05 min']
    """
    length = max(0.0, length)
    if length < 1:
        return f"{length * 1000:.0f} ms"
    if length < 10:
        return f"{length:.1f} s"
    if length < 120:
        return f"{length:.0f} s"
    whole = round(length)
    if length < 7200:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def rate(per_second: float) -> str:
    """
    >>> rate(19.52), rate(0.06)
    ('19.5/s', '3.6/min')
    """
    return f"{per_second:.3g}/s" if per_second >= 1 else f"{per_second * 60:.2g}/min"


def clock(at: float) -> str:
    """A moment in this machine's time zone; the page names the zone once."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
