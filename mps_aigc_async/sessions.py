"""Sessions of creates, where the service takes them (VOD, the relay): it refuses a second create of one session.

So a create in doubt may be sent again with its session. A refusal proves that the first one was accepted; its task is
then found by the session in the account's list, where the service has one.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from .calls import Calls
from .errors import AigcError, CreateOutcomeUnknown
from .ledger import JobRecord
from .states import JobState, TaskState
from .wire.dialect import Dialect

_log: Final = logging.getLogger("mps_aigc_async")

SESSION_LIFE_S: Final = 3 * 24 * 3600.0 - 3600.0
"""Seconds for which a session that was sent may be sent again: the service remembers it for 3 days (VOD's SessionId),
less an hour for clocks that differ."""

FIND_PAGES: Final = 10
"""Pages of 100 tasks looked through for a session's task: the newest thousand in each state."""


class Sessions:
    """The sessions of one service's creates."""

    def __init__(self, calls: Calls, dialect: Dialect, wall: Callable[[], float]) -> None:
        self._calls = calls
        self._dialect = dialect
        self._wall = wall

    def begin(self, job: JobRecord) -> JobRecord:
        """The job with a session for its next create, where the service takes one.

        Long and random: on a relay's shared account it must meet nobody else's. At most 50 characters.
        """
        if job.session_id or not self._dialect.takes_sessions:
            return job
        return replace(job, session_id=f"mps-aigc-{secrets.token_hex(20)}")

    def may_send_again(self, job: JobRecord) -> bool:
        """Whether a create in doubt may be sent again: the service refuses a second one of its session, or takes the
        first."""
        if job.state is not JobState.UNKNOWN or not job.session_id:
            return False
        age_s = self._wall() - (job.intent_at or 0.0)  # below 0: a clock that was wrong tells nothing
        return not _is_accepted(job) and 0 <= age_s < SESSION_LIFE_S

    def may_have_task(self, job: JobRecord) -> bool:
        """Whether a job is known to have been accepted, and its task may be in the account's list."""
        return job.state is JobState.UNKNOWN and bool(job.session_id) and _is_accepted(job)

    async def find_task(self, job: JobRecord) -> str:
        """The TaskId of the job's session; empty where it cannot be found."""
        for state in (TaskState.WAITING, TaskState.RUNNING, TaskState.DONE):  # the way that a task goes meanwhile
            page, pages = "", 0
            while pages == 0 or (page and pages < FIND_PAGES):
                call = self._dialect.tasks(state, page)
                if call is None:
                    return ""
                try:
                    found = await self._calls.call(call)
                except AigcError as error:
                    _log.warning("the task of %s cannot be looked for: %s", job.job_id, error)
                    return ""
                if task_id := found.task_ids.get(job.session_id, ""):
                    return task_id
                page, pages = found.next_page, pages + 1
        return ""


def _is_accepted(job: JobRecord) -> bool:
    error = job.recorded_error()
    return isinstance(error, CreateOutcomeUnknown) and error.accepted
