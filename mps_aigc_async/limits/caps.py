"""The service's own cap on tasks running at once, as its refusals tell it.

The service does not publish the cap. The number of tasks that ran here at a refusal is the best estimate, and it is in
force from then on. The next create goes when one of ours has ended. Others may share the account, so one more is tried
every `PROBE_S` as well; a model's cap, which may have been learnt by mistake (`refusals`), is tried soon, and then less
and less often. So a mistake costs little time, and is forgotten again.

There is a cap for all tasks of a kind (LimitExceeded.CreateTask is documented per account), and one for the tasks of a
single model: Hailuo H3 and VOD's models say RequestLimitExceeded of theirs (reported, 2026-08).
"""

import asyncio
from collections.abc import Callable
from typing import Final

from .refusals import Streak

PROBE_S: Final = 20.0
"""Most seconds without a place after which one create more is tried: a task runs for minutes, and a refusal is free.
Hailuo H3's refusals are reported to pass after some 20 s, too."""

FIRST_PROBE_S: Final = 1.25
"""Seconds until the first such try of a model's after a refusal, and after a try that found room; they double with each
that finds none. If the refusal was for the rate and taken for one of concurrency, it is over after a window of a
second. With 20 s each time, a batch took seven times as long where the service's rate was a fifth of ours (2026-11)."""

LATE_PROBE_S: Final = 300.0
"""The same as PROBE_S where the service accepts every create and refuses inside the task (`refused_within`): each try
costs a task and its job's patience. As long as a usual video runs (guide of 2026-05-29)."""

HEARD_S: Final = 60.0
"""Seconds after which a task that such a try has made is taken to have found room: some polls after its create."""


class Cap:
    """The tasks of one sort that run here, and how many of them may.

    `changed` is called when there may be more room than before. `slots.Slots` counts slots in and out.
    """

    def __init__(self, capacity: int, changed: Callable[[], None], first_probe_s: float = PROBE_S) -> None:
        self.capacity = capacity
        self._first_probe_s = first_probe_s
        self.learned_cap: int | None = None
        """The service's own cap, where its refusals have told one below the capacity."""
        self.taken = 0
        """Slots that are out."""
        self.running = 0
        """Slots in which a task runs, or may run."""
        self.most_taken = 0
        self.most_running = 0
        self.streak: Streak | None = None
        """The refusals for the rate since the latest accepted create, while they do not tell of a cap."""
        self._changed = changed
        self._probing = False
        self._probe_s = first_probe_s
        self._refused_at = 0
        """The number of tasks that ran at the latest refusal."""
        self._refuses_within = False
        """Whether the service has accepted a task and then refused it: an accepted create proves no room."""
        self._probe_timer: asyncio.TimerHandle | None = None
        self._shut_timer: asyncio.TimerHandle | None = None

    @property
    def effective_limit(self) -> int:
        """How many may be out: the capacity, or what the service has been found to take."""
        return self.capacity if self.learned_cap is None else min(self.capacity, self.learned_cap)

    @property
    def has_room(self) -> bool:
        """Whether one more may be out."""
        return self._shut_timer is None and self.taken < self.effective_limit

    @property
    def is_too_small(self) -> bool:
        """Whether more are out than may be by now: a create that is not sent yet would be refused."""
        return self._shut_timer is not None or self.taken > self.effective_limit

    @property
    def is_idle(self) -> bool:
        """Whether nothing is known of it that a new one would not know."""
        timers = (self._probe_timer, self._shut_timer)
        return not (self.taken or self.learned_cap or self.streak or self._refuses_within) and timers == (None, None)

    def take(self) -> None:
        self.taken += 1
        self.most_taken = max(self.most_taken, self.taken)

    def give_back(self) -> None:
        self.taken -= 1

    def enter(self) -> None:
        """A task runs, or may run, in a slot that is out."""
        self.running += 1
        self.most_running = max(self.most_running, self.running)

    def leave(self) -> None:
        """Nothing runs any more in a slot that a task was in."""
        self.running -= 1

    def refused(self, wait_s: float = 0.0) -> None:
        """The service had no room for one task more than what runs here, and asked not to be asked for `wait_s`."""
        loop = asyncio.get_running_loop()
        if self._probing:
            found_room = self.running > self._refused_at
            self._probe_s = self._first_probe_s if found_room else min(PROBE_S, 2 * self._probe_s)
        self._probing, self.streak, self._refused_at = False, None, self.running
        if wait_s > 0:
            if self._shut_timer is not None:
                self._shut_timer.cancel()
            self._shut_timer = loop.call_later(wait_s, self._open)
        self._learn(self.running)
        early_s = min(PROBE_S, self._probe_s)
        self._probe_in(max(LATE_PROBE_S if self._refuses_within and self.running else early_s, wait_s))

    def refused_within(self) -> None:
        """The service accepted a task and then ended it for want of room beside what runs here: from now on a create
        that is accepted proves no room, so that only one more is tried at a time."""
        self._refuses_within = True
        self.refused()

    def found_room(self) -> None:
        """A task more runs than before: the service takes as many, at the least."""
        self.streak = None
        if self.learned_cap is not None:
            self._learn(max(self.learned_cap, self.running + self._probing))

    def _open(self) -> None:
        self._shut_timer = None
        self._changed()

    def _probe(self) -> None:
        """Let one more be tried, and further ones as long as they are accepted: `refused` ends it."""
        self._probe_timer = None
        if self.learned_cap is None:  # as many as our capacity were accepted meanwhile: there is nothing beyond to try
            return
        self._probing = not self._refuses_within
        self._learn(self.learned_cap + 1)
        if self._refuses_within and self.learned_cap is not None:
            self._probe_in(HEARD_S)

    def _probe_in(self, seconds: float) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        self._probe_timer = asyncio.get_running_loop().call_later(seconds, self._probe)

    def _learn(self, cap: int) -> None:
        self.learned_cap = cap if cap < self.capacity else None
        self._changed()
