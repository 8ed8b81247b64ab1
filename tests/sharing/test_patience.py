"""How long a silent database is waited for."""

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.sharing.patience import LATE_S, REST_S, Patience

USUAL_S = 5.0


def test_a_database_is_waited_for_as_long_as_usual() -> None:
    patience = Patience(USUAL_S)
    patience.note_silence(100.0)
    assert patience.wait_s(100.0) == USUAL_S
    assert not patience.is_hurried


def test_all_waits_have_one_end_once_the_user_waits() -> None:
    patience = Patience(USUAL_S)
    patience.hurry(103.0)
    assert [patience.wait_s(now) for now in (100.0, 101.5, 103.0, 200.0)] == [3.0, 1.5, LATE_S, LATE_S]


def test_a_later_end_changes_nothing() -> None:
    patience = Patience(USUAL_S)
    patience.hurry(103.0)
    patience.hurry(110.0)
    assert patience.wait_s(101.0) == 2.0


def test_a_database_that_is_silent_after_the_end_is_left_alone_for_a_while_and_asked_again() -> None:
    patience = Patience(USUAL_S)
    patience.hurry(103.0)
    patience.note_silence(102.0)
    assert patience.wait_s(102.0) == LATE_S, "before the end it may still answer"
    patience.note_silence(103.0)
    assert patience.wait_s(103.0) == 0.0
    assert patience.wait_s(103.0 + REST_S) == LATE_S


@given(st.lists(st.floats(0.0, 0.5), max_size=200))
def test_however_many_wait_one_after_the_other_a_silent_database_takes_a_quarter_of_the_time(
    pauses: list[float],
) -> None:
    patience, now, waits = Patience(USUAL_S), 103.0, 0.0
    patience.hurry(now)
    for pause in pauses:
        now += pause
        wait = patience.wait_s(now)
        now, waits = now + wait, waits + wait
        if wait:
            patience.note_silence(now)
    assert waits <= LATE_S + (now - 103.0) * LATE_S / (LATE_S + REST_S)
