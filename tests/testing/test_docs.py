"""docs/testing.md: each block is a test, and passes."""

import inspect
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_has_blocks() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("number", range(len(BLOCKS)))
async def test_a_block_passes(number: int) -> None:
    """Virtual time has a loop of its own, so such a block runs where no other loop does: in a thread."""
    import asyncio

    names: dict[str, object] = {}
    exec(compile(BLOCKS[number], "docs/testing.md", "exec"), names)  # noqa: S102 - the page's own words
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    assert callable(test)
    if inspect.iscoroutinefunction(test):
        await test()
    else:
        await asyncio.to_thread(test)
