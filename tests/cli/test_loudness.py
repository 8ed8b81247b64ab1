"""`-q` prints errors and a summary, `-v` each event and the client's log too."""

import logging

from mps_aigc_async.emulator import Emulator

from .conftest import Shell, image


def test_a_quiet_run_prints_one_line(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    result = shell.call("run", shell.batch(image("a"), image("b")), "-o", "made", "-q")
    assert result.exit_code == 0
    (line,) = result.output.splitlines()
    assert line.startswith("2 jobs: 2 saved, 0 failed, 0 unknown; ")
    assert line.endswith(" s, files in made")


def test_a_quiet_run_prints_the_reasons_of_failures(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    result = shell.call("run", shell.batch(image("a"), image("b", "fail-later")), "-o", "made", "--quiet")
    assert result.exit_code == 1
    summary, reason, ids, _ = result.output.splitlines()
    assert "1 saved, 1 failed, 0 unknown" in summary
    assert reason.startswith("1 needs attention: ")
    assert ids == "  b"


def test_a_verbose_run_prints_each_event_and_the_log(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    log = logging.getLogger("mps_aigc_async")
    before = log.level, list(log.handlers)
    result = shell.call("run", shell.batch(image("a")), "-o", "made", "-v")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    words = [line.split()[1] for line in lines if line.startswith("a/image: ")]
    assert [word for word in words if word not in ("paced", "polled")] == ["planned", "submitted", "done", "saved"]
    assert "polled" in words
    assert (log.level, list(log.handlers)) == before
    assert any("a: done: made/a.png" in line for line in result.stdout.splitlines())


def test_a_quiet_single_command_prints_its_result_alone(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    result = shell.call("image", "a lake", "-o", "made", "-q")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1].startswith("task 4-")


def test_quiet_and_verbose_at_once_are_refused(shell: Shell) -> None:
    result = shell.call("run", shell.batch(image("a")), "-o", "made", "-q", "-v")
    assert (result.exit_code, result.output) == (2, "error: choose one of --quiet and --verbose\n")
