"""`prune`: the user sees the counts first, and is asked."""

import json

import psycopg
import pytest

from mps_aigc_async.cli import pruning
from mps_aigc_async.emulator import Emulator

from ..postgres_server import PASSWORD
from .conftest import Shell, image

URL = "postgresql://nobody@127.0.0.1:1/media?ledger=spring"


@pytest.fixture
def ledger(shell: Shell, emulator: Emulator, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a ledger with three requests: two are 10 days old, and one of them is not saved."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = database.replace(f":{PASSWORD}", "") + "?ledger=spring"
    shell.configure(emulator.url)
    shell.call("run", shell.batch(image("a"), image("b"), image("c")), "--out", "made", "--ledger", url)
    with psycopg.connect(database) as connection:
        for name in ("planned_at", "intent_at", "sent_at", "ended_at", "saved_at"):
            connection.execute(
                f"UPDATE mps_aigc_ledger.jobs SET {name} = {name} - 864000 WHERE job_id <> 'c/image'".encode()  # noqa: S608 — own words
            )
        connection.execute("UPDATE mps_aigc_ledger.jobs SET state = 'done' WHERE job_id = 'b/image'")
    return url


def test_the_counts_are_told_and_the_old_requests_removed(shell: Shell, ledger: str) -> None:
    told = shell.call("prune", "--ledger", ledger, "--before", "5d", "--yes")
    assert told.exit_code == 0, told.output
    assert [line.partition(": ")[2] for line in told.stdout.splitlines()] == ["1 request with 1 job"] * 2
    assert told.stderr == (
        "kept: requests with 1 job done: paid for and not saved; `mps-aigc run` or `mps-aigc worker` saves it\n"
    )
    again = shell.call("prune", "--ledger", ledger, "--before", "5d")  # nothing to remove: nobody is asked
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "there is nothing to remove")


def test_json_has_the_counts_of_the_removed_requests(shell: Shell, ledger: str) -> None:
    told = shell.call("prune", "--ledger", ledger, "--before", "5d", "--yes", "--json")
    count = json.loads(told.stdout)
    assert (count["requests"], count["jobs"], count["kept"], count["is_removed"]) == (1, 1, {"done": 1}, True)


@pytest.mark.parametrize(("answer", "words"), [("y\n", "removed: 1 request with 1 job"), ("n\n", "nothing is removed")])
def test_a_user_at_a_terminal_is_asked(
    shell: Shell, ledger: str, monkeypatch: pytest.MonkeyPatch, answer: str, words: str
) -> None:
    monkeypatch.setattr(pruning, "_can_answer", lambda: True)
    told = shell.call("prune", "--ledger", ledger, "--before", "5d", stdin=answer)
    assert (told.exit_code, told.stdout.splitlines()[-1]) == (0, words)
    assert "a batch file with these ids would be created, and paid for, again" in told.stderr


def test_without_a_terminal_nothing_is_removed_unasked(shell: Shell, ledger: str) -> None:
    told = shell.call("prune", "--ledger", ledger, "--before", "5d", stdin="y\n")
    assert (told.exit_code, told.stderr.splitlines()[-1]) == (
        2, "error: nobody can be asked here (stdin is no terminal): add --yes to remove them",
    )  # fmt: skip
    assert "1 request with 1 job" in shell.call("prune", "--ledger", ledger, "--before", "5d", "--yes").stdout


@pytest.mark.parametrize(
    ("place", "before", "words"),
    [
        ("jobs.db", "90d", "--ledger takes a database here"),
        ("mysql://a:b@c/d", "90d", "neither a file nor a database"),
        (URL, "90d", "cannot be read"),
        (URL, "soon", "--before 'soon' is no date: write it as 2026-10-01, or 90d for 90 days ago"),
        (URL, "99999999d", "is no date"),
        (URL, "99999d", "cannot be read"),
        (URL, "9999-12-31", "cannot be read"),
        (URL, "0001-01-01", "is no date"),
    ],
)
def test_bad_input_is_told_in_one_sentence(shell: Shell, place: str, before: str, words: str) -> None:
    told = shell.call("prune", "--ledger", place, "--before", before, "--yes")
    assert told.exit_code == 2, told.output
    assert words in told.stderr


@pytest.mark.parametrize("before", ["1d", "2999-01-01"])
def test_a_time_that_is_too_late_is_refused(shell: Shell, ledger: str, before: str) -> None:
    told = shell.call("prune", "--ledger", ledger, "--before", before, "--yes")
    assert (told.exit_code, "is too late" in told.stderr) == (2, True), told.output
