"""The strict window and the meter, for any pattern of arrivals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.emulator.tasks.window import Meter, Window

# Quarters of a second make exact ties at a window's edge common; the floats find the rounding.
GAPS = st.lists(st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 2)), max_size=60)
START = st.sampled_from([0.0, 1_700_000_000.0])


def times_of(start: float, gaps: list[float]) -> list[float]:
    times = [start]
    for gap in gaps:
        times.append(times[-1] + gap)
    return times


def most_in_a_second(times: list[float]) -> int:
    """The definition, spelled out: for each window that begins at a time, count the calls in it."""
    return max((sum(1 for time in times if time >= begin and time - begin < 1.0) for begin in times), default=0)


@given(start=START, gaps=GAPS, limit=st.integers(1, 5))
def test_never_more_than_the_limit_in_any_half_open_second(start: float, gaps: list[float], limit: int) -> None:
    window = Window(limit)
    admissions = [time for time in times_of(start, gaps) if window.admit(time)]
    assert most_in_a_second(admissions) <= limit


@given(start=START, gaps=GAPS, limit=st.integers(1, 5))
def test_what_is_refused_would_have_been_one_too_many(start: float, gaps: list[float], limit: int) -> None:
    window = Window(limit)
    admissions: list[float] = []
    for time in times_of(start, gaps):
        if window.admit(time):
            admissions.append(time)
        else:
            assert most_in_a_second([*admissions, time]) > limit


@given(start=START, gaps=GAPS)
def test_the_meter_finds_the_fullest_second(start: float, gaps: list[float]) -> None:
    meter = Meter()
    times = times_of(start, gaps)
    for time in times:
        meter.count(time)
    assert (meter.total, meter.most) == (len(times), most_in_a_second(times))


def test_a_second_is_half_open() -> None:
    window = Window(2)
    assert [window.admit(at) for at in (0.0, 0.5, 0.999, 1.0, 1.25, 1.5)] == [True, True, False, True, False, True]


def test_no_limit_and_a_senseless_one() -> None:
    window = Window(None)
    assert all(window.admit(0.0) for _ in range(1000))
    with pytest.raises(ValueError, match="at least 1"):
        Window(0)
