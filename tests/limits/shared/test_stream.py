"""Shared paces in virtual time, on the host's file: late sends, lone members, lost files, and lost stores."""

import asyncio
import logging
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mps_aigc_async.limits import LEAD_S, Pace
from mps_aigc_async.limits.share import RateShare, ShareState
from mps_aigc_async.limits.shared.host import HostDatabase
from mps_aigc_async.limits.shared.limits import SharedLimits
from mps_aigc_async.limits.shared.pace import SharedPace
from mps_aigc_async.limits.shared.pace_statements import LATE_S, QUIET, SHARE
from mps_aigc_async.limits.shared.store import LimitsLost, Row, Step, Value

from ..homes import ACTION, Host, saturated, sends
from ..measuring import most_in_a_window

READ = "DescribeAigcImageTask"


async def _late_sends(pace: Pace, random: Random, worst_s: float, times: list[float]) -> None:
    """Send, again and again: each send comes as late as a busy loop or a slow disk makes it."""
    while True:
        send_time = await pace.reserve()
        await asyncio.sleep(LEAD_S + random.choice([0.0, 0.0, 0.004, worst_s * random.random()]))
        await send_time.reach()
        times.append(asyncio.get_running_loop().time())


@settings(max_examples=25)
@given(
    st.sampled_from([1, 3, 10, 20]),
    st.lists(st.tuples(st.floats(0, 40), st.floats(1, 30), st.sampled_from([0.0, 0.02, 0.3])), min_size=1, max_size=3),
    st.integers(0, 1000),
)
def test_no_second_has_more_sends_than_the_limit_whoever_comes_and_is_late(
    tmp_path_factory: pytest.TempPathFactory, rate: int, members: list[tuple[float, float, float]], seed: int
) -> None:
    """Each member comes some seconds after the one before, stays for a while, and its sends are late."""
    host, times = Host(tmp_path_factory.mktemp("host")), list[float]()

    async def visit(come: float, stay: float, worst_s: float, number: int) -> None:
        await asyncio.sleep(come)
        pace = (await host.member(rate)).pace(ACTION)
        random = Random(seed + number)
        senders = [asyncio.create_task(_late_sends(pace, random, worst_s, times)) for _ in range(2 * rate)]
        await asyncio.sleep(stay)
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)

    async def main() -> None:
        visits, come = [], 0.0
        for number, (pause, stay, worst_s) in enumerate(members):
            come += pause if number else 0.0
            visits.append(visit(come, stay, worst_s, number))
        await asyncio.gather(*visits)

    host.run(main)
    assert most_in_a_window(times) <= rate


async def _one_sends_late(pace: SharedPace, seconds: float) -> list[float]:
    times = list[float]()
    random = Random(5)
    senders = [asyncio.create_task(_late_sends(pace, random, LATE_S, times)) for _ in range(30)]
    await asyncio.sleep(seconds)
    for sender in senders:
        sender.cancel()
    await asyncio.wait(senders)
    return times


def test_a_member_that_is_alone_keeps_the_times_of_its_late_sends(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> tuple[float, float]:
        pace = (await host.member(20)).pace(ACTION)
        strict = await _one_sends_late(pace, QUIET)
        await sends(pace, 5)
        await asyncio.sleep(QUIET)
        lone = await _one_sends_late(pace, 60)
        assert most_in_a_window(lone) <= 20
        return len(strict) / QUIET / 20, len(lone) / 60 / 20

    strict, lone = host.run(main)
    assert lone > 0.85
    assert strict < lone


def test_a_second_member_waits_once_for_the_late_sends_of_a_lone_one(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> tuple[float, list[float]]:
        first = (await host.member(10)).pace(ACTION)
        for _ in range(QUIET):
            await sends(first, 3)
            await asyncio.sleep(1)
        await sends(first, 3)
        assert first.stream.view is not None
        assert first.stream.view.is_lone
        began = asyncio.get_running_loop().time()
        second = (await host.member(10)).pace(ACTION)
        times = await sends(second, 3)
        await sends(first, 1)
        assert not first.stream.view.is_lone
        return began, times

    began, times = host.run(main)
    assert 1.25 < times[0] - began < 1.5
    assert times[2] - times[0] < 0.25


def test_a_late_send_is_void_where_others_send_too(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> float:
        pace, other = [(await host.member(10)).pace(ACTION) for _ in range(2)]
        await sends(other, 1)
        send_time = await pace.reserve()
        due = send_time.due
        await asyncio.sleep(send_time.due + 0.02 - asyncio.get_running_loop().time())
        await send_time.reach()
        return send_time.out_at - due

    assert host.run(main) > 0.09


def test_the_others_wait_once_for_a_late_send(tmp_path: Path) -> None:
    """A send 12 ms late, of which J/5 are free, goes out; the moment of its write is noted after it."""
    host = Host(tmp_path)

    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        pace, other = [(await host.member(10)).pace(ACTION) for _ in range(2)]
        await sends(other, 1)
        send_time = await pace.reserve()
        await asyncio.sleep(send_time.due + 0.012 - loop.time())
        await send_time.reach()
        send_time.note_sent()
        assert send_time.out_at - send_time.due == pytest.approx(0.012, abs=0.001)
        await asyncio.sleep(0)
        next_one = await other.reserve()
        return send_time.out_at - send_time.due, next_one.due - send_time.due

    late_s, apart_s = host.run(main)
    assert apart_s == pytest.approx(1.025 / 10 + late_s - 0.005, abs=0.0005)


def test_a_process_that_stands_still_at_the_write_fills_no_window(tmp_path: Path) -> None:
    """Between the last look at the time and the write, nothing can take a send back."""
    host, times = Host(tmp_path), list[float]()

    async def send(pace: Pace, random: Random) -> None:
        while True:
            send_time = await pace.reserve()
            await send_time.reach()
            await asyncio.sleep(random.choice([0.0] * 9 + [0.06]))  # a collection of garbage
            send_time.note_sent()
            times.append(asyncio.get_running_loop().time())

    async def main() -> None:
        members = [(await host.member(20)).pace(ACTION) for _ in range(3)]
        senders = [asyncio.create_task(send(pace, Random(n))) for n in range(5) for pace in members]
        await asyncio.sleep(60)
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)

    host.run(main)
    assert most_in_a_window(times) == 20
    assert len(times) > 0.5 * 60 * 20


def test_a_loop_that_is_always_late_gets_on_by_a_larger_jitter(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> tuple[list[float], float]:
        pace, other = [(await host.member(20)).pace(ACTION) for _ in range(2)]

        async def late() -> None:
            await asyncio.sleep(LEAD_S + 0.04)

        times = list[float]()

        async def send() -> None:
            while True:
                times.extend(await sends(other, 1))
                times.extend(await sends(pace, 1, late))

        senders = [asyncio.create_task(send()) for _ in range(20)]
        await asyncio.sleep(60)
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)
        await asyncio.sleep(120)
        await sends(pace, 1)
        assert pace.stream.view is not None
        return times, pace.stream.view.jitter_s

    times, jitter_s = host.run(main)
    assert len(times) > 0.6 * 60 * 20
    assert most_in_a_window(times) <= 20
    assert jitter_s == 0.025, "a minute later the config's counts again"


def test_a_lost_file_begins_anew_after_a_window_also_for_sends_that_had_a_time(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> tuple[float, list[float]]:
        paces: list[Pace] = [(await host.member(10)).pace(ACTION) for _ in range(2)]
        await saturated(paces, 20)
        prepared = [await pace.reserve() for pace in paces]
        (tmp_path / "paces.sqlite").unlink()
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(send_time.reach() for send_time in prepared))
        times = [send_time.out_at for send_time in prepared]
        for more in await saturated(paces, 30):
            times += more
        return began, times

    began, times = host.run(main)
    assert min(times) >= began + 1.0
    assert most_in_a_window(times) <= 10


def test_a_closed_members_lower_rate_counts_no_more_but_its_sends_do(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> list[float]:
        slow, fast = await host.member(10), await host.member(20)
        times = await sends(slow.pace(ACTION), 10)
        await slow.close()
        times += await sends(fast.pace(ACTION), 60)
        assert fast.pace(ACTION).figures(0).rate == 20
        return times

    times = host.run(main)
    assert most_in_a_window(times[:20]) <= 10 + 10
    assert times[-1] - times[10] < 60 * 0.052 + 1.5


def test_a_jitter_that_ends_leaves_room_for_the_late_sends_under_it(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> list[float]:
        wide, narrow = await host.member(10, jitter_s=1.0), await host.member(10)
        await sends(narrow.pace(ACTION), 1)
        send_time = await wide.pace(ACTION).reserve()
        await asyncio.sleep(send_time.due + 0.19 - asyncio.get_running_loop().time())
        await send_time.reach()
        await wide.close()
        return [send_time.out_at, *await sends(narrow.pace(ACTION), 20)]

    assert most_in_a_window(host.run(main)) <= 10


def test_a_store_whose_time_is_uncertain_gets_a_larger_jitter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path)
    monkeypatch.setattr(HostDatabase, "uncertainty_s", 0.02)

    async def main() -> None:
        pace = (await host.member(20)).pace(ACTION)
        times = await sends(pace, 41)
        assert pace.stream.view is not None
        assert pace.stream.view.jitter_s == pytest.approx(0.12)
        assert times[-1] - times[0] < 2 * 1.15

    host.run(main)


@pytest.mark.parametrize("wait_s", [0.01, 0.1, 0.4])
def test_late_answers_of_the_store_cost_time_and_never_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_s: float
) -> None:
    host, random, transaction = Host(tmp_path), Random(3), HostDatabase.run

    async def slow(database: HostDatabase, *steps: Step) -> list[list[Row]]:
        await asyncio.sleep(random.random() * wait_s)
        rows = await transaction(database, *steps)
        await asyncio.sleep(random.random() * wait_s)
        return rows

    monkeypatch.setattr(HostDatabase, "run", slow)

    async def main() -> list[float]:
        paces: list[Pace] = [(await host.member(10)).pace(ACTION) for _ in range(3)]
        return sorted(time for times in await saturated(paces, 200) for time in times)

    times = host.run(main)
    assert most_in_a_window(times) <= 10
    assert len(times) / (times[-1] - times[0]) > 10 * (0.8 if wait_s < 0.4 else 0.3)


def _dead(limits: SharedLimits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each transaction of these limits fail."""

    async def fail(*_: Step) -> list[list[Row]]:
        raise LimitsLost("the limit store is away")

    monkeypatch.setattr(limits._store.paces, "run", fail)
    monkeypatch.setattr(limits._store.slots, "run", fail)


def test_while_the_store_is_lost_creates_wait_and_polls_go_on_at_the_members_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(tmp_path)

    async def main() -> None:
        loop, members = asyncio.get_running_loop(), [await host.member(20) for _ in range(4)]
        limits = members[0]
        await asyncio.sleep(3)
        await sends(limits.pace(READ), 1)
        with pytest.MonkeyPatch.context() as patch:
            _dead(limits, patch)
            create = asyncio.create_task(sends(limits.pace(ACTION), 1))
            polls = await sends(limits.pace(READ), 40)
            assert most_in_a_window(polls) <= 20 / 4
            assert polls[-1] - polls[0] < 40 / 5 * 1.1
            assert not create.done()
            assert limits.availability.is_lost
        back = loop.time()
        [created_at] = await create
        assert back < created_at < back + 2 + 1.1
        assert not limits.availability.is_lost

    with caplog.at_level(logging.WARNING):
        host.run(main)
    assert [record.message.partition(":")[0].partition(";")[0] for record in caplog.records] == [
        "the limit store is away", "the limit store is back"
    ]  # fmt: skip


def test_a_store_that_is_lost_holds_a_prepared_call_back(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> None:
        limits, other = await host.member(20), await host.member(20)
        await sends(other.pace(ACTION), 1)
        send_time = await limits.pace(ACTION).reserve()
        await asyncio.sleep(0.3)
        with pytest.MonkeyPatch.context() as patch:
            _dead(limits, patch)
            with pytest.raises(Exception, match="not sent: the limit store is away"):
                await send_time.reach()

    host.run(main)


def test_a_member_that_was_taken_for_gone_writes_its_rate_again(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> None:
        slow, fast = await host.member(5), await host.member(20)
        await sends(slow.pace(ACTION), 1)
        await fast._take_out(slow.members.member.id)
        await sends(fast.pace(ACTION), 1)
        assert fast.pace(ACTION).figures(0).rate == 20
        await fast._store.slots.run(("UPDATE mps_aigc_members SET gone_at = 1", {}))
        await asyncio.sleep(5)
        await sends(slow.pace(ACTION), 1)
        await sends(fast.pace(ACTION), 1)
        assert fast.pace(ACTION).figures(0).rate == 5

    host.run(main)


def test_an_implausible_next_time_is_lost_state(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def main() -> float:
        limits = await host.member(20)
        await sends(limits.pace(ACTION), 1)
        await limits._store.paces.run(("UPDATE mps_aigc_paces SET next_at = next_at + 700", {}))
        began = asyncio.get_running_loop().time()
        await sends(limits.pace(ACTION), 1)
        return asyncio.get_running_loop().time() - began

    assert 1 <= host.run(main) < 1.1


@settings(max_examples=30)
@given(st.floats(0.1, 1), st.floats(0, 0.25), st.floats(0, 100), st.sampled_from([0.2, 1.0, 20.0]))
def test_the_stores_share_is_the_arithmetics_share(
    tmp_path_factory: pytest.TempPathFactory, flat_at: float, cut: float, age: float, rate: float
) -> None:
    row = "%(rate)s AS rate, %(flat_at)s AS flat_at, %(cut)s AS cut, %(cut_at)s AS cut_at"
    values: dict[str, Value] = {"rate": rate, "flat_at": flat_at, "cut": cut, "cut_at": 1000 - age}

    async def main() -> float:
        folder = tmp_path_factory.mktemp("host")
        database = await HostDatabase.open(folder / "paces.sqlite", [], clock=lambda: 1000.0, boot="")
        statement = f"SELECT {SHARE} FROM (SELECT {row}) AS r"  # noqa: S608 — constants
        [[(share,)]] = await database.run((statement, values))
        await database.close()
        return float(share)

    assert asyncio.run(main()) == pytest.approx(
        RateShare(max(1.0, 1 / rate), ShareState(flat_at, cut, 1000 - age)).at(1000.0)
    )
