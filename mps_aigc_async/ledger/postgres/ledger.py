"""The ledger in PostgreSQL, for many processes and hosts.

Every `put` returns after its commit has reached the server's disk (`schema.DURABLE`). A job is driven by one member;
each write is fenced (`fences`), and a member that is gone leaves its jobs to others (`adoption`).
"""

# ruff: noqa: S608 — the statements are put together from constant names

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from math import inf
from typing import Final

from ...concurrency.home import Home
from ...model.budget import Bound
from ...model.errors import LedgerError
from ...model.states import JobState, Kind
from ...sharing.connection import Connection, Refused, Row, Value
from ...sharing.database_url import DatabaseUrl
from ...sharing.member import Member
from ..fences import Writer
from ..orphans import Orphan
from ..record import JobRecord, job_ids, request_of
from ..schema import COLUMNS
from .adoption import BEAT, adoption
from .chains_ahead import ChainsAhead
from .changes import Changes
from .commits import Commits
from .members import Members, Time
from .moves import CREATE_AGAIN, Claim, Note, Place, Plan, Put, Replace, Settle, foreign_row, fresh, owner_text
from .orphans import ORPHANS, orphan_of
from .patience import PatientConnection
from .rows import FIELDS, JOBS, OWNER, readable, record_of
from .schema import DURABLE, prepare

PORTION: Final = 500
"""Jobs to read before the loop turns again, as in a file."""

_BY_ID: Final = f"SELECT {FIELDS} FROM {JOBS} WHERE ledger = %(ledger)s AND job_id = ANY(%(ids)s)"

_MINE: Final = f"FROM {JOBS} WHERE ledger = %(ledger)s AND owner = ANY(%(owners)s)"

_BY_TASK: Final = f"SELECT {FIELDS} {_MINE} AND task_id = %(task_id)s ORDER BY seq"

_NEXT: Final = f"""SELECT {FIELDS}, seq {_MINE} AND state = %(state)s
    AND (planned_at, seq) > (%(planned_at)s, %(seq)s) ORDER BY planned_at, seq LIMIT %(portion)s"""
"""The next jobs after a position. No move changes a job's position, so no job is skipped or read twice."""

_END: Final = "coalesce(finished_at, ended_at)"
_DONE: Final = f"""SELECT {FIELDS}, {_END}, seq {_MINE} AND state IN ('done', 'saved')
    AND ({_END}, seq) > (%(since)s, %(seq)s) AND {_END} < %(until)s ORDER BY {_END}, seq LIMIT %(portion)s"""

_COUNTS: Final = f"SELECT state, count(*) {_MINE} AND job_id <> ALL(%(waiting)s) GROUP BY state"

_MAY_CREATE_AGAIN: Final = f"""SELECT {CREATE_AGAIN} FROM {JOBS} AS stored WHERE ledger = %(ledger)s
    AND owner = ANY(%(owners)s) AND job_id = %(job_id)s AND token = %(token)s AND state = 'unknown'"""

_FACTS: Final = "SELECT name, value FROM mps_aigc_ledger.facts WHERE ledger = %(ledger)s AND owner = ANY(%(owners)s)"
_KEEP_FACT: Final = """INSERT INTO mps_aigc_ledger.facts VALUES (%(ledger)s, %(owner)s, %(name)s, %(value)s)
    ON CONFLICT (ledger, owner, name) DO UPDATE SET value = excluded.value"""

_STATES: Final = frozenset(JobState)
_PLANNED_AT: Final = COLUMNS.index("planned_at")

_never_closed: Final[list[object]] = []
"""Connections that a fork has copied: their sockets are the parent's."""


class PostgresLedger:
    """The ledger of a member, from `open`."""

    durable = True

    def __init__(
        self, connection: Connection, owners: Sequence[Mapping[str, str]], member: Member, timing: Time
    ) -> None:
        url = connection.url
        self.url: Final = url
        self._home = Home.here()
        self._connection = connection
        self._database = PatientConnection(connection)
        texts = {owner.get("account", ""): owner_text(owner) for owner in owners}
        self._place = Place(url.ledger, texts, member.id)
        self.members: Final = Members(connection, member, timing, list(texts.values()))
        self._commits = Commits(self._database, self.members, self._place)
        self._changes = Changes(url, self.get)
        self._chains = ChainsAhead(self._database, self.members, self._place)
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<PostgresLedger {self.url.ledger} in {self.url}>"

    @classmethod
    async def open(
        cls,
        url: DatabaseUrl,
        belongs_to: Mapping[str, str],
        member: Member,
        timing: Time | None = None,
        *,
        others: Sequence[Mapping[str, str]] = (),
    ) -> "PostgresLedger":
        """Open the ledger of an owner: account, backend, endpoint and all else in which its TaskIds are valid. `others`
        are the owners of the client's further accounts. The first client makes the tables. No job is adopted yet:
        `adopt`.

        Raises LedgerError for a database that cannot be reached, or cannot hold a ledger."""
        ledger = cls(Connection(url), (belongs_to, *others), member, timing or Time())
        try:
            await prepare(ledger._connection)
            await ledger.members.enter()
        except BaseException:
            await ledger._connection.close()
            raise
        ledger.members.start()
        return ledger

    # --- writes -------------------------------------------------------------------------------------------------------

    async def plan(self, job: JobRecord) -> JobRecord:
        return await self._commits.add(Plan(fresh(job)))

    async def claim(
        self, job: JobRecord, intent: JobRecord, ahead_of: Collection[Kind] = (), bound: Bound | None = None
    ) -> None:
        if intent.token in ("", job.token):
            raise LedgerError("an intent needs a token of its own (`claims.new_token`)", job_id=job.job_id)
        await self._commits.add(Claim(job, intent, ahead_of, bound))
        self._chains.begin(request_of(job.job_id), ahead_of)

    async def run_ahead(self, name: str, kind: Kind, most: Callable[[], int]) -> None:
        await self._chains.run_ahead(name, kind, most)

    def end_ahead(self, name: str, kind: Kind) -> None:
        self._chains.end_ahead(name, kind)

    def leave_ahead(self, name: str, kind: Kind) -> None:
        self._chains.leave_ahead(name, kind)

    async def put(self, job: JobRecord) -> None:
        writer = Writer.ANSWER if self.members.claims.is_open(job) else Writer.DRIVER
        await self._commits.add(Put(job, writer))

    async def note(self, job: JobRecord) -> None:
        await self._commits.add(Note(job))

    async def replace(self, job: JobRecord, new: JobRecord) -> JobRecord:
        """Write another plan over a job that has cost nothing. The row has a new token: other readers of the former row
        read it again."""
        return await self._commits.add(Replace(job, fresh(new)))

    async def settle(self, job: JobRecord) -> None:
        """Write the user's decision about an unknown job. Raises JobTaken if the job is no longer unknown, or if its
        create may still be sent and `job` is planned again (`may_create_again`)."""
        await self._commits.add(Settle(job))

    async def keep_fact(self, name: str, value: str) -> None:
        try:
            values: dict[str, Value] = {**self._place.keys, "name": name, "value": value}
            await self._database.run(DURABLE, (_KEEP_FACT, values))
        except Refused as refusal:
            raise LedgerError(f"cannot write the ledger {self.url.ledger}: {refusal}") from refusal

    # --- members ------------------------------------------------------------------------------------------------------

    @property
    def account(self) -> str:
        return self._place.account

    @property
    def in_place(self) -> bool:
        return not self.members.is_outdated

    def confirm(self, intent: JobRecord | None = None) -> None:
        """Raise ClaimInDoubt if the latest heartbeat is old: `renew` asks the database then. Raise JobTaken if others
        have taken the intent's job. Without an intent, ClaimInDoubt stands for any lost claim."""
        self.members.confirm(intent)

    async def renew(self) -> None:
        """Write a heartbeat now, and learn from it whether others have taken this member for gone. Raises ClaimInDoubt
        if the database cannot be reached."""
        await self.members.renew()

    @property
    def member(self) -> str:
        return self._place.me

    async def absence(self) -> None:
        await self.members.absence.wait()
        self.members.absence.clear()

    async def adopt(self) -> list[JobRecord]:
        """Take the jobs of members that are gone. Returns the *submitted* ones, which are this member's from now on,
        and those that have become *unknown*; *planned* jobs are free. Raises LedgerError."""
        absentees = list(self.members.absentees.values())
        beat = self.members.beat()
        try:
            rows = await self._database.run(*adoption(absentees, self._place, beat))
        except Refused as refusal:
            raise LedgerError(f"cannot adopt jobs in the ledger {self.url.ledger}: {refusal}") from refusal
        beat.note(rows[BEAT])
        return list(readable(rows[-1], self._record))

    async def may_create_again(self, job: JobRecord) -> bool:
        """Whether no create of an unknown job can go out any more: the member that wrote its intent has ended it or is
        dead, or the intent is older than a signature's life (`moves.SIGNATURE_S`, by the server's clock)."""
        rows = await self._read(_MAY_CREATE_AGAIN, job_id=job.job_id, token=job.token)
        return bool(rows and rows[0][0])

    async def changed(self, job: JobRecord) -> None:
        """Wait until the job's row is another than this one, which the caller has read."""
        await self._changes.differs_from(job)

    async def orphans(self) -> list[Orphan]:
        """The tasks that no row could take, the oldest first."""
        return [orphan_of(row) for row in await self._read(ORPHANS)]

    # --- reads --------------------------------------------------------------------------------------------------------

    async def get(self, job_id: str) -> JobRecord | None:
        waiting = self._commits.waiting().get(job_id)
        if waiting is not None:
            return waiting
        for row in await self._read(_BY_ID, ids=[job_id]):
            return self._commits.waiting().get(job_id) or self._own(row)
        return None

    async def of_request(self, name: str) -> Mapping[Kind, JobRecord]:
        ids = job_ids(name)
        rows = await self._read(_BY_ID, ids=list(ids.values()))
        waiting = self._commits.waiting()
        jobs = {job.job_id: job for job in map(self._own, rows)}
        latest = ((kind, waiting.get(job_id) or jobs.get(job_id)) for kind, job_id in ids.items())
        return {kind: job for kind, job in latest if job is not None}

    def _record(self, row: Row) -> JobRecord:
        return self._place.named(record_of(row), row[OWNER])

    def _own(self, row: Row) -> JobRecord:
        """The job of a row of _BY_ID. Raises LedgerError for another owner's."""
        job = self._record(row)
        if row[OWNER] not in self._place.owners.values():
            raise foreign_row(job.job_id, self._place, row[OWNER])
        return job

    async def of_task(self, task_id: str) -> JobRecord | None:
        rows = await self._read(_BY_TASK, task_id=task_id)
        waiting = self._commits.waiting()
        for job in waiting.values():
            if job.task_id == task_id:
                return job
        jobs = (waiting.get(row[0]) or self._record(row) for row in rows)
        return next((job for job in jobs if job.task_id == task_id), None)

    async def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        waiting = [job for job in self._commits.waiting().values() if job.state is state]
        waiting_ids = {job.job_id for job in waiting}
        planned_at, seq = -inf, 0
        while True:
            rows = await self._read(_NEXT, state=state.value, planned_at=planned_at, seq=seq, portion=PORTION)
            read = list(readable(rows, self._record))
            until = read[-1].planned_at if read and len(rows) == PORTION else inf
            newer = self._commits.waiting()
            portion = [newer.get(job.job_id) or job for job in read if job.job_id not in waiting_ids]
            portion += [job for job in waiting if job.planned_at <= until]
            waiting = [job for job in waiting if job.planned_at > until]
            for job in sorted(portion, key=lambda job: job.planned_at):
                if job.state is state:
                    yield job
            if len(rows) < PORTION:
                return
            planned_at, seq = rows[-1][_PLANNED_AT], rows[-1][-1]

    async def done_between(self, since: float, until: float) -> AsyncIterator[JobRecord]:
        waiting = self._commits.waiting()
        for job in waiting.values():
            if job.is_done_between(since, until):
                yield job
        seq = -1  # the numbers begin at 1, so that an end at `since` is included
        while True:
            rows = await self._read(_DONE, since=since, seq=seq, until=until, portion=PORTION)
            for job in readable(rows, self._record):
                if job.job_id not in waiting:
                    yield job
            if len(rows) < PORTION:
                return
            since, seq = rows[-1][-2:]

    async def facts(self) -> Mapping[str, str]:
        return {str(name): str(value) for name, value in await self._read(_FACTS)}

    async def counts(self) -> Mapping[JobState, int]:
        waiting = self._commits.waiting()
        rows = await self._read(_COUNTS, waiting=list(waiting))
        counts = Counter(job.state for job in waiting.values())
        for state, count in rows:
            if state in _STATES:
                counts[JobState(state)] += int(count)
        return +counts

    async def _read(self, statement: str, **values: Value) -> list[Row]:
        if self._is_closed:
            raise LedgerError(f"cannot read the ledger {self.url.ledger}: this client has closed it")
        return await self._database.read(statement, {**self._place.keys, **values})

    # --- the end ------------------------------------------------------------------------------------------------------

    def hurry(self) -> None:
        self._database.hurry()

    async def close(self) -> None:
        """Finish the writing, leave the other members, and close the connections.

        A forked child closes nothing: its copies of the sockets are the parent's."""
        if self._home.is_of_another_process:
            _never_closed.append(self._connection)
            return
        if self._is_closed:
            return
        self._is_closed = True
        if not self._home.is_here:
            await self._close_elsewhere()
            return
        self.hurry()
        try:
            await self._commits.close()
        finally:
            try:
                await self._changes.close()
                await self._chains.close()
                await self.members.close()
            finally:
                await self._connection.close()

    async def _close_elsewhere(self) -> None:
        """Write the rows left by a loop that ended without closing the ledger: its connection is of no use here. The
        other members notice by themselves that this one is gone."""
        self._connection.break_off()
        self._chains.stop()
        connection = Connection(self.url)
        database = PatientConnection(connection)
        database.hurry()
        commits = Commits(database, self.members, self._place)
        try:
            for move in self._commits.leave():
                commits.add(move)
            await commits.close()
        finally:
            await connection.close()
