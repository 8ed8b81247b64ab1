"""Ctrl-C and SIGTERM: stopped in good order, continued without creating anything twice."""

import os
import pty
import re
import signal
from collections.abc import Iterator

import pytest

from mps_aigc_async.emulator import Emulator

from ..watching import Calls
from .conftest import SECRET_KEY, Shell, chain, read_to_end, served

SHOTS = 10
"""So many that a busy machine, which hands a signal over late, has not begun all of them by then."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Slow enough to be interrupted: images of 0.3 to 0.9 s, videos of 0.9 to 1.5 s."""
    with served(speed=200) as running:
        yield running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_batch_says_how_to_go_on_and_goes_on(
    shell: Shell, emulator: Emulator, calls: Calls, number: signal.Signals
) -> None:
    shell.configure(emulator.url)
    shots = [chain(f"shot-{number}") for number in range(SHOTS)]
    command = ["run", shell.batch(*shots), "--out", "made"]
    with shell.start(*command) as process:
        calls.until(lambda: emulator.statistics().created["video"])
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert SECRET_KEY not in stdout + stderr
    assert re.search(r"interrupted; at the service .*\d (image|video)s? ", stderr), stderr
    assert "go on with the same command: python -m mps_aigc_async run batch.jsonl --out made\n" in stderr
    begun = emulator.statistics().created
    assert 0 < begun["video"] < SHOTS

    result = shell.call(*command)

    assert result.exit_code == 0, result.output
    assert dict(emulator.statistics().created) == {"image": SHOTS, "video": SHOTS, "audio": 0}


def test_a_second_interrupt_leaves_at_once_and_gives_the_terminal_back(
    shell: Shell, emulator: Emulator, calls: Calls
) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="hang", times=None)
    ours, theirs = pty.openpty()
    with shell.start(
        "run", shell.batch(chain("a")), "--out", "made", stdout=theirs, environment={"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        calls.until(lambda: emulator.statistics().arrivals.get("CreateAigcImageTask"))
        process.send_signal(signal.SIGINT)
        shown = read_until(ours, b"Ctrl-C again leaves at once")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=8)  # the first one alone waits 10 s for the create that hangs
        shown += read_to_end(ours)
    assert process.returncode == 130
    assert b"images" in shown
    assert re.search(rb"\x1b\[2K(\x1b\[[0-9;]*m)*stopping: ", shown), "the note was printed into the bars"
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"), "the cursor was hidden and not shown again"
    assert b"Traceback" not in shown


def test_bars_on_a_terminal(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    ours, theirs = pty.openpty()
    command = ["run", shell.batch(chain("a"), chain("b")), "--out", "made"]
    with shell.start(*command, stdout=theirs, environment={"TERM": "xterm-256color", "COLUMNS": "100"}) as process:
        os.close(theirs)
        shown = read_to_end(ours).decode()
        process.wait(timeout=60)
    assert process.returncode == 0
    assert "images" in shown
    assert "2/2" in shown
    assert "saved 4, failed 0, unknown 0" in shown
    assert "CreateAigcVideoTask ≤10/s" in shown
    assert "videos running" in shown
    assert "a: done" not in shown, "bars, not lines"


def test_an_interrupted_video_names_its_task(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    with shell.start("video", "rain", "--duration", "1") as process:
        assert process.stderr is not None
        # Not simply the first line: on a busy machine, development mode tells of slow callbacks before it.
        accepted = next(line for line in process.stderr if "4-AigcVideo-" in line)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    task_id = re.findall(r"4-AigcVideo-\w+", accepted)[0]
    assert f"mps-aigc status video {task_id}" in stderr


def test_an_interrupt_while_the_batch_is_read(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    with shell.start("run", "-", "--out", "made") as process:
        assert process.stdin is not None
        process.stdin.write("\n" * 300_000)  # more than a pipe holds: this returns when the command reads
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "interrupted: nothing that was sent is lost; the same command goes on\n"


def read_until(terminal: int, text: bytes) -> bytes:
    shown = b""
    while text not in b" ".join(shown.split()):
        shown += os.read(terminal, 4096)
    return shown
