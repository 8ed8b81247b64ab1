"""The pace: waiters in order, send times ahead of time, and pauses that the service asks for."""

import asyncio
from itertools import pairwise
from random import Random

import pytest

from mps_aigc_async.limits import LEAD_S, HeldBack
from mps_aigc_async.limits.process.pace import LATE_S, ProcessPace
from mps_aigc_async.limits.stream import Stream
from mps_aigc_async.model.states import Ending
from mps_aigc_async.testing import run

from ..measuring import figures_of, most_in_a_window, rate_of


@pytest.mark.parametrize("rate", [1, 2, 3, 4, 20])
def test_sends_that_go_out_late_keep_the_limit_of_the_window(rate: int) -> None:
    """A handshake or a disk takes up to a quarter of a second, now and then."""

    async def main() -> list[float]:
        loop, pace, times, random = asyncio.get_running_loop(), ProcessPace(Stream(rate)), list[float](), Random(rate)

        async def send() -> None:
            while True:
                send_time = await pace.reserve()
                await asyncio.sleep(LEAD_S + random.choice([0.0, 0.0, 0.1, LATE_S - 0.01]))
                await send_time.reach()
                times.append(loop.time())

        senders = [asyncio.create_task(send()) for _ in range(3 * rate)]
        await asyncio.sleep(120)
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)
        return times

    times = run(main())
    assert most_in_a_window(times) <= rate
    assert len(times) > 0.7 * rate * 120


def test_waiters_are_served_in_order_and_a_cancelled_one_costs_nothing() -> None:
    async def main() -> tuple[list[int], list[float]]:
        pace, order, times = ProcessPace(Stream(20)), list[int](), list[float]()

        async def wait(number: int) -> None:
            send_time = await pace.reserve()
            await send_time.reach()
            order.append(number)
            times.append(asyncio.get_running_loop().time())

        tasks = [asyncio.create_task(wait(number)) for number in range(40)]
        await asyncio.sleep(0.3)
        for number in range(12, 20):
            tasks[number].cancel()
        await asyncio.wait(tasks)
        assert figures_of(pace).waiting == 0
        return order, times

    order, times = run(main())
    assert order == [number for number in range(40) if number not in range(12, 20)]
    assert times[-1] - times[0] < 31 * 0.05125 + 0.06  # at most one send time was lost


def test_a_send_time_comes_ahead_of_time_but_not_too_far() -> None:
    async def main() -> list[float]:
        pace, ahead = ProcessPace(Stream(20)), []
        for _ in range(30):
            send_time = await pace.reserve()
            ahead.append(send_time.due - asyncio.get_running_loop().time())
        return ahead

    ahead = run(main())
    assert max(ahead) <= LEAD_S + 1e-4
    assert min(ahead[6:]) > LEAD_S - 0.01


def test_a_send_prepared_too_slowly_gets_a_new_time_ahead_of_all_waiters() -> None:
    """The new time is one of the stream, because other sends go out at the moment in which this one is ready."""

    async def main() -> None:
        loop, pace, times = asyncio.get_running_loop(), ProcessPace(Stream(10)), list[float]()

        async def send() -> None:
            send_time = await pace.reserve()
            await send_time.reach()
            times.append(send_time.out_at)

        slow = await pace.reserve()
        queue = [asyncio.create_task(send()) for _ in range(50)]
        await asyncio.sleep(2.03)  # a handshake that took two seconds
        ready, before = loop.time(), slow.due
        await slow.reach()
        assert before < ready - LATE_S
        assert ready < slow.due == pytest.approx(slow.out_at, abs=1e-4)
        assert slow.out_at - ready < LEAD_S + 0.3
        await asyncio.wait(queue)
        assert all(later - earlier > 0.1024 for earlier, later in pairwise(sorted([*times, slow.out_at])))
        assert slow.windows_since(ready) == pytest.approx(slow.out_at - ready)

    run(main())


@pytest.mark.parametrize(("late_s", "keeps"), [(0.0, True), (LATE_S - 0.001, True), (LATE_S + 0.001, False)])
def test_a_late_send_keeps_its_time_up_to_a_quarter_of_a_second(late_s: float, keeps: bool) -> None:
    async def main() -> None:
        loop, pace = asyncio.get_running_loop(), ProcessPace(Stream(1))
        await (await pace.reserve()).reach()
        send_time = await pace.reserve()
        due = send_time.due
        assert due - loop.time() == pytest.approx(LEAD_S, abs=1e-4)
        await asyncio.sleep(LEAD_S + late_s)
        ready = loop.time()
        await send_time.reach()
        assert (send_time.due == due) is keeps
        assert (abs(send_time.out_at - ready) < 1e-3) is keeps
        assert send_time.out_at >= send_time.due

    run(main())


def test_the_age_of_a_send_counts_from_the_moment_its_bytes_went_out() -> None:
    async def main() -> None:
        send_time = await ProcessPace(Stream(1)).reserve()
        assert (send_time.age_s, send_time.has_come, send_time.out_at) == (None, False, send_time.due)
        await asyncio.sleep(0.1)
        await send_time.reach()
        await asyncio.sleep(3.0)
        assert send_time.age_s == pytest.approx(3.0, abs=1e-3)
        send_time.note_sent()  # the transport knows better
        assert send_time.age_s == pytest.approx(0.0, abs=1e-3)
        assert send_time.has_come

    run(main())


def test_bytes_that_went_out_later_than_reached_push_the_send_a_window_later() -> None:
    async def main() -> float:
        loop, pace = asyncio.get_running_loop(), ProcessPace(Stream(1))
        first = await pace.reserve()
        await first.reach()
        waiting = asyncio.create_task(pace.reserve())
        await asyncio.sleep(0.2)
        first.note_sent()
        went = loop.time()
        second = await waiting
        await second.reach()
        return second.out_at - went

    assert run(main()) == pytest.approx(1.025 - 0.005, abs=1e-3)


def test_a_loop_that_blocks_bunches_nothing_beyond_the_limit() -> None:
    """Blocked for 0.1 s every now and then, as by a user's own code: judged by when the sends really went out."""

    async def main() -> list[float]:
        loop, pace, times = asyncio.get_running_loop(), ProcessPace(Stream(20, jitter_s=0.0)), list[float]()

        async def send() -> None:
            while True:
                send_time = await pace.reserve()
                await send_time.reach()
                times.append(loop.time())

        senders = [asyncio.create_task(send()) for _ in range(20)]
        for _ in range(60):
            await asyncio.sleep(0.37)
            selector = loop._selector  # type: ignore[attr-defined] # the virtual clock itself: time goes by, nobody runs
            selector.now += 0.1
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)
        return times

    times = run(main())
    assert most_in_a_window(times) <= 20
    assert len(times) > 0.8 * 20 * 60 * 0.47


def test_its_repr_tells_the_rate_and_the_queue() -> None:
    async def main() -> str:
        return repr(ProcessPace(Stream(20)))

    assert run(main()) == "<ProcessPace 20/s, 0 waiting>"


def test_confirm_is_called_at_the_send_time_and_may_stop_the_send() -> None:
    calls: list[float] = []

    def refuse() -> None:
        calls.append(asyncio.get_running_loop().time())
        raise LookupError

    async def main() -> None:
        pace = ProcessPace(Stream(rate=20))
        await pace.reserve()
        send_time = await pace.reserve()
        send_time.confirm_with(refuse)
        with pytest.raises(LookupError):
            await send_time.reach()
        assert calls[0] >= send_time.due
        assert not send_time.has_come

    run(main())


def test_nothing_goes_out_before_the_time_that_the_service_names() -> None:
    async def main() -> None:
        loop, pace, times = asyncio.get_running_loop(), ProcessPace(Stream(20)), list[float]()

        async def send() -> None:
            send_time = await pace.reserve()
            await send_time.reach()
            times.append(loop.time())

        tasks = [asyncio.create_task(send()) for _ in range(40)]
        await asyncio.sleep(0.5)  # some sends are out, some have a send time, the others wait for one
        before, held_at = len(times), loop.time()
        pace.hold(7.0)
        assert figures_of(pace).held_s == pytest.approx(7.0)
        await asyncio.wait(tasks)
        assert before > 0
        assert min(times[before:]) >= held_at + 7.0
        assert most_in_a_window(times) <= 20
        assert most_in_a_window(times[before:], 0.2) <= 4  # a stream, not a burst
        assert max(times) - (held_at + 7.0) < 40 / 19

    run(main())


def test_a_shorter_wait_does_not_end_a_longer_one() -> None:
    async def main() -> None:
        pace = ProcessPace(Stream(20))
        pace.hold(7.0)
        pace.hold(1.0)
        assert figures_of(pace).held_s == pytest.approx(7.0)

    run(main())


def test_a_prepared_send_is_put_back_and_does_not_wait_for_the_end_of_a_long_pause() -> None:
    async def main() -> None:
        pace = ProcessPace(Stream(20))
        await pace.reserve()
        send_time = await pace.reserve()
        send_time.confirm_with(lambda: None)
        pace.hold(7.0)
        with pytest.raises(HeldBack) as info:
            await send_time.reach()
        assert info.value.ending is Ending.NEVER_DELIVERED
        assert not send_time.has_come

    run(main())


def test_a_waiter_whose_requirement_fails_leaves_its_send_time_to_the_next() -> None:
    async def main() -> float:
        loop, pace = asyncio.get_running_loop(), ProcessPace(Stream(1))

        def refuse() -> None:
            raise LookupError

        await pace.reserve()
        tasks = [asyncio.create_task(pace.reserve(refuse)) for _ in range(20)]
        await asyncio.sleep(0)
        send_time = await pace.reserve()
        assert all(isinstance(task.exception(), LookupError) for task in tasks)
        return send_time.due - loop.time()

    assert run(main()) < 1.1


def test_a_held_pace_hands_out_times_again_from_the_end_of_the_pause() -> None:
    async def main() -> None:
        loop, pace = asyncio.get_running_loop(), ProcessPace(Stream(20))
        send_time = await pace.reserve()
        pace.hold(LEAD_S - 0.05)
        until = loop.time() + LEAD_S - 0.05
        await send_time.reach()  # the pause is short: the prepared send waits for its end
        assert until <= send_time.out_at < until + 0.06
        assert figures_of(pace).held_s == 0.0
        pace.hold(7.0)
        began = loop.time()
        assert (await pace.reserve()).due - began == pytest.approx(7.0, abs=1e-3)

    run(main())


def test_a_refusal_slows_the_pace_and_can_be_undone() -> None:
    async def main() -> None:
        pace = ProcessPace(Stream(20))
        send_time = await pace.reserve()
        undo = send_time.undo_point()
        await send_time.reach()
        send_time.note_refusal()
        assert rate_of(pace) == pytest.approx(20 * 0.98 * 0.94, abs=1e-3)
        undo()
        assert rate_of(pace) == 20

    run(main())


@pytest.mark.parametrize("last", ["held", "cancelled"])
def test_a_turn_that_ends_without_a_send_time_goes_to_the_next(last: str) -> None:
    async def main() -> None:
        pace = ProcessPace(Stream(1))
        await pace.reserve()
        leave = False

        def require() -> None:
            if leave:
                raise LookupError

        first = asyncio.create_task(pace.reserve(require))
        second = asyncio.create_task(pace.reserve())
        await asyncio.sleep(0.1)
        assert figures_of(pace).waiting == 2
        if last == "held":
            leave = True  # noticed at the end of its wait
        else:
            first.cancel()
        await asyncio.wait({first})
        assert first.cancelled() or isinstance(first.exception(), LookupError)
        assert (await second).due == pytest.approx(1.025, abs=1e-3)
        assert figures_of(pace).waiting == 0

    run(main())
