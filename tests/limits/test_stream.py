"""The stream: never more than the limit in any second, at any times of arrival, and close to all of it if saturated."""

from bisect import bisect_right
from itertools import accumulate, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits import LEAD_S
from mps_aigc_async.limits.process.pace import LATE_S
from mps_aigc_async.limits.stream import Send, Stream

from .measuring import most_in_a_window

RATES = st.sampled_from([1, 2, 3, 10, 20, 50])


@given(rate=RATES, gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=150))
def test_no_window_holds_more_than_the_limit_for_any_arrivals(rate: int, gaps: list[float]) -> None:
    stream, now, times = Stream(rate), 100.0, []
    for gap in gaps:
        now += gap
        times.append(stream.take(now).due)
    assert all(later >= earlier for earlier, later in pairwise(times))
    assert most_in_a_window(times) <= rate


@given(rate=RATES, data=st.data())
def test_nor_if_sends_are_late_and_delivered_with_jitter(rate: int, data: st.DataObject) -> None:
    """Late by up to LATE_S at our end, and by up to the jitter on the way. The guard sees no send before it is out."""
    jitter = 0.025
    stream, now, arrivals = Stream(rate, jitter), 0.0, list[float]()
    under_way: list[tuple[Send, float]] = []
    for _ in range(data.draw(st.integers(1, 120))):
        while (due := stream.due(now)) - LEAD_S > now:
            now = min([due - LEAD_S, *(sent_at for _, sent_at in under_way)])
            under_way = _still_under_way(under_way, now)
        send = stream.take(now)
        sent_at = send.due + data.draw(st.sampled_from([0.0, 0.001, 0.05, LATE_S - 0.001]))
        under_way.append((send, sent_at))
        arrivals.append(sent_at + data.draw(st.sampled_from([0.0, jitter * 0.79])))
    assert most_in_a_window(arrivals) <= rate


def _still_under_way(under_way: list[tuple[Send, float]], now: float) -> list[tuple[Send, float]]:
    """Note the sends that have gone out by now; return the others."""
    for send, sent_at in under_way:
        if sent_at <= now:
            send.sent_at = sent_at
    return [(send, sent_at) for send, sent_at in under_way if sent_at > now]


@pytest.mark.parametrize("rate", [10, 20, 50])
def test_saturated_it_uses_all_but_the_jitters_share(rate: int) -> None:
    stream = Stream(rate)
    times = [stream.take(0.0).due for _ in range(rate * 60)]
    assert len(times) / (times[-1] - times[0]) >= 0.973 * rate


def test_the_first_send_of_an_idle_stream_is_now() -> None:
    stream = Stream(20)
    stream.take(0.0)
    assert stream.take(50.0).due == 50.0


def test_a_limit_below_one_a_second_is_kept_too() -> None:
    stream = Stream(0.5)
    times = [stream.take(0.0).due for _ in range(5)]
    assert most_in_a_window(times, window=2.0) == 1


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Stream(0)


def test_a_late_send_pushes_the_one_a_window_later() -> None:
    stream = Stream(2, jitter_s=0.0)
    first, second = stream.take(0.0), stream.take(0.0)
    first.sent_at = 0.2
    assert second.due == pytest.approx(0.5)
    assert stream.take(0.0).due == pytest.approx(1.2)


def test_a_refusal_slows_the_sends_that_follow() -> None:
    stream = Stream(20)
    first = stream.take(0.0)
    stream.note_refusal(first, 0.0)
    times = [stream.take(0.0).due for _ in range(21)]
    assert times[0] > 0.05125
    assert times[-1] - times[0] == pytest.approx(20 * 0.05125 / stream.share(0.0))


def test_a_late_send_costs_its_own_lateness_alone() -> None:
    """The sends after it keep their places: a second later they are as punctual as without it."""
    punctual, late = Stream(20), Stream(20)
    for stream in (punctual, late):
        for number in range(100):
            send = stream.take(0.0)
            send.sent_at = send.due + (0.08 if stream is late and number == 50 else 0.0)
    assert late.take(0.0).due == pytest.approx(punctual.take(0.0).due)


@pytest.mark.parametrize("rate", [10, 20, 50])
def test_a_loop_that_blocks_loses_no_more_than_the_limit_makes_it(rate: int) -> None:
    """Blocked for 0.1 s every second or two, as in the benchmark `pacing`. A late send makes the N-th send after it as
    late, at any pace. So the most that is possible is a stream whose other sends go at their earliest moments."""
    used, most = 0.0, 0.0
    for seed in range(20):
        blocks = _blocked(Random(seed))
        used += _sent_within_a_minute(blocks, Stream(rate))
        most += _earliest_within_a_minute(blocks, rate)
    assert used >= 0.999 * most
    assert most <= 20 * 0.974 * rate * 60  # some draws of a minute lie below 0.973


def _blocked(random: Random) -> list[float]:
    """The times at which the loop is blocked, for 0.1 s each."""
    return list(accumulate(random.uniform(1.1, 2.1) for _ in range(60)))


def _once_free(time: float, blocks: list[float]) -> float:
    latest = blocks[bisect_right(blocks, time) - 1]
    return latest + 0.1 if latest <= time < latest + 0.1 else time


def _sent_within_a_minute(blocks: list[float], stream: Stream) -> int:
    now, times = 0.0, list[float]()
    under_way: list[tuple[Send, float]] = []
    while not times or times[-1] < times[0] + 60:
        while (due := stream.due(now)) - LEAD_S > now:
            now = _once_free(min([due - LEAD_S, *(at for _, at in under_way)]), blocks)
            under_way = _still_under_way(under_way, now)
        send = stream.take(now)
        times.append(_once_free(send.due, blocks))
        under_way.append((send, times[-1]))
    return len(times) - 1


def _earliest_within_a_minute(blocks: list[float], rate: int) -> int:
    window = 1.025
    times = [_once_free(number * window / rate, blocks) for number in range(rate)]
    while times[-1] < times[0] + 60:
        times.append(_once_free(times[-rate] + window, blocks))
    return len(times) - 1


def test_a_lower_limit_counts_from_the_next_send_on() -> None:
    stream = Stream(10)
    times = [stream.take(0.0).due for _ in range(10)]
    stream.limit_to(2, 0.025)
    times += [stream.take(0.0).due for _ in range(6)]
    assert all(most_in_a_window(times[index:]) <= 2 for index in range(10, 16))
    assert times[10] >= times[8] + 1.0
    stream.limit_to(10, 0.025)
    times += [stream.take(0.0).due for _ in range(30)]
    assert most_in_a_window(times) <= 10
    with pytest.raises(ValueError, match="above 0"):
        stream.limit_to(0, 0.025)


def test_a_send_had_room_if_few_went_out_in_its_window() -> None:
    busy, quiet = Stream(10), Stream(10)
    assert [busy.take(0.0).had_room for _ in range(12)] == [True] * 5 + [False] * 7
    assert all(quiet.take(0.25 * number).had_room for number in range(20))
    assert not any(Stream(1).take(0.0).had_room for _ in range(3))


def test_an_undo_point_restores_the_share() -> None:
    stream = Stream(20)
    undo = stream.undo_point()
    for second in range(5):
        stream.note_refusal(stream.take(1.2 * second), 1.2 * second)
    assert stream.share(5.0) < 0.7
    undo()
    assert stream.share(5.0) == 1.0


def test_a_refusal_within_a_window_of_the_last_one_puts_nothing_off() -> None:
    stream = Stream(20)
    sends = [stream.take(0.0) for _ in range(3)]
    stream.note_refusal(sends[0], 0.2)
    due, share = stream.due(0.2), stream.share(0.2)
    assert due > 0.2 + 0.05125
    stream.note_refusal(sends[1], 0.21)
    assert (stream.due(0.2), stream.share(0.2)) == (due, share)


@pytest.mark.parametrize(("rate", "window", "interval"), [(0.5, 2.0, 2.025), (1, 1.0, 1.025), (4, 1.0, 0.25625)])
def test_the_stream_leaves_an_interval_and_measures_in_windows(rate: float, window: float, interval: float) -> None:
    stream = Stream(rate)
    assert stream.window == window
    assert [stream.take(10.0).due for _ in range(3)] == pytest.approx([10.0, 10.0 + interval, 10.0 + 2 * interval])


def test_a_longer_interval_counts_from_the_latest_send_and_a_shorter_one_leaves_it_its_place() -> None:
    stream = Stream(10)
    latest = [stream.take(0.0).due for _ in range(3)][-1]
    stream.limit_to(1, 0.025)
    assert stream.due(0.0) == pytest.approx(latest + 1.025)
    stream.limit_to(10, 0.025)
    assert stream.due(0.0) == pytest.approx(latest + 1.025)  # without its place, two would go at almost the same time
