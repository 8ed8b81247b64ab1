"""Who gets a request: the router with accounts that are figures alone, by example and by a state machine."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.engine.account import AccountParts
from mps_aigc_async.engine.routing import ASIDE_S, MOST_WAITING, NO_ROOM_S, TRIAL_S, Place, Route, Router
from mps_aigc_async.model.errors import AccountError
from mps_aigc_async.model.states import Ending, Kind
from mps_aigc_async.testing import VirtualTimeLoop, run

IMAGE = Route(Kind.IMAGE, ("a", "b"))


@dataclass
class Figures:
    """The slots of an account, its dialect and its pace, as the router reads them."""

    name: str
    effective_limit: int = 2
    taken: int = 0
    running: int = 0
    per_second: float = 20.0
    slots: dict[Kind, "Figures"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = dict.fromkeys(Kind, self)

    @property
    def limits(self) -> "Figures":
        return self

    @property
    def dialect(self) -> "Figures":
        return self

    def figures(self) -> "Figures":
        return self

    def create_action(self, kind: Kind) -> str:
        return kind.value

    def pace(self, _: str) -> "Figures":
        return self

    def rate(self, _: float) -> float:
        return self.per_second

    def start(self) -> None:
        self.taken += 1
        self.running += 1

    def stop(self) -> None:
        self.taken -= 1
        self.running -= 1


def router_of(*accounts: Figures) -> Router:
    return Router(cast("list[AccountParts]", list(accounts)))


def refusal() -> AccountError:
    return AccountError("FailedOperation.UserArrears", "in arrears", ending=Ending.ACCOUNT_REFUSED)


def test_a_request_goes_to_the_quicker_pace_while_slots_are_free() -> None:
    async def main() -> None:
        slow, quick = Figures("a", 100, per_second=10.0), Figures("b", 100, per_second=30.0)
        router = router_of(slow, quick)
        names = [(await router.take(IMAGE)).desk.account.name for _ in range(8)]
        assert names.count("b") == 6

    run(main())


def test_few_requests_wait_in_an_account() -> None:
    async def main() -> None:
        router = router_of(Figures("a", 100), Figures("b", 1, taken=1, running=1))
        waiting = [asyncio.ensure_future(router.take(IMAGE)) for _ in range(50)]
        await asyncio.sleep(0)
        names = [(await place).desk.account.name for place in waiting if place.done()]
        assert (names.count("a"), names.count("b")) == (MOST_WAITING, 1)
        for place in waiting:
            place.cancel()

    run(main())


def test_a_place_that_is_given_to_a_cancelled_caller_is_free_again() -> None:
    async def main() -> None:
        router = router_of(Figures("a", 0))
        route = Route(Kind.IMAGE, ("a",))
        first = await router.take(route)
        second, third = asyncio.ensure_future(router.take(route)), asyncio.ensure_future(router.take(route))
        await asyncio.sleep(0)
        first.end()  # gives the place to the second one, which is cancelled before it hears of it
        second.cancel()
        assert (await third).desk.account.name == "a"

    run(main())


def test_a_refused_account_is_tried_by_one_request_and_then_used_again() -> None:
    async def main() -> None:
        router = router_of(Figures("a", 100), Figures("b", 100))
        router.set_aside("b", refusal())
        assert {(await router.take(IMAGE)).desk.account.name for _ in range(5)} == {"a"}
        await asyncio.sleep(ASIDE_S)
        only_b = Route(Kind.IMAGE, ("b",))
        trial = await router.take(only_b)
        other = asyncio.ensure_future(router.take(only_b))
        trial.begin()
        await asyncio.sleep(TRIAL_S / 2)
        assert not other.done()
        await asyncio.sleep(TRIAL_S)
        assert other.done()

    run(main())


def test_the_time_aside_grows_with_each_refusal() -> None:
    async def main() -> None:
        router, only_b = router_of(Figures("a", 100), Figures("b", 100)), Route(Kind.IMAGE, ("b",))
        await router.take(IMAGE)  # the other account is at work
        times = []
        for _ in range(6):
            router.set_aside("b", refusal())
            began = asyncio.get_running_loop().time()
            trial = await router.take(only_b)
            times.append(round(asyncio.get_running_loop().time() - began))
            trial.begin()
            trial.end()
        assert times == [60, 120, 240, 480, 600, 600]

    run(main())


def test_a_request_of_a_refused_account_hopes_while_another_account_works() -> None:
    async def main() -> None:
        router = router_of(Figures("a", 100), Figures("b", 100))
        at_work = await router.take(Route(Kind.IMAGE, ("a",)))
        router.set_aside("b", refusal())
        waiting = asyncio.ensure_future(router.take(Route(Kind.VIDEO, ("b",), home="b")))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        at_work.end()
        with pytest.raises(AccountError, match="in arrears"):
            await waiting

    run(main())


def test_an_account_without_room_gets_one_request_at_a_time_for_a_while() -> None:
    async def main() -> None:
        router = router_of(Figures("a", 100), Figures("b", 100))
        only_b = Route(Kind.IMAGE, ("b",))
        first = await router.take(only_b)
        first.begin()
        first.wait_again(Kind.IMAGE)
        assert (await router.take(IMAGE)).desk.account.name == "a"
        other = asyncio.ensure_future(router.take(only_b))
        await asyncio.sleep(NO_ROOM_S / 2)
        assert not other.done()
        await asyncio.sleep(NO_ROOM_S)
        assert other.done()

    run(main())


def test_a_request_without_room_moves_once_another_account_has_a_free_slot() -> None:
    async def main() -> None:
        full, crowded = Figures("a", 1, taken=1, running=1), Figures("b", 5)
        router, owner = router_of(full, crowded), TaskOwner()
        place = await router.take(IMAGE)
        assert place.desk.account.name == "b"
        running = asyncio.ensure_future(place.run(asyncio.Event().wait(), owner, "work"))
        await asyncio.sleep(0)
        place.begin()
        place.wait_again(Kind.IMAGE)
        await asyncio.sleep(1.0)
        assert not running.done()
        full.stop()
        router.note_change()
        assert await running is None
        assert place.had_no_room

    run(main())


def test_a_chain_waits_for_the_account_that_ends_it_first() -> None:
    async def main() -> None:
        router = router_of(Figures("a", 1), Figures("b", 20))
        route = Route(Kind.IMAGE, ("a", "b"), later=(Kind.VIDEO,))
        taken = [asyncio.ensure_future(router.take(route)) for _ in range(30)]
        await asyncio.sleep(0)
        names = [(await place).desk.account.name for place in taken if place.done()]
        assert (names.count("a"), names.count("b")) == (1, MOST_WAITING)
        for place in taken:
            place.cancel()

    run(main())


def test_all_accounts_refused_is_a_refusal_at_once() -> None:
    async def main() -> None:
        router = router_of(Figures("a"), Figures("b"))
        for name in "ab":
            router.set_aside(name, refusal())
        assert not router.has_open
        with pytest.raises(AccountError, match="in arrears"):
            await router.take(IMAGE)

    run(main())


def test_a_recalled_request_is_cancelled_once_and_its_caller_is_not() -> None:
    async def main() -> None:
        cancelled: list[None] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(None)
                await asyncio.sleep(1.0)  # a clean-up that a second cancel would break
                raise

        full, free = Figures("a", 1, taken=1, running=1), Figures("b", 1, taken=1, running=1)
        router, owner = router_of(full, free), TaskOwner()
        place = await router.take(IMAGE)
        other = full if place.desk.account.name == "b" else free
        running = asyncio.ensure_future(place.run(work(), owner, "work"))
        for _ in range(3):
            await asyncio.sleep(0)
        other.stop()
        router.note_change()
        router.note_change()
        await running
        assert cancelled == [None]
        assert (await router.take(IMAGE)).desk.account.name == other.name

    run(main())


class Routing(RuleBasedStateMachine):
    """Requests come, begin, end and give up, accounts are refused, and time passes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.accounts = {name: Figures(name, 3) for name in "abc"}
        self.router = self.call(lambda: router_of(*self.accounts.values()))
        self.takers: dict[asyncio.Task[Place], Route] = {}
        self.places: list[Place] = []

    def call(self, step: Callable[[], Any]) -> Any:  # noqa: ANN401 — any step's
        async def once() -> Any:  # noqa: ANN401 — any step's
            result = step()
            for _ in range(5):
                await asyncio.sleep(0)
            return result

        return self.runner.run(once())

    def settle(self) -> None:
        for taker in [taker for taker in self.takers if taker.done()]:
            del self.takers[taker]
            if not taker.cancelled() and taker.exception() is None:
                self.places.append(taker.result())

    @rule(names=st.sets(st.sampled_from("abc"), min_size=1), kind=st.sampled_from([Kind.IMAGE, Kind.VIDEO]))
    def ask(self, names: set[str], kind: Kind) -> None:
        route = Route(kind, tuple(sorted(names)))
        self.takers[self.call(lambda: asyncio.ensure_future(self.router.take(route)))] = route

    @rule(number=st.integers(0, 5))
    def give_up(self, number: int) -> None:
        if number < len(self.takers):
            self.call(list(self.takers)[number].cancel)

    @rule(number=st.integers(0, 9))
    def begin(self, number: int) -> None:
        if number < len(self.places):
            place = self.places[number]
            figures = self.accounts[place.desk.account.name]
            if place in place.desk.waiting and figures.taken < figures.effective_limit:
                figures.start()
                self.call(place.begin)

    @rule(number=st.integers(0, 9))
    def find_no_room(self, number: int) -> None:
        if number < len(self.places):
            place = self.places[number]
            if place in place.desk.running:
                self.accounts[place.desk.account.name].stop()
                self.call(lambda: place.wait_again(place.kind))

    @rule(number=st.integers(0, 9))
    def end(self, number: int) -> None:
        if number < len(self.places):
            place = self.places.pop(number)
            if place in place.desk.running:
                self.accounts[place.desk.account.name].stop()
            self.call(place.end)

    @rule(name=st.sampled_from("abc"))
    def refuse(self, name: str) -> None:
        self.call(lambda: self.router.set_aside(name, refusal()))

    @rule(seconds=st.sampled_from([1.0, TRIAL_S, ASIDE_S, 600.0]))
    def pass_time(self, seconds: float) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)

        self.runner.run(wait())

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        self.settle()
        desks = {name: self.router._desks[name] for name in self.accounts}

        def has_place(route: Route) -> bool:
            return any(desks[name].is_open and desks[name].has_room(route.kind) for name in route.accounts)

        assert not self.call(lambda: [route for route in self.takers.values() if has_place(route)])

    @invariant()
    def each_place_is_counted_once(self) -> None:
        self.settle()
        desks = self.router._desks.values()
        counted = [place for desk in desks for place in (*desk.waiting, *desk.running)]
        assert len(counted) == len(set(counted)) == len(self.places)

    def teardown(self) -> None:
        self.runner.close()


TestRouting = Routing.TestCase
TestRouting.settings = settings(deadline=None)
