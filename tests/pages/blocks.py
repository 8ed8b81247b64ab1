"""The code on the pages: fenced blocks, and commands inside sentences."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PATTERNS: Final = (
    "README.md",
    "docs/*.md",
    "docs/*.ipynb",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    ".github/**/*.md",
)
LANGUAGES: Final = {"python", "json", "sh", "sql", "diff", "text"}
"""Languages of blocks. Each but `text`, for drawings, has tests of its own."""

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN: Final = re.compile(r"`([^`\n]+)`")
COMMANDS: Final = ("make ", "mps-aigc ", "pip ", "pytest ", "python -m ", ".venv/bin/")
"""The beginnings of code spans that are commands."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, or a command inside a sentence."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    return [page for pattern in PATTERNS for page in sorted(ROOT.glob(pattern))]


def every_block() -> list[Block]:
    return [block for page in pages() for block in blocks_in(_name(page), page.read_text(encoding="utf-8"))]


def blocks_of(language: str) -> list[Block]:
    return [block for block in every_block() if block.language == language]


def blocks_in(page: str, text: str) -> list[Block]:
    """The fenced blocks of a page; a block's line is the number of its first line."""
    return [Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2]) for match in FENCE.finditer(text)]


def inline_commands() -> list[Block]:
    """The commands in code spans of all pages, fenced blocks left out."""
    return [command for page in pages() for command in commands_in(_name(page), page.read_text(encoding="utf-8"))]


def commands_in(page: str, text: str) -> Iterator[Block]:
    prose = FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    for match in SPAN.finditer(prose):
        if match[1].startswith(COMMANDS):
            yield Block(page, prose.count("\n", 0, match.start()) + 1, "command", match[1])


def shell_lines(text: str) -> list[str]:
    """The commands of a shell block, without comments and empty lines."""
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def is_batch(text: str) -> bool:
    """Whether a JSON block is lines of a batch file, and not a config."""
    return all(line.startswith('{"') and line.endswith("}}") and _has_step(line) for line in text.splitlines())


def _has_step(line: str) -> bool:
    try:
        return not {"image", "video", "audio"}.isdisjoint(json.loads(line))
    except ValueError:
        return False


def is_test(text: str) -> bool:
    """Whether a Python block defines a test."""
    return re.search(r"^(?:async )?def test_", text, re.MULTILINE) is not None


def is_notebook(text: str) -> bool:
    """Whether a Python block awaits at its top, as only a notebook's cell may."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        compile(text, "a block", "exec")
    except SyntaxError:
        return bool(compile(text, "a cell", "exec", flags=flags))
    return False


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))
