"""`status` lists the shots that need their user."""

import json
from dataclasses import replace
from pathlib import Path
from time import time

import pytest

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.states import JobState, Kind

from ..report.batches import done, failed, planned, saved, submitted, unknown, write_ledger
from .conftest import Shell

IMAGE, VIDEO = Kind.IMAGE, Kind.VIDEO


def rows_of_each_state(start: float) -> list[JobRecord]:
    first, second = (submitted(planned(name, VIDEO), start) for name in ("twice", "twice@2"))
    return [
        saved(done(submitted(planned("good", IMAGE), start)), Path("good.png")),
        failed(submitted(planned("bad", IMAGE), start), message="The model gave up."),
        planned("bad", VIDEO),
        unknown(planned("lost", IMAGE), start),
        done(submitted(planned("kept", IMAGE), start)),
        submitted(planned("late", IMAGE), start),
        planned("new", IMAGE),
        planned("sending", IMAGE).moved(JobState.INTENT, intent_at=time()),
        planned("died", IMAGE).moved(JobState.INTENT, intent_at=start),
        replace(failed(first, message="Too dark."), content=first.content),
        saved(done(second), Path("twice@2.mp4")),
    ]


@pytest.fixture
def ledger(shell: Shell) -> Shell:
    write_ledger(shell.folder / "made", rows_of_each_state(time() - 900))
    return shell


def names(stdout: str) -> list[str]:
    return [line.partition(":")[0] for line in stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "shots"),
    [
        (["--failed"], ["bad"]),
        (["--unknown"], ["lost", "died"]),
        (["--unsaved"], ["kept"]),
        (["--failed", "--unsaved"], ["bad", "kept"]),
        (
            ["--all"],
            ["good", "bad", "lost", "kept", "late", "new", "sending", "died", "twice@2", "twice"],
        ),
    ],
)
def test_an_option_chooses_the_shots(ledger: Shell, options: list[str], shots: list[str]) -> None:
    result = ledger.call("status", "made", *options)
    assert (result.exit_code, names(result.stdout)) == (1, shots)


def test_a_line_has_the_reason_and_the_next_step(ledger: Shell) -> None:
    (line,) = ledger.call("status", "made", "--failed").stdout.splitlines()
    assert line.startswith("bad: failed (image): The model gave up. → to retry")
    lost = ledger.call("status", "made", "--unknown").stdout.splitlines()[0]
    assert lost.endswith("→ `mps-aigc settle made` decides")
    assert "twice: failed (video, earlier version): Too dark." in ledger.call("status", "made", "--all").stdout


def test_below_the_census_stand_the_first_shots_that_need_attention(ledger: Shell) -> None:
    stdout = ledger.call("status", "made").stdout
    table = {words[0]: words[1:] for line in stdout.splitlines() if (words := line.split())}
    assert table["planned"] == ["blocked", "running", "done", "saved", "failed", "unknown"]
    assert table["images"] == ["1", "0", "2", "1", "1", "1", "2"]
    assert table["videos"] == ["0", "1", "0", "0", "1", "1", "0"]
    assert [name for name in names(stdout) if name in ("good", "bad", "lost", "kept", "died", "twice")] == [
        "bad", "lost", "kept", "died",
    ]  # fmt: skip
    assert "intent" not in stdout
    assert "more:" not in stdout


def test_more_shots_than_fit_are_only_announced(shell: Shell) -> None:
    write_ledger(shell.folder / "made", [failed(submitted(planned(f"a{n}", IMAGE), time())) for n in range(11)])
    stdout = shell.call("status", "made").stdout
    assert sum(": failed (image)" in line for line in stdout.splitlines()) == 10
    assert "and more: `mps-aigc status made --failed --unknown --unsaved` lists them all" in stdout


def test_the_list_reads_at_40_columns(ledger: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = ledger.call("status", "made", "--all").stdout.splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[1:3] == ["bad: failed (image)", "  The model gave up."]
    assert lines[3].startswith("  → to retry")


def test_json_has_the_census_and_the_chosen_shots(ledger: Shell) -> None:
    result = ledger.call("status", "made", "--json", "--failed")
    state = json.loads(result.stdout)
    assert result.exit_code == 1
    assert state["jobs"]["image"] == {
        "planned": 1, "blocked": 0, "running": 2, "done": 1, "saved": 1, "failed": 1, "unknown": 2,
    }  # fmt: skip
    (bad,) = state["shots"]
    assert (bad["id"], bad["state"], bad["kind"], bad["task_id"]) == ("bad", "failed", "image", "4-bad/image")
    assert "SIGNATURE" not in result.stdout
    attention = json.loads(ledger.call("status", "made", "--json").stdout)["shots"]
    assert [shot["id"] for shot in attention] == ["bad", "lost", "kept", "died"]
