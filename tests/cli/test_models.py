"""`models`, and the catalog's findings as notes."""

import re
from pathlib import Path

import pytest

from mps_aigc_async.catalog import MODELS, judging
from mps_aigc_async.cli.models import HEADINGS
from mps_aigc_async.emulator import Emulator

from .conftest import Line, Shell, image

KLING = {"videoGeneration": {"modelName": "Kling", "modelVersion": "3.0"}}


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_warnings_given", {})


def test_every_model_is_listed_with_its_source_and_needs_no_keys(shell: Shell) -> None:
    result = shell.call("models")
    assert result.exit_code == 0
    first, *rows = [tuple(line.split("\t")) for line in result.stdout.splitlines()]
    assert first == HEADINGS
    assert {len(row) for row in rows} == {len(HEADINGS)}
    assert {(row[6], row[0], row[1]) for row in rows} >= {(model.backend, model.kind, model.name) for model in MODELS}
    assert {row[7] for row in rows} == {"documented", "reported"}
    assert all(re.search(r"202[0-9]-[0-9-]+$", row[5]) for row in rows)
    assert (
        "video\tKling\t1.6 2.1 2.5 2.6\tlast_frame\tnone unless the resolution is 1080P\tofficial SDK 3.1.194, 2026-10"
        "\tmps\tdocumented\t" in result.stdout.splitlines()
    )
    assert any(
        line.endswith("\tmps\treported\tthe service makes 5 s and bills them") for line in result.stdout.splitlines()
    )


def test_one_backend(shell: Shell) -> None:
    rows = [row.split("\t") for row in shell.call("models", "image", "--backend", "relay").stdout.splitlines()[1:]]
    assert {(row[0], row[6]) for row in rows} == {("image", "relay")}
    nothing = shell.call("models", "audio", "--backend", "relay")
    assert nothing.stdout.splitlines()[1:] == []
    assert "no source states a fact about audio models of relay" in nothing.stderr
    wrong = shell.call("models", "--backend", "vodd")
    assert wrong.exit_code == 2
    assert "'vodd' is no backend: mps, vod or relay" in wrong.stderr


def test_one_kind(shell: Shell) -> None:
    rows = shell.call("models", "audio").stdout.splitlines()[1:]
    assert {row.split("\t")[0] for row in rows} == {"audio"}
    wrong = shell.call("models", "vidoe")
    assert wrong.exit_code == 2
    assert "'vidoe' is no kind of model: image, video or audio" in wrong.stderr


def test_on_a_terminal_it_is_a_table(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")  # no colours
    monkeypatch.setattr("mps_aigc_async.cli.models.on_terminal", lambda: True)
    shown = shell.call("models", "image").stdout
    assert "\t" not in shown
    assert shown.count("image, mps") == shown.count("image, vod") == shown.count("image, relay") == 1
    assert "3d_panorama" in shown


def test_a_batchs_findings_are_notes_once_and_it_is_carried_out(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, mps=KLING)
    lines: list[Line] = [{"id": f"shot-{n}", "video": {"prompt": "wind", "duration": 1}} for n in range(5)]
    result = shell.call("run", shell.batch(*lines), "--out", "made")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("note: duration: 1 s, but Kling 3.0 takes 3 to 15 s (official SDK") == 1
    assert "CatalogWarning" not in result.stderr


def test_many_notes_do_not_scroll_away_what_else_is_said(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, mps=KLING)
    lines: list[Line] = [{"id": f"shot-{n}", "video": {"prompt": "w", "resolution": f"{n}P"}} for n in range(25)]
    result = shell.call("run", shell.batch(*lines, b"?"), "--out", "made")
    assert result.exit_code == 2
    assert result.stderr.count("note: resolution: ") == 20
    assert "note: 5 more such notes" in result.stderr


def test_a_strict_config_refuses_by_line(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, mps=KLING, catalog="strict")
    lines: list[Line] = [image("one"), {"id": "two", "image": {"prompt": "x"}, "video": {"prompt": "w", "duration": 1}}]
    result = shell.call("run", shell.batch(*lines), "--out", "made")
    assert result.exit_code == 2
    assert "  line 2: video.duration: 1 s, but Kling 3.0 takes 3 to 15 s" in result.stderr
    assert not Path("made").exists()
    assert dict(emulator.statistics().arrivals) == {}


def test_a_single_videos_findings_are_told_before_it_is_accepted(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    made = shell.call("video", "wind", "--duration", "1", "--model-name", "Kling", "--model-version", "3.0")
    assert made.exit_code == 0, made.output
    note, accepted = made.stderr.splitlines()
    assert note.startswith("note: duration: 1 s, but Kling 3.0 takes 3 to 15 s")
    assert accepted.startswith("accepted as task ")


def test_a_narrow_terminal_gets_lines(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.cli.models.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    lines = shell.call("models", "video", "--backend", "mps").stdout.splitlines()
    assert len(lines) % 3 == 0
    assert {tuple(line.split()[:2]) for line in lines[::3]} == {("mps", "video")}
    assert all(line.startswith("  ") for line in (*lines[1::3], *lines[2::3]))
