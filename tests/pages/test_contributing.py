"""CONTRIBUTING.md: the worked example applies to the code and works, and the list of folders is true."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mps_aigc_async.wire import mps

from .blocks import ROOT, Block, blocks_in

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGES = [block for block in blocks_in("CONTRIBUTING.md", TEXT) if block.language == "diff"]

GUARDS = (
    "tests/test_field_table.py",
    "tests/wire/test_mps.py::test_every_field_of_the_requests_is_generated",
    "tests/wire/test_relay.py::test_every_field_of_the_requests_is_generated_or_refused",
    "tests/wire/test_vod.py::test_every_field_of_the_requests_is_generated",
)
"""The tests that fail until every place knows the new field."""

USE = """
from mps_aigc_async import Config, ImageRequest, InvalidRequest
from mps_aigc_async.emulator import Service
from mps_aigc_async.testing import in_memory_client, run

MODEL = {"model_name": "Hunyuan", "model_version": "3.0"}  # the relay requires both


async def main(backend):
    async with in_memory_client(Service(), Config.parse({"backend": backend})) as client:
        return await client.generate(ImageRequest(**MODEL, prompt="a lake", sharpness=40))


assert run(main("mps")).urls
for backend in ("vod", "relay"):
    try:
        run(main(backend))
    except InvalidRequest as error:
        assert "sharpness" in str(error)
    else:
        raise AssertionError(backend)
"""


def target(change: Block) -> str:
    """The file that a change is for: its first line names it."""
    return change.text.splitlines()[0].removeprefix("+++ ")


def text_after(change: Block, text: str) -> str:
    """A file's text after the change, whose old lines have to be there exactly once."""
    lines = change.text.splitlines()[1:]
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
    assert text.count(old) == 1, f"{change}: {target(change)} has changed"
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ("+++ f\n a\n+b\n", "a\nb\nc\n"),
        ("+++ f\n-a\n+b\n c\n", "b\nc\n"),
        ("+++ f\n-a\n", "c\n"),
    ],
)
def test_a_change_is_applied(change: str, after: str) -> None:
    assert text_after(Block("p.md", 1, "diff", change), "a\nc\n") == after


def changed_copy(folder: Path) -> None:
    """The code after the changes of the page."""
    left_out = shutil.ignore_patterns("__pycache__", ".*", "chaos", "standins", "cli", "jobs")
    shutil.copytree(ROOT / "mps_aigc_async", folder / "mps_aigc_async", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=left_out)
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for change in CHANGES:
        file = folder / target(change)
        file.write_text(text_after(change, file.read_text(encoding="utf-8")), encoding="utf-8")


def test_the_worked_example_works(tmp_path: Path) -> None:
    changed_copy(tmp_path)
    (tmp_path / "use.py").write_text(USE, encoding="utf-8")
    guards = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *GUARDS]
    for command in (guards, [sys.executable, "use.py"]):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": ""}
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout + process.stderr


def test_the_example_is_not_in_the_code_yet() -> None:
    assert "sharpness" not in {attribute for attribute, *_ in mps.IMAGE_FIELDS}


def test_each_folder_of_the_package_has_a_row() -> None:
    (table,) = re.findall(r"<!-- folders -->\n(.*?)<!-- /folders -->", TEXT, flags=re.DOTALL)
    rows = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    names = {path.stem for path in (ROOT / "mps_aigc_async").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert sorted(rows) == sorted(name for name in names if not name.startswith("_"))
