"""docs/notebook.ipynb runs in a kernel of its own, on an emulator: nothing fails, and each run has its bar."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from mps_aigc_async.emulator import Emulator

from .blocks import ROOT
from .folder import furnish
from .test_running import SPEED, small_result

PATIENCE_S: Final = 300
"""Seconds for the start of a kernel, and for each cell: many times as long as a slow machine takes."""

WIDGET: Final = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=SPEED, media=small_result) as emulator:
        yield emulator


@contextmanager
def kernel_manager() -> Iterator[AsyncKernelManager]:
    """Kernels of this Python, whichever kernels the machine has, on sockets that no other process can take."""
    specs = KernelSpecManager(kernel_dirs=[])
    assert specs.get_kernel_spec("python3").argv[0] == sys.executable
    with TemporaryDirectory(prefix="kernel-") as folder:  # the path of a socket is short: pytest's own is too long
        file = str(Path(folder) / "kernel.json")
        yield AsyncKernelManager(kernel_spec_manager=specs, transport="ipc", connection_file=file)


async def execute(notebook: NotebookNode, folder: Path, url: str) -> list[list[NotebookNode]]:
    """Run a notebook in a reader's folder; return the outputs of each code cell. Raises CellExecutionError for a cell
    that fails."""
    environment = {**furnish(folder, url).environment, "IPYTHONDIR": str(folder / "ipython")}
    with kernel_manager() as manager:
        client = NotebookClient(notebook, km=manager, timeout=PATIENCE_S, startup_timeout=PATIENCE_S)
        await client.async_execute(cwd=str(folder), env=environment, cleanup_kc=True)
        assert not await manager.is_alive()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def html_of(output: NotebookNode) -> str:
    return str(output.data["text/html"])


async def test_the_notebook_of_the_pages_runs(tmp_path: Path, emulator: Emulator) -> None:
    page = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    assert [cell for cell in page.cells if cell.get("outputs") or cell.get("execution_count")] == []
    imports, single, (bar, table), (other_bar, other_table) = await execute(page, tmp_path, emulator.url)

    assert imports == []
    assert re.search(r'<img src="http://127\.0\.0\.1:\d+/media/', html_of(single[0]))
    assert [html_of(rows).count("<img ") for rows in (table, other_table)] == [3, 3]
    assert [html_of(rows).count("new: shot-") for rows in (table, other_table)] == [3, 0]
    assert html_of(other_table).count("from the ledger: shot-") == 3
    assert len({output.data[WIDGET]["model_id"] for output in (bar, other_bar)}) == 2
    (widgets,) = page.metadata.widgets.values()
    values = [model["state"].get("value") for model in widgets["state"].values()]
    assert values.count(3.0) == 2
    ends = [text for text in values if "3/3\u2007[" in str(text)]
    assert len(ends) == 2
    assert all("request" in text and "failed=0]" in text for text in ends)

    assert emulator.statistics().created == {"image": 4, "video": 3, "audio": 0}
    assert emulator.statistics().refused == {}
    assert len(list((tmp_path / "out").iterdir())) == 7


SET_UP: Final = """
import os
import sys

sys.modules["ipywidgets"] = None  # as on a machine without the package

from mps_aigc_async import AigcClient, Config, ImageRequest, SyncClient

lakes = [ImageRequest(id=f"lake-{n}", prompt="a lake") for n in range(3)]
config = Config.load()
"""

ALL: Final = """
async with AigcClient(config, ledger="lakes.db") as client:
    assert [outcome.ok async for outcome in client.run(lakes)] == [True] * 3
"""

BREAK: Final = """
with SyncClient(config, ledger="lakes.db") as client:
    for outcome in client.run(lakes):
        break
"""

OFF: Final = 'os.environ["TQDM_DISABLE"] = "1"'


def lines_of(outputs: list[NotebookNode]) -> list[str]:
    """The lines that a cell shows in the end: a bar begins its line again for each drawing."""
    text = "".join(output.text for output in outputs)
    assert text == "" or text.endswith("\n"), "a bar that is not closed"
    return [line.rpartition("\r")[2] for line in text.split("\n")[:-1]]


async def test_without_widgets_the_bar_is_text_and_tqdms_switch_turns_it_off(
    tmp_path: Path, emulator: Emulator
) -> None:
    cells = [new_code_cell(source) for source in (SET_UP, ALL, BREAK, OFF, ALL, BREAK)]
    nothing, *bars = map(lines_of, await execute(new_notebook(cells=cells), tmp_path, emulator.url))
    (complete,), (short,), *others = bars
    assert re.search(r"100%.* 3/3 \[.*request.*, failed=0\]$", complete)
    assert re.search(r" 1/3 \[.*request.*, failed=0\]$", short)
    assert [nothing, *others] == [[]] * 4
    assert emulator.statistics().created["image"] == 3
