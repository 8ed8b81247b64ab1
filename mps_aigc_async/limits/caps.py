"""The service's own cap on tasks that run at once, learned from its refusals.

The service does not publish the cap. The number of tasks that ran here at a refusal is the best estimate, and it counts
from then on. The next create is sent when one of our tasks has ended. Other processes may share the account, so a
probe, one more create, is sent every `PROBE_S` as well. The cap of a model may have been learned by mistake
(`refusals`), so it is probed soon, and then less and less often. A mistake thus costs little time and is forgotten
again.

There is a cap for all tasks of a kind (LimitExceeded.CreateTask is documented per account), and one for the tasks of a
single model: Hailuo H3 and VOD's models say RequestLimitExceeded of theirs (reported, 2026-08).
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from .protocol import PROBE_S
from .refusals import Streak

FIRST_PROBE_S: Final = 1.25
"""Seconds until the first probe of a model's cap after a refusal, and after a probe that found room; they double with
each probe that finds none. If the refusal was about the rate and mistaken for one about concurrency, the mistake ends
after a window of a second. With 20 s each time, a batch took seven times as long at a fifth of the documented rate
(measured 2026-11)."""

LATE_PROBE_S: Final = 300.0
"""PROBE_S for a service that accepts every create and refuses inside the task (`Cap.note_task_refusal`): each probe
costs a task and its job's patience. As long as a usual video runs (guide of 2026-05-29)."""

HEARD_S: Final = 60.0
"""Seconds after which the task of such a probe counts as having found room: some polls after its create."""


@dataclass(frozen=True, slots=True)
class CapState:
    """All that a cap has learned, to be stored and restored. Times are of the cap's clock."""

    learned_cap: int | None
    is_probing: bool
    probe_s: float
    running_at_refusal: int
    refuses_tasks: bool
    probe_at: float
    paused_until: float


class Count:
    """A number of things, and the highest number so far."""

    __slots__ = ("most", "now")

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def add(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def remove(self) -> None:
        self.now -= 1

    def set(self, number: int) -> None:
        self.now = number
        self.most = max(self.most, number)


class Cap:
    """The tasks of a kind or a model that run here, and the number of them that may run.

    Arithmetic only, the time is an argument: `advance` carries out the changes that are due by then, and
    `next_change` tells when something is due next. `slots.ProcessSlots` counts slots and tasks in and out.

    >>> cap = Cap(capacity=10)
    >>> cap.note_refusal(now=100.0)
    >>> cap.effective_limit, cap.next_change == 100.0 + PROBE_S, cap.advance(100.0 + PROBE_S), cap.effective_limit
    (0, True, True, 1)
    """

    def __init__(self, capacity: int, first_probe_s: float = PROBE_S) -> None:
        self.capacity = capacity
        self.others_capacity = 0
        """The largest capacity of the others that share the learned cap: a cap above ours may be below theirs."""
        self._first_probe_s = first_probe_s
        self.learned_cap: int | None = None
        """The service's own cap, if its refusals have shown one below the capacity."""
        self.slots = Count()
        """Slots that are out."""
        self.tasks = Count()
        """Slots in which a task runs or may run."""
        self.streak: Streak | None = None
        """The refusals for the rate since the latest accepted create, as long as they show no cap."""
        self._is_probing = False
        self._probe_s = first_probe_s
        self._running_at_refusal = 0
        self._refuses_tasks = False
        """Whether the service has accepted a task and then refused it: an accepted create proves no room."""
        self._probe_at = inf
        self.paused_until = -inf
        """The end of a pause that the service has asked for; -inf without one."""

    @property
    def running(self) -> int:
        """Slots in which a task runs or may run."""
        return self.tasks.now

    @property
    def effective_limit(self) -> int:
        """The number of slots that may be out: the capacity, or the service's own cap if that is lower."""
        return self.capacity if self.learned_cap is None else min(self.capacity, self.learned_cap)

    @property
    def has_room(self) -> bool:
        """Whether one slot more may be out."""
        return not self._is_paused and self.slots.now < self.effective_limit

    @property
    def is_too_small(self) -> bool:
        """Whether more slots are out than may be by now: a create that is not sent yet would be refused."""
        return self._is_paused or self.slots.now > self.effective_limit

    @property
    def is_idle(self) -> bool:
        """Whether a new cap would know as much as this one."""
        return not (self.slots.now or self.learned_cap or self.streak or self._refuses_tasks or self.next_change < inf)

    @property
    def next_change(self) -> float:
        """When a pause ends or a probe is due; infinite if neither is to come."""
        return min(self._probe_at, self.paused_until if self._is_paused else inf)

    @property
    def _is_paused(self) -> bool:
        return self.paused_until > -inf

    @property
    def state(self) -> CapState:
        """All that the cap has learned."""
        return CapState(
            self.learned_cap, self._is_probing, self._probe_s, self._running_at_refusal, self._refuses_tasks,
            self._probe_at, self.paused_until,
        )  # fmt: skip

    @state.setter
    def state(self, state: CapState) -> None:
        self.learned_cap, self._is_probing, self._probe_s = state.learned_cap, state.is_probing, state.probe_s
        self._running_at_refusal, self._refuses_tasks = state.running_at_refusal, state.refuses_tasks
        self._probe_at, self.paused_until = state.probe_at, state.paused_until

    def advance(self, now: float) -> bool:
        """Carry out the changes that are due by now. Return whether there may be more room than before."""
        has_changed = False
        while self.next_change <= now:
            has_changed = True
            if self._is_paused and self.paused_until <= now:
                self.paused_until = -inf
            else:
                self._probe(self._probe_at)
        return has_changed

    def note_refusal(self, now: float, wait_s: float = 0.0) -> None:
        """Learn that the service had no room for one more task than now run here, and asked for a pause of `wait_s`."""
        if self._is_probing:
            has_grown = self.running > self._running_at_refusal
            self._probe_s = self._first_probe_s if has_grown else min(PROBE_S, 2 * self._probe_s)
        self._is_probing, self.streak, self._running_at_refusal = False, None, self.running
        if wait_s > 0:
            self.paused_until = now + wait_s
        self._learn(self.running)
        early_s = min(PROBE_S, self._probe_s)
        self._probe_at = now + max(LATE_PROBE_S if self._refuses_tasks and self.running else early_s, wait_s)

    def note_task_refusal(self, now: float) -> None:
        """Learn that the service accepted a task and then ended it for want of room. From now on an accepted create
        proves no room, so probes go one at a time."""
        self._refuses_tasks = True
        self.note_refusal(now)

    def note_room(self) -> bool:
        """Learn that one more task runs: the service takes at least that many. Return whether there may be more room
        than before."""
        self.streak = None
        if self.learned_cap is None:
            return False
        self._learn(max(self.learned_cap, self.running + self._is_probing))
        return True

    def _probe(self, now: float) -> None:
        """Let one more create go, and further ones as long as they are accepted. `note_refusal` ends the probe."""
        self._probe_at = inf
        if self.learned_cap is None:  # the whole capacity was accepted meanwhile: nothing is left to probe for
            return
        self._is_probing = not self._refuses_tasks
        self._learn(self.learned_cap + 1)
        if self._refuses_tasks and self.learned_cap is not None:
            self._probe_at = now + HEARD_S

    def _learn(self, cap: int) -> None:
        self.learned_cap = cap if cap < max(self.capacity, self.others_capacity) else None
