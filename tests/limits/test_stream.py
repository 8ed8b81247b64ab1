"""The stream: never more than the limit in any second, at any times of arrival, and close to all of it if saturated."""

from bisect import bisect_right
from itertools import accumulate, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits import LEAD_S
from mps_aigc_async.limits.pace import LATE_S
from mps_aigc_async.limits.stream import Send, Stream

from .measuring import most_in_a_window

RATES = st.sampled_from([1, 2, 3, 10, 20, 50])


@given(rate=RATES, gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=150))
def test_no_window_holds_more_than_the_limit_for_any_arrivals(rate: int, gaps: list[float]) -> None:
    stream, now, sent = Stream(rate), 100.0, []
    for gap in gaps:
        now += gap
        sent.append(stream.take(now).due)
    assert all(later >= earlier for earlier, later in pairwise(sent))
    assert most_in_a_window(sent) <= rate


@given(rate=RATES, data=st.data())
def test_nor_with_every_send_late_and_delivered_with_jitter(rate: int, data: st.DataObject) -> None:
    """Late by up to LATE_S at our end, and up to the jitter on the way; nothing is known before it has happened."""
    jitter = 0.025
    stream, now, arrivals = Stream(rate, jitter), 0.0, list[float]()
    under_way: list[tuple[Send, float]] = []
    for _ in range(data.draw(st.integers(1, 120))):
        while (due := stream.due(now)) - LEAD_S > now:
            now = min([due - LEAD_S, *(sent for _, sent in under_way)])
            under_way = _told(under_way, now)
        send = stream.take(now)
        sent = send.due + data.draw(st.sampled_from([0.0, 0.001, 0.05, LATE_S - 0.001]))
        under_way.append((send, sent))
        arrivals.append(sent + data.draw(st.sampled_from([0.0, jitter * 0.79])))
    assert most_in_a_window(arrivals) <= rate


def _told(under_way: list[tuple[Send, float]], now: float) -> list[tuple[Send, float]]:
    """Note what has gone out by now; what is left has not."""
    for send, sent in under_way:
        if sent <= now:
            send.sent_at = sent
    return [(send, sent) for send, sent in under_way if sent > now]


@pytest.mark.parametrize("rate", [10, 20, 50])
def test_saturated_it_uses_all_but_the_jitters_share(rate: int) -> None:
    stream = Stream(rate)
    sent = [stream.take(0.0).due for _ in range(rate * 60)]
    assert len(sent) / (sent[-1] - sent[0]) >= 0.973 * rate


def test_the_first_send_of_an_idle_stream_is_now() -> None:
    stream = Stream(20)
    stream.take(0.0)
    assert stream.take(50.0).due == 50.0


def test_a_limit_below_one_a_second_is_kept_too() -> None:
    stream = Stream(0.5)
    sent = [stream.take(0.0).due for _ in range(5)]
    assert most_in_a_window(sent, window=2.0) == 1


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
    refused = stream.take(0.0)
    stream.note_refusal(refused, 0.0)
    sent = [stream.take(0.0).due for _ in range(21)]
    assert sent[0] > 0.05125
    assert sent[-1] - sent[0] == pytest.approx(20 * 0.05125 / stream.share(0.0))


def test_what_one_late_send_costs_is_its_own_lateness() -> None:
    """Those after it keep their places: a second later they are where they would have been."""
    punctual, late = Stream(20), Stream(20)
    for stream in (punctual, late):
        for number in range(100):
            send = stream.take(0.0)
            send.sent_at = send.due + (0.08 if stream is late and number == 50 else 0.0)
    assert late.take(0.0).due == pytest.approx(punctual.take(0.0).due)


@pytest.mark.parametrize("rate", [10, 20, 50])
def test_a_loop_that_blocks_loses_no_more_than_the_limit_makes_it(rate: int) -> None:
    """What the benchmark `pacing` meets: 0.1 s every second or two. A send that is late by that keeps the N-th send
    after it as late, whatever the pace; a stream that has every other send at its earliest moment is the most there is.
    """
    used, most = 0.0, 0.0
    for seed in range(20):
        blocked = _blocked(Random(seed))
        used += _sent_within_a_minute(blocked, Stream(rate))
        most += _earliest_within_a_minute(blocked, rate)
    assert used >= 0.999 * most
    assert most <= 20 * 0.974 * rate * 60  # some draws of a minute lie below 0.973


def _blocked(random: Random) -> list[float]:
    """When the loop is blocked, each time for 0.1 s."""
    return list(accumulate(random.uniform(1.1, 2.1) for _ in range(60)))


def _once_free(time: float, blocked: list[float]) -> float:
    latest = blocked[bisect_right(blocked, time) - 1]
    return latest + 0.1 if latest <= time < latest + 0.1 else time


def _sent_within_a_minute(blocked: list[float], stream: Stream) -> int:
    now, sent = 0.0, list[float]()
    under_way: list[tuple[Send, float]] = []
    while not sent or sent[-1] < sent[0] + 60:
        while (due := stream.due(now)) - LEAD_S > now:
            now = _once_free(min([due - LEAD_S, *(at for _, at in under_way)]), blocked)
            under_way = _told(under_way, now)
        send = stream.take(now)
        sent.append(_once_free(send.due, blocked))
        under_way.append((send, sent[-1]))
    return len(sent) - 1


def _earliest_within_a_minute(blocked: list[float], rate: int) -> int:
    window = 1.025
    sent = [_once_free(number * window / rate, blocked) for number in range(rate)]
    while sent[-1] < sent[0] + 60:
        sent.append(_once_free(sent[-rate] + window, blocked))
    return len(sent) - 1


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


def test_refusals_that_were_not_of_the_rate_give_back_what_they_took() -> None:
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
    assert stream.due(0.0) == pytest.approx(latest + 1.025)  # taken back it would be two in no time
