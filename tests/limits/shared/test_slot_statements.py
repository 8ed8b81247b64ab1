"""The rows of the store as values, and the cost of the statements."""

import sqlite3
from contextlib import closing

import pytest

from mps_aigc_async.limits.caps import CapState
from mps_aigc_async.limits.shared.host import sqlite_text
from mps_aigc_async.limits.shared.members import MEMBERS
from mps_aigc_async.limits.shared.slot_statements import (
    SLOTS,
    Look,
    SlotRow,
    SlotStatements,
    Stage,
    StoredCap,
    Ticket,
    look_of,
)
from mps_aigc_async.limits.shared.store import Step

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


ROW = SlotRow("id", "model", Stage.NAMED, "create", "task", "", 60.0, None)
OURS = SlotStatements("key", "we")
OF_A_CREATE = [OURS.mark("id", "create", 60.0), *OURS.put(ROW), OURS.free("id", "task"), *OURS.look(1.0)]


@pytest.mark.parametrize("step", OF_A_CREATE, ids=[" ".join(text.split()[:3]) for text, _ in OF_A_CREATE])
def test_no_statement_of_a_create_walks_through_our_own_rows(step: Step) -> None:
    """A client may have thousands. The take alone counts them: the cap is on what the store has."""
    text, values = step
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in (*MEMBERS.tables, *SLOTS.tables):
            connection.execute(table)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sqlite_text(text)}", {**values, "now": 1.0})
        details = [detail for *_, detail in plan if "mps_aigc_slots" in detail]
    assert [detail for detail in details if "SCAN" in detail or detail.endswith("(key=?)")] == []
