"""The form of commands that a test cannot run: installs need a network, `make test` would run itself, and benchmarks
take minutes. Their targets, modules, files, extras, commands and options have to exist."""

import re
import shlex
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from typer.main import get_command

from mps_aigc_async.cli import app

from .blocks import ROOT

PLACEHOLDER: Final = re.compile(r"[A-Z_]{1,}(?:\.\w+)?|…")
"""NAME, DIR, BATCH.jsonl: a word that the reader replaces."""

GATES: Final = {"ruff": "ruff", "mypy": "mypy", "basedpyright": "basedpyright", "lint-imports": "import-linter"}
"""Commands of the gate, and the package of the group `dev` that brings each."""


def fault_in(command: str) -> str:
    """The reason why a command cannot be right; empty if none was found."""
    program, *words = shlex.split(command, comments=True)
    name = program.removeprefix(".venv/bin/")
    while "=" in name and words:  # VARIABLE=value before a command
        name, *words = words
        name = name.removeprefix(".venv/bin/")
    if name in GATES:
        return "" if any(entry.startswith(GATES[name]) for entry in _project()["dependency-groups"]["dev"]) else name
    check = CHECKS.get(name)
    return f"no test knows the command {name}" if check is None else check(words)


def _make(words: Sequence[str]) -> str:
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    return _first_missing((word for word in words if "=" not in word), rules, "no target")


def _pip(words: Sequence[str]) -> str:
    action, *rest = words
    if action == "wheel":
        return ""
    extras = _project()["project"]["optional-dependencies"]
    wheel = f"mps_aigc_async-{_project()['project']['version']}-py3-none-any.whl"
    for word in rest:
        place, bracket, inside = word.rstrip("]").partition("[")
        if bracket and (fault := _first_missing(inside.split(","), extras, "no extra")):
            return fault
        if place.endswith(".whl") and not place.endswith(wheel):
            return f"the wheel is {wheel}"
        if "mps-aigc-async" in place:
            return "the package is on no index: install a clone or a wheel"
    return "" if action == "install" else f"pip {action}"


def _pytest(words: Sequence[str]) -> str:
    for word in words:
        if word.startswith("tests"):
            file, _, name = word.partition("::")
            if not (ROOT / file).exists():
                return f"no file {file}"
            if name and f"def {name.partition('[')[0]}(" not in (ROOT / file).read_text(encoding="utf-8"):
                return f"no test {name} in {file}"
    return ""


def _python(words: Sequence[str]) -> str:
    if words[:1] != ["-m"]:
        return "" if words == ["--version"] else "only `python -m` is checked"
    module, *rest = words[1:]
    if module == "mps_aigc_async":
        return _mps_aigc(rest)
    if module == "benchmarks":
        names = [word for word in rest[:1] if not PLACEHOLDER.fullmatch(word)]
        return _first_missing(names, [file.stem for file in (ROOT / "benchmarks").glob("*.py")], "no benchmark")
    file = (ROOT / module.replace(".", "/")).with_suffix(".py")
    return "" if file.exists() and "def main(" in file.read_text(encoding="utf-8") else f"no program {module}"


def _mps_aigc(words: Sequence[str]) -> str:
    """The command and its options have to be those of the command line."""
    group: Any = get_command(app)
    if words[0].startswith("-"):
        return _options(words, group)
    if words[0] == "…":
        return ""
    if words[0] not in group.commands:
        return f"no command {words[0]}"
    return _options(words[1:], group.commands[words[0]])


def _options(words: Sequence[str], command: Any) -> str:  # noqa: ANN401 — click's own types are typer's inside
    options = [name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)]
    return _first_missing((word for word in words if word.startswith("--")), [*options, "--help"], "no option")


def _git(words: Sequence[str]) -> str:
    return "" if words[0] in {"clone", "checkout", "switch"} else f"git {words[0]}"


def _shell(_words: Sequence[str]) -> str:
    return ""


CHECKS: Final[dict[str, Callable[[Sequence[str]], str]]] = {
    "make": _make,
    "pip": _pip,
    "pytest": _pytest,
    "python": _python,
    "mps-aigc": _mps_aigc,
    "git": _git,
    "cp": _shell,
    "cd": _shell,
}


def _first_missing(words: Any, names: Any, complaint: str) -> str:  # noqa: ANN401 — any iterables of texts
    return next((f"{complaint} {word}" for word in words if word not in names), "")


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
