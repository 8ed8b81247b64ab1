"""The tasks of submitted jobs: polled to their ends, given up, attached to."""

import asyncio
import logging
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from mps_aigc_async import (
    ClientClosed,
    ImageRequest,
    JobRecord,
    JobState,
    Kind,
    TaskFailed,
    TaskTimeout,
    VideoRequest,
)
from mps_aigc_async.ledger import MemoryLedger
from mps_aigc_async.model.contents import content
from mps_aigc_async.testing import run, wall

from ..support import accepted, client_of, configured, in_memory
from .support import CAT, _all


class SlowLedger(MemoryLedger):
    """Each row takes 50 ms to be kept."""

    async def put(self, job: JobRecord) -> None:
        await asyncio.sleep(0.05)
        await super().put(job)


def test_a_task_that_fails_at_the_service_tells_why_and_stays_failed() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            request = ImageRequest(id="x", prompt="fail-later")
            with pytest.raises(TaskFailed, match="could not generate") as caught:
                await client.generate(request)
            assert caught.value.task_id is not None
            with pytest.raises(TaskFailed, match="could not generate"):
                await client.generate(request)  # the ledger knows: nothing is created again
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_who_still_waits_when_the_client_closes_is_told_so() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1)) as client:
            callers = [asyncio.create_task(client.generate(ImageRequest(prompt=f"{number}"))) for number in range(3)]
            await asyncio.sleep(5)
        errors = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(error) for error in errors] == [ClientClosed] * 3
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(ClientClosed, match="async with"):
            await client.generate(CAT)

    run(main())


def test_closing_says_what_was_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mps_aigc_async")

    async def main(ledger: Path | None) -> tuple[list[str], list[str]]:
        caplog.clear()
        service = in_memory()
        service.faults.add(action="CreateAigcVideoTask", fault="hang")
        async with client_of(service, ledger=ledger) as client:
            batch = asyncio.create_task(
                _all(client, [*(ImageRequest(prompt=f"{number}") for number in range(3)), VideoRequest(prompt="x")])
            )
            await asyncio.sleep(5)
        with pytest.raises(ClientClosed):
            await batch
        tasks = [arrival.task_id for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
        logged = [(record.levelname, record.message) for record in caplog.records]
        said = [f"{level} {text}" for level, text in logged if text.startswith("closed")]
        return said, [task_id for task_id in tasks if task_id]

    (left, forgotten), tasks = run(main(None))
    assert left.startswith(
        "INFO closed with work left: 2 tasks run on at the service; opening a ledger file again resumes 0 of them"
    )
    assert left.endswith("1 calls that may cost something got no reply")
    assert forgotten.startswith("WARNING closed while tasks run that are in no ledger file")
    assert all(task_id in forgotten for task_id in tasks)
    (left,), _ = run(main(tmp_path / "ledger.db"))
    assert "resumes 2 of them" in left


def test_a_timeout_ends_the_waiting_and_not_the_task() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            with pytest.raises(TaskTimeout) as caught:
                await client.generate(CAT, timeout=30)
            assert isinstance(caught.value, TimeoutError)
            assert await client.counts() == {JobState.SUBMITTED: 1}
            assert (await client.generate(CAT)).urls
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_task_past_its_deadline_gives_its_slot_back_and_can_be_resumed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(3000, 3000))  # of which it waits 300
        async with client_of(service, configured(images=1)) as client:
            loop = asyncio.get_running_loop()
            before = loop.time()
            with caplog.at_level(logging.WARNING), pytest.raises(TaskTimeout):
                await client.generate(CAT)
            assert loop.time() - before == pytest.approx(300 + 1800, abs=10)
            assert "deadline" in caplog.text
            assert client.statistics().slots[Kind.IMAGE].taken == 0
            assert await client.counts() == {JobState.SUBMITTED: 1}
            assert (await client.generate(CAT)).urls  # with all of the patience again
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_an_off_peak_video_is_waited_for_two_days() -> None:
    async def main() -> None:
        service = in_memory(video_seconds=(47 * 3600, 47 * 3600))
        async with client_of(service, configured(poll_ms=600_000)) as client:
            with pytest.raises(TaskTimeout):
                await client.generate(VideoRequest(prompt="soon"))
            assert (await client.generate(VideoRequest(prompt="some time", off_peak=True))).urls
        assert accepted(service, "CreateAigcVideoTask") == 2

    run(main())


@pytest.mark.parametrize("code", ["InvalidParameter", "UnsupportedOperation", "MissingParameter"])
def test_a_paid_task_whose_poll_is_refused_is_polled_on(code: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcImageTask", fault="error", code=code, times=3)
        service.faults.add(action="DescribeAigcImageTask", fault="reset_before", times=2)
        service.faults.add(action="DescribeAigcImageTask", fault="error", code="FailedOperation.TaskNotFound", times=2)
        async with client_of(service) as client:
            assert (await client.generate(CAT)).urls

    run(main())


def test_a_poll_that_hangs_holds_no_slot_beyond_the_deadline() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(300, 300))
        async with client_of(service, configured(timeouts={"imageSeconds": 100})) as client:
            task = await client.submit(CAT)
            began = wall()
            await asyncio.sleep(90)
            service.faults.add(action="DescribeAigcImageTask", fault="hang", times=None)
            with pytest.raises(TaskTimeout, match="latest status: RUN"):
                await task.wait()
            # Seen running after 30 to 35 s; asked once more at the deadline, for as long as the transport waits.
            assert 130 < wall() - began < 135 + 1 + 31
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_submit_returns_when_accepted_and_the_task_can_be_waited_for() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            task = await client.submit(VideoRequest(prompt="waves"))
            assert (task.kind, task.task_id[:12]) == (Kind.VIDEO, "4-AigcVideo-")
            assert (await task.status()).word in ("WAIT", "RUN")
            with pytest.raises(TaskTimeout):
                await task.wait(timeout=10)
            result = await task.wait()
            assert result.task_id == task.task_id
            assert result.resolution

            attached = client.attach("video", task.task_id)
            again = await attached.wait()
            assert (again.urls, again.expires_at) == (result.urls, None)  # nobody here knows when it ended

    run(main())


def test_a_task_attached_while_it_runs_knows_when_its_urls_end() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            task = await client.submit(ImageRequest(prompt="x"))
            async with client_of(service) as other:
                result = await other.attach("image", task.task_id).wait()
                assert result.expires_at is not None

    run(main())


def test_attaching_at_any_moment_of_a_tasks_end_leaks_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.ledgers.MemoryLedger", SlowLedger)

    async def main() -> None:
        service = in_memory(video_seconds=(20, 20))
        async with client_of(service) as client:
            task = await client.submit(VideoRequest(id="x", prompt="x"))
            while client.statistics().polling:
                with suppress(TaskTimeout):
                    await client.attach("video", task.task_id).wait(timeout=0.01)
            await client.attach("video", task.task_id).wait()
            assert client.statistics().slots[Kind.VIDEO].taken == 0
            assert (await client.generate(VideoRequest(id="x", prompt="x"))).urls

    run(main())


def test_a_task_attached_to_before_its_job_is_resumed_is_still_written_down() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client, client_of(service) as other:
            task = await other.submit(ImageRequest(prompt="x"))
            attached = asyncio.create_task(client.attach("image", task.task_id).wait())
            await asyncio.sleep(1)
            job = JobRecord(
                job_id="x/image",
                kind=Kind.IMAGE,
                content=content(ImageRequest(prompt="x")),
                planned_at=0.0,
                state=JobState.SUBMITTED,
                task_id=task.task_id,
                submitted_at=wall(),
            )
            assert client._engine is not None
            await (await client._engine.open_ledger(None)).put(job)
            assert (await client.generate(ImageRequest(id="x", prompt="x"))).urls
            assert await client.counts() == {JobState.DONE: 1}
            await attached

    run(main())


def test_a_task_whose_job_is_in_two_ledgers_is_written_down_in_both(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        ledgers = tmp_path / "jobs.db", tmp_path / "copy.db"
        async with client_of(service, ledger=ledgers[0]) as client:
            await client.submit(CAT)
        shutil.copy(*ledgers)
        async with client_of(service) as client:

            async def rerun(ledger: Path) -> None:
                async for outcome in client.run([CAT], ledger=ledger):
                    assert outcome.result is not None

            await asyncio.gather(*map(rerun, ledgers))
            assert [await client.counts(ledger) for ledger in ledgers] == [{JobState.DONE: 1}] * 2
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_task_the_services_readers_have_not_heard_of_yet_is_asked_about_again() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcImageTask", fault="error", code="FailedOperation.TaskNotFound", times=2)
        async with client_of(service) as client:
            assert (await client.generate(CAT)).urls

    run(main())
