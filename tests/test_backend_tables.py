"""The tables of docs/backends.md are those of the code."""

import pytest

from mps_aigc_async.wire.dialect import SessionRule

from .backend_tables import BACKENDS, DIALECTS, PAGE, SERVICES, TABLES, WITHOUT_ANSWER
from .design_tables import between_markers


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_drawn_from_the_code(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert between_markers(page, name) == TABLES[name](), "run `python -m tests.backend_tables`"


def test_every_backend_and_every_session_rule_has_its_words() -> None:
    assert set(SERVICES) == set(BACKENDS) == {dialect.backend for dialect in DIALECTS.values()}
    assert set(WITHOUT_ANSWER) == set(SessionRule)
