"""Our share of a limit: how it falls and comes back, and how much of the rest is used beside a stranger."""

from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits.share import RateShare

from .strangers import Simulation, Stranger

SEEDS = range(5)


def refused_at(*times: float) -> RateShare:
    share = RateShare(window=1.0)
    for time in times:
        share.note_refusal(sent_at=time - 0.05, now=time)
    return share


def test_unrefused_it_is_all_of_the_limit() -> None:
    assert RateShare(window=1.0).at(0.0) == 1.0


def test_one_stray_refusal_costs_little() -> None:
    share = refused_at(100.0)
    losses = [1.0 - share.at(100.0 + second) for second in range(120)]
    assert max(losses) < 0.08
    assert sum(losses) < 1.5  # calls, in seconds of the full rate


def test_a_flock_of_refusals_is_one() -> None:
    share = refused_at(100.0)
    before = share.at(101.5)
    assert not share.note_refusal(sent_at=100.9, now=101.5)
    assert share.at(101.5) == before
    assert share.note_refusal(sent_at=101.1, now=101.5)
    assert share.at(101.5) < before


def test_cuts_that_are_not_enough_grow() -> None:
    times = [100.0 + 1.2 * number for number in range(5)]
    left = [refused_at(*times[: number + 1]).at(time) for number, time in enumerate(times)]
    ratios = [later / earlier for earlier, later in pairwise([1.0, *left])]
    assert left[-1] < 0.5
    assert ratios[0] > ratios[1] > ratios[2]


def test_it_is_flat_below_the_refused_share_and_then_comes_back() -> None:
    share = refused_at(100.0, 101.2, 102.4, 103.6)
    before = share.at(103.5 + 30)
    assert share.at(103.6 + 36) < before * 1.05
    assert share.at(103.6 + 60) == 1.0


def test_it_comes_back_along_the_curve_slowly_where_it_was_refused() -> None:
    """RFC 9438's curve: three quarters of a cut's depth are back after 11 s of the flat half minute, seven eighths of
    it after 15 s, and the rest by its end. From then on the curve probes beyond, slowly at first."""
    share = refused_at(100.0)
    flat = 0.98  # a little below all of the limit
    assert share.at(100.0) == pytest.approx(0.94 * flat)
    assert share.at(115.0) == pytest.approx(flat * (1 - 0.06 / 8))
    assert share.at(130.0) == pytest.approx(flat)
    assert share.at(135.0) == pytest.approx(flat * (1 + 1 / 64))
    assert share.at(150.0) == 1.0


def test_after_deep_cuts_it_takes_most_of_a_minute_to_double() -> None:
    share = refused_at(*(100.0 + 1.5 * number for number in range(8)))
    last = 100.0 + 1.5 * 7
    flat = share.at(last + 30)
    assert flat < 0.3
    assert share.at(last) == pytest.approx(0.75 * flat)  # never deeper than by a quarter
    assert share.at(last + 40) == pytest.approx(flat * 1.125)
    assert share.at(last + 50) == pytest.approx(2 * flat)


def test_a_refusal_after_a_while_is_a_first_cut_again() -> None:
    share = refused_at(100.0, 101.5, 103.0)
    before = share.at(108.0 + 0.05)
    assert share.note_refusal(sent_at=108.0, now=108.05)  # 5 windows after the last cut, which was enough
    assert share.at(108.05) == pytest.approx(before * 0.98 * 0.94)
    again = refused_at(100.0, 101.5, 103.0)
    before = again.at(107.9)
    assert again.note_refusal(sent_at=107.9, now=107.9)
    assert again.at(107.9) == pytest.approx(
        before * (1 - 0.25)
    )  # the last cut was not enough: twice as deep, up to a quarter


def test_it_never_falls_below_a_tenth_and_comes_back_from_there() -> None:
    times = [100.0 + 1.5 * number for number in range(40)]
    share = refused_at(*times)
    assert share.at(times[-1]) == 0.1
    assert share.at(times[-1] + 30) == pytest.approx(0.1)
    assert share.at(times[-1] + 50) == pytest.approx(0.2)


@given(st.lists(st.floats(0.01, 40.0), max_size=40))
def test_it_stays_within_its_bounds_and_grows_between_refusals(gaps: list[float]) -> None:
    share, now = RateShare(window=1.0), 0.0
    for gap in gaps:
        steps = [share.at(now + gap * step / 10) for step in range(11)]
        assert all(0.1 <= earlier <= later <= 1.0 for earlier, later in pairwise(steps))
        now += gap
        share.note_refusal(sent_at=now - 0.05, now=now)


def test_a_longer_window_stretches_it_all() -> None:
    second, long = RateShare(window=1.0), RateShare(window=5.0)
    second.note_refusal(sent_at=0.0, now=0.0)
    long.note_refusal(sent_at=0.0, now=0.0)
    assert long.at(50.0) == second.at(10.0)


@pytest.mark.parametrize(
    ("rate", "stranger"),
    [(10, Stranger()), (20, Stranger()), (50, Stranger()), (20, Stranger(at_once=5)), (50, Stranger(at_once=5))],
    ids=str,
)
def test_beside_a_stranger_it_uses_the_rest_and_few_calls_are_refused(rate: int, stranger: Stranger) -> None:
    runs = [Simulation(rate, stranger, 0.003, seed).run() for seed in SEEDS]
    assert min(run.used_share for run in runs) >= 0.9
    assert fmean(run.refused_share for run in runs) < 0.01
    assert max(run.back_after_s for run in runs) <= 60
