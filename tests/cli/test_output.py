"""A command whose output nobody takes goes on, and ends with the right exit code."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from mps_aigc_async.cli.interrupts import SIGNALS, Interrupts
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.states import JobState

from .conftest import Shell, image

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors of POSIX")


RUN: Final = (sys.executable, "-m", "mps_aigc_async", "run")


def ended(shell: Shell, batch: str, *, stdout: int, stderr: int = subprocess.DEVNULL, how: Sequence[str] = ()) -> int:
    """The exit code of a run with these streams."""
    command = [*how, *RUN, batch, "--out", "made"]
    return subprocess.run(
        command, cwd=shell.folder, env=shell.environment, stdout=stdout, stderr=stderr, timeout=60, check=False
    ).returncode


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def is_whole(folder: Path, shots: int) -> bool:
    with open_snapshot(folder / "ledger.db") as snapshot:
        saved = all(job.state is JobState.SAVED for _, jobs in snapshot.requests() for job in jobs)
    return saved and len(list(folder.glob("*.png"))) == shots and (folder / "index.html").is_file()


@posix
@pytest.mark.parametrize("which", [("stdout",), ("stderr",), ("stdout", "stderr")], ids="+".join)
@pytest.mark.parametrize("output", [closed_pipe, full_disk])
def test_a_batch_whose_output_fails_ends_well(
    output: Callable[[], int], which: tuple[str, ...], shell: Shell, emulator: Emulator
) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(*(image(f"shot-{number}") for number in range(6)))
    streams = {name: output() if name in which else subprocess.DEVNULL for name in ("stdout", "stderr")}
    code = ended(shell, batch, stdout=streams["stdout"], stderr=streams["stderr"])
    for stream in streams.values():
        if stream > 0:
            os.close(stream)
    assert code == 0
    assert is_whole(shell.folder / "made", 6)


@posix
def test_descriptors_that_are_closed_are_not_the_ledgers(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(image("shot"))
    closing = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    assert ended(shell, batch, stdout=subprocess.DEVNULL, how=closing) == 0
    assert is_whole(shell.folder / "made", 1)


@posix
def test_a_broken_pipe_does_not_hide_that_something_failed(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(image("a"), image("b", "forbidden-content"))
    pipe = closed_pipe()
    code = ended(shell, batch, stdout=pipe)
    os.close(pipe)
    assert code == 1


READS: Final = """
import sys
from mps_aigc_async.__main__ import main

class Stdin:
    def __init__(self, stdin):
        self.buffer = self
        self._stdin = stdin
    def read(self, *size):
        print("reads", flush=True)
        return self._stdin.buffer.read(*size)
    def __getattr__(self, name):
        return getattr(self._stdin, name)

sys.argv = ["mps-aigc", "run", "-", "--out", "made"]
sys.stdin = Stdin(sys.stdin)
main()
"""


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_before_a_batch_has_begun_ends_as_ctrl_c_does(number: signal.Signals, shell: Shell) -> None:
    shell.configure("http://127.0.0.1:9")
    with subprocess.Popen(
        [sys.executable, "-c", READS],
        cwd=shell.folder,
        env=shell.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reads\n"
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told


@posix
async def test_what_listened_before_listens_afterwards_and_what_was_ignored_is_ignored_meanwhile() -> None:
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    heard: list[int] = []
    try:
        signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with Interrupts():
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@posix
def test_a_working_directory_that_is_removed_ends_no_batch(shell: Shell, emulator: Emulator) -> None:
    config = shell.configure(emulator.url)
    batch = shell.folder / shell.batch(image("a"), image("b"))
    command = [*RUN, str(batch), "--out", str(shell.folder / "made"), "--config", str(config)]
    where_no_folder_is = ("sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh")
    ended = subprocess.run(
        [*where_no_folder_is, *command],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"a: done: {shell.folder}/made/a.png" in ended.stdout
    assert is_whole(shell.folder / "made", 2)


@posix
def test_a_batch_from_a_stdin_that_is_closed_is_bad_input(shell: Shell) -> None:
    shell.configure("http://127.0.0.1:9")
    closing = ("sh", "-c", 'exec "$@" <&-', "sh")
    assert ended(shell, "-", stdout=subprocess.DEVNULL, how=closing) == 2


@pytest.mark.parametrize("columns", ["1", "20", "40"])
def test_a_narrow_terminal_costs_no_number(
    columns: str, shell: Shell, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shell.configure(emulator.url)
    result = shell.call("run", shell.batch(image("a")), "--out", "made")
    assert "\nimages\n  total: 1\n  saved: 1\n" in result.stdout
    assert shell.call("status", "made").stdout == "images\n  saved: 1\n"
