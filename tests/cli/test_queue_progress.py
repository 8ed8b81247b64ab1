"""`progress`: the numbers, workers, creates and slots of a queued batch, in each form."""

import json
import os
import pty
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from mps_aigc_async.cli import queue_progress
from mps_aigc_async.emulator import Emulator

from ..postgres_server import PASSWORD
from ..watching import Calls
from .conftest import Shell, image, read_to_end, served

SLOTS = "images: 4 of 4 slots taken"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Slow: its tasks outlive a test."""
    with served(speed=1) as running:
        yield running


@pytest.fixture
def ledger(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger's URL without its password, which the environment has."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return database.replace(f":{PASSWORD}", "") + "?ledger=spring"


@contextmanager
def working(shell: Shell, emulator: Emulator, calls: Calls, ledger: str, **sections: Any) -> Iterator[int]:  # noqa: ANN401 — JSON
    """A worker that runs 5 of 8 requests, 4 of them at the service; its process id."""
    shell.configure(emulator.url, **sections)
    shell.call("queue", shell.batch(*(image(f"shot-{number}") for number in range(8))), "--ledger", ledger)
    command = ["worker", "--out", "made", "--ledger", ledger, "--concurrency", "5"]
    with shell.start(*command, environment={"PGPASSWORD": PASSWORD}) as worker:
        calls.until(lambda: emulator.statistics().created["image"] == 4)
        while not json.loads(shell.call("progress", "--json", "--ledger", ledger).stdout)["workers"]:
            pass
        with psycopg.connect(ledger.partition("?")[0]) as connection:  # a slow machine may have taken 10 s to come here
            connection.execute(
                "UPDATE mps_aigc_ledger.jobs SET sent_at = extract(epoch from now()) - 1 WHERE sent_at > 0"
            )
        yield worker.pid
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)


def test_all_that_runs_is_shown(shell: Shell, emulator: Emulator, calls: Calls, ledger: str) -> None:
    with working(shell, emulator, calls, ledger, limitStore=ledger.partition("?")[0]) as pid:
        told = shell.call("progress", "--ledger", ledger)
    assert told.exit_code == 0, told.output
    summary, jobs, creates, slots, worker = told.stdout.splitlines()
    assert summary == "0 of 8 requests have ended; 5 run, 3 wait"
    assert jobs == "jobs: 1 planned, 4 running"
    assert creates == "images: 0.4 creates a second in the last 10 s, CreateAigcImageTask allows 20"
    assert slots == SLOTS
    assert re.fullmatch(
        rf"worker on {socket.gethostname()}, process {pid}: runs 5 requests, heartbeat \d s ago", worker
    )


def test_an_object_of_json_has_all_of_it(shell: Shell, emulator: Emulator, calls: Calls, ledger: str) -> None:
    with working(shell, emulator, calls, ledger, limitStore=ledger.partition("?")[0]) as pid:
        told = json.loads(shell.call("progress", "--json", "--ledger", ledger).stdout)
    [worker], [slots], [creates] = told.pop("workers"), told.pop("slots"), told.pop("creates")
    assert 0 <= worker.pop("heartbeat_s") < 10
    assert worker == {"host": socket.gethostname(), "pid": pid, "requests": 5}
    assert (slots["kind"], slots["taken"], slots["cap"]) == ("image", 4, 4)
    assert creates == {"kind": "image", "per_second": 0.4, "action": "CreateAigcImageTask", "limit": 20}
    assert told == {
        "requests": 8, "ends": 0, "failures": 0, "unknown": 0, "running": 5, "waiting": 3, "per_second": 0.0,
        "remaining_s": None, "jobs": {"planned": 1, "submitted": 4}, "members": [],
    }  # fmt: skip


def test_a_limit_store_that_cannot_be_read_is_a_note(
    shell: Shell, emulator: Emulator, calls: Calls, ledger: str
) -> None:
    with working(shell, emulator, calls, ledger):
        shell.configure(emulator.url, limitStore="postgresql://nobody@127.0.0.1:1/media")
        told = shell.call("progress", "--ledger", ledger)
        alone = shell.call("progress", "--ledger", ledger, "--config", str(shell.configure(emulator.url)))
    assert (told.exit_code, alone.exit_code, alone.stderr) == (0, 0, "")
    assert told.stdout.startswith("0 of 8 requests have ended; 5 run, 3 wait\n")
    assert told.stderr.count("note: no slots are shown: ") == 1
    assert "slots taken" not in told.stdout + alone.stdout


def test_a_batch_without_a_worker_says_how_to_start_one(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    shell.call("queue", shell.batch(image("a")), "--ledger", ledger)
    told = shell.call("progress", "--ledger", ledger).stdout.splitlines()
    assert told == [
        "0 of 1 requests have ended; 0 run, 1 wait",
    ]


def test_a_watched_batch_is_a_line_each_time(shell: Shell, ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_progress, "WATCH_S", 0.01)
    with served(speed=200) as emulator:
        shell.configure(emulator.url)
        shell.call("queue", shell.batch(*(image(f"shot-{number}") for number in range(8))), "--ledger", ledger)
        with shell.start("worker", "--out", "made", "--ledger", ledger, environment={"PGPASSWORD": PASSWORD}) as worker:
            lines = shell.call("progress", "--watch", "--ledger", ledger).stdout.splitlines()
            objects = shell.call("progress", "--watch", "--json", "--ledger", ledger).stdout.splitlines()
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=60)
    assert len([line for line in lines if re.match(r"\d of 8 requests have ended", line)]) > 1
    assert [json.loads(line)["ends"] for line in objects] == [8]


def test_a_watched_batch_is_drawn_again_on_a_terminal(shell: Shell, ledger: str) -> None:
    with served(speed=200) as emulator:
        shell.configure(emulator.url)
        shell.call("queue", shell.batch(*(image(f"shot-{number}") for number in range(8))), "--ledger", ledger)
        secret = {"PGPASSWORD": PASSWORD}
        ours, theirs = pty.openpty()
        command = ["progress", "--watch", "--ledger", ledger]
        with (
            shell.start(*command, stdout=theirs, environment={**secret, "TERM": "xterm"}),
            shell.start("worker", "--out", "made", "--ledger", ledger, environment=secret) as worker,
        ):
            os.close(theirs)
            shown = read_to_end(ours)
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=60)
    assert b"8 of 8 requests have ended" in shown
    assert b"\x1b[2K" in shown, "lines, not a screen"


def test_failures_are_told_and_are_the_exit_code(shell: Shell, ledger: str) -> None:
    with served() as emulator:
        shell.configure(emulator.url)
        emulator.faults.add(action="CreateAigcImageTask", fault="fail_later", code="ModelGenerateFailed")
        emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
        batch = shell.batch(*(image(f"shot-{number}") for number in range(3)))
        shell.call("queue", batch, "--ledger", ledger)
        with shell.start("worker", "--out", "made", "--ledger", ledger, environment={"PGPASSWORD": PASSWORD}) as worker:
            told = shell.call("progress", "--watch", "--ledger", ledger)
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=60)
    assert told.exit_code == 1
    assert "3 of 3 requests have ended, 2 failed, 1 of them unknown" in told.stdout


def test_watching_ends_when_nobody_reads_and_says_once_that_no_worker_runs(
    shell: Shell, emulator: Emulator, ledger: str
) -> None:
    shell.configure(emulator.url)
    shell.call("queue", shell.batch(image("shot-1")), "--ledger", ledger)
    command = ["progress", "--watch", "--ledger", ledger]
    with shell.start(*command, environment={"PGPASSWORD": PASSWORD}) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "0 of 1 requests have ended; 0 run, 1 wait\n"
        watch.stdout.close()
        assert watch.wait(30) == 0
        assert watch.stderr is not None
        assert watch.stderr.read().count("no worker runs; to start one:") == 1
