"""What is paid for in a folder is saved by any `run` on it, counted apart, and decides the exit code."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from mps_aigc_async import AigcClient, Config, ImageRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.contents import content
from mps_aigc_async.model.states import Kind

from ..report.batches import done, failed, planned, submitted, unknown, write_ledger
from ..watching import Calls
from .conftest import Json, Shell, chain, image, served
from .test_run import created, rows

EARLIER = "other requests"
OLD = 1_760_000_000.0
"""So long ago that all URLs have expired."""


def earlier(result: Result) -> list[int]:
    """The table's row of earlier batches, with the columns of `rows`; empty if it has none."""
    told = [line.split(EARLIER) for line in result.stdout.splitlines() if line.strip().startswith(EARLIER)]
    return [int(word) for _, numbers in told for word in numbers.split()]


def states(folder: Path = Path("made")) -> dict[str, str]:
    with sqlite3.connect(folder / "ledger.db") as database:
        found = dict(database.execute("SELECT job_id, state FROM jobs").fetchall())
    database.close()
    return found


def with_client(config: Path, use: Callable[[AigcClient], Awaitable[object]]) -> None:
    """Use the folder's ledger from code, with no folder for the files."""
    Path("made").mkdir(exist_ok=True)

    async def main() -> None:
        async with AigcClient(Config.load(config), ledger="made/ledger.db") as client:
            await use(client)

    asyncio.run(main())


def generate(*names: str) -> Callable[[AigcClient], Awaitable[object]]:
    """Make images and leave them unsaved."""

    async def use(client: AigcClient) -> None:
        for name in names:
            await client.generate(ImageRequest(id=name, prompt="a lake"))

    return use


def submit(*names: str) -> Callable[[AigcClient], Awaitable[object]]:
    """Create images and leave their tasks running."""

    async def use(client: AigcClient) -> None:
        for name in names:
            await client.submit(ImageRequest(id=name, prompt="a lake"))

    return use


def kept(emulator: Emulator, *jobs: JobRecord) -> None:
    """Write these rows as an earlier batch left them."""
    Path("made").mkdir(exist_ok=True)
    write_ledger(Path("made"), jobs, {"account": "tests", "backend": "mps", "endpoint": f"{emulator.url}/"})


def gone(emulator: Emulator, name: str) -> JobRecord:
    """A result that is not saved, and whose URL the service refuses."""
    made = done(submitted(planned(name, Kind.IMAGE), OLD))
    return replace(
        made,
        content=content(ImageRequest(prompt="a lake")),
        urls=(f"{emulator.url}/media/gone/0.png?expires=1&sign=SIGNATURE",),
    )


def run(shell: Shell, *lines: Mapping[str, Json], more: tuple[str, ...] = ()) -> Result:
    return shell.call("run", shell.batch(*map(dict, lines)), "--out", "made", *more)


def test_a_result_that_no_line_asks_for_is_saved_and_counted_apart(shell: Shell, emulator: Emulator) -> None:
    with_client(shell.configure(emulator.url), generate("old", "x/y/image"))
    before = created(emulator)

    result = run(shell, image("new"))

    assert result.exit_code == 0, result.output
    assert Path("made/old.png").is_file()
    assert states() == {"old/image": "saved", "x/y/image/image": "saved", "new/image": "saved"}
    assert rows(result.stdout) == {"images": [1, 0, 0, 0, 0, 1, 0, 0]}
    assert earlier(result) == [2, 0, 0, 0, 0, 2, 0, 0]
    assert "old/image: done: made/old.png" in result.stdout
    assert created(emulator) == {**before, "image": before["image"] + 1}
    # Again nothing is left to do: nothing is sent.
    arrivals = len(emulator.arrivals)
    again = run(shell, image("new"))
    assert (again.exit_code, earlier(again)) == (0, [2, 0, 0, 0, 0, 2, 0, 0])
    assert len(emulator.arrivals) == arrivals


def test_tasks_that_still_run_are_waited_for_and_no_number_is_negative(shell: Shell, emulator: Emulator) -> None:
    with_client(shell.configure(emulator.url), submit("one", "two", "three"))
    result = run(shell, image("new"))
    assert result.exit_code == 0, result.output
    assert rows(result.stdout) == {"images": [1, 0, 0, 0, 0, 1, 0, 0]}
    assert earlier(result) == [3, 0, 0, 0, 0, 3, 0, 0]
    assert set(states().values()) == {"saved"}


def test_of_a_chain_whose_line_is_gone_only_the_paid_step_is_finished(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcVideoTask", fault="error", code="AuthFailure.SignatureFailure", times=None)
    stopped = run(shell, chain("a"))
    assert stopped.exit_code == 3, stopped.output
    emulator.faults.clear()
    with sqlite3.connect("made/ledger.db") as database:  # as if it had been stopped before it saved the image
        database.execute("UPDATE jobs SET state = 'done', files = '[]' WHERE job_id = 'a/image'")
    database.close()
    Path("made/a.png").unlink()
    before = created(emulator)

    result = run(shell, image("new"))

    assert result.exit_code == 0, result.output
    assert states() == {"a/image": "saved", "a/video": "planned", "new/image": "saved"}
    assert earlier(result) == [1, 0, 0, 0, 0, 1, 0, 0]
    assert created(emulator) == {**before, "image": before["image"] + 1}


def test_the_result_of_a_line_with_other_content_is_saved(shell: Shell, emulator: Emulator) -> None:
    with_client(shell.configure(emulator.url), generate("a"))
    assert run(shell, image("a", "another lake"), image("new")).exit_code == 2
    result = run(shell, image("a", "another lake"), image("new"), more=("--redo-changed",))
    assert result.exit_code == 0
    assert states() == {"a/image": "saved", "a@2/image": "saved", "new/image": "saved"}
    assert rows(result.stdout) == {"images": [2, 0, 0, 0, 0, 2, 0, 0]}
    assert earlier(result) == [1, 0, 0, 0, 0, 1, 0, 0]


def test_a_result_that_can_no_longer_be_saved_is_told_with_its_task_once(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, account="tests")
    kept(emulator, gone(emulator, "old"))
    for _ in range(2):
        result = run(shell, image("new"))
        assert result.exit_code == 1, result.output
        assert result.output.count("4-old/image") == 1
        assert "old/image: not saved: " in result.stdout
        assert "1 needs attention: the result's URLs expired" in result.stdout
        assert "1 result is paid for and not saved" in result.stdout
        assert "SIGNATURE" not in result.output
        assert rows(result.stdout) == {"images": [1, 0, 0, 0, 0, 1, 0, 0]}
        assert earlier(result) == [1, 0, 0, 0, 1, 0, 0, 0]


def test_a_batchs_own_result_that_has_expired_is_done_and_fetched_once(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, account="tests")
    kept(emulator, gone(emulator, "a"))
    result = run(shell, image("a"))
    assert result.exit_code == 1, result.output
    assert rows(result.stdout) == {"images": [1, 0, 0, 0, 1, 0, 0, 0]}
    assert result.output.count("4-a/image") == 1
    assert earlier(result) == []


def test_what_failed_before_is_told_and_what_is_unknown_decides(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, account="tests")
    kept(emulator, failed(submitted(planned("bad", Kind.IMAGE), OLD)), planned("never", Kind.VIDEO))
    result = run(shell, image("new"))
    assert result.exit_code == 0, result.output
    assert earlier(result) == [1, 0, 0, 0, 0, 0, 1, 0]
    kept(emulator, unknown(planned("lost", Kind.IMAGE), OLD))
    result = run(shell, image("new"))
    assert result.exit_code == 1
    assert earlier(result) == [2, 0, 0, 0, 0, 0, 1, 1]
    assert "mps-aigc settle made" in result.stdout


def test_what_failed_before_is_not_created_again_for_a_line_that_is_gone(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, account="tests")
    kept(emulator, failed(submitted(planned("bad", Kind.IMAGE), OLD)))
    result = run(shell, image("new"), more=("--retry-failed",))
    assert result.exit_code == 0, result.output
    assert states() == {"bad/image": "planned", "new/image": "saved"}
    assert created(emulator)["image"] == 1
    assert earlier(result) == []


def test_what_is_paid_for_is_saved_although_the_account_is_refused(shell: Shell, emulator: Emulator) -> None:
    with_client(shell.configure(emulator.url), generate("old", "late"))
    emulator.faults.add(action="CreateAigcImageTask", fault="error", code="FailedOperation.UserArrears", times=None)
    lines = [image(f"new-{number}") for number in range(300)]  # `late` is beyond what is read by then
    result = run(shell, *lines, image("late"))
    assert result.exit_code == 3, result.output
    assert {name: state for name, state in states().items() if state != "planned"} == {
        "old/image": "saved",
        "late/image": "saved",
    }
    assert rows(result.stdout) == {"images": [301, 300, 0, 0, 0, 1, 0, 0]}


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (done(submitted(planned("a", Kind.IMAGE), OLD)), "1 result is paid for and not saved: `mps-aigc run"),
        (submitted(planned("a", Kind.IMAGE), OLD), "1 at the service"),
        (unknown(planned("a", Kind.IMAGE), OLD), "unknown"),
        (failed(submitted(planned("a", Kind.IMAGE), OLD)), "failed"),
    ],
)
def test_status_says_the_same(shell: Shell, emulator: Emulator, job: JobRecord, told: str) -> None:
    kept(emulator, job)
    result = shell.call("status", "made")
    assert result.exit_code == 1
    assert told in result.stdout


def test_a_late_task_leaves_exit_code_1(shell: Shell) -> None:
    """A task that the deadline of this run gives up is submitted still, and not asked about a second time over."""
    with served(speed=1) as slow:
        config = shell.configure(slow.url, timeouts={"imageSeconds": 1, "queueSeconds": 1})
        with_client(config, submit("old"))
        result = run(shell, image("new"))
        assert result.exit_code == 1, result.output
        assert states() == {"old/image": "submitted", "new/image": "submitted"}
        assert rows(result.stdout) == {"images": [1, 0, 0, 1, 0, 0, 0, 0]}
        assert earlier(result) == [1, 0, 0, 1, 0, 0, 0, 0]
        assert result.stdout.count("old/image: not finished: ") == 1
        assert result.stdout.count("new: not finished: ") == 1


@pytest.mark.parametrize(
    ("number", "action", "state"),
    [(signal.SIGINT, "Media", "done"), (signal.SIGTERM, "DescribeAigcImageTask", "submitted")],
)
def test_an_interrupt_leaves_the_rest_to_the_next_run(
    shell: Shell, emulator: Emulator, calls: Calls, number: signal.Signals, action: str, state: str
) -> None:
    use = generate if state == "done" else submit
    with_client(shell.configure(emulator.url), use("old"))
    emulator.faults.add(action=action, fault="hang", times=1000)
    (fault,) = emulator.faults.rules
    command = ["run", shell.batch(image("new")), "--out", "made"]
    with shell.start(*command) as process:
        calls.until(lambda: fault.times != 1000)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, (stdout, stderr)
    assert "Traceback" not in stderr
    assert "go on with the same command" in stderr
    assert states()["old/image"] == state
    emulator.faults.clear()

    result = shell.call(*command)

    assert result.exit_code == 0, result.output
    assert states() == {"old/image": "saved", "new/image": "saved"}
    assert earlier(result) == [1, 0, 0, 0, 0, 1, 0, 0]
    assert created(emulator)["image"] == 2


def test_a_row_whose_state_is_no_word_may_be_paid_for(shell: Shell, emulator: Emulator) -> None:
    with_client(shell.configure(emulator.url), generate("old"))
    with sqlite3.connect("made/ledger.db") as database:
        database.execute("UPDATE jobs SET state = 'dnoe'")
    database.close()
    assert run(shell, image("new")).exit_code == 1
    assert shell.call("status", "made").exit_code == 1


def test_results_in_a_folder_that_was_moved_are_not_called_lost(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(image("a"))
    assert shell.call("run", batch, "--out", "first").exit_code == 0
    Path("first").rename("made")
    with sqlite3.connect("made/ledger.db") as database:
        urls = json.dumps([f"{emulator.url}/media/gone/0.png?expires=1&sign=SIGNATURE"])
        database.execute("UPDATE jobs SET urls = ?, ended_at = 1, expires_at = 2", (urls,))
    database.close()
    for _ in range(2):
        result = shell.call("run", batch, "--out", "made")
        assert result.exit_code == 0, result.output
        assert "a: kept: made/a.png" in result.stdout
        assert rows(result.stdout) == {"images": [1, 0, 0, 0, 0, 1, 0, 0]}
    assert created(emulator)["image"] == 1
