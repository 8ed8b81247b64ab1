"""An account's limits as the code above them sees them, wherever the paces and slots are counted.

`account.AccountLimits` counts them in this process. A store that several processes or hosts share speaks the same
protocol. Such a store answers two kinds of calls:

- `Pace.reserve`, `SendTime.reach`, `Slots.acquire` and `Limits.take_retry` wait for their turn, so they are async;
- the other calls are synchronous, because their callers are. A shared store answers `figures`, `Pace.rate`,
  `Slots.running`, `Slots.find`, `Slot.is_too_many` and `Slot.judge` from its latest look at the store, so the counts of
  other processes may be a moment old there. The slots and send times of this process itself are always current.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from ..concurrency.callbacks import ignore
from ..model.errors import ServiceError, Throttled, TooManyTasks, TransportError
from ..model.states import Kind

LEAD_S: Final = 0.25
"""Most seconds between the moment in which a send time is handed over and the send. Until then the intent goes to the
disk, and a connection is opened. The lead is short because a crash leaves the outcome of each such create unknown."""

PROBE_S: Final = 20.0
"""Most seconds without room after which one more create is tried. A task runs for minutes, and a refusal is free.
Refusals of Hailuo H3 are reported to pass after some 20 s, too."""


STRANDED_S: Final = 3600.0
"""Seconds for which a task keeps its slot after its loop or process is gone, if nobody has told its deadline: longer
than the longest of the default ones."""


class HeldBack(TransportError):
    """A call that was not sent at its send time: the service has asked for a pause of the action (Retry-After)."""


class SlotLost(Exception):
    """A create's slot is not its own any more, or the store of the limits cannot be asked now. Nothing was sent."""


class SendTime(Protocol):
    """Permission for one send: prepare the call, wait with `reach`, then send. Times are of the loop's clock."""

    @property
    def due(self) -> float:
        """The time for which the send is planned."""
        ...

    @property
    def has_come(self) -> bool:
        """Whether `reach` has returned: from then on bytes may have gone out."""
        ...

    @property
    def age_s(self) -> float | None:
        """Seconds since the bytes went out; None before."""
        ...

    @property
    def out_at(self) -> float:
        """The time at which the bytes went out; before that, the time for which the send is planned."""
        ...

    @property
    def had_room(self) -> bool:
        """Whether few of our own sends were in the window that ends with this one (`stream.HAS_ROOM`)."""
        ...

    def windows_since(self, time: float) -> float:
        """The windows of the limit between `time` and this send."""
        ...

    def undo_point(self) -> Callable[[], None]:
        """Return a function that restores the rate of now: the refusals since then were not about the rate."""
        ...

    def confirm_with(self, confirm: Callable[[], None]) -> None:
        """Call `confirm` at the send time, immediately before the first byte. If it raises, `reach` raises the same,
        and nothing counts as sent."""

    async def reach(self) -> None:
        """Return when the time has come, and note when that really was. Call it right before the first byte goes.

        Raises HeldBack if the service has asked for a pause that is longer than the lead. A prepared call must not wait
        so long: its signature expires after 5 minutes, and a crash would leave its outcome unknown.
        """

    def note_sent(self) -> None:
        """Note that the bytes went out just now. The transport may know the moment better than `reach`."""

    def note_refusal(self) -> None:
        """Note that the call was refused for its rate: later sends go slower."""


@dataclass(frozen=True, slots=True)
class PaceFigures:
    """The pace of an action at a moment."""

    rate: float
    """Calls per second that are allowed now, before the jitter's share is taken off. The rate is below the limit for a
    while after the service has refused calls."""
    waiting: int
    """Calls that wait for a send time."""
    held_s: float
    """Seconds until the end of a pause that the service has asked for; 0 without one."""


class Pace(Protocol):
    """The send times of one action, first come, first served."""

    async def reserve(self, require: Callable[[], None] = ignore) -> SendTime:
        """Wait for a turn; return a send time that is at most LEAD_S ahead.

        `require` is called before a send time is taken. If it raises, `reserve` raises the same, and the next waiter
        gets the send time.
        """
        ...

    def hold(self, seconds: float) -> None:
        """Let nothing go out for this many seconds, as the service has asked."""

    def rate(self, now: float) -> float:
        """The `rate` of `figures`, alone: each poll asks for it."""
        ...

    def figures(self, now: float) -> PaceFigures:
        """The pace at `now`, on the loop's clock. Any thread may ask."""
        ...


class Slot(Protocol):
    """A place for one of the tasks that may run at the service at once."""

    @property
    def model(self) -> str:
        """The model whose task is to run in the slot."""
        ...

    @property
    def ticket(self) -> int:
        """The place in the queue of the create that took the slot."""
        ...

    @property
    def transferred(self) -> bool:
        """Whether the create that took the slot no longer has to give it back."""
        ...

    @property
    def is_too_many(self) -> bool:
        """Whether more slots are out than there is room for by now. A create that is not sent yet would be refused."""
        ...

    async def mark(self, name: str, seconds: float) -> None:
        """Note that a task may run in the slot from now on. Call it when the intent is in the ledger, before the send.

        If this process is gone then, others keep the slot for `seconds`, or until a process adopts the task by `name`,
        the name of its unknown create. Raises SlotLost.
        """

    def name(self, task_id: str, scope: str = "") -> None:
        """Transfer the slot to the task that runs in it, and count one more accepted task. The TaskId is valid in
        `scope` alone (`Slots.on_stray`)."""

    def hold_for(self, seconds: float, name: str | None = None) -> None:
        """Transfer the slot to a timer, and give it this name: a task may be running that nobody polls."""

    def reclaim(self) -> bool:
        """Take the slot back for the unknown create. Return False if the timer has given it back already."""
        ...

    def release(self) -> None:
        """Give the slot back. A second time does nothing."""

    def judge(self, send_time: SendTime, refusal: Throttled) -> ServiceError:
        """Decide the cause of a create's refusal: too many calls (the refusal itself is returned, and the pace slows
        down), or too many tasks (TooManyTasks is returned, and the pace is restored)."""
        ...

    def note_refusal(self, refusal: TooManyTasks) -> None:
        """Learn from a create that was refused because too many tasks run."""

    def note_task_refusal(self) -> None:
        """Learn from a task that the service accepted and then ended for want of room. Call it before `release`."""


@dataclass(frozen=True, slots=True)
class SlotFigures:
    """The slots of one kind at a moment."""

    taken: int
    """Slots that are out: running tasks, and creates under way."""
    running: int
    """Slots in which a task runs or may run."""
    waiting: int
    """Creates that wait for a slot."""
    most_taken: int
    """The most slots that were out at once."""
    capacity: int
    """The config's cap."""
    effective_limit: int
    """The number of slots that may be out: the capacity, or the service's own cap if that is lower."""
    confirmed_capacity: int
    """The number of tasks that the service has been seen to run at once, at most the effective limit; at least 1."""
    learned_cap: int | None
    """The service's own cap on the tasks of all models, if its refusals have shown one below the capacity."""
    learned_model_caps: Mapping[str, int]
    """The caps on the tasks of single models, for the models that have been refused."""


class Stray(Protocol):
    """A task that holds a slot and that nobody polls: its client has closed. An open client polls the task for the sake
    of the creates that wait for a slot. The slot keeps its timer meanwhile."""

    @property
    def task_id(self) -> str: ...

    @property
    def is_open(self) -> bool:
        """Whether the client should poll on: the slot is out still, and no other client has adopted the task."""
        ...

    def end(self) -> None:
        """Give the slot back: the task has ended."""

    def leave(self) -> None:
        """Stop polling before the end. The slot stays with its timer, and another client may be given the task. Does
        nothing after `end`."""


class Slots(Protocol):
    """The slots of one kind: first come, first served, among the creates whose model has room."""

    async def acquire(
        self, ticket: int | None = None, *, model: str = "", on_hold_up: Callable[[], None] = ignore
    ) -> Slot:
        """Wait for a free slot. A create that has given a slot back for want of room keeps its place in the queue by
        that slot's `ticket`.

        `on_hold_up` is called if the create may be waiting for its model's room alone: creates of other models may
        pass then.
        """
        ...

    def adopt(
        self, task_id: str, model: str = "", scope: str = "", *, name: str = "", seconds: float = STRANDED_S
    ) -> Slot:
        """The slot of a task that this client polls from now on. A task that was not created here (a resumed or
        attached one) gets a slot at once, over the capacity if need be. The TaskId is valid in `scope` alone.

        If the process that created the task was killed before it named the slot, the slot is found by `name`, the name
        of its unknown create. If this process is gone one day, others keep the slot for `seconds`.
        """
        ...

    def take_for(self, seconds: float, name: str, model: str = "") -> None:
        """Take a slot for this many seconds, over the capacity if need be: an earlier process left an unknown create.
        Nothing happens if a slot has the name already, because several clients may find the same create."""

    def find(self, name: str) -> Slot | None:
        """The slot with this name: a task's TaskId, or the name of an unknown create."""
        ...

    def on_stray(self, take: Callable[[Stray], None], scope: str = "") -> Callable[[], None]:
        """Take strays for a client of the running loop, until the returned function is called (in any thread).

        While creates wait for a slot, `take` is called in this loop with each stray of the same scope that no other
        client polls. `take` starts the polling and returns at once. Unknown creates are no strays, because they have no
        TaskId.
        """
        ...

    @property
    def running(self) -> int:
        """The `running` of `figures`, alone: each poll asks for it."""
        ...

    def figures(self) -> SlotFigures:
        """The slots at this moment. Any thread may ask."""
        ...


class Limits(Protocol):
    """The limits of one account, as one client uses them."""

    @property
    def slots(self) -> Mapping[Kind, Slots]:
        """The slots by kind, of all clients of the account."""
        ...

    @property
    def paces(self) -> Mapping[str, Pace]:
        """The paces by action, of the actions called so far: a copy, so that any thread may ask."""
        ...

    def pace(self, action: str) -> Pace:
        """The pace of an action, shared by all clients of the account in the region."""
        ...

    @property
    def members_count(self) -> int:
        """The members that share the limits, this one included, by the latest look. Any thread may ask."""
        ...

    async def take_retry(self) -> None:
        """Wait until the account's budget of retries has one left, and take it."""
