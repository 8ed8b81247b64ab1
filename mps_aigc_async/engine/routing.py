"""Which of a client's accounts runs a request: the one that can start it first.

A request is given to an account late, because another account may get a free slot first. An account that the service
refuses is set aside: it is told once, its requests that have not begun go to the others, and after a while one request
tries it. The tasks that run in it are polled on.

Whatever changes (a request comes, begins or ends, an account is refused or tried again), one function decides which
waiting requests get a place now (`Router._serve`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ..concurrency.owner import TaskOwner
from ..jobs.lookahead import USUAL_S
from ..model.errors import AccountError
from ..model.states import Kind
from ..network.calls import repeated
from .account import AccountParts

_log: Final = logging.getLogger("mps_aigc_async")

T = TypeVar("T")

MOST_WAITING: Final = 20
"""Requests that wait for their first create in an account with free slots: a second's creates at the highest rate."""

ASIDE_S: Final = 60.0
MOST_ASIDE_S: Final = 600.0
"""Seconds for which a refused account is set aside: doubled after each refusal, from the first value to the second. The
first is as long as a refusal stops the account's creates (`calls.REFUSAL_HOLDS_S`)."""

NO_ROOM_S: Final = 60.0
"""Seconds for which an account gets one request of a kind at a time after the service had no room for one there."""

STEP_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 30.0, **USUAL_S}
"""Seconds that a task may usually take, to compare the kinds. No document gives the time of an image."""

TRIAL_S: Final = 2.0
"""Seconds after the first create of an account that was set aside, until more requests go there: a refusal would be
answered by then."""


@dataclass(frozen=True, slots=True)
class Route:
    """The accounts in which a request may go on."""

    kind: Kind
    """The kind of the first create that the request needs."""
    accounts: tuple[str, ...]
    home: str = ""
    """The account in which the request goes on unless that is set aside; empty for none."""
    later: tuple[Kind, ...] = ()
    """The kinds of a chain's steps after that create."""

    @property
    def chain_steps(self) -> tuple[Kind, ...]:
        """The kinds of the steps of a chain; none for a single step."""
        return (self.kind, *self.later) if self.later else ()


class Desk:
    """An account as the router sees it."""

    def __init__(self, account: AccountParts) -> None:
        self.account: Final = account
        self.waiting: set[Place] = set()
        """The requests that are given to the account, and wait for their first create."""
        self.running: set[Place] = set()
        """The requests that have begun here, and have not ended."""
        self.room_at: dict[Kind, float] = {}
        """When there may be room for tasks of a kind again, on the loop's clock."""
        self.chain_steps: Counter[Kind] = Counter()
        """The steps of the chains that wait or run here, by kind."""
        self.refusal: AccountError | None = None
        """The refusal for which the account is set aside; None once the account has proved itself again."""
        self.refusals = 0
        """The number of refusals in a row."""
        self.again_at = 0.0
        """When the account is tried again, on the loop's clock."""
        self.is_tried = False
        """Whether a request has begun that tries the account."""

    def __repr__(self) -> str:
        return f"<Desk of {self.account.name}, {len(self.waiting)} requests wait, {len(self.running)} run>"

    @property
    def is_open(self) -> bool:
        return self.is_proven or asyncio.get_running_loop().time() >= self.again_at

    def is_crowded(self, kind: Kind) -> bool:
        """Whether the service had no room for a task of this kind a moment ago, whatever the slots say."""
        return asyncio.get_running_loop().time() < self.room_at.get(kind, 0.0)

    def add(self, place: "Place", among: set["Place"]) -> None:
        """Count a request among those that wait, or run."""
        among.add(place)
        self.chain_steps.update(place.route.chain_steps)

    def remove(self, place: "Place") -> None:
        """Count a request that has ended here no longer."""
        if place in self.waiting or place in self.running:
            self.waiting.discard(place)
            self.running.discard(place)
            self.chain_steps.subtract(place.route.chain_steps)

    def chain_s(self, route: Route) -> float:
        """The seconds that the chains here and one more would take in the scarcest slots; 0 for a single step. A chain
        stays in its account, so its later steps count before its first one begins."""
        slots = self.account.limits.slots
        return max(
            (
                (self.chain_steps[kind] + 1)
                / (1 if self.is_crowded(kind) else max(1, slots[kind].figures().effective_limit))
                * STEP_S[kind]
                for kind in route.chain_steps
            ),
            default=0.0,
        )

    @property
    def is_proven(self) -> bool:
        """Whether the account is not set aside, nor on trial."""
        return self.refusal is None

    def queue_length(self, kind: Kind) -> int:
        return sum(place.kind is kind for place in self.waiting)

    def free_slots(self, kind: Kind) -> int:
        """The slots that neither a task nor a request here needs; below 0 if requests here wait for one."""
        if self.is_crowded(kind):
            return -self.queue_length(kind)
        figures = self.account.limits.slots[kind].figures()
        with_slot = figures.taken - figures.running
        return figures.effective_limit - figures.taken - max(0, self.queue_length(kind) - with_slot)

    def has_room(self, kind: Kind) -> bool:
        """Whether one more request may wait here. One always may: another process may free a slot."""
        if not self.is_proven:
            return not self.is_tried and not self.waiting
        return self.queue_length(kind) < (MOST_WAITING if self.free_slots(kind) > 0 else 1)

    def delay(self, kind: Kind) -> tuple[bool, float]:
        """How late one more create would begin: whether it would wait for a slot, and the seconds of its pace."""
        now = asyncio.get_running_loop().time()
        rate = self.account.limits.pace(self.account.dialect.create_action(kind)).rate(now)
        return self.free_slots(kind) <= 0, (self.queue_length(kind) + 1) / rate


class Place:
    """The place of a request in an account, until it ends there."""

    def __init__(self, router: "Router", desk: Desk, route: Route) -> None:
        self._router = router
        self.desk: Final = desk
        self.route: Final = route
        self.kind = route.kind
        """The kind of the create that the request waits for, or that was its latest."""
        self.had_no_room = False
        """Whether the service had no room for the latest create."""
        self._task: asyncio.Task[Any] | None = None
        self.is_recalled = False

    def begin(self) -> None:
        """Note that the request no longer waits for its first create."""
        if self in self.desk.waiting:
            self.desk.waiting.remove(self)
            self.desk.running.add(self)
            self._router.note_begin(self.desk)

    def wait_again(self, kind: Kind) -> None:
        """Note that the service has no room for a create: another account may run the request meanwhile."""
        self.kind, self.had_no_room = kind, True
        if self in self.desk.running:
            self.desk.running.remove(self)
            self.desk.waiting.add(self)
        self._router.note_no_room(self.desk, kind)

    def end(self) -> None:
        """Note that the request has ended here."""
        self.desk.remove(self)
        self._router.note_change()

    def recall(self) -> None:
        """End the request's wait here: another account runs it."""
        if self._task is not None and not self.is_recalled:
            self.is_recalled = True
            self._task.cancel()

    async def run(self, work: Coroutine[Any, Any, T], owner: TaskOwner, name: str) -> T | None:
        """Run the request; None if it was recalled before it began."""
        try:
            task: asyncio.Task[T] = owner.start(work, name)
            self._task = task
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self.is_recalled and caller is not None and not caller.cancelling():
                return None
            raise
        finally:
            self.end()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """A request that waits for a place."""

    route: Route
    place: asyncio.Future[Place] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Router:
    """Gives requests to accounts."""

    def __init__(self, accounts: Iterable[AccountParts]) -> None:
        self._desks: Mapping[str, Desk] = {account.name: Desk(account) for account in accounts}
        self._waiters: dict[_Waiter, None] = {}
        """In the order in which they came."""

    def __repr__(self) -> str:
        return f"<Router of {len(self._desks)} accounts, {len(self._waiters)} requests wait>"

    @property
    def has_open(self) -> bool:
        """Whether an account is not set aside."""
        return any(desk.is_open for desk in self._desks.values())

    async def take(self, route: Route) -> Place:
        """Wait for a place for a request. Raises AccountError, the refusal of its accounts, if no other account is at
        work meanwhile."""
        waiter = _Waiter(route)
        self._waiters[waiter] = None
        self._serve()
        try:
            return await waiter.place
        except asyncio.CancelledError:
            if waiter.place.done() and not waiter.place.cancelled() and waiter.place.exception() is None:
                waiter.place.result().end()
            raise
        finally:
            self._waiters.pop(waiter, None)

    def enter(self, account: str, kinds: Sequence[Kind]) -> Place:
        """A place for a request that goes on in an account with steps of these kinds; none if it is only saved."""
        kind, *later = kinds or (Kind.IMAGE,)
        place = Place(self, self._desks[account], Route(kind, (account,), account, tuple(later)))
        place.desk.add(place, place.desk.running)
        return place

    # --- the decision -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Give places to the requests that can have one now, the first one first."""
        without_room: set[Route] = set()
        for waiter in [one for one in self._waiters if not one.place.done()]:
            if waiter.route in without_room:
                continue
            desk = self._desk_for(waiter.route)
            if desk is not None:
                place = Place(self, desk, waiter.route)
                desk.add(place, desk.waiting)
                waiter.place.set_result(place)
            elif (refusal := self._hopeless(waiter.route)) is not None:
                waiter.place.set_exception(refusal)
            else:
                without_room.add(waiter.route)
        if all(waiter.place.done() for waiter in self._waiters):
            self._balance()

    def _desk_for(self, route: Route) -> Desk | None:
        """The account that can start a request first, if one has room."""
        desks = [desk for name, desk in self._desks.items() if name in route.accounts and desk.is_open]
        at_home = [desk for desk in desks if desk.account.name == route.home and not desk.is_crowded(route.kind)]
        chain_s = {
            desk: desk.chain_s(route) for desk in at_home or desks if desk.has_room(route.kind) or desk.is_proven
        }
        least_s = min(chain_s.values(), default=0.0)  # worth waiting for: a chain in a slower account ends later
        with_room = [desk for desk, seconds in chain_s.items() if seconds <= least_s and desk.has_room(route.kind)]
        return min(with_room, key=lambda desk: desk.delay(route.kind), default=None)

    def _hopeless(self, route: Route) -> AccountError | None:
        """The refusal of a request's accounts, if all of them are set aside and no other is at work."""
        refusals = [self._desks[name].refusal for name in route.accounts if not self._desks[name].is_open]
        others = [desk for name, desk in self._desks.items() if name not in route.accounts and desk.is_open]
        hopes = {name for waiter in self._waiters if not waiter.place.done() for name in waiter.route.accounts}
        are_at_work = any(desk.waiting or desk.running or desk.account.name in hopes for desk in others)
        if len(refusals) < len(route.accounts) or are_at_work or refusals[0] is None:
            return None
        refusal = repeated(refusals[0])
        return refusal if isinstance(refusal, AccountError) else None

    def _balance(self) -> None:
        """Recall a request that waits for a slot, if another account has a free one that nobody wants. One at a
        time."""
        desks = self._desks.values()
        if any(place.is_recalled for desk in desks for place in desk.waiting):
            return
        for desk in desks:
            without_slot = {kind for kind in {place.kind for place in desk.waiting} if desk.free_slots(kind) < 0}
            for place in desk.waiting if without_slot else ():
                can_move = not place.route.home or place.had_no_room
                if can_move and place.kind in without_slot and self._has_better(place):
                    place.recall()
                    return

    def _has_better(self, place: Place) -> bool:
        """Whether another account has a free slot for a request that waits for one."""
        others = (self._desks[name] for name in place.route.accounts if self._desks[name] is not place.desk)
        return any(other.is_proven and other.free_slots(place.kind) > 0 for other in others)

    # --- changes ------------------------------------------------------------------------------------------------------

    def note_change(self) -> None:
        """A request has ended, or an account is tried again."""
        self._serve()

    def note_no_room(self, desk: Desk, kind: Kind) -> None:
        """The service has no room for a task of this kind in an account."""
        loop = asyncio.get_running_loop()
        desk.room_at[kind] = loop.time() + NO_ROOM_S
        loop.call_later(NO_ROOM_S, self.note_change)
        self._serve()

    def note_begin(self, desk: Desk) -> None:
        """A request's first create goes out in an account."""
        if desk.refusal is not None and not desk.is_tried:
            desk.is_tried = True
            asyncio.get_running_loop().call_later(TRIAL_S, self._end_trial, desk)
        self._serve()

    def set_aside(self, account: str, refusal: AccountError) -> None:
        """Give no request to an account for a while: the service has refused it."""
        desk, loop = self._desks[account], asyncio.get_running_loop()
        if not desk.is_open:  # a create that was under way was refused as well
            return
        desk.refusals += 1
        seconds = min(ASIDE_S * 2.0 ** (desk.refusals - 1), MOST_ASIDE_S)
        if desk.refusal is None:
            _log.warning(
                "the account %s is set aside, the others go on, and it is tried again in %.0f s: %s",
                account,
                seconds,
                refusal,
            )
        desk.refusal, desk.again_at, desk.is_tried = refusal, loop.time() + seconds, False
        loop.call_later(seconds, self.note_change)
        for place in desk.waiting:
            place.recall()
        self._serve()

    def _end_trial(self, desk: Desk) -> None:
        """Use an account again that was not refused in its trial."""
        if desk.is_tried:
            _log.info("the account %s is used again", desk.account.name)
            desk.refusal, desk.refusals, desk.is_tried = None, 0, False
            self._serve()
