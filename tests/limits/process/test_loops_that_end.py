"""The limits of a process when its loops are closed, stand still or are forked away, and their clients never close."""

import asyncio
import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.process import account
from mps_aigc_async.limits.process.account import KEPT_S, AccountLimits, Accounts, process_accounts
from mps_aigc_async.limits.process.slot import ProcessSlot
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.limits.process.streams import Streams
from mps_aigc_async.limits.protocol import STRANDED_S
from mps_aigc_async.model.states import Kind
from mps_aigc_async.testing import forget_limits

ACTION = "CreateAigcImageTask"


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    forget_limits()
    yield
    forget_limits()


def limits_of(name: str, accounts: Accounts | None = None) -> AccountLimits:
    return AccountLimits(Rates(1000.0), {Kind.IMAGE: 2}, key=LimitsKey("mps", "http://a", name), accounts=accounts)


async def with_waiters(slots: ProcessSlots, count: int) -> tuple[ProcessSlot, list[asyncio.Task[ProcessSlot]]]:
    slot = await slots.acquire()
    waiters = [asyncio.create_task(slots.acquire()) for _ in range(count)]
    await asyncio.sleep(0)
    return slot, waiters


async def release_and_take(slots: ProcessSlots, slot: ProcessSlot) -> None:
    """Give a slot back while another create of this loop waits for one."""
    waiter = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slot.release()
    async with asyncio.timeout(5):
        (await waiter).release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_closed_loop_with_thousands_of_waiters_gets_no_slot() -> None:
    slots, loop = ProcessSlots(1), asyncio.new_event_loop()
    slot, waiters = loop.run_until_complete(with_waiters(slots, 2000))
    loop.close()
    asyncio.run(release_and_take(slots, slot))
    figures = slots.figures()
    assert (figures.taken, figures.waiting) == (0, 0)
    for waiter in waiters:
        waiter._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_loop_that_stands_still_gets_no_slot_until_it_runs_again() -> None:
    slots, loop = ProcessSlots(1), asyncio.new_event_loop()
    slot, (first, second, third) = loop.run_until_complete(with_waiters(slots, 3))
    asyncio.run(release_and_take(slots, slot))

    async def go_on() -> None:
        second.cancel()
        async with asyncio.timeout(5):
            (await first).release()
            (await third).release()

    loop.run_until_complete(go_on())
    loop.close()
    assert second.cancelled()
    assert (slots.figures().taken, slots.figures().waiting) == (0, 0)


def test_a_callback_that_fails_costs_no_slot() -> None:
    async def main() -> None:
        slots = ProcessSlots(1)
        slot = await slots.acquire(model="A")
        slots.note_refusal("A")

        def fail() -> None:
            raise ValueError("of the callback")

        with pytest.raises(ValueError, match="of the callback"):
            await slots.acquire(model="A", on_hold_up=fail)
        assert slots.figures().waiting == 0
        slot.release()
        assert slots.figures().taken == 0

    asyncio.run(main())


def test_a_callback_of_a_held_up_create_may_wait_for_another_thread() -> None:
    """The other thread asks for the figures: nobody's callback runs under the lock."""

    async def main() -> None:
        slots, answers = ProcessSlots(1), list[bool]()

        def ask() -> None:
            other = threading.Thread(target=slots.figures, daemon=True)
            other.start()
            other.join(5)
            answers.append(not other.is_alive())

        slot = await slots.acquire(model="A")
        waiter = asyncio.create_task(slots.acquire(model="A", on_hold_up=ask))
        await asyncio.sleep(0)
        slots.note_refusal("A")
        await asyncio.sleep(0)
        assert answers == [True]
        slot.release()
        waiter.cancel()

    asyncio.run(main())


def test_a_task_whose_loop_was_closed_without_its_client_keeps_its_slot_for_a_time_only() -> None:
    slots = ProcessSlots(2)

    async def leave(task_id: str) -> None:
        slots.join()
        (await slots.acquire()).name(task_id)

    async def look() -> None:
        slots.join()
        slots.join()
        loop = asyncio.get_running_loop()
        assert slots.figures().running == 1
        assert list(slots._held_until.values()) == [pytest.approx(loop.time() + STRANDED_S, abs=5)]
        slots.adopt("task")
        assert slots._held_until == {}

    asyncio.run(leave("task"))
    asyncio.run(look())


def test_a_create_that_is_collected_with_its_closed_loop_can_hold_its_slot() -> None:
    slots = ProcessSlots(1)
    slot = asyncio.run(slots.acquire())
    slot.hold_for(0.01, "an unknown create")

    async def take() -> None:
        slots.join()
        async with asyncio.timeout(5):
            (await slots.acquire()).release()

    asyncio.run(take())


def test_loops_without_end_are_collected_with_and_without_their_clients() -> None:
    loops = list[weakref.ref[asyncio.AbstractEventLoop]]()

    async def use(number: int) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        limits = limits_of("me")
        await asyncio.gather(*(limits.pace(ACTION).reserve() for _ in range(3)))
        await limits.take_retry()
        slot = await limits.slots[Kind.IMAGE].acquire()
        if number % 2:
            slot.hold_for(0.001, f"task-{number}")
        else:
            slot.release()
        take_none = limits.slots[Kind.IMAGE].on_stray(ignore)
        if number % 3:
            take_none()
            limits.leave()

    for number in range(30):
        asyncio.run(use(number))
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 2


def test_accounts_of_long_ago_are_dropped_even_if_their_clients_never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    accounts, now = Accounts(), [0.0]
    monkeypatch.setattr(account, "monotonic", lambda: now[0])

    async def open_and_leave() -> None:
        for number in range(account.FEW - 1):
            limits = limits_of(f"old-{number}", accounts)
            (await limits.slots[Kind.IMAGE].acquire()).hold_for(-1.0, "a task that has ended")
            if number % 2:
                limits.leave()

    async def open_more() -> None:
        limits_of("last", accounts)
        now[0] = KEPT_S + 1
        limits_of("newest", accounts)

    asyncio.run(open_and_leave())
    asyncio.run(open_more())
    assert {key.account for key in accounts._by_key} == {"last", "newest"}


def test_the_rate_of_a_client_that_never_closed_ends_with_its_loop() -> None:
    streams = Streams()

    async def join(rate: float) -> float:
        streams.join(Rates(rate))
        return streams.stream(ACTION).rate

    assert [asyncio.run(join(rate)) for rate in (1.0, 10.0)] == [1.0, 10.0]


class _UvloopsLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return super().time()


class OfAUser(_UvloopsLoop):
    """As a user's subclass of uvloop's loop."""


@pytest.mark.parametrize("kind", [asyncio.SelectorEventLoop, OfAUser])
def test_a_subclass_of_a_loop_with_the_systems_clock_shares_the_limits(
    kind: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accounts() -> Accounts:
        return process_accounts()

    monkeypatch.setattr(_UvloopsLoop, "__module__", "uvloop")
    with asyncio.Runner(loop_factory=kind) as one, asyncio.Runner() as other:
        assert one.run(accounts()) is other.run(accounts())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_ask_though_another_thread_held_the_lock() -> None:
    async def main() -> None:
        limits = limits_of("me")
        slots, held, done = limits.slots[Kind.IMAGE], threading.Event(), threading.Event()

        def hold() -> None:
            with slots._lock:
                held.set()
                done.wait(20)

        def ask() -> None:
            slots.figures()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(10)
        child = os.fork()
        if child == 0:
            _exit_0_after(ask)
        try:
            assert os.waitpid(child, 0)[1] == 0  # noqa: ASYNC222 — nothing else is under way
        finally:
            done.set()
            thread.join()

    asyncio.run(main())


def _exit_0_after(work: Callable[[], Any]) -> None:
    """Leave a forked child: with 0 after the work, or by SIGALRM if it hangs."""
    signal.alarm(5)
    try:
        work()
    except BaseException:  # noqa: BLE001 — the child must not go on with the parent's test
        os._exit(1)
    os._exit(0)
