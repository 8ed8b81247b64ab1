"""The users' session ids in one ledger, each with its job: two requests with one id would be one for the service."""

import threading
from dataclasses import dataclass, field
from typing import Final

from ..ledger import JobRecord, Ledger, OtherAccount
from ..model.errors import DamagedRow, InvalidRequest, JobDropped
from ..model.states import JobState
from .own_sessions import users_session

HOLDER: Final = "own session: "
"""The prefix of a fact about a user's session; the session follows, and the fact's value is its job."""


@dataclass(slots=True, eq=False)
class Holders:
    """The jobs that have the users' sessions of a ledger. The clients of an opened ledger share them."""

    by_session: dict[str, str] = field(default_factory=dict)
    on_disk: set[str] = field(default_factory=set)
    """The sessions whose job the ledger has."""
    guard: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Held while a session is taken from a job: between the look and the removal, no other loop may take it."""

    def take_from(self, session_id: str, job_id: str) -> None:
        """Free a job's session, unless another job has taken it meanwhile."""
        with self.guard:
            if self.by_session.get(session_id) == job_id:
                del self.by_session[session_id]
                self.on_disk.discard(session_id)


class SessionHolders:
    """The users' sessions of one ledger, each with its job."""

    def __init__(self, ledger: Ledger, holders: Holders | None = None) -> None:
        self._ledger = ledger
        self._holders = holders or Holders()

    def __repr__(self) -> str:
        return f"<SessionHolders, {len(self._holders.by_session)} in use>"

    async def load(self) -> None:
        """Load the sessions that earlier processes used."""
        for name, job_id in (await self._ledger.facts()).items():
            if name.startswith(HOLDER):
                session_id = name.removeprefix(HOLDER)
                self._holders.by_session.setdefault(session_id, job_id)
                self._holders.on_disk.add(session_id)

    async def claim(self, job: JobRecord) -> str:
        """The user's session for the job's next create. Raises InvalidRequest if another job of the ledger has it, and
        LedgerError if the ledger cannot keep it.

        The claim counts from before the first await on, and is in the ledger before the create's intent.
        """
        session_id, on_disk = await self.reserve(job), self._holders.on_disk
        if session_id not in on_disk:
            on_disk.add(session_id)  # from now on a reservation that ends leaves the session to the job
            try:
                await self._ledger.keep_fact(f"{HOLDER}{session_id}", job.job_id)
            except BaseException:
                on_disk.discard(session_id)
                raise
        return session_id

    async def reserve(self, job: JobRecord) -> str:
        """The user's session for a create that the job makes later, kept from the other jobs of this process until
        `release`. Raises InvalidRequest if another job of the ledger has it."""
        session_id, by_session = users_session(job), self._holders.by_session
        while (holder := by_session.setdefault(session_id, job.job_id)) != job.job_id:
            if not await self._has_released(holder):
                raise InvalidRequest(
                    f"vod.session_id: {session_id!r} is the session of {holder}: the service refuses a second create "
                    "of one session; choose another session id, and another id for the request"
                )
            self._holders.take_from(session_id, holder)
        return session_id

    def release(self, job: JobRecord) -> None:
        """End a job's reservation. A session that the job has claimed stays the job's."""
        session_id, holders = users_session(job), self._holders
        if session_id not in holders.on_disk:
            holders.take_from(session_id, job.job_id)

    async def _has_released(self, job_id: str) -> bool:
        """Whether a job that had a session certainly made no task in it, and sends no create by itself any more."""
        try:
            job = await self._ledger.get(job_id)
            if job is None or job.state is not JobState.FAILED or job.task_id is not None:
                return False
            return not isinstance(job.recorded_error(), JobDropped)
        except (DamagedRow, OtherAccount):
            return False
