"""What the page says of one request: its jobs' rows, in words."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final

from pydantic import JsonValue

from ..ledger import JobRecord
from ..model.errors import AigcError, CreateOutcomeUnknown, DamagedRow, DownloadError, ResultExpired
from ..model.states import JobState, Kind
from ..policy.advice import advice_for

UNDER_WAY_S: Final = 300.0
"""A create older than this is under way no more: it waits 250 ms for its time, and its answer a minute."""

_QUERY: Final = re.compile(r"(?<=[^\s?])\?[^\s\"'<>]*=[^\s\"'<>]*")

Find = Callable[[str], str | None]
"""Where the page finds a file of the ledger, as a relative URL; None if it is gone."""

Facts = Sequence[tuple[str, str]]
"""Names and values, for people."""


class Standing(StrEnum):
    """How a request stands, as far as somebody has to know it. The worst of its jobs counts, the first here."""

    FAILED = "failed"
    UNKNOWN = "unknown"
    OPEN = "open"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One job of a request."""

    kind: Kind
    standing: Standing
    word: str
    """How it stands, in two or three words."""
    prompt: str
    model: str
    settings: Facts
    timings: Facts
    ids: Facts
    files: Sequence[str]
    """Relative URLs."""
    films: Sequence[str] = ()
    """Beside an audio's files: the video with the sound on it."""
    reason: str
    """Why it did not end well, or what is left to do; empty where nothing is."""
    advice: str
    error: AigcError | None
    """What it has to be looked into for, in words that alike ones share."""

    @property
    def media(self) -> Sequence[tuple[Kind, str]]:
        """What is to be seen or heard of it: each file, and as what it is shown."""
        return [*((self.kind, file) for file in self.files), *((Kind.VIDEO, film) for film in self.films)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request."""

    number: int
    """From 1, in the order of planning; its place on the page."""
    name: str
    standing: Standing
    steps: Sequence[Step]

    @property
    def poster(self) -> str | None:
        """What a chain's video shows before it plays: the image that it begins with."""
        return next((step.files[0] for step in self.steps if step.kind is Kind.IMAGE and step.files), None)


def shot_of(number: int, name: str, jobs: Sequence[JobRecord], *, find: Find, now: float) -> Shot:
    """A request's rows as the page shows them at `now` (Unix seconds)."""
    in_order = sorted(jobs, key=lambda job: list(Kind).index(job.kind))
    steps = [_step(job, before, find, now) for before, job in pairwise([None, *in_order]) if job is not None]
    ranked = list(Standing)
    standing = min((step.standing for step in steps), key=ranked.index)
    return Shot(number=number, name=name, standing=standing, steps=steps)


def _step(job: JobRecord, before: JobRecord | None, find: Find, now: float) -> Step:
    sent = _sent(job)
    own = len(job.files) - len(job.videos)
    files, films = (
        [place for file in some if file and (place := find(file)) is not None]
        for some in (job.files[:own], job.files[own:])
    )
    gone = len(files) + len(films) < sum(map(bool, job.files))
    standing, word, reason, error = _how_it_stands(job, before, gone, now)
    return Step(
        kind=job.kind,
        standing=standing,
        word=word,
        prompt=str(sent.get("prompt", "")),
        model=" ".join(str(sent[name]) for name in ("model_name", "model_version") if sent.get(name)),
        settings=tuple(_settings(sent if job.duration is None else {**sent, "duration": job.duration})),
        timings=tuple(_timings(job)),
        ids=tuple(_ids(job)),
        files=files,
        films=films,
        reason=reason,
        advice=advice_for(error) if error is not None else "",
        error=error,
    )


def _ids(job: JobRecord) -> Iterator[tuple[str, str]]:
    """By what it is known at the service."""
    known = (("task", job.task_id), ("request", job.request_id), *(("file", file_id) for file_id in job.file_ids))
    return ((name, value) for name, value in known if value)


def _sent(job: JobRecord) -> dict[str, JsonValue]:
    """The request's fields, as far as they can be read: one damaged row must not cost the page."""
    with suppress(DamagedRow):
        return {**job.filled_in, **job.sent_fields()}
    return job.filled_in


def _how_it_stands(
    job: JobRecord, before: JobRecord | None, gone: bool, now: float
) -> tuple[Standing, str, str, AigcError | None]:
    """The standing, a word for it, the reason, and the error whose advice fits."""
    error: AigcError | None = None
    match job.state:
        case JobState.FAILED | JobState.UNKNOWN:
            error = job.recorded_error()
            return Standing(job.state.value), job.state.value, f"{clean(error.reason)}{_left_by(job)}", error
        case JobState.DONE | JobState.SAVED if job.state is JobState.DONE or gone:
            not_saved = "not all saved" if any(job.files) else "not saved"
            return _not_here(job, "its file is gone" if gone else not_saved, now)
        case JobState.SAVED:
            return Standing.DONE, "saved", "", None
        case JobState.SUBMITTED:
            return Standing.OPEN, "at the service", "the same command again polls it to its end", None
        case JobState.INTENT if now - (job.intent_at or now) < UNDER_WAY_S:
            return Standing.OPEN, "being created", "its create was under way when this was written", None
        case JobState.INTENT:  # its process died; the next one to open the ledger says the same
            lost = CreateOutcomeUnknown("the process ended while the create was under way")
            return Standing.UNKNOWN, "unknown", lost.reason, lost
        case _:
            return _not_created(job, before, now)


def _left_by(job: JobRecord) -> str:
    """Results that a failed task left: worth a look before it is made again."""
    made = max(len(job.urls) + len(job.bare_file_ids), len(job.file_ids))
    return f" (it left {made} {'result' if made == 1 else 'results'}, which the ledger keeps)" if made else ""


def _not_here(job: JobRecord, word: str, now: float) -> tuple[Standing, str, str, AigcError | None]:
    it = "its URL" if job.urls or job.videos else "its file at VOD"
    if job.expires_at is None:
        lives = "does not expire" if job.never_expires else "ends at a time that is not known"
        return Standing.OPEN, word, f"{word}; {it} {lives}", DownloadError(word)
    if now < job.expires_at:
        return Standing.OPEN, word, f"{word}; {it} lives until {clock(job.expires_at)}", DownloadError(word)
    error = ResultExpired(f"{word}, and {it} has ended")
    return Standing.FAILED, word, f"{word}, and {it} ended at {clock(job.expires_at)}", error


def _not_created(job: JobRecord, before: JobRecord | None, now: float) -> tuple[Standing, str, str, AigcError | None]:
    """A video waits for its image and a sound for its video, and their URLs do not live for ever."""
    if before is not None:
        how = _GOES_ON[job.kind]
        if before.state in (JobState.FAILED, JobState.UNKNOWN):
            return Standing.OPEN, "not created", f"it {how} the {before.kind}, which there is not", None
        is_made = before.state in (JobState.DONE, JobState.SAVED)
        if is_made and before.expires_at is not None and now >= before.expires_at:
            error = ResultExpired(f"not created: the URL of the {before.kind} that it {how} has ended")
            return Standing.FAILED, "not created", error.reason, error
    return Standing.OPEN, "not created", "nothing was paid for it yet; the same command again creates it", None


_GOES_ON: Final = {Kind.VIDEO: "begins with", Kind.AUDIO: "is made for"}

_SHOWN_ELSEWHERE: Final = frozenset({"prompt", "model_name", "model_version", "first_frame", "last_frame"})


def _settings(sent: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """The request's plain settings; what is a list or an object of its own is in the ledger."""
    for name, value in sent.items():
        if name not in _SHOWN_ELSEWHERE and isinstance(value, str | int | float):
            shown = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
            yield name.replace("_", " "), f"{shown} s" if name == "duration" else str(shown)


def _timings(job: JobRecord) -> Iterator[tuple[str, str]]:
    sent = job.sent_at if job.sent_at is not None else job.intent_at
    if sent is None or job.state is JobState.PLANNED:
        return
    yield "sent", f"{clock(sent)}, {seconds(sent - job.planned_at)} after it was planned"
    if job.attempts > 1:
        yield "creates tried", f"{job.attempts}, this the last"
    if job.submitted_at is None:
        return
    yield "accepted after", seconds(job.submitted_at - sent)
    if job.running_at is not None:
        yield "in the queue", seconds(job.running_at - job.submitted_at)
    if job.ended_at is None:
        return
    yield "at the service", seconds(job.ended_at - job.submitted_at)
    if job.begun_at is not None and job.finished_at is not None:
        yield "worked on for", seconds(job.finished_at - job.begun_at)
    if job.usage is not None and job.usage.output_seconds is not None:
        yield "billed output", f"{job.usage.output_seconds:g} s"
    if job.unfinished_at is not None:
        yield "noticed within", seconds(job.ended_at - job.unfinished_at)
    if job.saved_at is not None:
        yield "saved after", seconds(job.saved_at - job.ended_at)


def clean(reason: str) -> str:
    """A reason without the queries of the URLs in it: the service may quote what it was sent, signature included.

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
    """A moment in this machine's time zone, which the page names once."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
