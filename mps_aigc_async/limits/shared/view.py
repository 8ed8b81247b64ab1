"""A store of the limits as a person sees it: its members, paces and slots at one moment. Reading changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...sharing.looks import APART_S
from ...sharing.member import Member
from .slot_statements import Stage
from .store import Row
from .stream import View

MEMBERS: Final = """
    SELECT id, host, boot, pid_namespace, pid, started, program, account, beat, {now} - gone_at FROM mps_aigc_members
    ORDER BY account, program, pid, id
"""
PACES: Final = """
    SELECT stream, due, {now}, rate, jitter_s, held_until, flat_at, cut, cut_at, share_version, 0, next_at
    FROM mps_aigc_paces ORDER BY stream
"""
KEYS: Final = "SELECT key, capacity FROM mps_aigc_slot_keys ORDER BY key"
SLOTS: Final = "SELECT key, id, model, member, stage, name, task, until FROM mps_aigc_slots ORDER BY key, until, id"
TICKETS: Final = "SELECT key, member FROM mps_aigc_tickets"
CAPS: Final = """
    SELECT key, model, CASE WHEN paused_until > {now} THEN 0 ELSE learned_cap END FROM mps_aigc_caps
    WHERE learned_cap IS NOT NULL OR paused_until > {now}
"""


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as the store has it."""

    member: Member
    account: str
    """The account in the store's words: backend, endpoint and name."""
    beat: int
    """Its heartbeats so far."""
    gone_s: float | None
    """Seconds since others noted that it is gone; None if they have not."""
    is_of_earlier_boot: bool = False

    @property
    def open_s(self) -> float:
        """Seconds for which the member has been open, by its heartbeats: fewer if it stood still."""
        return self.beat * APART_S

    @property
    def has_ended(self) -> bool | None:
        """Whether the process has ended; None for a process that this one cannot see."""
        return True if self.is_of_earlier_boot else self.member.has_ended()

    @property
    def is_gone(self) -> bool:
        """Whether others have noted that it is gone, or its process has ended."""
        return self.gone_s is not None or self.has_ended is True


@dataclass(frozen=True, slots=True)
class PaceView:
    """The pace of one action."""

    account: str
    region: str
    action: str
    limit: float
    """Calls per second at the most."""
    rate: float
    """Calls per second now: below the limit for a while after a refusal."""
    next_s: float
    """Seconds until the next send may go out."""
    held_s: float
    """Seconds until the end of a pause that the service has asked for."""


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot that is out."""

    account: str
    kind: str
    model: str
    member: str
    """The id of the member that took it, which may be gone."""
    is_held: bool
    """Whether that member is there."""
    stage: Stage
    create: str | None
    """The name of the create."""
    task: str | None
    until: float | None
    """When the slot is given back (Unix seconds), for a task that nobody polls."""


@dataclass(frozen=True, slots=True)
class KindView:
    """The slots of one kind of an account."""

    account: str
    kind: str
    capacity: int
    """The largest capacity that a member has had."""
    waiting: int
    """Members with creates that wait."""
    caps: Mapping[str, int]
    """The caps that the service's refusals have shown, by model; `*` for all models."""
    slots: Sequence[SlotView]

    @property
    def running(self) -> int:
        """Slots in which a task runs or may run."""
        return sum(slot.stage > Stage.UNMARKED for slot in self.slots)

    @property
    def unpolled(self) -> Sequence[SlotView]:
        """Slots with a task that no member polls: its member is gone, or its TaskId is not known."""
        taken = (slot for slot in self.slots if slot.stage > Stage.UNMARKED)
        return [slot for slot in taken if not slot.is_held or slot.until is not None]


@dataclass(frozen=True, slots=True)
class LimitsView:
    """A store of the limits at one moment."""

    place: str
    members: Sequence[MemberView] = ()
    paces: Sequence[PaceView] = ()
    kinds: Sequence[KindView] = ()

    def ids(self) -> list[str]:
        """The ids of the members, also of those that are gone and have left slots."""
        of_slots = (slot.member for kind in self.kinds for slot in kind.slots)
        return sorted({*(view.member.id for view in self.members), *of_slots} - {""})

    def member(self, member_id: str) -> MemberView | None:
        """The member of this id; None if it has left the list."""
        return next((view for view in self.members if view.member.id == member_id), None)


def members_of(rows: Iterable[Row], *, is_of_earlier_boot: bool = False) -> list[MemberView]:
    """Decode the rows of MEMBERS."""
    return [
        MemberView(Member(*member), account, beat, gone_s, is_of_earlier_boot)
        for *member, account, beat, gone_s in rows
    ]


def paces_of(rows: Iterable[Row]) -> list[PaceView]:
    """Decode the rows of PACES."""
    paces = list[PaceView]()
    for stream, *columns, next_at in rows:
        account, region, action = _parts(str(stream))
        view = View.of(tuple(columns))
        rate = view.rate * view.share_at(view.now)
        wait_s, held_s = max(0.0, next_at - view.now), max(0.0, view.held_until - view.now)
        paces.append(PaceView(account, region, action, view.rate, rate, max(wait_s, held_s), held_s))
    return paces


def _parts(stream: str) -> tuple[str, str, str]:
    account, region, action = stream.rsplit("|", 2)
    return account, region, action


def kinds_of(
    keys: Iterable[Row],
    slots: Iterable[Row],
    tickets: Iterable[Row],
    caps: Iterable[Row],
    *,
    members: Sequence[MemberView],
) -> list[KindView]:
    """Decode the rows of KEYS, SLOTS, TICKETS and CAPS."""
    there = {view.member.id for view in members if not view.is_gone}
    by_key: dict[str, list[SlotView]] = {}
    for key, *columns in slots:
        by_key.setdefault(key, []).append(_slot_of(key, tuple(columns), there))
    waiting = [key for key, member in tickets if member in there]
    stored_caps = [(key, model, int(cap)) for key, model, cap in caps]
    return [
        KindView(
            *_account_and_kind(key),
            capacity=capacity,
            waiting=waiting.count(key),
            caps={model: cap for of_key, model, cap in stored_caps if of_key == key},
            slots=by_key.get(key, []),
        )
        for key, capacity in keys
    ]


def _slot_of(key: str, columns: Row, there: set[str]) -> SlotView:
    slot_id, model, member, stage, create, task, until = columns
    # The row's id begins with the member that took the slot. The column is NULL once others know that it is gone.
    taker = member or str(slot_id).partition(".")[0]
    return SlotView(*_account_and_kind(key), model, taker, member in there, Stage(stage), create, task, until)


def _account_and_kind(key: str) -> tuple[str, str]:
    account, _, kind = key.rpartition(" ")
    return account, kind


def in_words(account: str) -> str:
    """An account of the store for people.

    >>> in_words("mps|https://mps.tencentcloudapi.com/|team")
    'team (mps, https://mps.tencentcloudapi.com/)'
    """
    backend, endpoint, name = (*account.split("|", 2), "", "")[:3]
    return f"{name} ({backend}, {endpoint})"
