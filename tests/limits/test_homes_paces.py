"""The paces of all three homes of the limits: several members keep to one account's limit."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from mps_aigc_async.limits import LEAD_S, HeldBack

from .homes import ACTION, Home, Host, Postgres, Process, saturated, sends
from .measuring import figures_of, most_in_a_window, rate_of


@pytest.fixture(params=["process", "host", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "process":
        return Process()
    return Host(tmp_path) if request.param == "host" else Postgres(request.getfixturevalue("database"))


@pytest.mark.parametrize("rate", [10, 40])
def test_members_together_use_the_limit_and_never_more(home: Home, rate: int) -> None:
    async def main() -> list[list[float]]:
        members = [await home.member(rate) for _ in range(3)]
        return await saturated([member.pace(ACTION) for member in members], count=2 * rate)

    times = home.run(main)
    together = sorted(time for member in times for time in member)
    assert most_in_a_window(together) <= rate
    used = (len(together) - 1) / (together[-1] - together[0]) / rate
    if home.is_virtual:  # in real time, a busy machine makes sends late
        assert used > 0.97
        assert min(map(len, times)) >= 0.8 * len(together) / 3 or isinstance(home, Process)
    assert min(map(len, times)) > 0


def test_waiters_are_served_in_order_and_a_cancelled_one_costs_nothing(home: Home) -> None:
    async def main() -> tuple[list[int], list[float]]:
        pace, order, times = (await home.member(20)).pace(ACTION), list[int](), list[float]()

        async def wait(number: int) -> None:
            send_time = await pace.reserve()
            order.append(number)  # the sends themselves may change places: one that is late gets another time
            await send_time.reach()
            times.append(asyncio.get_running_loop().time())

        tasks = [asyncio.create_task(wait(number)) for number in range(24)]
        while len(order) < 2:
            await tasks[len(order)]
        for number in range(12, 20):
            tasks[number].cancel()
        await asyncio.wait(tasks)
        assert figures_of(pace).waiting == 0
        return order, times

    order, times = home.run(main)
    assert order == [number for number in range(24) if number not in range(12, 20)]
    assert times[-1] - times[0] < 15 * 0.05125 + (0.06 if home.is_virtual else 2)


def test_a_waiter_that_is_cancelled_in_its_turn_leaves_the_send_time_to_the_next(home: Home) -> None:
    async def main() -> float:
        pace = (await home.member(1)).pace(ACTION)
        [first] = await sends(pace, 1)
        in_turn, next_one = (asyncio.create_task(sends(pace, 1)) for _ in range(2))
        await asyncio.wait([in_turn], timeout=0.5)
        assert figures_of(pace).waiting == 2
        in_turn.cancel()
        [second] = await next_one
        return second - first

    assert home.run(main) < (1.03 if home.is_virtual else 3)


def test_a_pause_that_one_member_is_asked_for_holds_all(home: Home) -> None:
    async def main() -> float:
        one, other = [(await home.member(20)).pace(ACTION) for _ in range(2)]
        await sends(one, 1)
        await sends(other, 1)
        one.hold(0.5)
        began = asyncio.get_running_loop().time()
        [one_at], others = await asyncio.gather(sends(one, 1), sends(other, 3))
        assert one_at - began >= 0.49
        return max(late - early for early, late in pairwise([began, *others]))  # a send may have its time already

    assert 0.4 <= home.run(main) < (0.6 if home.is_virtual else 3)


def test_a_long_pause_holds_a_call_back_that_is_prepared(home: Home) -> None:
    async def main() -> None:
        pace = (await home.member(20)).pace(ACTION)
        send_time = await pace.reserve()
        pace.hold(LEAD_S + 5)
        await asyncio.sleep(0)
        with pytest.raises(HeldBack):
            await send_time.reach()

    home.run(main)


def test_a_refusal_slows_all_members_and_an_undo_restores_them(home: Home) -> None:
    async def main() -> None:
        one, other = [(await home.member(20)).pace(ACTION) for _ in range(2)]
        send_time = await one.reserve()
        await send_time.reach()
        undo = send_time.undo_point()
        send_time.note_refusal()
        await sends(one, 1)
        await sends(other, 1)
        slow = rate_of(one), rate_of(other)
        assert max(slow) < 19
        assert slow[0] == pytest.approx(slow[1], abs=0.1)
        undo()
        await sends(one, 1)
        await sends(other, 1)
        assert rate_of(one) == rate_of(other) == 20

    home.run(main)


def test_the_lowest_rate_counts_while_its_member_is_open(home: Home) -> None:
    async def main() -> list[float]:
        fast, slow = await home.member(50), await home.member(10)
        await sends(slow.pace(ACTION), 1)
        times = await sends(fast.pace(ACTION), 12)
        assert rate_of(fast.pace(ACTION)) == 10
        return times

    assert most_in_a_window(home.run(main)) <= 10


def test_require_is_asked_before_a_send_time_is_taken(home: Home) -> None:
    def refuse() -> None:
        raise ValueError("not wanted any more")

    async def main() -> None:
        pace = (await home.member(20)).pace(ACTION)
        with pytest.raises(ValueError, match="not wanted"):
            await pace.reserve(refuse)
        await sends(pace, 1)

    home.run(main)
