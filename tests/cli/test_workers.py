"""A batch that is queued by one command and run by others, in processes of their own."""

import json
import signal
import sys
from pathlib import Path

import psycopg
import pytest

from mps_aigc_async.emulator import Emulator
from mps_aigc_async.ledger.postgres.schema import VERSION
from mps_aigc_async.sharing.database_url import database_url

from ..postgres_server import PASSWORD
from ..watching import Calls
from .conftest import Shell, image

URL = "postgresql://nobody@127.0.0.1:1/media?ledger=spring"


@pytest.fixture
def ledger(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger's URL without its password, which the environment has."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return database.replace(f":{PASSWORD}", "") + "?ledger=spring"


def creates(emulator: Emulator) -> int:
    return emulator.statistics().created["image"]


def test_two_workers_run_a_queued_batch_and_end_when_it_is_drained(
    shell: Shell, emulator: Emulator, calls: Calls, ledger: str
) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(*(image(f"shot-{number}") for number in range(8)))
    queued = shell.call("queue", batch, "--ledger", ledger)
    assert (queued.exit_code, queued.stdout) == (0, "8 requests queued in the ledger spring\n")
    assert "to run them, on any host: mps-aigc worker --out DIR --ledger URL" in queued.stderr
    again = shell.call("queue", batch, "--ledger", ledger)
    assert again.stdout == "0 requests queued in the ledger spring (8 requests queued before)\n"
    waiting = shell.call("progress", "--ledger", ledger)
    assert (waiting.exit_code, waiting.stdout.splitlines()[0]) == (0, "0 of 8 requests have ended; 0 run, 8 wait")
    command = ["worker", "--out", "made", "--ledger", ledger]
    workers = [shell.start(*command, environment={"PGPASSWORD": PASSWORD}) for _ in range(2)]
    calls.until(lambda: creates(emulator) == 8)
    drained = shell.call("drain", "--ledger", ledger)
    assert (drained.exit_code, drained.stdout) == (0, "no worker runs a request any more\n")
    told = [worker.communicate(timeout=60) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    assert shell.call("progress", "--ledger", ledger).stdout.startswith("8 of 8 requests have ended")
    assert creates(emulator) == 8
    assert len(list(Path("made").glob("*.png"))) == 8


def test_a_worker_that_is_interrupted_gives_its_requests_back(
    shell: Shell, emulator: Emulator, calls: Calls, ledger: str
) -> None:
    shell.configure(emulator.url)
    shell.call("queue", shell.batch(*(image(f"shot-{number}") for number in range(6))), "--ledger", ledger)
    command = ["worker", "--out", "made", "--ledger", ledger, "--concurrency", "3"]
    with shell.start(*command, environment={"PGPASSWORD": PASSWORD}) as worker:
        calls.until(lambda: creates(emulator) >= 1)
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=60)
    assert worker.returncode == 130, told
    assert "stopping: no request is taken any more" in told
    with shell.start(*command, environment={"PGPASSWORD": PASSWORD}) as other:
        seen = shell.call("progress", "--watch", "--ledger", ledger)
        assert "6 of 6 requests have ended" in seen.stdout
        other.send_signal(signal.SIGTERM)
        other.communicate(timeout=60)
    assert creates(emulator) == 6


def test_a_worker_whose_account_is_refused_ends_with_the_advice(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="error", code="FailedOperation.UserArrears", times=None)
    shell.call("queue", shell.batch(image("a")), "--ledger", ledger)
    told = shell.call("worker", "--out", "made", "--ledger", ledger)
    assert told.exit_code == 3, told.output
    assert "advice: " in told.stderr
    assert shell.call("progress", "--ledger", ledger).stdout.startswith("0 of 1 requests have ended; 0 run, 1 wait\n")


def test_a_worker_within_a_bound_ends_with_the_number_that_waits(shell: Shell, emulator: Emulator, ledger: str) -> None:
    shell.configure(emulator.url)
    shell.call("queue", shell.batch(*(image(f"shot-{number}") for number in range(5))), "--ledger", ledger)
    told = shell.call("worker", "--out", "made", "--ledger", ledger, "--max-images", "2")
    assert (told.exit_code, creates(emulator)) == (1, 2), told.output
    *_, bound, left = told.stderr.splitlines()
    assert bound.startswith("error: the budget is reached (images: 2 of 2 spent or kept for begun chains, and this")
    assert left == (
        "3 requests left waiting in the ledger spring: other workers run them, or the same command with a larger bound"
    )
    assert len(list(Path("made").glob("*.png"))) == 2
    assert shell.call("progress", "--ledger", ledger).stdout.startswith("2 of 5 requests have ended; 0 run, 3 wait\n")
    assert shell.call("worker", "--out", "made", "--ledger", ledger, "--max-images", "4").exit_code == 1
    assert creates(emulator) == 4


def test_failed_requests_are_queued_again_for_the_workers(
    shell: Shell, emulator: Emulator, calls: Calls, ledger: str
) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="fail_later", code="ModelGenerateFailed", times=3)
    both, one = shell.batch(image("a"), image("b"), name="both.jsonl"), shell.batch(image("b"), image("c"))
    shell.call("queue", both, "--ledger", ledger)
    command = ["worker", "--out", "made", "--ledger", ledger]
    with shell.start(*command, environment={"PGPASSWORD": PASSWORD}) as worker:
        assert "2 of 2 requests have ended, 2 failed" in shell.call("progress", "--watch", "--ledger", ledger).stdout
        of_batch = shell.call("queue", one, "--retry-failed", "--ledger", ledger)
        assert (of_batch.exit_code, of_batch.stdout.splitlines()) == (0, [
            "1 request queued in the ledger spring (1 request queued before)",
            "1 failed request queued again in the ledger spring",
        ])  # fmt: skip
        calls.until(lambda: creates(emulator) == 4)
        assert "3 of 3 requests have ended, 2 failed" in shell.call("progress", "--watch", "--ledger", ledger).stdout
        of_all = shell.call("queue", "--retry-failed", "--ledger", ledger)
        assert of_all.stdout == "2 failed requests queued again in the ledger spring\n"
        done = shell.call("progress", "--watch", "--ledger", ledger)
        assert (done.exit_code, "3 of 3 requests have ended" in done.stdout) == (0, True), done.output
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert creates(emulator) == 6


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["queue", "batch.jsonl", "--ledger", "jobs.db"], "--ledger takes a database here"),
        (["worker", "--out", "made", "--ledger", "jobs.db"], "--ledger takes a database here"),
        (["worker", "--out", URL, "--ledger", URL], "--out takes a folder"),
        (["worker", "--out", "made", "--ledger", URL], "cannot be reached"),
        (["progress", "--ledger", URL], "cannot be reached"),
        (["drain", "--ledger", URL], "cannot be reached"),
        (["migrate", "--ledger", URL], "cannot be reached"),
        (["migrate", "--ledger", "mysql://a:b@c/d"], "neither a file nor a database"),
        (["queue", "batch.jsonl", "--ledger", URL], "the batch cannot be run"),
        (["queue", "--ledger", URL], "name a batch file to queue (`-` reads stdin), or add --retry-failed"),
        (["queue", "--retry-failed", "--ledger", URL], "cannot be reached"),
        (["queue", "--retry-failed", "--keep", "--ledger", URL], "are about the requests of a batch file: name one"),
        (["queue", "good.jsonl", "--keep", "--redo", "a", "--ledger", URL], "choose one"),
        (["queue", "good.jsonl", "--redo", "b", "--ledger", URL], "the batch has no request with the id b"),
        (["queue", "missing.jsonl", "--ledger", URL], "cannot read the batch missing.jsonl: No such file"),
        (["queue", ".", "--ledger", URL], "cannot read the batch .: Is a directory"),
        (["queue", "-", "--ledger", URL], "the batch is empty"),
        (["queue", "binary.jsonl", "--ledger", URL], "line 1: not UTF-8: save the batch file as UTF-8"),
        (["queue", "good.jsonl", "--ledger", URL], "cannot be reached"),
        (["queue", "good.jsonl", "--ledger", "good.jsonl"], "--ledger takes a database here"),
        (["queue", "good.jsonl", "--ledger", URL.replace("spring", "a/b")], "the ledger's name"),
        (["worker", "--out", "made", "--ledger", URL, "--concurrency", "0"], "greater than or equal to"),
    ],
)
def test_bad_input_is_told_in_one_sentence(shell: Shell, command: list[str], words: str) -> None:
    shell.configure("http://127.0.0.1:9")
    shell.batch({"id": "a", "image": {}})
    shell.batch(b"\xff\xfe\x00", name="binary.jsonl")
    shell.batch(image("a"), name="good.jsonl")
    told = shell.call(*command)
    assert told.exit_code == 2, told.output
    assert words in " ".join(told.stderr.split())


@pytest.mark.parametrize(
    "command",
    [
        ["queue", "batch.jsonl"], ["queue", "--retry-failed"], ["worker", "--out", "made"], ["progress"], ["drain"],
        ["migrate"],
    ],
)  # fmt: skip
def test_a_wrong_password_is_told_without_it(shell: Shell, ledger: str, command: list[str]) -> None:
    shell.configure("http://127.0.0.1:9")
    shell.batch(image("a"))
    told = shell.call(*command, "--ledger", ledger.replace("@", ":a-wrong-one@"))
    assert (told.exit_code, "a-wrong-one" in told.output) == (2, False)
    assert "(check the user, and the password in the URL, PGPASSWORD or ~/.pgpass)" in told.stderr


def test_a_worker_whose_folder_cannot_be_written_ends_before_it_takes_a_request(shell: Shell, ledger: str) -> None:
    shell.configure("http://127.0.0.1:9")
    shell.call("queue", shell.batch(image("a")), "--ledger", ledger)
    told = shell.call("worker", "--out", "batch.jsonl", "--ledger", ledger)
    assert (told.exit_code, "batch.jsonl: File exists; choose another folder" in told.stderr) == (2, True), told.output


def test_ctrl_c_ends_the_queueing_and_the_same_command_goes_on(shell: Shell, ledger: str) -> None:
    shell.configure("http://127.0.0.1:9")
    shell.call("migrate", "--ledger", ledger)
    batch = shell.batch(*(image(f"shot-{number}") for number in range(5)))
    dsn = database_url(ledger).dsn
    with psycopg.connect(dsn, autocommit=True) as watch, psycopg.connect(dsn) as busy:
        busy.execute("LOCK TABLE mps_aigc_ledger.requests")
        with shell.start("queue", batch, "--ledger", ledger, environment={"PGPASSWORD": PASSWORD}) as queueing:
            while not watch.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                assert queueing.poll() is None, queueing.communicate()
            queueing.send_signal(signal.SIGINT)
            told, complaint = queueing.communicate(timeout=60)
        assert (queueing.returncode, told) == (130, "")
        assert complaint == "interrupted: nothing that was sent is lost; the same command goes on\n"
    assert shell.call("queue", batch, "--ledger", ledger).stdout == "5 requests queued in the ledger spring\n"


@pytest.mark.parametrize("command", [["migrate"], ["drain"], ["queue", "batch.jsonl"], ["worker", "--out", "made"]])
def test_a_missing_extra_is_named(
    shell: Shell, ledger: str, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    shell.configure("http://127.0.0.1:9")
    shell.batch(image("a"))
    monkeypatch.setitem(sys.modules, "procrastinate", None)
    for module in ("worker", "workers", "request_queue", "queue_schema"):
        monkeypatch.delitem(sys.modules, f"mps_aigc_async.engine.{module}", raising=False)
    told = shell.call(*command, "--ledger", ledger)
    assert (told.exit_code, told.stderr.splitlines()[-1] + "\n") == (
        2, "error: a queue needs its extra: pip install '.[workers]' in a clone of mps-aigc-async\n",
    )  # fmt: skip


def test_tables_of_another_procrastinate_app_are_refused(shell: Shell, ledger: str) -> None:
    shell.call("migrate", "--ledger", ledger)
    with psycopg.connect(database_url(ledger).dsn) as connection:
        connection.execute("COMMENT ON TABLE procrastinate_jobs IS NULL")
    for command in (["migrate"], ["worker", "--out", "made"]):
        shell.configure("http://127.0.0.1:9")
        told = shell.call(*command, "--ledger", ledger)
        assert (told.exit_code, "made by another program" in told.stderr) == (2, True), told.output


def work(shell: Shell, ledger: str, ends: int) -> None:
    """Let a worker run what waits, until so many requests have ended without a failure."""
    with shell.start("worker", "--out", "made", "--ledger", ledger, environment={"PGPASSWORD": PASSWORD}) as worker:
        seen = shell.call("progress", "--watch", "--ledger", ledger)
        assert (seen.exit_code, f"{ends} of {ends} requests have ended" in seen.stdout) == (0, True), seen.output
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)


def files(shell: Shell) -> set[str]:
    return {file.name for file in (shell.folder / "made").iterdir()}


@pytest.fixture
def made(shell: Shell, emulator: Emulator, ledger: str) -> Shell:
    """A queued batch of which workers have made two requests, and a third one waits."""
    shell.configure(emulator.url)
    shell.call("queue", shell.batch(image("a", "cat"), image("b", "dog")), "--ledger", ledger)
    work(shell, ledger, 2)
    shell.call("queue", shell.batch(image("c", "hill"), name="more.jsonl"), "--ledger", ledger)
    return shell


def edited(shell: Shell) -> str:
    return shell.batch(image("a", "fox"), image("b", "wolf"), image("c", "bay"), image("d"))


def test_all_conflicts_of_an_edited_batch_are_told_and_nothing_of_the_file_is_queued(made: Shell, ledger: str) -> None:
    told = made.call("queue", edited(made), "--ledger", ledger)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.splitlines()[-6:] == [
        "error: 2 requests have other content than what is made, or may be, under the same id; nothing was queued:",
        '  a (saved): image.prompt: "cat" → "fox"',
        '  b (saved): image.prompt: "dog" → "wolf"',
        "to make new versions, and keep the former files: the same command with --redo-changed",
        "to keep the former versions: the same command with --keep",
        "to make further requests: give them ids of their own",
    ]
    assert json.loads(made.call("progress", "--json", "--ledger", ledger).stdout)["requests"] == 3
    free = made.call("queue", made.batch(image("c", "bay")), "--ledger", ledger)
    assert free.stdout == "0 requests queued in the ledger spring (1 with new content)\n"


def test_changed_requests_are_queued_as_new_versions_once(made: Shell, emulator: Emulator, ledger: str) -> None:
    told = made.call("queue", edited(made), "--ledger", ledger, "--redo-changed")
    assert (told.exit_code, told.stdout) == (0, "1 request queued in the ledger spring (3 with new content)\n")
    for _ in range(2):
        work(made, ledger, 4)
        assert creates(emulator) == 6
        again = made.call("queue", edited(made), "--ledger", ledger, "--redo-changed")
        assert again.stdout == "0 requests queued in the ledger spring (4 requests queued before)\n"
    assert files(made) == {"a.png", "a@2.png", "b.png", "b@2.png", "c.png", "d.png"}
    status = json.loads(made.call("status", ledger, "--json").stdout)
    assert (status["jobs"]["image"]["saved"], status["shots"]) == (6, [])


def test_creates_in_doubt_are_named_before_a_version_is_queued(
    shell: Shell, emulator: Emulator, calls: Calls, ledger: str
) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
    shell.call("queue", shell.batch(image("a")), "--ledger", ledger)
    with shell.start("worker", "--out", "made", "--ledger", ledger, environment={"PGPASSWORD": PASSWORD}) as worker:
        calls.until(lambda: creates(emulator) == 1)
        assert "1 failed, 1 of them unknown" in shell.call("progress", "--watch", "--ledger", ledger).stdout
        told = shell.call("queue", shell.batch(image("a", "fox")), "--ledger", ledger, "--redo-changed")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)
    assert (told.exit_code, told.stderr.splitlines()[-3:]) == (2, [
        "error: no reply came to the creates of these, so they may be paid for; nothing was queued:",
        "  a/image",
        "settle them first: mps-aigc settle URL",
    ])  # fmt: skip


def test_former_versions_are_kept(made: Shell, emulator: Emulator, ledger: str) -> None:
    told = made.call("queue", edited(made), "--ledger", ledger, "--keep")
    assert told.stdout == ("1 request queued in the ledger spring (2 requests queued before, 1 with new content)\n"), (
        told.output
    )
    work(made, ledger, 4)
    assert (creates(emulator), files(made)) == (4, {"a.png", "b.png", "c.png", "d.png"})


def test_requests_are_made_again_by_their_ids(made: Shell, emulator: Emulator, ledger: str) -> None:
    batch = made.batch(image("a", "cat"), image("b", "dog"))
    for options in (["--redo", "a"], ["--redo", "a@1", "--redo", "b"]):
        told = made.call("queue", batch, "--ledger", ledger, *options)
        assert told.exit_code == 0, told.output
    assert told.stdout == "0 requests queued in the ledger spring (2 to be run again)\n"
    work(made, ledger, 3)
    assert (creates(emulator), files(made)) == (5, {"a.png", "a@2.png", "b.png", "b@2.png", "c.png"})


def test_a_redo_that_was_killed_before_it_queued_goes_on(
    made: Shell, emulator: Emulator, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = made.batch(image("a", "cat"), image("b", "dog"))
    with monkeypatch.context() as patch:
        patch.setattr("mps_aigc_async.engine.workers.make_tables", None)  # the versions are planned by then
        assert made.call("queue", batch, "--ledger", ledger, "--redo", "a", "--redo", "b").exit_code == 1
    for _ in range(2):
        told = made.call("queue", batch, "--ledger", ledger, "--redo", "a", "--redo", "b")
        assert told.stdout == "0 requests queued in the ledger spring (2 to be run again)\n"
    work(made, ledger, 3)
    assert (creates(emulator), files(made)) == (5, {"a.png", "a@2.png", "b.png", "b@2.png", "c.png"})


def test_numbers_are_printed_as_json(made: Shell, ledger: str) -> None:
    queued = made.call("queue", edited(made), "--ledger", ledger, "--redo-changed", "--json")
    assert json.loads(queued.stdout) == {"ledger": "spring", "new": 1, "earlier": 0, "edits": 3, "repeats": 0}
    retried = made.call("queue", "--retry-failed", "--ledger", ledger, "--json")
    assert json.loads(retried.stdout) == {"ledger": "spring", "retries": 0, "unknown": 0}
    drained = made.call("drain", "--ledger", ledger, "--json")
    assert json.loads(drained.stdout) == {"ledger": "spring", "requests": 4, "left": 4}
    migrated = json.loads(made.call("migrate", "--ledger", ledger, "--json").stdout)
    assert (migrated["schema"], PASSWORD in migrated["database"]) == (VERSION, False)


def test_a_mistyped_name_of_a_ledger_is_told_with_the_names_that_there_are(
    shell: Shell, emulator: Emulator, ledger: str, tmp_path: Path
) -> None:
    shell.configure(emulator.url)
    shell.call("queue", shell.batch(image("a")), "--ledger", ledger)
    mistyped = ledger.replace("spring", "sprung")
    for command in (
        ["status", mistyped],
        ["settle", mistyped],
        ["report", str(tmp_path / "page"), "--ledger", mistyped],
        ["prune", "--before", "90d", "--ledger", mistyped],
    ):
        told = shell.call(*command)
        assert (told.exit_code, "there is no ledger sprung in " in told.stderr) == (2, True), told.output
        assert "it has: spring" in told.stderr
    assert not (tmp_path / "page").exists()
    assert shell.call("status", ledger).exit_code == 0


def test_a_ledger_without_a_queue_is_told(shell: Shell, ledger: str) -> None:
    assert shell.call("migrate", "--ledger", ledger).exit_code == 0
    for command in (["progress"], ["drain"], ["queue", "--retry-failed"]):
        told = shell.call(*command, "--ledger", ledger)
        assert (told.exit_code, "nothing was queued in the ledger spring" in told.stderr) == (2, True), told.output
