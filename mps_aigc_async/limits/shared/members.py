"""The members of a store of the limits: the open clients of each account, as they see each other.

A member writes a heartbeat every `looks.APART_S` seconds, and looks at the others' at once. Of a member that is gone,
each other one may note that. A member that was only cut off for a while takes the note back with its next heartbeat.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from ...sharing.looks import Looks
from ...sharing.member import Member
from .store import LimitsLost, Row, Schema, Step, StoreDatabase

MEMBERS: Final = Schema(
    "members",
    1,
    (
        """CREATE TABLE mps_aigc_members (
            id TEXT PRIMARY KEY, account TEXT NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL,
            pid_namespace TEXT NOT NULL, pid BIGINT NOT NULL, started TEXT NOT NULL, program TEXT NOT NULL,
            beat BIGINT NOT NULL, gone_at DOUBLE PRECISION
        )""",
    ),
    at_boot=("UPDATE mps_aigc_members SET gone_at = {now} WHERE gone_at IS NULL",),
)
"""A member that closed has no row. `gone_at` is on the store's clock, and NULL for a member that is there."""

_BEFORE: Final = "SELECT id FROM mps_aigc_members WHERE id = %(id)s AND gone_at IS NULL"

_BEAT: Final = """
    INSERT INTO mps_aigc_members (id, account, host, boot, pid_namespace, pid, started, program, beat, gone_at)
    VALUES (%(id)s, %(account)s, %(host)s, %(boot)s, %(pid_namespace)s, %(pid)s, %(started)s, %(program)s, %(beat)s,
        NULL)
    ON CONFLICT (id) DO UPDATE SET beat = excluded.beat, gone_at = NULL
"""

_OTHERS: Final = """
    SELECT id, host, boot, pid_namespace, pid, started, program, beat FROM mps_aigc_members
    WHERE account = %(account)s AND id <> %(id)s AND gone_at IS NULL
"""

_GONE: Final = "UPDATE mps_aigc_members SET gone_at = {now} WHERE id = %(id)s AND beat = %(beat)s AND gone_at IS NULL"
"""Only while its counter stands where the observer saw it last: it may have come back."""

_FORGET: Final = "DELETE FROM mps_aigc_members WHERE gone_at < {now} - 86400"

_LEAVE: Final = "DELETE FROM mps_aigc_members WHERE id = %(id)s"


class Members:
    """A member's part in its account's list."""

    def __init__(self, database: StoreDatabase, account: str, member: Member, clock: Callable[[], float]) -> None:
        self._database = database
        self._account = account
        self.member: Final = member
        self._clock = clock
        self._looks = Looks()
        self._beat = 0
        self.others: dict[str, Member] = {}
        """The other members that are there, by the latest look."""

    async def beat(self) -> tuple[bool, frozenset[str]]:
        """Write a heartbeat and look at the others. Return whether this member was there all the time, and the others
        that are gone since the latest look. Raises LimitsLost."""
        self._beat += 1
        try:
            before, _, rows, _ = await self._database.run(
                (_BEFORE, {"id": self.member.id}),
                self._heartbeat(),
                (_OTHERS, {"account": self._account, "id": self.member.id}),
                (_FORGET, {}),
            )
            others = {row[0]: _member(row) for row in rows}
            beats = {row[0]: row[-1] for row in rows}
            gone = self._looks.look(beats, self._clock()) | {
                name for name, other in others.items() if other.has_ended()
            }
            if gone:
                await self._database.run(*((_GONE, {"id": name, "beat": beats[name]}) for name in sorted(gone)))
        except LimitsLost:
            self._looks.begin_anew()
            raise
        self.others = {name: other for name, other in others.items() if name not in gone}
        return bool(before), gone

    def _heartbeat(self) -> Step:
        return _BEAT, {**asdict(self.member), "account": self._account, "beat": self._beat}

    async def leave(self) -> None:
        """Take the member out of the list."""
        await self._database.run((_LEAVE, {"id": self.member.id}))


def _member(row: Row) -> Member:
    return Member(*row[:-1])
