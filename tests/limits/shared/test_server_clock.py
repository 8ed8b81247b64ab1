"""The server's clock, by answers that take any time."""

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits.shared.server_clock import DRIFT, ServerClock

waits = st.floats(0, 20)
exchanges = st.lists(st.tuples(st.floats(0, 600), waits, waits), min_size=1, max_size=30)
"""Seconds until a request, on its way, and for its answer."""


@given(exchanges, st.floats(-1e5, 1e5), st.floats(-0.9 * DRIFT, 0.9 * DRIFT))
def test_the_true_time_is_within_the_uncertainty_whatever_the_answers_take(
    calls: list[tuple[float, float, float]], offset: float, drift: float
) -> None:
    clock, now = ServerClock(), 0.0

    def server(loop_time: float) -> float:
        return loop_time * (1 + drift) + offset

    for pause, there, back in calls:
        now += pause
        assert clock.note(server(now + there), now, now + there + back), "the clocks agree"
        now += there + back
        assert abs(clock.loop_time(server(now)) - now) <= clock.uncertainty(now) + 1e-5


@given(st.floats(0.1, 1e6), st.sampled_from([-1, 1]))
def test_a_clock_that_was_set_is_noticed_by_the_first_quick_answer(step: float, sign: int) -> None:
    clock = ServerClock()
    assert clock.note(0.0, -0.01, 0.01)
    assert not clock.note(1.0 + sign * step, 0.99, 1.01)
    assert abs(clock.loop_time(2.0 + sign * step) - 2.0) <= 0.02


@given(st.floats(0.5, 20))
def test_a_late_answer_shifts_nothing(wait: float) -> None:
    clock = ServerClock()
    clock.note(100.0, 0.0, 0.002)
    clock.note(101.0, 1.001, 1.001 + wait)
    assert abs(clock.loop_time(101.0) - 1.001) < 1e-9
