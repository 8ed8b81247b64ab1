"""Announces to the client's listeners how jobs move: one method for each event."""

from collections.abc import Callable
from typing import TypedDict

from ..ledger import JobRecord
from ..model import events
from ..model.errors import AigcError, Throttled
from ..model.states import Kind
from ..wire.dialect import TaskStatus


class _Common(TypedDict):
    """The fields that all events have."""

    at: float
    job_id: str
    kind: Kind


class Announcer:
    """Announces the events of one client's jobs. An event that nobody listens for is not built."""

    def __init__(self, listeners: events.Events, wall: Callable[[], float]) -> None:
        self._listeners = listeners
        self._wall = wall

    def _common(self, job: JobRecord) -> _Common:
        return {"at": self._wall(), "job_id": job.job_id, "kind": job.kind}

    def tell_planned(self, job: JobRecord) -> None:
        if self._listeners.has_listeners:
            self._listeners.emit(events.Planned(**self._common(job)))

    def tell_paced(self, job: JobRecord) -> None:
        if self._listeners.has_listeners:
            self._listeners.emit(events.Paced(**self._common(job)))

    def tell_submitted(self, job: JobRecord) -> None:
        if self._listeners.has_listeners:
            self._listeners.emit(events.Submitted(**self._common(job), task_id=job.task_id or ""))

    def tell_polled(self, job: JobRecord, status: TaskStatus) -> None:
        if self._listeners.has_listeners:
            task_id, word = job.task_id or "", status.word
            self._listeners.emit(
                events.Polled(**self._common(job), task_id=task_id, status=word, progress=status.progress)
            )

    def tell_retry(self, job: JobRecord, error: AigcError, delay_s: float) -> None:
        """A create, a download or a whole job is retried after `delay_s` seconds."""
        if self._listeners.has_listeners:
            self._listeners.emit(events.Retried(**self._common(job), error=error, delay_s=delay_s))
            if isinstance(error, Throttled):
                self._listeners.emit(events.Throttled(**self._common(job), action=error.action or ""))

    def tell_done(self, job: JobRecord) -> None:
        if self._listeners.has_listeners:
            self._listeners.emit(events.Done(**self._common(job), task_id=job.task_id or ""))

    def tell_saved(self, job: JobRecord) -> None:
        if self._listeners.has_listeners:
            self._listeners.emit(events.Saved(**self._common(job), task_id=job.task_id or "", files=job.files))

    def tell_failed(self, job: JobRecord, error: AigcError) -> None:
        if self._listeners.has_listeners:
            self._listeners.emit(events.Failed(**self._common(job), error=error))

    def tell_unknown(self, job: JobRecord, error: AigcError) -> None:
        if self._listeners.has_listeners:
            self._listeners.emit(events.Unknown(**self._common(job), error=error))
