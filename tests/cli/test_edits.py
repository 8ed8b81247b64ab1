"""Edited batches: conflicts are told before anything is sent, and versions are made at the user's word alone."""

import signal

import pytest

from mps_aigc_async.emulator import Emulator

from .conftest import Json, Shell, image


def chain(name: str, prompt: str, move: str) -> dict[str, Json]:
    return {**image(name, prompt), "video": {"prompt": move}}


def created(emulator: Emulator) -> dict[str, int]:
    return {kind: number for kind, number in emulator.statistics().created.items() if number}


def files(shell: Shell) -> list[str]:
    return sorted(file.name for file in (shell.folder / "out").iterdir() if file.suffix in (".png", ".mp4"))


@pytest.fixture
def made(shell: Shell, emulator: Emulator) -> Shell:
    """A batch that has been made."""
    shell.configure(emulator.url)
    told = shell.call(
        "run", shell.batch(image("a", "cat"), image("b", "dog"), chain("c", "hill", "rain")), "--out", "out"
    )
    assert told.exit_code == 0, told.output
    assert created(emulator) == {"image": 3, "video": 1}
    return shell


def edited(shell: Shell) -> str:
    return shell.batch(image("a", "cat"), image("b", "wolf"), chain("c", "hill", "snow"), image("d", "new"))


def test_all_conflicts_are_told_at_once_and_nothing_is_sent(made: Shell, emulator: Emulator) -> None:
    told = made.call("run", edited(made), "--out", "out")
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.splitlines()[-6:] == [
        "error: 2 requests have other content than what is made, or may be, under the same id; nothing was sent:",
        '  b (saved): image.prompt: "dog" → "wolf"',
        '  c (saved): video.prompt: "rain" → "snow"',
        "to make new versions, and keep the former files: the same command with --redo-changed",
        "to keep the former versions: the same command with --keep",
        "to make further requests: give them ids of their own",
    ]
    assert created(emulator) == {"image": 3, "video": 1}


def test_kept_versions_stand_for_the_changed_lines(made: Shell, emulator: Emulator) -> None:
    told = made.call("run", edited(made), "--out", "out", "--keep")
    assert told.exit_code == 0, told.output
    assert created(emulator) == {"image": 4, "video": 1}
    assert files(made) == ["a.png", "b.png", "c.mp4", "c.png", "d.png"]


def test_changed_lines_are_made_as_new_versions_once(made: Shell, emulator: Emulator) -> None:
    for options in (["--redo-changed"], ["--redo-changed"], []):
        told = made.call("run", edited(made), "--out", "out", *options)
        assert told.exit_code == 0, told.output
        assert created(emulator) == {"image": 5, "video": 2}
    assert files(made) == ["a.png", "b.png", "b@2.png", "c.mp4", "c.png", "c@2.mp4", "d.png"]


def test_an_edit_that_is_undone_costs_nothing(made: Shell, emulator: Emulator) -> None:
    made.call("run", edited(made), "--out", "out", "--redo-changed")
    back = made.batch(image("a", "cat"), image("b", "dog"), chain("c", "hill", "rain"))
    assert made.call("run", back, "--out", "out").exit_code == 0
    assert created(emulator) == {"image": 5, "video": 2}


def test_a_shot_that_was_never_made_is_edited_without_a_complaint(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(fault="error", code="InvalidParameterValue.Prompt", times=1)
    assert shell.call("run", shell.batch(image("a", "bad")), "--out", "out").exit_code == 1
    assert shell.call("run", shell.batch(image("a", "good")), "--out", "out").exit_code == 0
    assert files(shell) == ["a.png"]


def test_a_request_is_made_again_by_its_id(made: Shell, emulator: Emulator) -> None:
    told = made.call("redo", "a", "c", "--out", "out")
    assert told.exit_code == 0, told.output
    assert created(emulator) == {"image": 5, "video": 2}
    assert files(made) == ["a.png", "a@2.png", "b.png", "c.mp4", "c.png", "c@2.mp4", "c@2.png"]
    assert made.call("redo", "a@1", "--out", "out").exit_code == 0, "a version that was replaced before"
    assert created(emulator) == {"image": 5, "video": 2}
    batch = made.batch(image("a", "cat"), image("b", "dog"), chain("c", "hill", "rain"))
    assert made.call("run", batch, "--out", "out", "--redo", "b").exit_code == 0
    assert made.call("run", batch, "--out", "out").exit_code == 0
    assert created(emulator) == {"image": 6, "video": 2}
    assert "b@2.png" in files(made)


def test_a_redo_that_was_killed_goes_on_when_it_is_given_again(made: Shell, emulator: Emulator) -> None:
    with made.start("redo", "a", "b", "--out", "out", "--config", "config.json") as process:
        assert process.stdout is not None
        while ": done: " not in process.stdout.readline():  # the other one is at the service, too
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    told = made.call("redo", "a", "b", "--out", "out")
    assert told.exit_code == 0, told.output
    assert created(emulator) == {"image": 5, "video": 1}
    assert not [name for name in files(made) if "@3" in name]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["redo", "zz", "--out", "out"], "the ledger has no request zz"),
        (["redo", "a", "--out", "elsewhere"], "there is no ledger"),
        (["run", "batch.jsonl", "--out", "out", "--redo", "zz"], "the batch has no request with the id zz"),
        (["run", "batch.jsonl", "--out", "out", "--redo", "a", "--keep"], "choose one"),
        (["redo", "a@4", "--out", "out"], "the latest version is a"),
    ],
)
def test_bad_input_is_told_in_a_sentence(made: Shell, emulator: Emulator, arguments: list[str], error: str) -> None:
    told = made.call(*arguments)
    assert (told.exit_code, error in told.stderr) == (2, True), told.output
    assert created(emulator) == {"image": 3, "video": 1}


def test_all_creates_in_doubt_are_named_before_any_version_is_planned(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after", times=2)
    told = shell.call("run", shell.batch(image("a", "cat"), image("b", "dog")), "--out", "out")
    assert told.exit_code == 1, told.output
    before = created(emulator)
    told = shell.call(
        "run", shell.batch(image("a", "wolf"), image("b", "fox"), image("c", "owl")), "--out", "out", "--redo-changed"
    )
    assert told.exit_code == 2, told.output
    assert told.stderr.splitlines()[-4:] == [
        "error: no reply came to the creates of these, so they may be paid for; nothing was sent:",
        "  a/image",
        "  b/image",
        f"settle them first: mps-aigc settle {shell.folder / 'out'}",
    ]
    assert created(emulator) == before
