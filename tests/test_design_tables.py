"""The tables of docs/design.md are those of the code."""

import pytest

from mps_aigc_async.model.states import Ending

from .design_tables import EXAMPLES, PAGE, TABLES, between_markers


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_drawn_from_the_code(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert between_markers(page, name) == TABLES[name](), "run `python -m tests.design_tables`"


def test_each_ending_has_an_example() -> None:
    assert set(EXAMPLES) == set(Ending)
