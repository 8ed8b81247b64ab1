"""`settle`: what was sent and never answered, told and decided."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mps_aigc_async.emulator import Emulator

from .conftest import Shell, image


@pytest.fixture
def lost(shell: Shell, emulator: Emulator) -> list[str]:
    """A batch in `made` of which two creates were never answered, and the command that made it."""
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after", times=2)
    command = ["run", shell.batch(image("a", "a lake 湖"), image("b")), "--out", "made"]
    assert shell.call(*command).exit_code == 1
    return command


def tasks(emulator: Emulator) -> list[str]:
    return [arrival.task_id for arrival in emulator.arrivals if arrival.action.startswith("Create") and arrival.task_id]


@pytest.mark.usefixtures("lost")
def test_the_list_needs_no_keys_and_tells_how_to_decide(shell: Shell) -> None:
    Path("config.json").unlink()
    listed = shell.call("settle", "made")
    assert listed.exit_code == 1
    first = next(line for line in listed.stdout.splitlines() if line.startswith("a/image  sent 20"))
    assert first.endswith("  a lake 湖")
    assert "settle made JOB --create-again | --attach TASK_ID | --drop" in listed.stdout


def test_the_ledger_of_a_client_is_settled_by_its_file(shell: Shell, emulator: Emulator) -> None:
    """`--ledger` and Python name a file, which need not be a folder's ledger.db."""
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
    assert shell.call("image", "a lake", "--ledger", "jobs.db").exit_code == 1
    (job_id, *_) = shell.call("settle", "jobs.db").stdout.split()
    assert shell.call("status", "jobs.db").exit_code == 1
    dropped = shell.call("settle", "jobs.db", job_id, "--drop")
    assert dropped.stdout == f"{job_id}: failed: given up\n"


def test_a_batch_is_no_way_to_save_from_the_ledger_of_a_client(shell: Shell, emulator: Emulator) -> None:
    """`run` would open DIR/ledger.db, another ledger, and pay for everything again."""
    shell.configure(emulator.url)
    assert shell.call("image", "a lake", "--ledger", "jobs.db").exit_code == 0
    told = shell.call("status", "jobs.db").stdout
    assert "1 result is paid for and not saved: a client's `save_unsaved` with this ledger saves it" in told
    assert " run " not in told


@pytest.mark.usefixtures("lost")
def test_a_job_that_is_known_to_be_accepted_is_listed_so(shell: Shell) -> None:
    """A second task is paid for certainly then."""
    with closing(sqlite3.connect("made/ledger.db")) as rows, rows:
        rows.execute("""UPDATE jobs SET error = json_set(error, '$.accepted', 'yes') WHERE job_id = 'a/image'""")
    listed = shell.call("settle", "made").stdout.splitlines()
    assert ", accepted  a lake 湖" in next(line for line in listed if line.startswith("a/image"))
    assert ", accepted" not in next(line for line in listed if line.startswith("b/image"))


def test_each_decision_is_carried_out_by_the_next_run(shell: Shell, emulator: Emulator, lost: list[str]) -> None:
    prompts = {task.task_id: task.prompt for task in emulator.statistics().tasks if task.task_id in tasks(emulator)}
    (of_a,) = [task for task, prompt in prompts.items() if prompt == "a lake 湖"]

    attached = shell.call("settle", "made", "a/image", "--attach", of_a)
    assert attached.exit_code == 0, attached.output
    assert attached.stdout == "a/image: running: the next run polls and saves it\n"
    again = shell.call("settle", "made", "--all", "--create-again")
    assert again.stdout == "b/image: planned: the next run, or a worker, creates it\n"
    assert shell.call("settle", "made").stdout == "no job's outcome is unknown\n"

    finished = shell.call(*lost)
    assert finished.exit_code == 0, finished.output
    assert Path("made/a.png").is_file()
    assert Path("made/b.png").is_file()
    assert len(tasks(emulator)) == 3


def test_what_is_dropped_has_failed(shell: Shell, emulator: Emulator, lost: list[str]) -> None:
    dropped = shell.call("settle", "made", "b/image", "a/image", "--drop")
    assert (dropped.exit_code, dropped.stdout.count("failed: given up")) == (0, 2)
    finished = shell.call(*lost)
    assert finished.exit_code == 1
    assert "2 need attention: given up" in finished.stdout
    assert len(tasks(emulator)) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a/image"], "choose one: --create-again, --attach TASK_ID or --drop"),
        (["a/image", "--drop", "--create-again"], "choose one of"),
        (["--drop"], "name the jobs, or all of them with --all"),
        (["--all", "--attach", "4-1"], "a TaskId belongs to one job: name one job"),
        (["c/image", "--drop"], "is not in the ledger"),
        (["a", "--drop"], "name the job with its kind, such as a/image"),  # the request's id, which `run` tells
    ],
)
@pytest.mark.usefixtures("lost")
def test_bad_input_changes_nothing(shell: Shell, words: list[str], says: str) -> None:
    refused = shell.call("settle", "made", *words)
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert len(shell.call("settle", "made").stdout.splitlines()) == 4
