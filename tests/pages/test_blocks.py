"""The parser of the pages, and the pages as a whole: languages, JSON, links, commands in sentences."""

import json
import re
from pathlib import Path

import pytest

from mps_aigc_async import Config
from mps_aigc_async.model.parsing import parse

from .blocks import (
    LANGUAGES,
    ROOT,
    Block,
    blocks_in,
    blocks_of,
    commands_in,
    every_block,
    inline_commands,
    is_batch,
    is_notebook,
    is_test,
    pages,
    shell_lines,
)
from .folder import readme_batch
from .forms import fault_in

TEXT = "# A page\n\nRun `make demo`, or `x = 1`.\n\n```sh\n# first\nmake test\n\ncd x\n```\n\n```json\n{}\n```\n"


def test_blocks_and_commands_are_found_with_their_lines() -> None:
    assert blocks_in("p.md", TEXT) == [
        Block("p.md", 6, "sh", "# first\nmake test\n\ncd x\n"),
        Block("p.md", 13, "json", "{}\n"),
    ]
    assert list(commands_in("p.md", TEXT)) == [Block("p.md", 3, "command", "make demo")]
    assert shell_lines(blocks_in("p.md", TEXT)[0].text) == ["make test", "cd x"]


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ('{"image": {"prompt": "x"}}\n', True),
        ('{"id": "a", "video": {"prompt": "x"}}\n{"audio": {"prompt": "y"}}\n', True),
        ('{"account": "team-7"}\n', False),
        ('{"vod": {"subAppId": 1}}\n', False),
        ('{\n  "limits": {}\n}\n', False),
    ],
)
def test_a_batch_is_told_from_a_config(text: str, batch: bool) -> None:
    assert is_batch(text) is batch


def test_the_sorts_of_python_are_told_apart() -> None:
    assert is_test("def test_x() -> None: ...")
    assert is_test("import x\n\n\nasync def test_x() -> None: ...")
    assert not is_test("def main() -> None: ...")
    assert is_notebook("async with x: pass")
    assert is_notebook("a = await b")
    assert not is_notebook("async def main() -> None:\n    await b\n")


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("make demo", ""),
        ("make OUT=x demo", ""),
        ("make dmo", "no target dmo"),
        ("pip install '.[cli,report]'", ""),
        ("pip install '.[cly]'", "no extra cly"),
        ("pip install 'dist/mps_aigc_async-9.9-py3-none-any.whl[cli]'", "the wheel is "),
        ("pip install 'mps-aigc-async[cli]'", "the package is on no index"),
        ("pytest tests/pages/test_blocks.py::test_the_sorts_of_python_are_told_apart", ""),
        ("pytest tests/pages/test_blocks.py::test_nothing", "no test test_nothing"),
        ("pytest tests/nothing.py", "no file tests/nothing.py"),
        ("python -m benchmarks pacing", ""),
        ("python -m benchmarks NAME", ""),
        ("python -m benchmarks pacings", "no benchmark pacings"),
        ("python -m tests.field_table", ""),
        ("python -m tests.support", "no program tests.support"),
        ("mps-aigc run BATCH.jsonl --out DIR", ""),
        ("mps-aigc run shots.jsonl --outt DIR", "no option --outt"),
        ("mps-aigc undo", "no command undo"),
        ("mps-aigc --version", ""),
        (".venv/bin/ruff check .", ""),
        ("PYTHONDEVMODE=1 .venv/bin/pytest tests", ""),
        ("rm -rf /", "no test knows the command rm"),
    ],
)
def test_a_commands_form_is_judged(command: str, fault: str) -> None:
    answer = fault_in(command)
    assert answer.startswith(fault)
    assert bool(answer) is bool(fault)


def test_no_message_names_an_install_from_an_index() -> None:
    """The package is not published. The extra `all` of pyproject.toml names the package itself, and needs no index."""
    sources = [*(ROOT / "mps_aigc_async").rglob("*.py"), *pages()]
    assert [file for file in sources if "mps-aigc-async[" in file.read_text(encoding="utf-8")] == []


# --- the pages --------------------------------------------------------------------------------------------------------


def test_each_block_is_of_a_language_that_is_tested() -> None:
    blocks = every_block()
    assert len(blocks) > 25
    assert [str(block) for block in blocks if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("block", blocks_of("json"), ids=str)
def test_the_json_is_lines_of_a_batch_or_a_config(block: Block) -> None:
    if is_batch(block.text):
        for line in block.text.splitlines():
            parse(json.loads(line))
    else:
        Config.parse(json.loads(block.text))


def test_readmes_batch_has_a_line_of_each_sort() -> None:
    requests = [parse(json.loads(line)) for line in readme_batch().splitlines()]
    assert [request.id for request in requests] == ["shot-001", "shot-002", "shot-003", "shot-004", "shot-005", "theme"]
    assert len({type(request) for request in requests}) == 5  # ImageToVideo twice: with sound and without


@pytest.mark.parametrize("command", [*inline_commands()], ids=lambda command: f"{command} {command.text}")
def test_a_command_in_a_sentence_has_a_right_form(command: Block) -> None:
    assert fault_in(command.text) == "", command


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not heading or heading in anchors(file.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_each_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    names = [page.name for page in pages() if page.parent == ROOT / "docs"]
    assert "notebook.ipynb" in names
    assert [name for name in names if f"]({name})" not in index] == ["README.md"]


def test_readme_is_short_and_shows_python_early() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.sub(r"```.*?```", "", text, flags=re.DOTALL).split()) <= 550
    assert text.splitlines().index("```python") < 40
