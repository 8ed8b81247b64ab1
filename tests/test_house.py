"""The house stays one that people can move into: each measure keeps its bound, and CONTRIBUTING names the bounds."""

import json
from pathlib import Path

import pytest

from . import house
from .house import MEASURES, ROOT, Measure, findings, is_participle, opens_with_pronoun, sentences


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_each_measure_keeps_its_bound(measure: Measure) -> None:
    figure = measure.figure()
    assert figure <= measure.most, f"{measure.told(figure)}; `python -m tests.house` prints all measures"


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_contributing_names_the_bound(measure: Measure) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"| {measure.name} | {measure.form.format(measure.most)} |" in page


# --- the measures themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("It waits for the end.", True),
        ("What failed stays failed.", True),
        ("*They* wait.", True),
        ("Items wait.", False),
        ("Iterate over the rows.", False),
        ("The poller waits.", False),
    ],
)
def test_a_sentence_that_opens_with_a_pronoun_names_no_actor(sentence: str, expected: bool) -> None:
    assert opens_with_pronoun(sentence) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("known", True),
        ("refused", True),
        ("ended", True),
        ("ended_at", False),
        ("_closed", False),
        ("FAILED", False),
        ("Submitted", False),
        ("need", False),
        ("speed", False),
        ("left", False),
    ],
)
def test_a_name_is_a_participle_if_it_is_nothing_else(name: str, expected: bool) -> None:
    assert is_participle(name) is expected


def test_only_prose_is_read(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    code = 'what = "what is no prose here"'
    module.write_text(
        f'"""Add two numbers.\n\n    >>> what(1)\n    1\n"""\n\n# What a comment this is.\n{code}\n', encoding="utf-8"
    )
    page = tmp_path / "page.md"
    page.write_text("What a page.\n\n```python\nwhat = 1\n```\n\n| what | is |\n", encoding="utf-8")
    notebook = tmp_path / "page.ipynb"
    cells = [{"cell_type": "markdown", "source": ["What a ", "cell."]}, {"cell_type": "code", "source": ["what is it"]}]
    notebook.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    every = ["Add two numbers.", "What a comment this is.", "What a page.", "What a cell."]
    assert list(sentences([module, page, notebook])) == every


def test_findings_name_the_file_and_the_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(house, "ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text('"""It adds two numbers."""\n\nknown = 1\n', encoding="utf-8")
    assert list(findings([module])) == ["module.py: It adds two numbers.", "module.py: the name 'known', 1 times"]
