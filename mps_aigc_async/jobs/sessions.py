"""Sessions of creates, where a service takes them (VOD's images and videos, the relay): it refuses a second create of
one session.

So an unknown create may be sent again with its session, where the service is known to refuse a second one
(`session_trust`). A refusal proves that the first one was accepted. Its task is then found by the session in the
account's list, where the service has a list.

The service remembers a session for a time, and accepts a forgotten one again: the session's age decides, and no clock
may make the session younger than it is. VOD refuses a call that is signed by a wrong clock. A relay refuses none:
there the age counts by this process's own observation, or by a time that the relay has just told.
"""

import asyncio
import logging
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

from ..ledger import JobRecord
from ..model.errors import AigcError, CreateOutcomeUnknown, NoTaskId, ServiceError, TransportError
from ..model.states import Ending, JobState, Kind, TaskState
from ..model.vod_options import SESSION_PREFIX
from ..network.calls import Calls
from ..network.clock import Mark, ServiceClock
from ..wire.dialect import Call, Dialect, HttpAnswer, SessionRule
from .own_sessions import has_users_session, replan, users_session
from .session_holders import SessionHolders
from .session_trust import SessionTrust

T = TypeVar("T")

_log: Final = logging.getLogger("mps_aigc_async")

SESSION_LIFE_S: Final = 3 * 24 * 3600.0 - 3600.0
"""Seconds for which a session that was sent may be sent again: the service remembers it for 3 days (VOD's SessionId),
less an hour for clocks that differ."""

FIND_PAGES: Final = 10
"""Pages of 100 tasks looked through for a session's task: the newest thousand in each state."""

LOOK_AGAIN_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two looks at the account's list, which may lag behind the creates: VOD does not say by how much.
Looks cost a read each; later runs look again."""

LIST_LAG_S: Final = sum(LOOK_AGAIN_S)
"""Seconds after the latest news of a create during which its task may still be missing in the list."""

TIME_ANSWER_S: Final = 5.0
"""Seconds to wait for the service's time before a session is judged."""

NO_TASK: Final = "0"
"""A TaskId that no task has: the refusal carries the time like any other answer."""

UNDATED: Final = f"{SESSION_PREFIX}m"
"""The prefix of sessions whose `intent_at` is by the machine's clock, which may have been wrong. Hexadecimal digits
follow, and `m` is not one of them. At most 50 characters in all."""


class Sessions:
    """The sessions of one ledger's creates."""

    def __init__(
        self, calls: Calls, dialect: Dialect, clock: ServiceClock, trust: SessionTrust, holders: SessionHolders
    ) -> None:
        self._calls = calls
        self._dialect = dialect
        self._clock = clock
        self.trust: Final = trust
        self._holders = holders
        self._unknown_since: dict[str, Mark] = {}
        """For each session of an unknown create, when this process began it."""
        self._asking = asyncio.Lock()
        self._has_asked = False

    async def load(self) -> None:
        """Load the facts that the ledger has about sessions."""
        await self.trust.load()
        await self._holders.load()

    async def begin(self, job: JobRecord) -> JobRecord:
        """The job with a session for its next create, where the service takes one: the user's, by the table of
        `own_sessions`, else one of the client's. Raises InvalidRequest for a user's session that another job has.

        The client's are long and random: on a relay's shared account they must meet nobody else's.
        """
        if job.has_sent_session or self._dialect.sessions(job.kind) is SessionRule.NONE:
            return job
        if self._begins_with_the_users(job):
            return replace(job, session_id=await self._holders.claim(job))
        if not self._dialect.signs_time and self.trust.holds_for(job):
            await self._ask_time_once(job.kind)  # or the next process could not tell how old the session is
        is_dated = self._dialect.signs_time or not self._clock.is_the_machines
        return replace(job, session_id=f"{SESSION_PREFIX if is_dated else UNDATED}{secrets.token_hex(20)}")

    async def reserve(self, job: JobRecord) -> None:
        """Keep the session that the user chose for a job's create from other jobs until `release`. Raises
        InvalidRequest if another job has it."""
        if self._begins_with_the_users(job):
            await self._holders.reserve(job)

    def release(self, job: JobRecord) -> None:
        """End the reservation of a job's session, unless the job's create has begun by now."""
        self._holders.release(job)

    def _begins_with_the_users(self, job: JobRecord) -> bool:
        takes_one = self._dialect.sessions(job.kind) is not SessionRule.NONE
        return takes_one and not job.session_id and bool(users_session(job))

    def note_unknown(self, job: JobRecord, since: Mark) -> None:
        """Note an unknown create. Its session was begun at `since`, or earlier in this process."""
        if job.session_id:
            self._unknown_since.setdefault(job.session_id, since)

    def end(self, job: JobRecord) -> None:
        """Note that the outcome of a create is known now."""
        self._unknown_since.pop(job.session_id, None)

    def planned_again(self, job: JobRecord) -> JobRecord:
        """An unknown job that the user wants to be created again.

        The job keeps its session and the request that was sent in it: if the first create was accepted after all, the
        service can refuse the second one. A job that is known to be accepted gets a new session, since the user wants a
        second task then; so does one whose session is old.
        """
        again = replan(job)
        error = job.recorded_error()
        is_known = isinstance(error, CreateOutcomeUnknown) and not error.repeatable
        is_old = self._clock.now() - (job.intent_at or 0.0) > SESSION_LIFE_S
        if not job.session_id or is_known or is_old:
            return again
        return replace(again, session_id=job.session_id, intent_at=job.intent_at, filled_in=job.filled_in)

    # --- may a create be sent again? ----------------------------------------------------------------------------------

    def are_honoured(self, job: JobRecord) -> bool:
        """Whether the service is known to refuse a second create of the job's session."""
        return bool(job.session_id) and self.trust.holds_for(job)

    def may_repeat(self, job: JobRecord) -> bool:
        """Whether an unknown create may be sent again while its session is young enough."""
        if job.state is not JobState.UNKNOWN or not self.are_honoured(job):
            return False
        error = job.recorded_error()
        return not isinstance(error, CreateOutcomeUnknown) or error.repeatable

    async def may_send_again(self, job: JobRecord) -> bool:
        """Whether an unknown create may be sent again now. Asks the service for its time if that is needed."""
        if not self.may_repeat(job):
            return False
        age_s = await self._age_s(job)
        return age_s is not None and 0 <= age_s < SESSION_LIFE_S  # below 0: a clock was wrong, and the age is not known

    async def _age_s(self, job: JobRecord) -> float | None:
        """Seconds since the session's first create, or more; None if no clock can be trusted."""
        begun_here = self._unknown_since.get(job.session_id)
        if self._dialect.signs_time:
            if self._clock.is_the_machines:
                await self._ask_time(job.kind)
            by_service = self._clock.now() - (job.intent_at or 0.0)
            return by_service if begun_here is None else max(by_service, self._clock.since(begun_here))
        if begun_here is not None:
            return self._clock.since(begun_here)
        if not self._clock.is_certain:
            await self._ask_time(job.kind)
        if not self._clock.is_certain or job.session_id.startswith(UNDATED) or has_users_session(job):
            return None  # a user's id does not say by which clock its first create is dated
        return self._clock.now() - (job.intent_at or 0.0)

    async def _ask_time_once(self, kind: Kind) -> None:
        """Learn the service's time, if it is not known yet. An earlier attempt that failed is not repeated."""
        async with self._asking:
            if self._clock.is_the_machines and not self._has_asked:
                self._has_asked = True
                await self._ask_time(kind)

    async def _ask_time(self, kind: Kind) -> None:
        """Learn the service's time from the answer to a read."""
        with suppress(AigcError, TimeoutError):
            async with asyncio.timeout(TIME_ANSWER_S):
                await self._calls.send(self._dialect.describe(kind, NO_TASK))

    def next_step(self, job: JobRecord) -> str:
        """The next step for a create that was not answered, for its error's text."""
        if self.are_honoured(job):
            return (
                "for 3 days the same request sends the create again with its session, and the service refuses a second "
                "create of one session"
            )
        reason = self.trust.reason_against(job)
        return f"it is not sent again by itself{f' ({reason})' if reason else ''}"

    # --- its task -----------------------------------------------------------------------------------------------------

    def may_have_task(self, job: JobRecord) -> bool:
        """Whether the task of an unknown job may be in a list of the account's tasks."""
        return job.state is JobState.UNKNOWN and self.lists_tasks(job)

    def lists_tasks(self, job: JobRecord) -> bool:
        """Whether the service lists its tasks by session, and the job has one that nobody else can have."""
        is_own = bool(job.session_id) and not has_users_session(job)
        return is_own and self._dialect.tasks(TaskState.WAITING, "") is not None

    async def find_task(self, job: JobRecord) -> str:
        """The TaskId of the job's session; empty where it cannot be found. Looks again for a while if the create is so
        young that the list may lag behind it."""
        for pause_s in (0.0, *LOOK_AGAIN_S):
            age_s = self._clock.now() - (job.ended_at or 0.0)
            if pause_s and not -LIST_LAG_S < age_s < LIST_LAG_S:
                break
            await asyncio.sleep(pause_s)
            if task_id := await self.look_for_task(job):
                return task_id
        return ""

    async def look_for_task(self, job: JobRecord) -> str:
        """The TaskId of the job's session, if the list has it now."""
        for state in (TaskState.WAITING, TaskState.RUNNING, TaskState.DONE):  # the way that a task goes meanwhile
            page, pages = "", 0
            while pages == 0 or (page and pages < FIND_PAGES):
                call = self._dialect.tasks(state, page)
                if call is None:
                    return ""
                try:
                    found = await self._calls.send(call)
                except AigcError as error:
                    _log.warning("cannot look for the task of %s: %s", job.job_id, error)
                    return ""
                if twins := found.twins.get(job.session_id):
                    await self.trust.contradict(job, twins[0], twins[1])
                if task_id := found.task_ids.get(job.session_id, ""):
                    return task_id
                page, pages = found.next_page, pages + 1
        return ""


def as_create(call: Call[T], *, signs_time: bool) -> Call[T]:
    """The call, with a decoder that raises NoTaskId for an answer with HTTP 2xx that does not show the outcome of the
    create.

    A service that signs writes its own errors behind 200: their errors are answers, and stay unchanged.
    """

    def decode(answer: HttpAnswer) -> T:
        try:
            return call.decode(answer)
        except (TransportError, ServiceError) as error:
            is_open = error.ending is Ending.UNKNOWN and 200 <= answer.status < 300
            if not is_open or isinstance(error, NoTaskId) or (signs_time and isinstance(error, ServiceError)):
                raise
            raise NoTaskId(error.reason, ending=Ending.UNKNOWN, action=error.action) from error

    return replace(call, decode=decode)
