"""When to ask: as often as the fixed interval, sooner after the end, and no worse where there is nothing to learn."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from math import exp
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.policy.tempo import (
    FEWEST,
    LEAST_SPEED,
    MOST_COHORTS,
    MOST_ENDS,
    TRUSTED_AFTER,
    Adaptive,
    Fixed,
    Tempo,
)

INTERVAL_S = 5.0
COHORT = "video of a model"


def log_normal(median: float, sigma: float, seed: int = 1) -> Callable[[int], list[float]]:
    """Draws so many durations."""
    random = Random(seed)
    return lambda number: [median * exp(sigma * random.gauss(0, 1)) for _ in range(number)]


def plan(tempo: Tempo, cohort: str = COHORT, interval_s: float = INTERVAL_S) -> Iterable[float]:
    """The ages at which a task is asked about for as long as it runs."""
    age = 0.0
    while True:
        age = tempo.next_age(cohort, age, interval_s)
        yield age


def played(tempo: Tempo, durations: Iterable[float]) -> tuple[float, float]:
    """The mean delay and the mean number of polls of tasks that come one after another; it learns of each."""
    delays, polls = list[float](), list[int]()
    for duration in durations:
        before = 0.0
        for number, age in enumerate(plan(tempo), start=1):
            if age >= duration:
                tempo.record_end(COHORT, after=before, by=age)
                delays.append(age - duration)
                polls.append(number)
                break
            before = age
    return fmean(delays), fmean(polls)


def test_the_fixed_tempo_asks_every_interval() -> None:
    tempo = Fixed()
    tempo.record_end(COHORT, after=100, by=105)
    assert list(islice(plan(tempo), 3)) == [5.0, 10.0, 15.0]


def test_a_sort_of_which_nothing_is_known_is_asked_about_every_interval() -> None:
    tempo = Adaptive()
    played(tempo, [100.0] * 100)
    assert list(islice(plan(tempo, "another"), 3)) == [5.0, 10.0, 15.0]


@pytest.mark.parametrize(
    ("median", "sigma", "best"),
    # The least delay that is possible with the fixed interval's polls, as a share of its delay, computed by dynamic
    # programming (`python -m benchmarks detection`).
    [(104, 0.334, 0.53), (104, 0.1, 0.19), (232, 0.155, 0.28), (232, 0.05, 0.10)],
)
def test_what_has_been_seen_brings_the_delay_near_the_least_possible(median: float, sigma: float, best: float) -> None:
    draw, tempo = log_normal(median, sigma), Adaptive()
    early, fixed_early = draw(TRUSTED_AFTER), log_normal(median, sigma)(TRUSTED_AFTER)
    assert played(tempo, early)[0] <= played(Fixed(), fixed_early)[0]
    later = draw(1000)
    delay, polls = played(tempo, later)
    fixed_delay, fixed_polls = played(Fixed(), later)
    assert delay / fixed_delay < 1.2 * best  # 1.06 to 1.12 in the mean of many draws; this is one
    assert polls / fixed_polls < 1.03


@pytest.mark.parametrize(
    "durations",
    [
        log_normal(232, 0.05)(300) + log_normal(60, 0.05)(300),
        log_normal(104, 0.1)(300) + log_normal(400, 0.1)(300),
        [duration for _ in range(3) for usual_s in (60, 232) for duration in log_normal(usual_s, 0.05)(100)],
        [Random(number).uniform(5, 900) if number % 50 == 0 else 230.0 + number % 7 for number in range(600)],
        [Random(number).uniform(20, 400) for number in range(600)],
        [Random(number).uniform(2, 6) for number in range(600)],
        [Random(number).choice([1.7, 3601.7]) for number in range(100)],
    ],
    ids=["quicker", "slower", "to and fro", "strays", "anything", "before the first poll", "seconds or an hour"],
)
def test_it_is_not_worse_than_the_fixed_one_where_it_is_hard_to_learn(durations: Sequence[float]) -> None:
    delay, polls = played(Adaptive(), durations)
    fixed_delay, fixed_polls = played(Fixed(), durations)
    assert delay < fixed_delay
    assert polls < 1.15 * fixed_polls  # until a slower service is learnt, it is asked more often


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.05, 0.3])
def test_one_that_outlives_all_that_were_seen_is_asked_about_every_interval(spread: float) -> None:
    tempo = Adaptive()
    played(tempo, log_normal(60, spread)(MOST_ENDS))
    polls = sum(age < 1500 for age in islice(plan(tempo), 2000))
    assert polls == pytest.approx(1500 / INTERVAL_S, rel=0.15)


def test_it_remembers_so_many_sorts_and_no_more() -> None:
    tempo = Adaptive()
    for number in range(2 * MOST_COHORTS):
        for _ in range(FEWEST):
            tempo.record_end(number, after=100, by=101)
    assert len(tempo._cohorts) == MOST_COHORTS
    assert tempo.next_age(2 * MOST_COHORTS - 1, 0.0, INTERVAL_S) != INTERVAL_S
    assert tempo.next_age(0, 0.0, INTERVAL_S) == INTERVAL_S


def test_it_forgets_the_sort_whose_tasks_ended_last_and_not_the_one_that_came_first() -> None:
    tempo = Adaptive()
    for number in [*range(MOST_COHORTS), 0, MOST_COHORTS]:
        for _ in range(FEWEST):
            tempo.record_end(number, after=100, by=101)
    assert tempo.next_age(0, 0.0, INTERVAL_S) != INTERVAL_S
    assert tempo.next_age(1, 0.0, INTERVAL_S) == INTERVAL_S


@pytest.mark.parametrize(("after", "by"), [(100.0, 100.0), (-1.0, 100.0), (100.0, 50.0)])
def test_an_end_that_no_clock_could_have_told_teaches_nothing(after: float, by: float) -> None:
    tempo = Adaptive()
    for _ in range(FEWEST):
        tempo.record_end(COHORT, after, by)
    assert tempo.next_age(COHORT, 0.0, INTERVAL_S) == INTERVAL_S


def test_it_forgets_what_a_service_did_long_ago() -> None:
    tempo, other = Adaptive(), Adaptive()
    played(tempo, log_normal(232, 0.05)(500))
    latest = log_normal(60, 0.05)(MOST_ENDS)
    for ends in (tempo, other):
        for duration in latest:
            ends.record_end(COHORT, after=duration - 1, by=duration + 1)
    assert list(islice(plan(tempo), 20)) == pytest.approx(list(islice(plan(other), 20)), rel=0.01)


@given(
    ends=st.lists(st.tuples(st.floats(0, 2e5), st.floats(0, 2e5)), max_size=60),
    ages=st.lists(st.floats(0, 1e6), min_size=2, max_size=10),
    interval_s=st.floats(0.1, 600),
)
def test_whatever_it_has_seen_time_goes_on_and_no_age_goes_without_polls(
    ends: Sequence[tuple[float, float]], ages: Sequence[float], interval_s: float
) -> None:
    tempo = Adaptive()
    for after, by in ends:  # also what no clock could have told, such as an end before the beginning
        tempo.record_end(COHORT, after, by)
    asked = [tempo.next_age(COHORT, age, interval_s) for age in sorted(ages)]
    assert asked == sorted(asked)
    for age, next_age in zip(sorted(ages), asked, strict=True):
        assert age < next_age <= age + 1.001 * interval_s / LEAST_SPEED
