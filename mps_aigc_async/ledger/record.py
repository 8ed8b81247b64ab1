"""A job as a row: a frozen value that moves only as `states.MOVES` allows."""

import json
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypedDict, Unpack

from pydantic import JsonValue

from ..model.error_records import from_record
from ..model.errors import AigcError, DamagedRow, JobCancelled, JobDropped, LedgerError, TaskBlocked, TaskFailed
from ..model.requests import model_label
from ..model.results import AudioResult, ImageResult, StepResult, Usage, VideoResult
from ..model.states import MOVES, JobState, Kind
from ..model.vod_options import SESSION_PREFIX
from .damage import damaged_row

DROPPED: Final = JobDropped.__name__
"""The type of the recorded error of a job that the user has dropped."""

CANCELLED: Final = JobCancelled.__name__
"""The type of the recorded error of a job that the user has cancelled before its create."""

_FAILED_THERE: Final = frozenset({TaskFailed.__name__, TaskBlocked.__name__})
"""The types of the recorded error of a task that the service has failed."""

SPENT: Final = f"{SESSION_PREFIX}next"
"""The session of a planned job whose user's session may belong to an earlier task: the client makes its next one."""


def request_of(job_id: str) -> str:
    """The name of the request that a job belongs to.

    >>> request_of("shot-001/video")
    'shot-001'
    """
    return job_id.rpartition("/")[0]


def job_ids(name: str) -> dict[Kind, str]:
    """The ids that a request's jobs may have, by kind.

    >>> job_ids("shot-001")[Kind.VIDEO]
    'shot-001/video'
    """
    return {kind: f"{name}/{kind}" for kind in Kind}


class _Common(TypedDict):
    """The fields that results of all kinds have."""

    task_id: str
    request_id: str
    urls: tuple[str, ...]
    file_ids: tuple[str, ...]
    bare_file_ids: tuple[str, ...]
    expires_at: datetime | None
    never_expires: bool
    files: tuple[Path, ...]
    usage: Usage | None
    begun_at: datetime | None
    finished_at: datetime | None


class Changes(TypedDict, total=False):
    """The fields that a move may write besides the state."""

    token: str
    intent_at: float | None
    filled_in: dict[str, JsonValue]
    sent_at: float | None
    session_id: str
    task_id: str
    submitted_at: float
    slot_until: float
    request_id: str
    urls: tuple[str, ...]
    file_ids: tuple[str, ...]
    bare_file_ids: tuple[str, ...]
    progress: int | None
    usage: Usage | None
    begun_at: float | None
    finished_at: float | None
    resolution: str | None
    duration: float | None
    durations: tuple[float | None, ...]
    videos: tuple[str, ...]
    video_durations: tuple[float | None, ...]
    running_at: float | None
    unfinished_at: float | None
    ended_at: float | None
    expires_at: float | None
    never_expires: bool
    saved_at: float
    files: tuple[str, ...]
    error: dict[str, str]
    amount: float | None
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """The state of a job. Times are Unix seconds."""

    job_id: str
    kind: Kind
    content: str
    """The user's request (canonical JSON). The same id with other content is an error."""
    planned_at: float
    state: JobState = JobState.PLANNED
    intent_at: float | None = None
    attempts: int = 0
    """The number of creates that certainly went out, without those that never reached a connection."""
    filled_in: dict[str, JsonValue] = field(default_factory=dict)
    """The fields sent beyond `content`: the config's defaults, a chain's first frame."""
    sent_at: float | None = None
    """When the latest create went out."""
    session_id: str = ""
    """The session id of the creates, where the service takes one (VOD, the relay). All creates of one session send the
    same request."""
    task_id: str | None = None
    submitted_at: float | None = None
    slot_until: float | None = None
    """The time at which the task would leave its slot if nobody polled it."""
    request_id: str | None = None
    """The RequestId of the create while *submitted*; afterwards that of the answer that ended the task."""
    urls: tuple[str, ...] = ()
    """The URLs of the results; a *failed* job may have some too."""
    file_ids: tuple[str, ...] = ()
    """VOD's ids of the results that VOD stores."""
    bare_file_ids: tuple[str, ...] = ()
    """The part of `file_ids` whose results have no URL."""
    resolution: str | None = None
    duration: float | None = None
    """The length of the first audio in seconds."""
    durations: tuple[float | None, ...] = ()
    """The length of each audio, in the order of `urls`."""
    videos: tuple[str, ...] = ()
    """URLs of the video to which an audio was added. Their files stand last in `files`."""
    video_durations: tuple[float | None, ...] = ()
    """The length of each of `videos`."""
    running_at: float | None = None
    """When a poll first found the task running; None if no poll did."""
    unfinished_at: float | None = None
    """When the task had certainly not ended yet: the end lies between `unfinished_at` and `ended_at`."""
    ended_at: float | None = None
    """When the client learned of the task's end. For an unknown create: when it was last sent, or last answered."""
    expires_at: float | None = None
    """When the results can no longer be fetched; None if they never expire, or if the time is unknown."""
    never_expires: bool = False
    """Whether the results never expire."""
    progress: int | None = None
    """The task's progress at its end in per cent, if the service reports it; a failed task may have less than 100."""
    usage: Usage | None = None
    """The service's count for its bill, if the service reports it."""
    begun_at: float | None = None
    """When the task began to run, by the service's clock."""
    finished_at: float | None = None
    """When the task ended, by the service's clock."""
    saved_at: float | None = None
    files: tuple[str, ...] = ()
    """The paths of the saved results, in the order of `urls`, `bare_file_ids` and `videos`; empty before the save."""
    error: dict[str, str] = field(default_factory=dict)
    """`errors.to_record` of the error that ended the job."""
    token: str = ""
    """The fence of a row in PostgreSQL: each intent has a new one (`claims.new_token`). Empty in other ledgers."""
    driver: str = ""
    """The id of the member that drives the job, in PostgreSQL; empty if no member does, and in other ledgers."""
    account: str = ""
    """The account in which the task was created, or may have been; empty for the account that the ledger belongs to,
    and before the first create."""
    position: int | None = None
    """The place of the job's request in the latest batch that had it, from 0; None for a request of no batch."""
    save_to: str = ""
    """The folder in which the request's results are saved; empty for none."""
    steps: tuple[Kind, ...] = ()
    """The kinds of the request's steps, in the order of making: a request with a row for each of them is planned
    whole. Empty in a row of an older version."""
    amount: float | None = None
    """The images or the seconds that the latest create asked for, or that a planned step of a chain has room for; None
    for an unknown number."""
    cost: float | None = None
    """The price of the latest create, by the config's `prices`; None for a model without a price."""

    def moved(self, state: JobState, **changes: Unpack[Changes]) -> "JobRecord":
        """Copy the job with a new state. Raises LedgerError for a move that the table lacks."""
        if state not in MOVES[self.state]:
            raise LedgerError(f"a job cannot move from {self.state} to {state}", job_id=self.job_id)
        row = replace(self, state=state, **changes)
        has_amount = row.may_be_paid or state is JobState.PLANNED  # the room of a create that was refused for now
        return row if has_amount else replace(row, amount=None, cost=None)

    @property
    def may_be_paid(self) -> bool:
        """Whether the latest create may be billed. The service bills tasks that succeed (AIGC guide of 2026-05-29), so
        a failed job counts only if its task left results, or nobody knows its end."""
        if self.state is not JobState.FAILED:
            return self.state is not JobState.PLANNED
        if self.task_id is None:
            return self.error.get("type") == DROPPED
        has_failed_there = self.error.get("type") in _FAILED_THERE and "may_have_result" not in self.error
        return bool(self.urls or self.file_ids) or not has_failed_there

    def replanned(self) -> "JobRecord":
        """Plan the job again: the user retries it, or its task ended without results (`task_ends`). The new row keeps
        only the number of creates from the former tries.

        Raises LedgerError if the table lacks the move.
        """
        self.moved(JobState.PLANNED)
        return self.blank(self.content)

    def blank(self, content: str) -> "JobRecord":
        """The job as it is planned with this content: of the former tries only the number of creates stays."""
        return JobRecord(
            job_id=self.job_id,
            kind=self.kind,
            content=content,
            planned_at=self.planned_at,
            attempts=self.attempts,
            token=self.token,
            position=self.position,
            save_to=self.save_to,
            steps=self.steps,
        )

    def sent_fields(self) -> dict[str, JsonValue]:
        """The fields of the request that is sent: the user's and those filled in. Raises DamagedRow."""
        try:
            return {**json.loads(self.content), **self.filled_in}
        except (ValueError, TypeError, RecursionError):
            raise self._damaged("`content` cannot be read") from None

    def _damaged(self, fault: str) -> DamagedRow:
        return damaged_row(self.job_id, fault, task_id=self.task_id)

    def cohort(self) -> Hashable:
        """A key shared with the jobs whose tasks last about as long. Raises DamagedRow."""
        fields = self.sent_fields()
        values = [fields.get(name) for name in ("model_name", "model_version", "duration", "off_peak")]
        if any(isinstance(value, list | dict) for value in values):
            raise self._damaged("`content` or `filled_in` is no request")
        return self.kind, *values

    @property
    def done_at(self) -> float | None:
        """When the task ended with results: by the service's clock if it reports the time, else when the client learned
        of it. None for a job that is neither *done* nor *saved*."""
        if self.state not in (JobState.DONE, JobState.SAVED):
            return None
        return self.ended_at if self.finished_at is None else self.finished_at

    def is_done_between(self, since: float, until: float) -> bool:
        """Whether the job is *done* or *saved*, and its task ended in [since, until)."""
        return self.done_at is not None and since <= self.done_at < until

    @property
    def model(self) -> str:
        """The name and version of the request's model; empty in a damaged row."""
        try:
            fields = self.sent_fields()
        except DamagedRow:
            return ""
        return model_label(fields.get("model_name"), fields.get("model_version"))

    @property
    def prompt(self) -> str:
        """The prompt for lists and reports; empty in a damaged row, so that the list goes on."""
        try:
            return str(self.sent_fields().get("prompt", ""))
        except DamagedRow:
            return ""

    @property
    def has_sent_session(self) -> bool:
        """Whether the row has the session of a create that may have been sent."""
        return self.session_id not in ("", SPENT)

    def recorded_error(self) -> AigcError:
        """The error that ended the job. The error of a failed task has the results that the task left."""
        error = from_record(self.error, job_id=self.job_id, task_id=self.task_id)
        if isinstance(error, TaskFailed):
            error.urls, error.file_ids = self.urls, self.file_ids
        return error

    def result(self) -> StepResult:
        """The results of the task. Raises LedgerError before the task is done, and DamagedRow."""
        if self.state not in (JobState.DONE, JobState.SAVED):
            raise LedgerError(f"the job is {self.state}, it has no result", job_id=self.job_id)
        if not self.task_id:
            raise self._damaged(f"it is {self.state}, without a TaskId")
        common: _Common = {
            "task_id": self.task_id,
            "request_id": self.request_id or "",
            "urls": self.urls,
            "file_ids": self.file_ids,
            "bare_file_ids": self.bare_file_ids,
            "expires_at": _date(self.expires_at),
            "never_expires": self.never_expires,
            "files": tuple(Path(file) for file in self.files if file),
            "usage": self.usage,
            "begun_at": _date(self.begun_at),
            "finished_at": _date(self.finished_at),
        }
        match self.kind:
            case Kind.IMAGE:
                return ImageResult(**common)
            case Kind.VIDEO:
                return VideoResult(**common, resolution=self.resolution)
            case Kind.AUDIO:
                return AudioResult(
                    **common,
                    duration=self.duration,
                    durations=self.durations,
                    videos=self.videos,
                    video_durations=self.video_durations,
                )


def _date(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
