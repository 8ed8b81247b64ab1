"""The turns of members that wait for a slot: whose turn it is, and who stands still. Decisions only.

The first waiter of each member has a ticket. A free slot belongs to the lowest ticket whose model has room, so a member
that gives a slot back does not take it again before the others have looked. Where more slots are free than lower
tickets wait, the later tickets take as well.

A process may stand still (Ctrl-Z, a debugger) while its ticket is the lowest. A waiter that has seen the ticket pass
room by for `TICKET_S` deletes it. The sleeper gets a new place when it wakes up. If the sleeper took a slot in the
meantime, it has another ticket number by then, and the deletion finds nothing.
"""

from collections.abc import Callable
from math import inf
from typing import Final, Protocol

from .caps import SharedCaps
from .slot_statements import Ticket

TICKET_S: Final = 1.0
"""Seconds for which the lowest ticket may leave a free slot. A process looks after 0.25 s at the latest
(`store.LOOK_S`), even behind a pooler."""


class Waiters(Protocol):
    """The waiters of this member (`turns.TurnQueue`)."""

    def __len__(self) -> int: ...

    def first_group(self, has_room: Callable[[str], bool]) -> str | None: ...


class Turns:
    """The decisions of one member, from its latest look at the tickets."""

    def __init__(self, member: str, caps: SharedCaps, waiters: Waiters) -> None:
        self._member = member
        self._caps = caps
        self._waiters = waiters
        self._own: Ticket | None = None
        self._lower: list[Ticket] = []
        """The tickets before ours."""
        self._passed_since: dict[int, float] = {}
        """The lower tickets that let room pass by, and since when this member sees it (the loop's clock)."""

    def note(self, tickets: tuple[Ticket, ...], now: float) -> None:
        """Take over the tickets of a look, in their order."""
        numbers = [number for number, ticket in enumerate(tickets) if ticket.member == self._member]
        self._own = tickets[numbers[0]] if numbers else None
        self._lower = list(tickets[: numbers[0]] if numbers else tickets)
        ahead = self._ahead() if len(self._waiters) else []
        self._passed_since = {ticket.number: self._passed_since.get(ticket.number, now) for ticket in ahead}

    @property
    def has_ticket(self) -> bool:
        return self._own is not None

    @property
    def are_first(self) -> bool:
        """Whether our first waiter is the next to get a slot."""
        return not self._lower

    def next_model(self) -> str | None:
        """The model of the waiter to serve next: the first one with room, or else the first one; None without any."""
        with_room = self._waiters.first_group(self._caps.has_room)
        return self._waiters.first_group(lambda _: True) if with_room is None else with_room

    def must_write(self, now: float) -> bool:
        """Whether to take a slot, to pass a ticket over, or to change our own ticket."""
        model = self.next_model()
        if model is None:
            return self.has_ticket
        has_ticket = self._own is not None and self._own.model == model
        return not has_ticket or bool(self.overdue(now)) or self._is_ours(model)

    def overdue(self, now: float) -> list[int]:
        """The numbers of the tickets to pass over."""
        return [number for number, since in self._passed_since.items() if since + TICKET_S <= now]

    @property
    def next_change(self) -> float:
        """When a ticket is to be passed over, on the loop's clock."""
        return min(self._passed_since.values(), default=inf) + TICKET_S

    def _ahead(self) -> list[Ticket]:
        return [ticket for ticket in self._lower if self._caps.room_of_another(ticket.model, ticket.capacity)]

    def _is_ours(self, model: str) -> bool:
        """Whether there is room for our create of a model behind the lower tickets."""
        ahead = self._ahead()
        return self._caps.has_room_behind(model, len(ahead), sum(ticket.model == model for ticket in ahead))
