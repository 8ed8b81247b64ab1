"""Members of one ledger in PostgreSQL, several on one loop, on clocks that the test moves."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, cast

import psycopg

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.ledger.claims import new_token
from mps_aigc_async.ledger.postgres import PostgresLedger
from mps_aigc_async.ledger.postgres.members import Time
from mps_aigc_async.model.states import JobState
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.looks import APART_S, ENOUGH
from mps_aigc_async.sharing.member import Member

from ..ledgers import OWNER, job


@dataclass
class World:
    """A database with the members of its ledgers, and the time of all of them."""

    url: str
    now: float = 1000.0
    _members: list[PostgresLedger] = field(default_factory=list)
    _connection: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def timing(self) -> Time:
        """Heartbeats come from the test alone."""
        return Time(now=lambda: self.now, clocks=(lambda: self.now,), sleep=_never)

    async def member(
        self, ledger: str = "default", owner: dict[str, str] | None = None, **facts: str | int
    ) -> PostgresLedger:
        """A new member. `facts` are those of its process."""
        url = database_url(f"{self.url}?ledger={ledger}")
        member = await PostgresLedger.open(
            url, owner or OWNER, replace(Member.here(), **cast("dict[str, Any]", facts)), self.timing
        )
        self._members.append(member)
        return member

    async def pass_looks(self, *members: PostgresLedger, looks: int = ENOUGH + 1) -> None:
        """Let these members live on for so many looks; all others stand still."""
        for _ in range(looks):
            self.now += APART_S
            for member in members:
                await member.members.look()

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of the test's own."""
        if self._connection is None:
            self._connection = psycopg.connect(self.url, autocommit=True)
        cursor = self._connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        """Close all members."""
        for ledger in self._members:
            await ledger.close()
        self.disconnect()

    def disconnect(self) -> None:
        """Close the test's own connection until the next statement."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def until(self, condition: str) -> None:
        """Return once a query has rows."""
        while not self.sql(condition):  # noqa: ASYNC110 — the server tells nobody
            await asyncio.sleep(0)

    def cut_off(self) -> None:
        """Break the connections of all members, as a restart of the server does."""
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'mps-aigc-async' AND datname = current_database()"
        )


async def _never(_seconds: float) -> None:
    await asyncio.Event().wait()


def intent_of(planned: JobRecord) -> JobRecord:
    return replace(planned.moved(JobState.INTENT, intent_at=2.0), token=new_token())


async def claimed(ledger: PostgresLedger, job_id: str = "a/image") -> JobRecord:
    """The intent of a job that this member has planned and claimed."""
    planned = await ledger.plan(job(job_id))
    intent = intent_of(planned)
    await ledger.claim(planned, intent)
    return intent


def accepted(intent: JobRecord, task_id: str = "4-1") -> JobRecord:
    return intent.moved(JobState.SUBMITTED, task_id=task_id, submitted_at=3.0)


async def die(ledger: PostgresLedger) -> None:
    """End a member as its process's death would: nothing is written, and its connection breaks."""
    ledger._is_closed = True
    await ledger._changes.close()
    await ledger._chains._work.close()
    await ledger.members._work.close()
    await ledger._connection.close()
