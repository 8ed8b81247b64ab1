"""The life of a client without a loop: opening, closing, Ctrl-C, the end of the program, and forks."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, ClientClosed, ClientError, ImageRequest, JobState, LedgerError
from mps_aigc_async.emulator import Emulator

from ..watching import Calls
from .serving import client_for, config_json, loop_threads

LAKE = ImageRequest(id="lake", prompt="a lake")


def creates(emulator: Emulator) -> int:
    return emulator.statistics().arrivals.get("CreateAigcImageTask", 0)


class HeldAnswers:
    """Creates that have arrived at the emulator, and whose answers are held back until `release`."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.arrived, self._released = threading.Event(), threading.Event()
        self.on_arrival = self.arrived.set
        handle = emulator.service.handle

        def held(*args: object, **kwargs: object) -> object:
            answer = handle(*args, **kwargs)  # type: ignore[arg-type] # as it is called
            if creates(emulator):
                self.on_arrival()
                assert self._released.wait(30)
            return answer

        monkeypatch.setattr(emulator.service, "handle", held)

    def release(self) -> None:
        self._released.set()


# --- opening and closing ----------------------------------------------------------------------------------------------


def test_the_first_call_opens_and_close_closes(emulator: Emulator) -> None:
    client = client_for(emulator)
    assert f"{client!r}".startswith("<SyncClient of ")
    assert f"{client!r}".endswith("closed>")
    assert loop_threads() == []
    assert client.statistics().slots
    assert f"{client!r}".endswith("open>")
    client.close()
    client.close()
    assert loop_threads() == []
    with pytest.raises(ClientClosed, match="inside `with SyncClient"):
        client.counts()
    for number in range(2):
        with client:
            assert client.generate(ImageRequest(id=f"lake-{number}", prompt="a lake")).urls
            with pytest.raises(ClientClosed, match="open already"), client:
                pass
            assert client.counts() == {JobState.DONE: 1}
    assert loop_threads() == []


def test_a_client_that_was_never_open_closes(emulator: Emulator) -> None:
    client = client_for(emulator)
    client.close()
    with pytest.raises(ClientClosed):
        client.statistics()


def test_a_client_that_cannot_open_can_be_opened_later(emulator: Emulator, tmp_path: Path) -> None:
    ledger = tmp_path / "jobs.db"
    ledger.mkdir()
    client = client_for(emulator, ledger)
    for _ in range(2):
        with pytest.raises(LedgerError):
            client.counts()
        assert loop_threads() == []
    ledger.rmdir()
    assert client.counts() == {}
    client.close()


def test_close_ends_the_calls_of_other_threads(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger, answers = tmp_path / "jobs.db", HeldAnswers(emulator, monkeypatch)
    client, errors = client_for(emulator, ledger), []

    def generate() -> None:
        with pytest.raises(ClientClosed) as raised:
            client.generate(LAKE)
        errors.append(raised.value)
        answers.release()  # the caller is gone before its answer comes

    thread = threading.Thread(target=generate)
    thread.start()
    assert answers.arrived.wait(30)
    client.close()
    thread.join()
    assert len(errors) == creates(emulator) == 1
    with client_for(emulator, ledger) as fresh:
        assert sum(fresh.counts().values()) == 1
        assert fresh.generate(LAKE).task_id
    assert creates(emulator) == 1


def test_a_batch_and_a_task_end_with_the_client(emulator: Emulator) -> None:
    with client_for(emulator) as client:
        run = client.run([LAKE])
        assert repr(run) == "<SyncRun, 0 under way>"
        task = client.submit(LAKE)
    with pytest.raises(ClientClosed):
        next(run)
    with pytest.raises(ClientClosed):
        task.wait()
    run.close()
    assert list(run) == []


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals for threads here")
def test_an_interrupted_call_ends_at_once_and_its_create_is_recorded(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger, answers = tmp_path / "jobs.db", HeldAnswers(emulator, monkeypatch)
    main_thread = threading.get_ident()
    answers.on_arrival = lambda: signal.pthread_kill(main_thread, signal.SIGINT)
    with client_for(emulator, ledger) as client:
        with pytest.raises(KeyboardInterrupt):
            client.generate(LAKE)
        answers.on_arrival = answers.arrived.set
        assert client.counts() == {JobState.INTENT: 1}
        answers.release()
    with client_for(emulator, ledger) as client:
        assert client.generate(LAKE).task_id
    assert creates(emulator) == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals for threads here")
def test_an_interrupted_batch_is_cancelled(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    main_thread, calls, goes_on = threading.get_ident(), Calls(emulator, monkeypatch), threading.Event()

    def requests() -> Iterator[ImageRequest]:
        yield LAKE
        calls.until(lambda: creates(emulator))
        signal.pthread_kill(main_thread, signal.SIGINT)
        goes_on.wait(30)  # nobody waits for this thread

    with client_for(emulator) as client:
        run = client.run(requests())
        with pytest.raises(KeyboardInterrupt):
            list(run)
        with pytest.raises(ClientClosed, match="that ended the run"):
            next(run)
        assert client.generate(LAKE).task_id
    goes_on.set()
    assert creates(emulator) == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals for threads here")
def test_an_interrupted_opening_leaves_nothing_open(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    main_thread, client = threading.get_ident(), client_for(emulator)

    async def open_slowly(_: AigcClient) -> None:
        signal.pthread_kill(main_thread, signal.SIGINT)
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(AigcClient, "__aenter__", open_slowly)
        with pytest.raises(KeyboardInterrupt):
            client.counts()
    assert loop_threads() == []
    with client:
        assert client.generate(LAKE).task_id


# --- the end of the program, and forks --------------------------------------------------------------------------------

PROGRAM = [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning", "-m"]
"""Forking with threads is deprecated from Python 3.12 on."""


def command(name: str, emulator: Emulator, ledger: Path) -> list[str]:
    return [*PROGRAM, "tests.client.sync_programs", name, json.dumps(config_json(emulator)), str(ledger)]


def run_program(name: str, emulator: Emulator, ledger: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(name, emulator, ledger), capture_output=True, text=True, timeout=60, check=False, encoding="utf-8"
    )


def output_of(name: str, emulator: Emulator, ledger: Path) -> tuple[int, list[str]]:
    done = run_program(name, emulator, ledger)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def task_ids(ledger: Path) -> list[str | None]:
    with closing(sqlite3.connect(ledger)) as database:
        return [row[0] for row in database.execute("SELECT task_id FROM jobs ORDER BY job_id")]


def test_a_program_that_ends_waits_for_its_creates(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger = tmp_path / "jobs.db"
    with subprocess.Popen(
        command("ends", emulator, ledger), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8",
    ) as program:  # fmt: skip
        assert program.stdin is not None
        assert program.stdout is not None
        Calls(emulator, monkeypatch).until(lambda: creates(emulator) == 1)
        answers = HeldAnswers(emulator, monkeypatch)
        assert answers.arrived.wait(30)
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "the program ends\n"
        answers.release()
        rest, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (0, "")
    assert rest in {"", "the client was closed before this was finished\n"}  # its thread may end with the program
    assert len(set(task_ids(ledger)) - {None}) == creates(emulator) == 2


def test_after_the_end_of_the_main_thread_no_client_opens(emulator: Emulator, tmp_path: Path) -> None:
    code, (closed, unopened) = output_of("ends_twice", emulator, tmp_path / "jobs.db")
    assert code == 5
    assert closed.startswith("the client was closed")
    assert unopened.startswith("the main thread has ended: nothing was sent")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_opens_a_client_of_its_own(emulator: Emulator, tmp_path: Path) -> None:
    code, (of_task, child, parent) = output_of("forks", emulator, tmp_path / "jobs.db")
    assert code == 0
    assert "was forked from it: nothing was sent" in of_task
    assert child == "child 1 1"
    assert parent == "parent 0 True 1"
    assert creates(emulator) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_of_multiprocessing_close_their_clients(emulator: Emulator, tmp_path: Path) -> None:
    """Closing warns of the tasks that only the closed client knew."""
    done = run_program("multiprocessing", emulator, tmp_path / "jobs.db")
    assert done.returncode == 0
    warnings = [line.rpartition(" ") for line in done.stderr.splitlines()]
    assert {warning.partition(":")[0] for warning, _, _ in warnings} == {
        "closed while tasks run that are in no ledger file"
    }
    assert sorted(task_id for _, _, task_id in warnings) == sorted(done.stdout.split())
    assert creates(emulator) == 3


def test_the_end_of_the_program_closes_every_client(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mps_aigc_async.client import sync_base

    clients = [client_for(emulator) for _ in range(2)]
    for client in clients:
        client.counts()
    close = clients[0].close

    def fail() -> None:
        close()
        raise ClientError("of the test")

    monkeypatch.setattr(clients[0], "close", fail)
    monkeypatch.setattr(sync_base, "_is_ending", False)  # and set again after the test
    sync_base._close_all()
    assert "mps-aigc loop" not in loop_threads()
    assert "was not closed" in caplog.text
    with pytest.raises(ClientError, match="the main thread has ended"):
        client_for(emulator).counts()
