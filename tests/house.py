"""Measures of the house: the number of rooms, the length of functions, the plainness of the language.

`python -m tests.house` prints the figures, and `python -m tests.house FOLDER…` those of single folders or modules with
every sentence and name that counts against them. `tests/test_house.py` holds the bounds.
"""

import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "mps_aigc_async"
PAGES: Final = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/*.md",
    "docs/*.ipynb",
    "benchmarks/README.md",
)

PRONOUNS: Final = re.compile(
    r"(?:he|it?|itself|nobody|none|ones?|others|she|somebody|that|these|they|this|those|we|what|whatever|which|who"
    r"|whoever|you)\b",
    re.IGNORECASE,
)
"""Words that open a sentence without naming its actor."""

RELATIVES: Final = re.compile(r"\b(?:what|whatever|whoever|of which|of whom|that which)\b", re.IGNORECASE)

PARTICIPLES: Final = re.compile(
    r"\w{3,}(?<!e)(?<!embe)ed|begun|born|bought|built|called|caught|done|drawn|driven|fallen|felt|found|frozen|given|gone"
    r"|got|grown|heard|held|hidden|kept|known|learnt|lent|lost|made|meant|met|paid|proven|said|seen|sent|shown|spent"
    r"|spoken|stood|stuck|taken|taught|told|thought|thrown|understood|withheld|won|written"
)
"""Past participles. "left" is a side too, and "proceed", "speed" and "seed" end in "ed" by chance."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def pages() -> list[Path]:
    return sorted(page for pattern in PAGES for page in ROOT.glob(pattern))


# --- layout -----------------------------------------------------------------------------------------------------------


def top_names() -> set[str]:
    """Folders and modules at the top of the package."""
    return {
        path.stem
        for path in PACKAGE.iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
    }


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def function_lengths(paths: Iterable[Path]) -> list[int]:
    """Lines of each function, its docstring left out, the shortest first."""
    return sorted(length for path in paths for length in _lengths(ast.parse(path.read_text())))


def _lengths(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:
                assert body[-1].end_lineno is not None
                yield body[-1].end_lineno - body[0].lineno + 1


# --- names ------------------------------------------------------------------------------------------------------------


def bound_names(paths: Iterable[Path]) -> Iterator[str]:
    """Each name where it is bound: functions, classes, parameters, variables, attributes."""
    for path in paths:
        yield from _bound(ast.parse(path.read_text()))


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case _:
                pass


def is_participle(name: str) -> bool:
    """Whether a variable, a function or an attribute is called by a past participle and nothing else. Classes and
    members of enums are called by states ("Failed", "DONE"), which are participles in English."""
    return name == name.lower() and PARTICIPLES.fullmatch(name) is not None and "_" not in name


def participle_share(paths: Iterable[Path]) -> float:
    names = list(bound_names(paths))
    return sum(map(is_participle, names)) / max(1, len(names))


# --- language ---------------------------------------------------------------------------------------------------------


def paragraphs(paths: Iterable[Path]) -> Iterator[str]:
    """The paragraphs that people read: docstrings and comments of modules, and pages."""
    for path in paths:
        text = path.read_text()
        if path.suffix == ".py":
            yield from map(_without_code, [*_docstrings(text), *_comments(text)])
        else:
            text = _sentences_of_notebook(text) if path.suffix == ".ipynb" else text
            yield from re.split(r"\n\s*\n", _without_code(text))


def _sentences_of_notebook(text: str) -> str:
    """The text between the cells of code."""
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def _docstrings(source: str) -> Iterator[str]:
    """Strings that stand alone: docstrings of modules, classes and functions, and those below an attribute."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text
            case _:
                pass


def _comments(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(?:noqa|type:|fmt:|pragma)", token.string):
            yield token.string.lstrip("# ")


def _without_code(text: str) -> str:
    """A text without its fenced blocks, doctests, tables and drawings."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^\s*(?:>>>|\.\.\.).*$(?:\n^(?!\s*$|\s*>>>).*$)*", "", text, flags=re.MULTILINE)
    return re.sub(r"^ *(?:\S+ {2,}\S.*|\|.*)$", "", text, flags=re.MULTILINE)


def sentences(paths: Iterable[Path]) -> Iterator[str]:
    for paragraph in paragraphs(paths):
        for sentence in re.split(r"(?<=[.!?])\s+|\n\s*\n|\n\s*[-*]\s", paragraph):
            if len(sentence.split()) > 2:
                yield " ".join(sentence.split())


def opens_with_pronoun(sentence: str) -> bool:
    return PRONOUNS.match(sentence.lstrip("\"'`*_([")) is not None


def pronoun_share(paths: Iterable[Path]) -> float:
    every = list(sentences(paths))
    return sum(map(opens_with_pronoun, every)) / max(1, len(every))


def relatives_per_1000(paths: Iterable[Path]) -> float:
    """How often "what", "whatever", "whoever", "of which" and "of whom" stand in 1000 words."""
    text = " ".join(paragraphs(paths))
    return 1000 * len(RELATIVES.findall(text)) / max(1, len(text.split()))


# --- the figures ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of the house, and the bound that it must keep."""

    name: str
    figure: Callable[[], float]
    """Takes seconds, so that only its own test measures."""
    most: float
    form: str = "{:.0f}"
    """The format of the figure and of the bound."""

    def told(self, figure: float) -> str:
        return f"{self.name}: {self.form.format(figure)} (at most {self.form.format(self.most)})"


MEASURES: Final = (
    Measure("names at the top of the package", lambda: len(top_names()), 20),
    Measure("circles of imports", lambda: len(import_circle()), 0),
    Measure("lines of the longest module", lambda: max(map(lines_of, modules())), 420),
    Measure("lines of a function, nine of ten", lambda: length_of_nine_in_ten(modules()), 16),
    Measure("sentences that open with a pronoun", lambda: pronoun_share(prose()), 0.04, "{:.1%}"),
    Measure("“what”, “of which”, “whoever” in 1000 words", lambda: relatives_per_1000(prose()), 1, "{:.1f}"),
    Measure("names that are a bare participle", lambda: participle_share(modules()), 0.006, "{:.1%}"),
)
"""All measures. The complexity of each function is ruff's to judge (C90, at most 10)."""


def prose() -> list[Path]:
    return [*modules(), *pages()]


def length_of_nine_in_ten(paths: Iterable[Path]) -> int:
    lengths = function_lengths(paths)
    return lengths[len(lengths) * 9 // 10]


def import_circle() -> list[str]:
    """The modules of one circle of imports; empty if there is none."""
    graph = grimp.build_graph(PACKAGE.name)
    try:
        TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def findings(paths: list[Path]) -> Iterator[str]:
    """All that counts against some modules and pages, in words."""
    for path in paths:
        for sentence in sentences([path]):
            if opens_with_pronoun(sentence) or RELATIVES.search(sentence):
                yield f"{path.relative_to(ROOT)}: {sentence}"
        if path.suffix == ".py":
            for name, count in Counter(filter(is_participle, bound_names([path]))).items():
                yield f"{path.relative_to(ROOT)}: the name {name!r}, {count} times"


def _files(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = Path(name).resolve()
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def report_on(paths: list[Path]) -> Iterator[str]:
    """The findings in some modules and pages, and their figures."""
    yield from findings(paths)
    yield f"{pronoun_share(paths):.1%} of the sentences open with a pronoun"
    yield f'{relatives_per_1000(paths):.1f} "what", "of which", "whoever" in 1000 words'
    yield f"{participle_share(path for path in paths if path.suffix == '.py'):.1%} participles as names"


def main() -> None:
    paths = list(_files(sys.argv[1:]))
    lines = report_on(paths) if paths else (measure.told(measure.figure()) for measure in MEASURES)
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
