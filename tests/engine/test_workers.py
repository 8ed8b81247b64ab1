"""QueueCount requests and the workers that run them, on a real server and the emulator."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageResult, ImageToVideo, ImageToVideoResult, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine import request_queue, workers
from mps_aigc_async.engine.batch import BatchRun
from mps_aigc_async.engine.batch_progress import later_progress_of, outcomes_of, progress_of
from mps_aigc_async.engine.request_queue import QueueCount
from mps_aigc_async.engine.worker import Worker
from mps_aigc_async.engine.workers import drain, queue, retry_failed
from mps_aigc_async.ledger.postgres import prepare_database
from mps_aigc_async.ledger.postgres.requests import QueueItem
from mps_aigc_async.ledger.postgres.schema import LOCK
from mps_aigc_async.model.errors import (
    AccountError,
    ClientClosed,
    ConfigError,
    CreateOutcomeUnknown,
    InvalidRequest,
    JobDropped,
    LedgerError,
    TaskFailed,
    TaskNotFound,
    UnexpectedError,
)
from mps_aigc_async.model.settlement import Attach, Drop
from mps_aigc_async.sharing.connection import Connection, Step, connect
from mps_aigc_async.sharing.database_url import DatabaseUrl, database_url

from ..postgres_server import PostgresServer
from ..support import KEYS

CREATE, VIDEO = "CreateAigcImageTask", "CreateAigcVideoTask"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=600) as emulator:
        yield emulator


@pytest.fixture
def url(database: str, monkeypatch: pytest.MonkeyPatch) -> DatabaseUrl:
    monkeypatch.setattr(request_queue, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(request_queue, "STALLED_S", 0.5)
    monkeypatch.setattr(request_queue, "LOOK_S", 0.2)
    monkeypatch.setattr("mps_aigc_async.engine.worker.WATCH_S", 0.1)
    monkeypatch.setattr(workers, "DRAIN_S", 0.1)
    return database_url(f"{database}?ledger=spring")


def text_of(url: DatabaseUrl) -> str:
    return f"{url.dsn}?ledger={url.ledger}"


def images(number: int, first: int = 0) -> list[ImageRequest]:
    return [ImageRequest(id=f"shot-{n}", prompt=f"scene {n}") for n in range(first, first + number)]


def client_of(emulator: Emulator, url: DatabaseUrl) -> AigcClient:
    concurrency = {"maxImageTasks": 4, "maxVideoTasks": 4, "pollIntervalMs": 100}
    config = Config.parse({"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": concurrency})
    return AigcClient(config, ledger=text_of(url))


@asynccontextmanager
async def working(emulator: Emulator, url: DatabaseUrl, save_to: Path | None = None) -> AsyncIterator[Worker]:
    """A worker with a client of its own."""
    async with client_of(emulator, url) as client:
        worker = client.worker(save_to=save_to)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running


@contextmanager
def lost(postgres: PostgresServer, *, is_silent: bool) -> Iterator[None]:
    """The server stands still, or does not run."""
    if is_silent:
        postgres.pause()
        try:
            yield
        finally:
            postgres.resume()
    else:
        postgres.stop()
        try:
            yield
        finally:
            postgres.start()


async def outcomes(url: DatabaseUrl) -> dict[str, object]:
    return {outcome.job_id: outcome.result or outcome.error async for outcome in outcomes_of(url)}


def created(emulator: Emulator) -> dict[str, int]:
    return {kind: number for kind, number in emulator.statistics().created.items() if number}


async def items(url: DatabaseUrl) -> dict[str, int]:
    """The items in the queue, by their status."""
    connection = Connection(url)
    [rows] = await connection.run(("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status", {}))
    await connection.close()
    return dict(rows)


async def test_workers_run_what_was_queued_and_each_request_once(
    emulator: Emulator, url: DatabaseUrl, tmp_path: Path
) -> None:
    chain = ImageToVideo(id="chain", image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="it freezes"))
    assert await queue([*images(6), chain], text_of(url)) == QueueCount(7, 0)
    assert await queue([*images(6), chain], text_of(url)) == QueueCount(0, 7)
    async with working(emulator, url, tmp_path), working(emulator, url, tmp_path):
        ended = await outcomes(url)
    assert Counter(type(result) for result in ended.values()) == {ImageResult: 6, ImageToVideoResult: 1}
    assert created(emulator) == {"image": 7, "video": 1}
    assert len(list(tmp_path.glob("*.png"))) == 7
    assert await items(url) == {}
    progress = await progress_of(url)
    assert (progress.requests, progress.ends, progress.failures) == (7, 7, 0)


async def test_a_failed_request_has_ended_and_its_error_is_told(
    emulator: Emulator, url: DatabaseUrl, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.faults.add(action=CREATE, fault="fail_later", code="ModelGenerateFailed")
    await queue(images(1), text_of(url))
    async with working(emulator, url):
        ended = await outcomes(url)
    assert isinstance(ended["shot-0"], TaskFailed)
    assert (await progress_of(url)).failures == 1
    assert "shot-0 failed: A fault that was asked for. [job shot-0/image" in caplog.text


async def test_a_request_goes_on_once_its_unknown_create_is_known(
    emulator: Emulator, url: DatabaseUrl, tmp_path: Path
) -> None:
    """A late answer, or the user's word, tells of the task: the result is paid for, and nobody would save it."""
    emulator.faults.add(action=CREATE, fault="reset_after")
    await queue(images(2), text_of(url))
    async with working(emulator, url, tmp_path), client_of(emulator, url) as client:
        first = await outcomes(url)
        assert Counter(type(end) for end in first.values()) == {CreateOutcomeUnknown: 1, ImageResult: 1}
        [lost] = await client.unknown()
        saved = {str(end.task_id) for end in first.values() if isinstance(end, ImageResult)}
        [task] = [task.task_id for task in emulator.statistics().tasks if task.task_id not in saved]
        await client.settle(lost.job_id, Attach(task))
        while not isinstance((await outcomes(url))[lost.job_id.partition("/")[0]], ImageResult):  # noqa: ASYNC110 — as below
            await asyncio.sleep(0)
    assert created(emulator) == {"image": 2}
    assert len(list(tmp_path.glob("*.png"))) == 2
    progress = await progress_of(url)
    assert (progress.requests, progress.ends, progress.failures) == (2, 2, 0)


async def test_failed_requests_are_queued_again_and_only_their_failed_steps_are_retried(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    chains = [
        ImageToVideo(id=name, image=ImageRequest(prompt=name), video=VideoRequest(prompt="it moves"))
        for name in ("left", "right")
    ]
    emulator.faults.add(action=VIDEO, fault="fail_later", code="ModelGenerateFailed", times=2)
    await queue([*chains, *images(1)], text_of(url))
    async with working(emulator, url):
        assert Counter(type(end) for end in (await outcomes(url)).values()) == {TaskFailed: 2, ImageResult: 1}
        assert await retry_failed(text_of(url), only=lambda name: name == "left") == 1
        assert await retry_failed(text_of(url), only=lambda name: name != "right") == 0
        ended = await outcomes(url)
    assert (type(ended["left"]), type(ended["right"])) == (ImageToVideoResult, TaskFailed)
    assert created(emulator) == {"image": 3, "video": 3}
    progress = await progress_of(url)
    assert (progress.requests, progress.ends, progress.failures) == (3, 3, 1)


async def test_a_retry_that_is_run_twice_retries_a_failure_once(emulator: Emulator, url: DatabaseUrl) -> None:
    """A worker that dies after the second failure leaves the item, and another worker runs it again."""
    emulator.faults.add(action=CREATE, fault="fail_later", code="ModelGenerateFailed", times=2)
    await queue(images(1), text_of(url))
    async with working(emulator, url):
        await outcomes(url)
    assert await retry_failed(text_of(url)) == 1
    connection = Connection(url)
    await connection.run(("CREATE TABLE earlier AS SELECT queue_name, task_name, args FROM procrastinate_jobs", {}))
    async with working(emulator, url):
        await outcomes(url)
        await connection.run(("INSERT INTO procrastinate_jobs (queue_name, task_name, args) SELECT * FROM earlier", {}))
        while await items(url):  # noqa: ASYNC110 — the queue tells nobody
            await asyncio.sleep(0)
        assert isinstance((await outcomes(url))["shot-0"], TaskFailed)
    await connection.close()
    assert created(emulator) == {"image": 2}


async def test_unknown_and_dropped_requests_are_not_queued_again(emulator: Emulator, url: DatabaseUrl) -> None:
    emulator.faults.add(action=CREATE, fault="reset_after", times=2)
    await queue(images(2), text_of(url))
    async with working(emulator, url), client_of(emulator, url) as client:
        await outcomes(url)
        assert await retry_failed(text_of(url)) == 0
        await client.settle("shot-0/image", Drop())
        while not isinstance((await outcomes(url))["shot-0"], JobDropped):  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        assert await retry_failed(text_of(url)) == 0
    assert created(emulator) == {"image": 2}


async def test_a_request_that_failed_without_a_job_is_queued_again(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(1), text_of(url))
    async with client_of(emulator, url) as client:
        await client.generate(ImageRequest(id="shot-0", prompt="another"))
    async with working(emulator, url):
        assert isinstance((await outcomes(url))["shot-0"], InvalidRequest)
        connection = Connection(url)
        await connection.run(("DELETE FROM mps_aigc_ledger.jobs", {}))
        await connection.close()
        assert await retry_failed(text_of(url)) == 1
        assert isinstance((await outcomes(url))["shot-0"], ImageResult)


async def test_a_task_that_the_service_did_not_know_is_polled_once_more_by_the_worker(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    emulator.faults.add(action="DescribeAigcImageTask", fault="error", code="ResourceNotFound.TaskNotFound", times=3)
    await queue(images(1), text_of(url))
    async with working(emulator, url):
        assert isinstance((await outcomes(url))["shot-0"], TaskNotFound)
        assert await retry_failed(text_of(url)) == 1
        assert isinstance((await outcomes(url))["shot-0"], ImageResult)
    assert created(emulator) == {"image": 1}


async def test_a_fault_in_the_work_ends_the_worker_and_its_requests_wait(
    emulator: Emulator, url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item that ends by an exception would be gone, and its request would never end."""
    await queue(images(3), text_of(url))
    monkeypatch.setattr(BatchRun, "work", None)
    async with client_of(emulator, url) as client:
        with pytest.raises(UnexpectedError, match="TypeError while working on shot-"):
            await client.worker().run()
    assert await items(url) == {"todo": 3}


async def test_a_stopped_worker_gives_its_requests_back_and_its_tasks_run_on(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    await queue(images(8), text_of(url))
    async with working(emulator, url) as worker:
        while created(emulator).get("image", 0) < 4:  # noqa: ASYNC110 — the emulator tells nobody
            await asyncio.sleep(0)
        worker.stop()
    assert (await items(url)).keys() == {"todo"}
    async with working(emulator, url):
        assert len(await outcomes(url)) == 8
    assert created(emulator) == {"image": 8}


async def test_a_cancelled_worker_does_not_wait_for_its_tasks(url: DatabaseUrl) -> None:
    """They may run for hours."""
    await queue(images(6), text_of(url))
    async with Emulator(speed=1) as slow, client_of(slow, url) as client:
        running = asyncio.create_task(client.worker().run())
        while created(slow).get("image", 0) < 4:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        running.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([running])
        assert running.cancelled()
        assert await items(url) == {"todo": 6}


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_worker_that_is_stopped_does_not_wait_for_a_lost_database(
    url: DatabaseUrl, postgres: PostgresServer, caplog: pytest.LogCaptureFixture, is_silent: bool
) -> None:
    await queue(images(6), text_of(url))
    async with Emulator(speed=1) as slow, client_of(slow, url) as client:
        running = asyncio.create_task(client.worker().run())
        while created(slow).get("image", 0) < 4:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        with lost(postgres, is_silent=is_silent):
            running.cancel()
            async with asyncio.timeout(10):
                await asyncio.wait([running])
        assert running.cancelled()
    assert {record.name for record in caplog.records if record.levelname != "INFO"} <= {"mps_aigc_async"}
    assert sum((await items(url)).values()) == 6


async def test_a_loop_that_ends_with_a_worker_in_it_ends(emulator: Emulator, url: DatabaseUrl) -> None:
    """It cancels all tasks at once, those of the connections too: nothing can be given back."""
    await queue(images(6), text_of(url))

    async def leave() -> None:
        async with client_of(emulator, url) as client:
            forgotten = asyncio.create_task(client.worker().run())
            while created(emulator).get("image", 0) < 1:  # noqa: ASYNC110 — as above
                await asyncio.sleep(0)
        assert not forgotten.done()

    await asyncio.wait_for(asyncio.to_thread(asyncio.run, leave()), 10)


async def test_an_item_that_arrives_at_a_worker_which_ends_is_given_back(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(1), text_of(url))
    async with client_of(emulator, url) as client:
        worker = client.worker()
        worker.stop()
        with pytest.raises(request_queue.GivenBack):
            await worker._work(QueueItem("shot-0"))


async def test_the_requests_of_a_dead_worker_are_run_by_another(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(3), text_of(url))
    connection = Connection(url)
    [[(dead,)]] = await connection.run(
        ("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '9 s') RETURNING id", {})
    )
    await connection.run(("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %(dead)s", {"dead": dead}))
    await connection.close()
    async with working(emulator, url):
        assert len(await outcomes(url)) == 3


async def test_an_item_whose_fetch_was_not_answered_is_run_all_the_same(emulator: Emulator, url: DatabaseUrl) -> None:
    """The database gave it to the worker, and the answer was lost: nobody would miss it."""
    await queue(images(1), text_of(url))
    async with working(emulator, url) as worker:
        await outcomes(url)
        await queue(images(1, first=1), text_of(url))
        connection = Connection(url)
        mine = {"worker": worker._queue_worker.worker_id if worker._queue_worker else 0}
        await connection.run(
            ("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %(worker)s WHERE status = 'todo'", mine)
        )
        await connection.close()
        assert len(await outcomes(url)) == 2


async def test_a_request_that_two_workers_run_is_made_once_and_is_no_news(
    emulator: Emulator, url: DatabaseUrl, caplog: pytest.LogCaptureFixture
) -> None:
    """The first worker stood still, and another one took its item over: the item is gone when the first one ends it."""
    await queue(images(4), text_of(url))
    connection = Connection(url)
    async with working(emulator, url), working(emulator, url):
        while created(emulator).get("image", 0) < 4:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        await connection.run(("UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL", {}))
        assert len(await outcomes(url)) == 4
        while await items(url):  # noqa: ASYNC110 — the queue tells nobody
            await asyncio.sleep(0)
    await connection.close()
    gc.collect()
    assert created(emulator) == {"image": 4}
    assert [record.message for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


async def test_a_drained_batch_ends_what_has_begun_and_no_more(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(12), text_of(url))
    async with working(emulator, url):
        while created(emulator).get("image", 0) < 4:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        await drain(text_of(url))
        begun = created(emulator)["image"]
        assert (await progress_of(url)).ends == begun
        assert begun < 12
        assert await items(url) == {"todo": 12 - begun}
    async with working(emulator, url):
        assert len(await outcomes(url)) == 12


async def test_an_account_that_is_refused_ends_the_worker_and_its_requests_wait(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    emulator.faults.add(action=CREATE, fault="error", code="FailedOperation.UserArrears", times=9)
    await queue(images(3), text_of(url))
    async with client_of(emulator, url) as client:
        with pytest.raises(AccountError):
            await client.worker().run()
    assert await items(url) == {"todo": 3}
    assert (await progress_of(url)).ends == 0


async def test_a_lost_database_delays_the_workers_alone(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(8), text_of(url))
    connection = Connection(url)
    async with working(emulator, url):
        for _ in range(3):
            while created(emulator).get("image", 0) < 1:  # noqa: ASYNC110 — as above
                await asyncio.sleep(0)
            await connection.run(
                ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", {})
            )
        assert len([outcome async for outcome in outcomes_of(url)]) == 8
    await connection.close()
    assert created(emulator) == {"image": 8}


async def test_a_lost_database_delays_who_reads_the_outcomes(
    emulator: Emulator, url: DatabaseUrl, postgres: PostgresServer
) -> None:
    await queue(images(4), text_of(url))
    reading = asyncio.create_task(outcomes(url))
    async with working(emulator, url):
        while not created(emulator):  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        with lost(postgres, is_silent=False):
            looks = [asyncio.create_task(look(url)) for look in (later_progress_of, progress_of)]
            with pytest.raises(LedgerError, match="cannot be reached"):
                await looks[1]
            with pytest.raises(LedgerError, match="cannot be reached"):
                await outcomes(url)
        assert (await looks[0]).requests == 4
        assert len(await reading) == 4


async def test_a_lost_database_delays_the_queueing_alone(
    url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers, "CHUNK", 2)
    connection = Connection(url)

    async def requests() -> AsyncIterator[ImageRequest]:
        for request in images(12):
            yield request
            await connection.run(
                ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", {})
            )

    await queue(requests(), text_of(url))
    assert (await progress_of(url)).requests == 12
    assert await items(url) == {"todo": 12}
    assert {record.name for record in caplog.records if record.levelname == "WARNING"} <= {"mps_aigc_async"}
    await connection.close()


async def test_a_cancellation_that_comes_with_a_connection_is_not_forgotten(url: DatabaseUrl) -> None:
    """`asyncio.wait_for` forgets it before Python 3.12: a worker's watch would go on for ever."""

    async def forgetful() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with request_queue.RequestQueue(url) as one:
        task = asyncio.create_task(one._connector.patiently(forgetful))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_workers_of_other_programs_are_left_alone(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(2), text_of(url))
    connection = Connection(url)
    [[(theirs,), (idle,), (dead,)]] = await connection.run((
        "INSERT INTO procrastinate_workers (last_heartbeat) "
        "SELECT now() - interval '2 days' FROM generate_series(1, 3) RETURNING id", {},
    ))  # fmt: skip
    await connection.run(
        ("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %(dead)s", {"dead": dead}),
        (
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id) VALUES "
            "('theirs', 'their.task', 'doing', %(theirs)s), ('theirs', 'their.task', 'todo', NULL)",
            {"theirs": theirs},
        ),
    )
    read: tuple[Step, Step] = (
        ("SELECT id FROM procrastinate_workers WHERE id = ANY(ARRAY[%(a)s, %(b)s, %(c)s]) ORDER BY id",
         {"a": theirs, "b": idle, "c": dead}),
        ("SELECT status::text, worker_id, attempts FROM procrastinate_jobs WHERE queue_name = 'theirs' ORDER BY id",
         {}),
    )  # fmt: skip
    async with working(emulator, url):
        assert len(await outcomes(url)) == 2
    assert await connection.run(*read) == [[(theirs,), (idle,)], [("doing", theirs, 0), ("todo", None, 0)]]
    await connection.close()


async def test_a_worker_that_another_program_has_forgotten_goes_on(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(1), text_of(url))
    connection = Connection(url)
    async with working(emulator, url):
        assert len(await outcomes(url)) == 1
        await connection.run(("DELETE FROM procrastinate_workers", {}))
        await queue(images(4, first=1), text_of(url))
        assert len(await outcomes(url)) == 5
    await connection.close()


async def test_an_item_of_a_newer_version_waits_for_a_worker_of_that_version(
    emulator: Emulator, url: DatabaseUrl
) -> None:
    await queue(images(2), text_of(url))
    connection = Connection(url)
    newer = """UPDATE procrastinate_jobs SET args = args || '{"novelty": 1}' WHERE args ->> 'name' = 'shot-0'"""
    await connection.run((newer, {}))
    async with working(emulator, url):
        while (await progress_of(url)).ends < 1:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
    [[(attempts,)]] = await connection.run(("SELECT attempts FROM procrastinate_jobs WHERE status = 'todo'", {}))
    assert attempts >= 1
    await connection.close()


async def test_several_first_workers_make_the_tables_once(url: DatabaseUrl) -> None:
    async with AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(request_queue.RequestQueue(url)) for _ in range(4)]
        await asyncio.gather(*(one.make_tables() for one in queues))
    assert await queue(images(1), text_of(url)) == QueueCount(1, 0)


async def test_a_worker_runs_once(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(1), text_of(url))
    async with working(emulator, url) as worker:
        await asyncio.sleep(0)
        with pytest.raises(ClientClosed, match="has run already"):
            await worker.run()


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["stopped", "cancelled"])
async def test_a_worker_that_waits_to_make_the_tables_ends(
    emulator: Emulator, url: DatabaseUrl, is_cancelled: bool
) -> None:
    """Another program holds the lock. A statement that is cancelled would wait for the driver, 10 s for a silent
    server."""
    await prepare_database(url)
    holder, look = await connect(url), Connection(url)
    waiting: Step = ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", {})
    async with client_of(emulator, url) as client, holder.transaction():
        await holder.execute(LOCK[0])
        worker = client.worker()
        running = asyncio.create_task(worker.run())
        while await look.run(waiting) == [[(0,)]]:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0)
        if is_cancelled:
            running.cancel()
        else:
            worker.stop()
        done, _ = await asyncio.wait([running], timeout=8)
        assert done == {running}
        assert running.cancelled() is is_cancelled
        assert is_cancelled or running.exception() is None
    await holder.close()
    await look.close()


async def test_a_batch_that_has_ended_can_be_run_again(emulator: Emulator, url: DatabaseUrl) -> None:
    """The worker is told to end before it has begun to look."""
    await queue(images(1), text_of(url))
    async with client_of(emulator, url) as client:
        for _ in range(2):
            worker = client.worker()
            work = asyncio.create_task(worker.run())
            assert len([outcome async for outcome in client.outcomes()]) == 1
            worker.drain()
            await work


async def test_a_worker_that_is_stopped_before_it_takes_items_ends(emulator: Emulator, url: DatabaseUrl) -> None:
    """Procrastinate's worker begins by forgetting an earlier stop."""
    await queue(images(1), text_of(url))
    async with client_of(emulator, url) as client, request_queue.RequestQueue(url) as one:
        worker = client.worker()
        serving = asyncio.create_task(worker._serve(one))
        worker.stop()
        await serving
    assert await items(url) == {"todo": 1}


async def test_a_line_of_another_version_is_its_outcomes_error(emulator: Emulator, url: DatabaseUrl) -> None:
    await queue(images(3), text_of(url))
    connection = Connection(url)
    await connection.run(
        ("UPDATE mps_aigc_ledger.requests SET line = replace(line, 'prompt', 'words') WHERE name = 'shot-1'", {})
    )
    await connection.close()
    async with working(emulator, url):
        ends = {outcome.job_id: outcome async for outcome in outcomes_of(url)}
    assert {name for name, end in ends.items() if end.ok} == {"shot-0", "shot-2"}
    assert isinstance(ends["shot-1"].error, InvalidRequest)
    assert ends["shot-1"].request == {"id": "shot-1", "image": {"words": "scene 1"}}


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_a_concurrency_below_one_is_refused(emulator: Emulator, url: DatabaseUrl, concurrency: int) -> None:
    await queue(images(1), text_of(url))
    async with client_of(emulator, url) as client:
        with pytest.raises(ConfigError, match="concurrency is"):
            client.worker(concurrency=concurrency)


async def test_a_name_that_is_too_long_for_a_queue_is_refused(url: DatabaseUrl) -> None:
    await queue(images(1), f"{url.dsn}?ledger={39 * 'a'}")
    with pytest.raises(ConfigError, match="39 bytes at most"):
        await queue(images(1), f"{url.dsn}?ledger={20 * 'ä'}")


async def test_bad_items_are_refused_and_what_stood_before_them_is_queued(url: DatabaseUrl) -> None:
    with pytest.raises(InvalidRequest, match="str is not a request"):
        await queue([*images(1), "no request"], text_of(url))  # type: ignore[list-item] # on purpose
    await queue(images(1), text_of(url))
    with pytest.raises(InvalidRequest, match="the batch has this id twice"):
        await queue([*images(2), *images(2), ImageRequest(id="shot-1", prompt="another")], text_of(url))
    assert (await progress_of(url)).requests == 1


async def test_a_ledger_in_which_nothing_was_queued_is_named(database: str) -> None:
    url = database_url(f"{database}?ledger=none")
    for ask in (progress_of(url), drain(text_of(url)), retry_failed(text_of(url)), outcomes(url)):
        with pytest.raises(LedgerError, match="nothing was queued in the ledger none"):
            await ask
