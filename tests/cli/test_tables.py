"""A table on wide and on narrow screens."""

import pytest

from mps_aigc_async.cli.tables import print_table


def test_a_table_that_fits_has_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(("", "saved", "failed"), [("images", 10, 0)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip(" ─")]
    assert lines == [["saved", "failed"], ["images", "10", "0"]]


def test_a_table_that_does_not_fit_has_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_table(("", "saved", "failed"), [("images", 10, 0), ("videos", 2, 1)])
    assert capsys.readouterr().out == "images\n  saved: 10\nvideos\n  saved: 2\n  failed: 1\n"


def test_a_pipe_has_room_for_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(("", *("a long heading" for _ in range(6))), [("images", *range(6))])
    assert "images" in capsys.readouterr().out.splitlines()[3]
