"""The rows of the store as values."""

import pytest

from mps_aigc_async.limits.caps import CapState
from mps_aigc_async.limits.shared.slot_statements import Look, StoredCap, Ticket, look_of

CAP = ("A", 3, None, 1, 1.25, 4, 0, float("inf"), float("-inf"))


def test_a_look_is_decoded() -> None:
    assert look_of([(7.5, 9, 1)], [("A", 3, 2)], [(1, "we", "A", 9)], [CAP]) == Look(
        7.5,
        9,
        1,
        {"A": 3},
        {"A": 2},
        (Ticket(1, "we", "A", 9),),
        {"A": StoredCap(3, CapState(None, True, 1.25, 4, False, float("inf"), float("-inf")))},
    )


def test_a_row_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        look_of([(7.5, 9, 1)], [], [], [("A", 3, "many", *CAP[3:])])
