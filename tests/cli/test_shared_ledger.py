"""Commands on a ledger in PostgreSQL, named by its URL."""

# ruff: noqa: S608 — a TaskId of the emulator's

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mps_aigc_async.cli.interrupts import Interrupted
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.ledger.postgres import members

from ..postgres_server import PASSWORD
from ..watching import Calls
from .conftest import Shell, image


@pytest.fixture
def ledger(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger's URL without its password, which the environment has."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return database.replace(f":{PASSWORD}", "") + "?ledger=spring"


def sql(database: str, statement: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(statement.encode())


def creates(emulator: Emulator) -> int:
    return sum(arrival.action.startswith("Create") for arrival in emulator.arrivals)


def test_a_run_keeps_its_jobs_in_the_database(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    command = ["run", shell.batch(image("a"), image("b")), "--out", "made", "--ledger", ledger]
    first = shell.call(*command)
    assert (first.exit_code, first.stderr) == (0, first.stderr.replace("note:", ""))
    assert sorted(path.name for path in Path("made").iterdir()) == ["a.png", "b.png", "index.html"]
    again = shell.call(*command)
    assert again.exit_code == 0, again.output
    assert creates(emulator) == 2
    Path("config.json").unlink()
    told = shell.call("status", ledger)
    assert told.exit_code == 0, told.output
    assert ["images", "0", "0", "0", "0", "2", "0", "0"] in [line.split() for line in told.stdout.splitlines()]
    assert shell.call("settle", ledger).stdout == "no job's outcome is unknown\n"
    Path("made/index.html").unlink()
    assert shell.call("report", "made", "--ledger", ledger).stdout == "made/index.html\n"
    assert "a.png" in Path("made/index.html").read_text()
    assert shell.call("report", "pages/spring", "--ledger", ledger).stdout == "pages/spring/index.html\n"
    assert "../../made/a.png" in Path("pages/spring/index.html").read_text()
    Path("file").touch()
    refused = shell.call("report", "file/spring", "--ledger", ledger)
    assert (refused.exit_code, refused.stderr) == (2, "error: cannot make the folder file/spring: Not a directory\n")


def test_a_run_leaves_the_jobs_of_other_batches_to_their_runs(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
    others = ["run", shell.batch(image("lost"), name="others.jsonl"), "--out", "others", "--ledger", ledger]
    assert shell.call(*others).exit_code == 1
    assert shell.call("image", "a hill", "--ledger", ledger).exit_code == 0  # done, and not saved
    mine = shell.call("run", shell.batch(image("a")), "--out", "mine", "--ledger", ledger, "--retry-failed")
    assert mine.exit_code == 0, mine.output
    assert "earlier" not in mine.output
    assert sorted(path.name for path in Path("mine").iterdir()) == ["a.png", "index.html"]
    told = shell.call("status", ledger)
    assert told.exit_code == 1
    assert "1 result is paid for and not saved: a client's `save_unsaved` with this ledger saves it" in told.stdout


def test_only_the_failed_jobs_of_the_batch_are_retried(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="fail_later", times=2, code="InvalidParameterValue")
    theirs = ["run", shell.batch(image("theirs"), name="theirs.jsonl"), "--out", "theirs", "--ledger", ledger]
    mine = ["run", shell.batch(image("mine")), "--out", "mine", "--ledger", ledger]
    assert (shell.call(*theirs).exit_code, shell.call(*mine).exit_code) == (1, 1)
    assert shell.call(*mine, "--retry-failed").exit_code == 0
    before = creates(emulator)
    assert shell.call(*theirs).exit_code == 1
    assert creates(emulator) == before


def test_unknown_jobs_are_settled(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
    command = ["run", shell.batch(image("a")), "--out", "made", "--ledger", ledger]
    lost = shell.call(*command)
    assert lost.exit_code == 1
    listed = shell.call("settle", ledger)
    assert listed.exit_code == 1
    assert "to decide: mps-aigc settle URL JOB --create-again | --attach TASK_ID | --drop" in listed.stdout
    (task,) = emulator.statistics().tasks
    attached = shell.call("settle", ledger, "a/image", "--attach", task.task_id)
    assert attached.stdout == "a/image: running: the next run polls and saves it\n", attached.output
    assert shell.call(*command).exit_code == 0


@pytest.fixture
def orphan(shell: Shell, emulator: Emulator, ledger: str, database: str) -> str:
    """A task that no row could take, and an unknown job of the same ledger."""
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
    shell.call("run", shell.batch(image("a", "a lake")), "--out", "made", "--ledger", ledger)
    (task,) = emulator.statistics().tasks
    sql(
        database,
        "INSERT INTO mps_aigc_ledger.orphans (ledger, owner, job_id, token, task_id, kind, model, at) "
        f"SELECT ledger, owner, job_id, 't', '{task.task_id}', kind, 'Hunyuan', 1795000000 FROM mps_aigc_ledger.jobs",
    )
    return task.task_id


def test_an_orphan_is_listed_and_dropped(shell: Shell, ledger: str, orphan: str) -> None:
    assert "1 task that no job could take may be paid for: `mps-aigc settle URL` lists" in (
        shell.call("status", ledger).stdout
    )
    listed = shell.call("settle", ledger)
    assert listed.exit_code == 1
    assert f"{orphan}  image, Hunyuan, accepted 2026-11-" in listed.stdout
    assert "for a/image" in listed.stdout
    refused = shell.call("settle", ledger, orphan, "--create-again")
    assert refused.exit_code == 2
    assert f"{orphan} is a task and no job: drop it, or attach it to an unknown job" in refused.stderr
    dropped = shell.call("settle", ledger, orphan, "--drop")
    assert (dropped.exit_code, dropped.stdout) == (
        0, f"task {orphan}: given up; the service may still make and bill it\n",
    )  # fmt: skip
    assert orphan not in shell.call("settle", ledger).stdout


def test_an_orphan_that_a_job_has_taken_is_none_any_more(shell: Shell, ledger: str, orphan: str) -> None:
    assert shell.call("settle", ledger, "a/image", "--attach", orphan).exit_code == 0
    assert shell.call("settle", ledger).stdout == "no job's outcome is unknown\n"


def test_jobs_of_several_accounts_are_shown_apart(shell: Shell, emulator: Emulator, ledger: str) -> None:
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after", times=2)
    for account in ("one", "two"):
        shell.configure(emulator.url, account=account)
        shell.call("run", shell.batch(image(f"of-{account}")), "--out", account, "--ledger", ledger)
    told = shell.call("status", ledger)
    for account in ("one", "two"):
        assert f"jobs of the account {account} (mps, {emulator.url}/)" in told.stdout
    listed = shell.call("settle", ledger).stdout
    assert listed.index("account one") < listed.index("of-one/image") < listed.index("account two")
    refused = shell.call("settle", ledger, "--all", "--drop")
    assert refused.exit_code == 2
    assert "the ledger has jobs of several accounts: name the jobs" in refused.stderr
    assert shell.call("settle", ledger, "of-two/image", "--drop").exit_code == 0
    assert shell.call("report", "one", "--ledger", ledger).exit_code == 0


def test_usage_reads_the_ledger_and_makes_none(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    missing = shell.call("usage", "--ledger", ledger)
    assert missing.exit_code == 2
    assert "there is no ledger in the database postgresql://" in missing.stderr
    assert shell.call("image", "a lake", "--ledger", ledger).exit_code == 0
    told = shell.call("usage", "--ledger", ledger)
    assert told.exit_code == 0, told.output
    assert "image\t1\t1\t1\t1\timages" in told.stdout


def test_a_password_in_a_command_line_is_a_note_and_repeated_nowhere(
    shell: Shell, emulator: Emulator, ledger: str, database: str
) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(image("a"))
    commands = [
        ("run", batch, "--out", "made", "--ledger", database),
        ("run", database, "--out", "made"),
        ("run", batch, "--out", database),
        ("status", database),
        ("status", database.replace(PASSWORD, f"{PASSWORD}@wrong")),
        ("status", f"{database}?ledger=a b"),
        ("settle", database, "b/image", "--drop"),
        ("report", "made", database),
        ("report", database),
        ("report", f"{database}/ledger.db"),
        ("usage", "--ledger", database),
        ("usage", "--since", database),
        ("image", "a lake", "--ledger", database),
        ("image", "a lake", "--out", "single", "--config", database),
        ("image", "a lake", "--out", database),
        ("emulator", database),
        (database,),
    ]
    for command in commands:
        told = shell.call(*command)
        assert PASSWORD not in told.output, command
    assert "set PGPASSWORD or write it into ~/.pgpass" in shell.call("status", database).stderr
    assert "PGPASSWORD" not in shell.call("status", ledger).stderr
    assert sorted(path.name for path in shell.folder.iterdir() if "postgres" in path.name) == []


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_database_that_is_lost_at_the_end_of_a_run_is_no_bad_input(
    shell: Shell, emulator: Emulator, ledger: str, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool
) -> None:
    """Exit code 2 would say that nothing was sent."""
    shell.configure(emulator.url)
    ended = asyncio.run

    def lose(main: Coroutine[Any, Any, Any]) -> object:
        result = ended(main)
        monkeypatch.setenv("PGPASSWORD", "wrong")
        if interrupted:
            raise Interrupted
        return result

    monkeypatch.setattr("mps_aigc_async.cli.run.asyncio.run", lose)
    told = shell.call("run", shell.batch(image("a")), "--out", "made", "--ledger", ledger)
    assert told.exit_code == (130 if interrupted else 1)
    assert "and its ledger cannot be read now: the database postgresql://" in told.stderr
    assert "after that is fixed: go on with the same command: mps-aigc run batch.jsonl --out made --ledger URL" in (
        told.stderr
    )


def test_two_runs_of_one_batch_on_two_hosts_create_each_job_once(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(*(image(f"shot-{number}") for number in range(6)))
    runs = [
        shell.start("run", batch, "--out", "made", "--ledger", ledger, environment={"PGPASSWORD": PASSWORD})
        for _ in range(2)
    ]
    told = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert creates(emulator) == 6
    assert len(list(Path("made").glob("*.png"))) == 6


def test_a_create_under_way_is_settled_only_once_its_process_is_dead(
    shell: Shell, emulator: Emulator, calls: Calls, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="hang")
    command = ["run", shell.batch(image("a")), "--out", "made", "--ledger", ledger]
    with shell.start(*command, environment={"PGPASSWORD": PASSWORD}) as process:
        calls.until(lambda: emulator.statistics().created["image"])
        for decision in ("--create-again", "--drop"):
            refused = shell.call("settle", ledger, "a/image", decision)
            assert refused.exit_code == 2
            assert "the job's create is under way in a client that has the ledger open" in refused.stderr
        process.kill()
    monkeypatch.setattr(members, "APART_S", 0.1)  # the next run looks at the others while its own create is answered
    emulator.faults.add(action="CreateAigcImageTask", fault="delay", seconds=2.0)
    other = shell.call("run", shell.batch(image("b"), name="other.jsonl"), "--out", "other", "--ledger", ledger)
    assert other.exit_code == 0, other.output
    assert shell.call("settle", ledger, "a/image", "--create-again").exit_code == 0
    assert shell.call(*command).exit_code == 0
    assert creates(emulator) == 3
    assert emulator.statistics().created["image"] == 3  # the user has decided so: the hanging create was accepted


def test_the_other_run_goes_on_when_one_is_interrupted(
    shell: Shell, emulator: Emulator, calls: Calls, ledger: str
) -> None:
    """Two runs of one batch; the one that creates is interrupted in the middle of its creates."""
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="delay", seconds=0.5, times=None)
    batch = shell.batch(*(image(f"shot-{number}") for number in range(12)))
    command = ["run", batch, "--out", "made", "--ledger", ledger]
    first = shell.start(*command, environment={"PGPASSWORD": PASSWORD})
    calls.until(lambda: emulator.statistics().created["image"])
    second = shell.start(*command, environment={"PGPASSWORD": PASSWORD})
    calls.until(lambda: emulator.statistics().created["image"] >= 5)
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=30)
    assert first.returncode == 130, told
    assert "Traceback" not in told
    _, told = second.communicate(timeout=60)
    assert second.returncode == 0, told
    assert creates(emulator) == 12
    assert len(list(Path("made").glob("*.png"))) == 12


@pytest.mark.parametrize(
    "place", ["jdbc:postgresql://u:cret@host/db", "host=db password=cret", "postgresql:/u:cret@h/db", ""]
)
def test_a_place_that_is_no_ledgers_is_refused_before_any_create(shell: Shell, emulator: Emulator, place: str) -> None:
    shell.configure(emulator.url)
    before = sorted(Path().iterdir())
    for command in (["image", "a lake", "--ledger", place], ["status", place], ["settle", place]):
        told = shell.call(*command)
        assert told.exit_code == 2, told.output
        assert told.stderr.startswith(("error: a URL of another form", "error: the place is an empty text"))
        assert "cret" not in told.output
    assert (creates(emulator), sorted(Path().iterdir())) == (0, before)
