"""The methods of a client without a loop, from any thread, over real sockets."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import (
    AigcError,
    ClientClosed,
    ClientError,
    ConfigError,
    ImageRequest,
    InvalidRequest,
    JobState,
    Kind,
    Outcome,
    SyncClient,
    TaskTimeout,
)
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.workers import queue
from mps_aigc_async.events import Event, Submitted
from mps_aigc_async.model.results import Result

from .serving import client_for, loop_threads, served

CAP = 6


def lake(number: int) -> ImageRequest:
    return ImageRequest(id=f"lake-{number}", prompt="a lake")


def ids(outcomes: Sequence[Outcome[Any, Result]]) -> list[str]:
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return sorted(outcome.job_id for outcome in outcomes)


def test_a_result_is_returned_and_saved(client: SyncClient, tmp_path: Path) -> None:
    image = client.generate(lake(1), save_to=tmp_path)
    assert image.urls
    assert [file.parent for file in image.files] == [tmp_path]
    assert client.counts() == {JobState.SAVED: 1}


def test_twenty_threads_keep_the_limits_together() -> None:
    with served(speed=600, max_running={"image": CAP}) as emulator:
        with client_for(emulator, cap=CAP) as client, ThreadPoolExecutor(20) as threads:
            results = list(threads.map(lambda number: client.generate(lake(number)), range(20)))
        statistics = emulator.statistics()
    assert len({result.task_id for result in results}) == statistics.created["image"] == 20
    assert statistics.refused == {}
    assert statistics.most_running["image"] <= CAP


def test_the_first_call_of_many_threads_opens_the_client_once(emulator: Emulator) -> None:
    client = client_for(emulator)
    start = threading.Barrier(8)

    def first_call(_: int) -> list[str]:
        start.wait()
        client.counts()
        return loop_threads()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(first_call, range(8))) == [["mps-aigc loop"]] * 8
    client.close()


def test_a_loop_of_the_caller_waits_meanwhile(client: SyncClient) -> None:
    async def cell() -> tuple[str, ...]:
        return client.generate(lake(1)).urls

    assert asyncio.run(cell())


# --- errors, timeouts, callbacks --------------------------------------------------------------------------------------


def test_an_error_has_the_frames_of_its_origin(client: SyncClient) -> None:
    request: Any = "a cat"
    with pytest.raises(InvalidRequest, match="str is not a request") as raised:
        client.generate(request)
    assert "as_request" in [entry.name for entry in raised.traceback]


def test_a_timeout_ends_the_waiting_alone() -> None:
    with served(image_seconds=(600.0, 600.0)) as emulator, client_for(emulator) as client:
        with pytest.raises(TaskTimeout, match="only the waiting ended"):
            client.generate(lake(1), timeout=0.5)
        assert client.counts() == {JobState.SUBMITTED: 1}


def test_a_call_in_a_callback_is_refused(client: SyncClient) -> None:
    errors: list[Exception] = []

    def callback(_: Event) -> None:
        for use in (client.counts, client.close, client.__enter__, lambda: client.submit(lake(2))):
            try:
                use()
            except ClientError as error:
                errors.append(error)
        client.check(lake(3))
        assert client.statistics().slots[Kind.IMAGE].capacity == 4

    end = client.on_event(callback)
    assert client.generate(lake(1)).urls
    end()
    count = len(errors)
    assert count
    assert count % 4 == 0
    assert all("hand the event to another thread" in str(error) for error in errors)
    client.generate(lake(2))
    assert len(errors) == count


def test_the_exit_of_a_callback_is_raised_in_the_calls_that_wait(emulator: Emulator) -> None:
    def callback(event: Event) -> None:
        if isinstance(event, Submitted):
            raise SystemExit(3)

    with client_for(emulator) as client:
        end = client.on_event(callback)
        with pytest.raises(SystemExit, match="3"):
            client.generate(lake(1))
        end()
        assert client.generate(lake(1)).urls
    assert emulator.statistics().created["image"] == 1


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_list_and_a_generator_are_run(client: SyncClient) -> None:
    assert ids(list(client.run([lake(1), lake(2)]))) == ["lake-1", "lake-2"]
    assert ids(list(client.run(lake(number) for number in range(3, 5)))) == ["lake-3", "lake-4"]


def test_an_asynchronous_iterable_is_run(client: SyncClient) -> None:
    async def requests() -> AsyncIterator[ImageRequest]:
        yield lake(1)

    assert ids(list(client.run(requests()))) == ["lake-1"]


def test_a_generator_may_wait_for_an_outcome(client: SyncClient) -> None:
    """The outcome comes, and other calls go on, while the next item is waited for."""
    has_outcome = threading.Event()

    def requests() -> Iterator[ImageRequest]:
        yield lake(1)
        assert has_outcome.wait(30)
        yield lake(2)

    run = client.run(requests())
    outcomes = [next(run)]
    assert client.generate(lake(3)).urls
    has_outcome.set()
    outcomes += run
    assert ids(outcomes) == ["lake-1", "lake-2"]
    with pytest.raises(StopIteration):
        next(run)


def test_many_generators_may_call_the_client(client: SyncClient) -> None:
    """More than the loop's executor has threads: none of them waits for another."""

    def requests(first: int) -> Iterator[ImageRequest]:
        for number in range(first, first + 2):
            client.generate(lake(number))  # waits for a slot, too
            yield lake(number)

    def batch(first: int) -> list[str]:
        return ids(list(client.run(requests(first))))

    with ThreadPoolExecutor(40) as threads:
        batches = list(threads.map(batch, range(0, 80, 2)))
    assert batches == [sorted([f"lake-{first}", f"lake-{first + 1}"]) for first in range(0, 80, 2)]


def test_leaving_the_loop_closes_the_generator_in_the_thread_that_read_it(client: SyncClient) -> None:
    readers: list[int] = []
    is_closed = threading.Event()

    def requests() -> Iterator[ImageRequest]:
        try:
            for number in range(10**9):
                readers.append(threading.get_ident())
                yield lake(number)
        finally:
            readers.append(threading.get_ident())
            is_closed.set()

    for outcome in client.run(requests()):
        assert outcome.ok
        break
    assert is_closed.wait(30)
    assert len(set(readers)) == 1
    assert threading.get_ident() not in readers


def test_a_batch_is_left_while_its_generator_blocks(client: SyncClient) -> None:
    goes_on, is_closed = threading.Event(), threading.Event()

    def requests() -> Iterator[ImageRequest]:
        try:
            yield lake(1)
            goes_on.wait(30)
            yield lake(2)
        finally:
            is_closed.set()

    with client.run(requests()) as run:
        assert next(run).ok
    assert not is_closed.is_set()
    assert list(run) == []
    assert run.in_flight == 0
    goes_on.set()
    assert is_closed.wait(30)
    assert client.counts() == {JobState.DONE: 1}


def test_a_batch_that_is_none_is_refused_at_once(client: SyncClient) -> None:
    requests: Any = 5
    with pytest.raises(InvalidRequest, match="`run` takes a list"):
        client.run(requests)


def test_the_error_of_a_generator_is_raised_after_the_outcomes(client: SyncClient) -> None:
    def requests() -> Iterator[ImageRequest]:
        yield lake(1)
        raise OSError("the file ended")

    run = client.run(requests())
    assert next(run).ok
    with pytest.raises(OSError, match="the file ended"):
        next(run)


def test_unsaved_results_are_saved(client: SyncClient, tmp_path: Path) -> None:
    client.generate(lake(1))
    client.generate(lake(2))
    chosen = client.save_unsaved(save_to=tmp_path, only=lambda job: job.job_id == "lake-2/image")
    assert ids(list(chosen)) == ["lake-2/image"]
    assert ids(list(client.save_unsaved(save_to=tmp_path))) == ["lake-1/image"]
    assert len(list(tmp_path.iterdir())) == 2


# --- tasks and jobs ---------------------------------------------------------------------------------------------------


def test_a_task_is_submitted_and_attached(emulator: Emulator) -> None:
    with client_for(emulator) as client:
        task = client.submit(lake(1))
        assert (task.kind, task.request_id is None) == (Kind.IMAGE, False)
        assert task.status().state
        assert task.wait(timeout=60).task_id == task.task_id
    with pytest.raises(ClientClosed):
        task.status()
    later = client_for(emulator)
    attached = later.attach("image", task.task_id)
    assert loop_threads() == []  # a handle needs no open client
    assert f"{attached!r}" == f"<Task image {task.task_id}>"
    assert attached.wait().task_id == task.task_id
    assert later.status("image", task.task_id).state
    later.close()


def test_the_jobs_of_a_ledger_are_there_for_the_next_client(emulator: Emulator, tmp_path: Path) -> None:
    ledger = tmp_path / "jobs.db"
    with client_for(emulator, ledger) as client:
        first = client.generate(lake(1))
        assert client.new_version("lake-1") == "lake-1@2"
    with client_for(emulator, ledger) as client:
        assert client.generate(lake(1)).task_id != first.task_id
        assert client.redo("lake-1", timeout=60) != first
        assert client.unknown() == client.retry_failed() == []
        with pytest.raises(AigcError, match="lake-1"):
            client.settle("lake-1", "drop")  # type: ignore[arg-type] # no unknown job either
        assert sum(client.counts().values()) == 3
    assert emulator.statistics().created["image"] == 3


def test_calls_that_concern_no_job(client: SyncClient) -> None:
    assert client.task_list().tasks == ()
    assert client.call("DescribeAigcTaskList", {"PageNum": 1, "PageSize": 10})["RequestId"]
    assert client.usage(datetime.now(UTC).date()).totals is not None
    with pytest.raises(InvalidRequest):
        client.quotas()
    with pytest.raises(AigcError):
        client.task_details("4-AigcScene-1")
    with pytest.raises(InvalidRequest):
        client.signed_url("https://example.com/a.png")


def test_a_queue_is_worked_off(emulator: Emulator, database: str) -> None:
    url = f"{database}?ledger=shots"
    assert asyncio.run(queue([lake(1), lake(2)], url)).new == 2
    with client_for(emulator, url) as client:
        worker = client.worker(concurrency=2)
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(worker.run)
            assert ids(list(client.outcomes())) == ["lake-1", "lake-2"]
            worker.stop()
            running.result()
        worker.drain()
        with pytest.raises(ClientClosed, match="run already"):
            worker.run()
        for outcome in client.outcomes("shots"):  # leaves the iterator to the collector
            assert outcome.ok
            break
    assert emulator.statistics().created["image"] == 2


def test_a_queue_needs_postgresql(client: SyncClient) -> None:
    with pytest.raises(ConfigError):
        client.outcomes()
    with pytest.raises(ConfigError):
        client.worker()


def test_jobs_are_queued_found_and_resumed(emulator: Emulator, tmp_path: Path) -> None:
    with client_for(emulator, ledger=tmp_path / "jobs.db") as client:
        job = client.enqueue(lake(1))
        job.wait_until_stored()
        assert client.job("lake-1").request == lake(1)
        kinds = {type(event).__name__ for event in job}
        assert {"Submitted", "Done"} <= kinds
        assert (job.result().task_id, job.state, job.position, job.eta_s) == (
            job.task_ids[Kind.IMAGE], JobState.DONE, None, None,
        )  # fmt: skip
        assert job.cancel() is JobState.DONE
        assert [found.id for found in client.jobs(state="done")] == ["lake-1"]
        assert client.plan([lake(1), lake(2)]).total.images == 1
        assert client.resume() == []
