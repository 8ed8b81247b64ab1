"""The share of a limit that others use too: how it falls and comes back, and what that gives beside a stranger."""

from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits.share import Share

from .strangers import Simulation, Stranger

SEEDS = range(5)


def refused_at(*times: float) -> Share:
    share = Share(window=1.0)
    for time in times:
        share.refused(sent=time - 0.05, now=time)
    return share


def test_unrefused_it_is_all_of_the_limit() -> None:
    assert Share(window=1.0).at(0.0) == 1.0


def test_one_stray_refusal_costs_little() -> None:
    share = refused_at(100.0)
    lost = [1.0 - share.at(100.0 + second) for second in range(120)]
    assert max(lost) < 0.08
    assert sum(lost) < 1.5  # seconds' worth of calls


def test_a_flock_of_refusals_is_one() -> None:
    share = refused_at(100.0)
    before = share.at(101.5)
    assert not share.refused(sent=100.9, now=101.5)
    assert share.at(101.5) == before
    assert share.refused(sent=101.1, now=101.5)
    assert share.at(101.5) < before


def test_cuts_that_do_not_suffice_grow() -> None:
    times = [100.0 + 1.2 * number for number in range(5)]
    left = [refused_at(*times[: number + 1]).at(time) for number, time in enumerate(times)]
    ratios = [later / earlier for earlier, later in pairwise([1.0, *left])]
    assert left[-1] < 0.5
    assert ratios[0] > ratios[1] > ratios[2]


def test_it_is_flat_below_what_was_refused_and_then_comes_back() -> None:
    share = refused_at(100.0, 101.2, 102.4, 103.6)
    known = share.at(103.5 + 30)
    assert share.at(103.6 + 36) < known * 1.05
    assert share.at(103.6 + 60) == 1.0


@given(st.lists(st.floats(0.01, 40.0), max_size=40))
def test_it_stays_within_its_bounds_and_grows_between_refusals(gaps: list[float]) -> None:
    share, now = Share(window=1.0), 0.0
    for gap in gaps:
        steps = [share.at(now + gap * step / 10) for step in range(11)]
        assert all(0.1 <= earlier <= later <= 1.0 for earlier, later in pairwise(steps))
        now += gap
        share.refused(sent=now - 0.05, now=now)


def test_a_longer_window_stretches_it_all() -> None:
    second, long = Share(window=1.0), Share(window=5.0)
    second.refused(sent=0.0, now=0.0)
    long.refused(sent=0.0, now=0.0)
    assert long.at(50.0) == second.at(10.0)


@pytest.mark.parametrize(
    ("rate", "stranger"),
    [(10, Stranger()), (20, Stranger()), (50, Stranger()), (20, Stranger(at_once=5)), (50, Stranger(at_once=5))],
    ids=str,
)
def test_beside_a_stranger_it_uses_what_is_left_and_little_is_refused(rate: int, stranger: Stranger) -> None:
    runs = [Simulation(rate, stranger, 0.003, seed).run() for seed in SEEDS]
    assert min(run.used for run in runs) >= 0.9
    assert fmean(run.refused for run in runs) < 0.01
    assert max(run.back_after_s for run in runs) <= 60
