"""The docs' table of fields says the same as the wire."""

from pathlib import Path

import pytest

from mps_aigc_async.model.states import Kind

from .field_table import table

DOCUMENT = Path(__file__).parent.parent / "docs" / "fields.md"


@pytest.mark.parametrize("kind", Kind)
def test_the_documented_table_is_true(kind: Kind) -> None:
    assert table(kind) in DOCUMENT.read_text(encoding="utf-8"), (
        "docs/fields.md lacks a row that `python -m tests.field_table` prints, or has another"
    )
