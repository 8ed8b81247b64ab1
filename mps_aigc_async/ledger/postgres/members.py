"""The members of a ledger in PostgreSQL: this one's heartbeat, and its looks at the others.

Every transaction that writes begins with the heartbeat, which also registers a member whose row has gone. So a member
never writes unregistered, and learns of a judgement against it from the first transaction after it: the row has another
era then. Adopters delete a member's row only with the counter that they have seen stand still.
"""

# ruff: noqa: S608 — the statements are put together from constant names

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ...concurrency.callbacks import ignore
from ...concurrency.owner import TaskOwner
from ...model.errors import LedgerError
from ...sharing.connection import Connection, Lost, Refused, Row, Step, Value
from ...sharing.elapsed import CLOCKS, Clock, Stopwatch
from ...sharing.looks import APART_S, Looks
from ...sharing.member import Member
from ..claims import ClaimInDoubt
from ..commits import LAST_TRY_S
from ..record import JobRecord
from .ahead_statements import abandonment
from .open_claims import OpenClaims
from .schema import DURABLE, VERSION

_log: Final = logging.getLogger("mps_aigc_async")

TRUST_S: Final = 5.0
"""Seconds after a heartbeat for which a claim is trusted. Others look for 10 s at the least before they judge."""

_FACTS: Final = ("host", "boot", "pid_namespace", "pid", "started", "program")

_BEAT: Final = f"""INSERT INTO mps_aigc_ledger.members AS mine
    (ledger, id, {", ".join(_FACTS)}, schema, counter, era, beat_at)
    VALUES (%(ledger)s, %(id)s, {", ".join(f"%({name})s" for name in _FACTS)}, {VERSION}, %(counter)s, %(era)s,
    clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET counter = greatest(mine.counter + 1, excluded.counter), beat_at = clock_timestamp()
    RETURNING mine.era, (SELECT version FROM mps_aigc_ledger.version)"""

_OTHERS: Final = (
    f"SELECT id, {', '.join(_FACTS)}, counter FROM mps_aigc_ledger.members WHERE ledger = %(ledger)s AND id <> %(id)s"
)

_ARE_LEFT: Final = """SELECT EXISTS (SELECT FROM mps_aigc_ledger.jobs
    WHERE ledger = %(ledger)s AND owner = ANY(%(owners)s) AND state IN ('intent', 'submitted')
    AND NOT EXISTS (SELECT FROM mps_aigc_ledger.members WHERE members.id = jobs.member))"""
"""Whether jobs of these owners are under way whose member has closed, or was judged by a member that has died since."""

_LEAVE: Final = (
    "UPDATE mps_aigc_ledger.jobs SET author = NULL "
    "WHERE ledger = %(ledger)s AND author = %(id)s AND state IN ('intent', 'unknown')",
    "DELETE FROM mps_aigc_ledger.members WHERE id = %(id)s",
    *abandonment("stored.member = %(id)s"),
)
"""A client that has closed sends nothing any more; its jobs are free for others."""


@dataclass(frozen=True, slots=True)
class Time:
    """The clocks of a member, and its way to wait."""

    now: Clock = time.monotonic
    clocks: Sequence[Clock] = CLOCKS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat: its statement, and the note of its answer."""

    step: Step
    note: Callable[[Sequence[Row]], None]


@dataclass(frozen=True, slots=True)
class Absentee:
    """A member that is gone."""

    member: str
    counter: int
    is_dead: bool
    """Whether its process has ended for certain. Otherwise the process may only stand still, or be cut off."""


class Members:
    """A member of a ledger, with its knowledge of the others."""

    def __init__(self, connection: Connection, member: Member, timing: Time, owners: list[str]) -> None:
        self._connection = connection
        self._member = member
        self._time = timing
        self._name = connection.url.ledger
        self._owners = owners
        self._work = TaskOwner()
        self._counter = 0
        self._era = ""
        self._trust: Stopwatch | None = None
        """The time since the latest heartbeat that is known to be written, from before it was sent."""
        self._is_outdated = False
        self._looks = Looks()
        self.absentees: dict[str, Absentee] = {}
        self.absence: Final = asyncio.Event()
        """Set by a look that finds absentees, or jobs that a member has left."""
        self.claims: Final = OpenClaims()
        self.on_return: Callable[[], None] = ignore
        """Called when this member learns that others have taken it for gone."""

    @property
    def is_outdated(self) -> bool:
        """Whether a newer version has changed the tables."""
        return self._is_outdated

    async def enter(self) -> None:
        """Register this member. Raises LedgerError."""
        beat = self.beat()
        try:
            _, rows = await self._connection.run(DURABLE, beat.step)
        except (Lost, Refused) as error:
            raise LedgerError(f"cannot open the ledger {self._name}: {error}") from error
        beat.note(rows)

    def start(self) -> None:
        """Keep the heart beating until `close`."""
        self._work.start(self._live(), "ledger heartbeat")

    async def _live(self) -> None:
        while True:
            await self._time.sleep(APART_S)
            await self.look()

    # --- the heartbeat ------------------------------------------------------------------------------------------------

    def beat(self) -> Beat:
        """The next heartbeat, for a transaction that begins now."""
        self._counter += 1
        age = Stopwatch(self._time.clocks)
        values: dict[str, Value] = {
            **{name: getattr(self._member, name) for name in _FACTS}, **self._keys,
            "counter": self._counter, "era": secrets.token_hex(8),
        }  # fmt: skip
        return Beat((_BEAT, values), lambda rows: self._note(rows, age))

    @property
    def _keys(self) -> dict[str, Value]:
        return {"ledger": self._name, "id": self._member.id}

    def _note(self, rows: Sequence[Row], age: Stopwatch) -> None:
        [(era, version)] = rows
        if self._era not in ("", era):
            self.claims.lose_all()
            self._begin_anew()
            self.on_return()
        self._era = str(era)
        self._is_outdated = version > VERSION
        if self._trust is None or age.seconds < self._trust.seconds:
            self._trust = age

    async def renew(self) -> None:
        """Write a heartbeat now. Raises ClaimInDoubt if the database cannot be reached."""
        beat = self.beat()
        try:
            _, rows = await self._connection.run(DURABLE, beat.step)
        except (Lost, Refused) as error:
            raise ClaimInDoubt(f"the ledger {self._name} cannot be asked whether the job was taken: {error}") from error
        beat.note(rows)

    def confirm(self, intent: JobRecord | None) -> None:
        """Raise ClaimInDoubt unless the latest heartbeat is young; raise JobTaken if the intent's claim is lost, and
        LedgerError if a newer version has changed the tables."""
        if self._is_outdated:
            raise LedgerError(f"a newer version has changed the ledger {self._name}: upgrade mps-aigc-async")
        self.claims.require(intent)
        if self._trust is None or self._trust.seconds > TRUST_S:
            raise ClaimInDoubt(
                f"the ledger {self._name} has not been reached for {TRUST_S:g} s: other clients may have taken its jobs"
            )

    # --- the others ---------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Write a heartbeat, and note one look at the others."""
        beat = self.beat()
        try:
            left: Step = _ARE_LEFT, {**self._keys, "owners": self._owners}
            _, era, others, [(are_left,)] = await self._connection.run(DURABLE, beat.step, (_OTHERS, self._keys), left)
        except (Lost, Refused) as error:
            self._begin_anew()
            _log.info("no heartbeat in the ledger %s: %s", self._name, error)
            return
        beat.note(era)
        self._judge(others)
        if self.absentees or are_left:
            self.absence.set()

    def _begin_anew(self) -> None:
        """Forget the looks of a member that was cut off itself: while nobody could write, no counter moved."""
        self._looks.begin_anew()
        self.absentees = {}

    def _judge(self, others: Sequence[Row]) -> None:
        counters = {str(row[0]): int(row[-1]) for row in others}
        members = [Member(str(row[0]), *row[1:-1]) for row in others]
        dead = {member.id for member in members if member.has_ended()}
        still = self._looks.look(counters, self._time.now())
        self.absentees = {id_: Absentee(id_, counters[id_], id_ in dead) for id_ in dead | still}

    async def close(self) -> None:
        """Stop the heartbeat, and leave the jobs to others."""
        await self._work.close()
        with suppress(Lost, Refused, TimeoutError):  # the others find out by themselves
            async with asyncio.timeout(LAST_TRY_S):
                await self._connection.run(DURABLE, *((statement, self._keys) for statement in _LEAVE))
