"""Jobs as objects: queued at once, found again by another process, resumed without the program that planned them."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    ClientClosed,
    CreateOutcomeUnknown,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    ImageToVideoResult,
    InvalidRequest,
    Job,
    JobCancelled,
    JobState,
    Kind,
    TaskTimeout,
    VideoRequest,
)
from mps_aigc_async.model.events import Done, Event, Saved, Submitted
from mps_aigc_async.model.results import Result
from mps_aigc_async.testing import run

from ..support import client_of, configured, in_memory, statistics


def lake(number: int) -> ImageRequest:
    return ImageRequest(id=f"lake-{number:03}", prompt="a lake")


def shot(number: int) -> ImageToVideo:
    return ImageToVideo(
        id=f"shot-{number:03}", image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="wind", duration=5)
    )


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "jobs.db" if request.param == "file" else None


async def until(job: Job[Result], state: JobState) -> None:
    """Wait until a job has come to a state."""
    while job.state is not state:  # noqa: ASYNC110 — virtual time: a sleep costs nothing
        await asyncio.sleep(0.05)


def test_a_job_is_there_at_once_and_has_the_result_later(ledger: Path | None, tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=ledger) as client:
            job = client.enqueue(shot(1), save_to=tmp_path / "out")
            assert (job.id, job.state, job.position) == ("shot-001", JobState.PLANNED, 0)
            assert not service.arrivals
            await job.stored
            result = await job.result()
            assert isinstance(result, ImageToVideoResult)
            assert (job.state, job.position, job.eta_s, job.has_ended) == (JobState.SAVED, None, None, True)
            assert job.task_ids[Kind.VIDEO] == result.video.task_id
            assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".db") == [
                "shot-001.mp4", "shot-001.png",
            ]  # fmt: skip
            assert await job.result() == result

    run(main())


def test_events_come_until_the_end_for_each_listener() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            job, other = client.enqueue(shot(1)), client.enqueue(lake(1))

            async def heard(listened: Job[Result]) -> list[Event]:
                return [event async for event in listened]

            first, second, third = await asyncio.gather(heard(job), heard(job), heard(other))
            assert first == second
            assert {event.job_id for event in first} == {"shot-001/image", "shot-001/video"}
            assert [event.kind for event in first if isinstance(event, Done)] == [Kind.IMAGE, Kind.VIDEO]
            assert {event.job_id for event in third} == {"lake-001/image"}
            assert await heard(job) == []

    run(main())


def test_jobs_are_made_in_their_order_and_tell_their_place() -> None:
    async def main() -> None:
        async with client_of(in_memory(image_seconds=(60, 60)), configured(images=2)) as client:
            jobs = [client.enqueue(lake(number)) for number in range(6)]
            assert [job.position for job in jobs] == list(range(6))
            etas = [job.eta_s or 0 for job in jobs]
            assert etas == sorted(etas)
            assert etas[0] < etas[-1]
            order = list[str]()
            client.on_event(lambda event: order.append(event.job_id) if isinstance(event, Submitted) else None)
            await until(jobs[1], JobState.SUBMITTED)
            assert [job.position for job in jobs[2:]] == [0, 1, 2, 3]
            await asyncio.gather(*(job.result() for job in jobs))
            assert order == [f"{job.id}/image" for job in jobs]

    run(main())


def test_a_planned_job_that_is_cancelled_is_never_created(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1), ledger=tmp_path / "jobs.db") as client:
            first, second, third = (client.enqueue(lake(number)) for number in range(3))
            await until(first, JobState.SUBMITTED)
            assert second.cancel() is JobState.PLANNED
            with pytest.raises(JobCancelled, match="nothing was sent"):
                await second.result()
            await asyncio.gather(first.result(), third.result())
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            assert await client.resume() == []
            assert statistics(service)["image"] == 2
            assert await client.retry_failed() == []
            again = client.enqueue(lake(1))  # by the user's word it is made after all
            assert isinstance(await again.result(), ImageResult)

    run(main())


def test_a_submitted_job_that_is_cancelled_is_no_longer_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            job = client.enqueue(shot(1))
            await until(job, JobState.SUBMITTED)
            assert job.cancel() is JobState.SUBMITTED
            with pytest.raises(JobCancelled, match=job.task_ids[Kind.IMAGE]):
                await job.result()
            assert job.cancel() is job.state
            await asyncio.sleep(1000)
            assert statistics(service) == {"image": 1, "video": 0, "audio": 0}  # its video was not created
            row = await (await client._open_ledger()).get("shot-001/image")
            assert row is not None
            assert row.state is JobState.DONE

    run(main())


def test_an_enqueued_request_that_is_under_way_is_the_same_job() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            assert client.enqueue(lake(1)) is client.enqueue(lake(1))
            other = client.enqueue(ImageRequest(id="lake-001", prompt="a hill"))
            await asyncio.gather(client.enqueue(lake(1)).result(), other.result(), return_exceptions=True)
            assert statistics(service)["image"] == 1

    run(main())


def test_a_bad_request_is_refused_at_once_and_a_taken_id_when_it_is_stored(tmp_path: Path) -> None:
    async def main() -> None:
        async with client_of(in_memory(), ledger=tmp_path / "jobs.db") as client:
            with pytest.raises(InvalidRequest, match="prompt"):
                client.enqueue(VideoRequest(prompt=""))
            await client.generate(lake(1))
            job = client.enqueue(ImageRequest(id="lake-001", prompt="a hill"))
            with pytest.raises(InvalidRequest, match="the id is taken"):
                await job.stored
            with pytest.raises(InvalidRequest, match="the id is taken"):
                await job.result()

    run(main())


def test_a_timeout_ends_the_waiting_alone() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            job = client.enqueue(lake(1))
            with pytest.raises(TaskTimeout):
                await job.result(timeout=1)
            assert isinstance(await job.result(), ImageResult)

    run(main())


def test_closing_ends_the_waits_for_jobs(tmp_path: Path) -> None:
    async def main() -> None:
        async with client_of(in_memory(), configured(images=1), ledger=tmp_path / "jobs.db") as client:
            jobs = [client.enqueue(lake(number)) for number in range(3)]
            waits = [asyncio.create_task(job.result()) for job in jobs]
            await until(jobs[0], JobState.SUBMITTED)
        ends = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(end) for end in ends] == [ClientClosed] * 3

    run(main())


def test_jobs_of_an_earlier_process_are_found_by_state_and_name(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1), ledger=tmp_path / "jobs.db") as client:
            await client.generate(shot(7))
            jobs = [client.enqueue(lake(number)) for number in range(4)]
            await until(jobs[0], JobState.SUBMITTED)
            await asyncio.gather(*(job.stored for job in jobs))
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            found = [job.id async for job in client.jobs(state="planned")]
            assert found == [f"lake-{number:03}" for number in (1, 2, 3)]
            assert [job.id async for job in client.jobs(state=JobState.PLANNED, name="lake-00[12]")] == found[:2]
            assert Counter([job.state async for job in client.jobs()]) == {
                JobState.PLANNED: 3, JobState.SUBMITTED: 1, JobState.DONE: 1,
            }  # fmt: skip
            ended = await client.job("shot-007")
            assert isinstance(await ended.result(), ImageToVideoResult)
            planned = await client.job("lake-003")
            assert planned.request == lake(3)
            assert isinstance(await planned.result(), ImageResult)
            with pytest.raises(InvalidRequest, match="no such request"):
                await client.job("lake-999")
            with pytest.raises(InvalidRequest, match="no state"):
                await anext(client.jobs(state="ready"))

    run(main())


def test_a_kill_leaves_all_jobs_to_resume_without_their_program(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=2, videos=1), ledger=tmp_path / "jobs.db") as client:
            jobs: list[Job[Result]] = [client.enqueue(shot(number), save_to=tmp_path / "films") for number in range(5)]
            jobs.append(client.enqueue(lake(1)))
            await asyncio.gather(*(job.stored for job in jobs))
            await until(jobs[0], JobState.SUBMITTED)
        async with client_of(service, configured(images=2, videos=1), ledger=tmp_path / "jobs.db") as client:
            outcomes = await client.resume(save_to=tmp_path / "others")
            assert sorted(outcome.job_id for outcome in outcomes) == sorted(job.id for job in jobs)
            assert all(outcome.ok for outcome in outcomes)
            assert statistics(service) == {"image": 6, "video": 5, "audio": 0}
            assert len(list((tmp_path / "films").iterdir())) == 10
            assert [path.name for path in (tmp_path / "others").iterdir()] == ["lake-001.png"]
            assert await client.resume() == []

    run(main())


def test_a_redone_job_is_resumed_in_its_latest_version_only(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            await client.generate(shot(1), save_to=tmp_path / "out")
            await client.new_version("shot-001", shot(1).model_copy(update={"video": VideoRequest(prompt="a storm")}))
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            [outcome] = await client.resume()
            assert outcome.job_id == "shot-001@2"
            assert statistics(service) == {"image": 1, "video": 2, "audio": 0}
            assert (tmp_path / "out" / "shot-001@2.mp4").exists()

    run(main())


def test_many_jobs_cost_few_commits_and_keep_the_rate(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=500), ledger=tmp_path / "jobs.db") as client:
            saved = list[str]()
            client.on_event(lambda event: saved.append(event.job_id) if isinstance(event, Saved) else None)
            jobs = [client.enqueue(lake(number)) for number in range(200)]
            await asyncio.gather(*(job.result() for job in jobs))
            times = sorted(arrival.at for arrival in service.arrivals if arrival.action == "CreateAigcImageTask")
            assert all(later - first >= 1 for first, later in zip(times, times[20:], strict=False))
            assert not saved

    run(main())


def test_a_client_that_is_not_open_queues_nothing() -> None:
    with pytest.raises(ClientClosed):
        AigcClient(configured()).enqueue(lake(1))


@pytest.mark.parametrize("turns", range(12))
def test_a_job_that_is_cancelled_at_any_moment_costs_at_most_one_task(tmp_path: Path, turns: int) -> None:
    """Before its rows, while they are written, in the queue, at its slot, and after its create; then it is made."""

    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            job = client.enqueue(lake(1))
            for _ in range(turns * turns):
                await asyncio.sleep(0)
            state = job.cancel()
            with pytest.raises(JobCancelled):
                await job.result()
            await asyncio.sleep(5)
            made = statistics(service)["image"]
            assert made <= (state is not JobState.PLANNED)
            assert [open_job.id async for open_job in client.jobs(state="planned")] == []
            again = client.enqueue(lake(1))
            assert isinstance(await again.result(), ImageResult)
            assert statistics(service)["image"] == 1

    run(main())


def test_a_job_that_is_queued_again_at_once_after_it_was_cancelled_is_made(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1), ledger=tmp_path / "jobs.db") as client:
            first, second = client.enqueue(lake(0)), client.enqueue(lake(1))
            await second.stored
            second.cancel()
            again = client.enqueue(lake(1))
            assert again is not second
            await asyncio.gather(first.result(), again.result())
            assert statistics(service)["image"] == 2

    run(main())


def test_a_found_job_is_saved_where_it_was_to_be_saved(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            await client.enqueue(lake(1), save_to=tmp_path / "out").stored
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            job = await client.job("lake-001")
            await job.stored
            await job.result()
            assert (tmp_path / "out" / "lake-001.png").exists()

    run(main())


def test_a_job_that_a_run_makes_is_not_created_any_more_once_it_is_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1), ledger=tmp_path / "jobs.db") as client:
            lakes = [lake(number) for number in range(4)]
            running = asyncio.create_task(ends_of(client, lakes))
            await asyncio.sleep(5)  # virtual: the first image is made, and the others are planned
            assert statistics(service)["image"] == 1
            job = [waiting async for waiting in client.jobs(state="planned")][-1]
            assert job.cancel() is JobState.PLANNED
            assert await running == {one.id: one.id != job.id for one in lakes}
            assert statistics(service)["image"] == 3
            assert [left.id async for left in client.jobs(state="planned")] == []

    run(main())


async def ends_of(client: AigcClient, lakes: list[ImageRequest]) -> dict[str, bool]:
    return {outcome.job_id: outcome.ok async for outcome in client.run(lakes)}


def test_a_folder_that_a_later_run_has_named_is_kept_when_the_task_ends(tmp_path: Path) -> None:
    """The poller has followed the row since before that run, and the run ends before it saves."""

    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            await client.submit(lake(0))
            await client.submit(lake(1))
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            batch = [lake(0), lake(1)]
            async with client.run(batch, save_to=tmp_path / "films"):
                await asyncio.sleep(5)  # virtual: the run has read its requests, and their tasks run
            await asyncio.sleep(1000)
            row = await (await client._open_ledger()).get("lake-001/image")
            assert row is not None
            assert (row.state, row.position, row.save_to) == (JobState.DONE, 1, str(tmp_path / "films"))
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            assert len(await client.resume()) == 2
            assert (tmp_path / "films" / "lake-001.png").exists()

    run(main())


def test_the_same_request_with_a_folder_is_saved_there_also_while_it_is_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            first, second = client.enqueue(lake(1)), client.enqueue(lake(1), save_to=tmp_path / "films")
            assert second is not first
            await asyncio.gather(first.result(), second.result())
            assert (tmp_path / "films" / "lake-001.png").exists()
            assert statistics(service)["image"] == 1

    run(main())


def test_a_request_whose_handle_is_held_is_queued_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            await client.enqueue(lake(1)).stored
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            held = [job async for job in client.jobs(state="planned")]
            job = client.enqueue(lake(1))
            await until(job, JobState.DONE)
            assert held[0].state is JobState.DONE
            assert statistics(service)["image"] == 1

    run(main())


def test_a_second_job_with_a_taken_id_leaves_the_first_one_its_events() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            first = client.enqueue(lake(1))
            other = client.enqueue(ImageRequest(id="lake-001", prompt="a hill"))
            await until(first, JobState.SUBMITTED)
            with pytest.raises(InvalidRequest, match="the id is taken"):
                await other.result()
            assert (await first.result()).task_id == first.task_ids[Kind.IMAGE]
            assert first.state is JobState.DONE

    run(main())


def test_resume_tells_of_creates_that_got_no_reply(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="reset_after", times=1)
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(lake(1))
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            [outcome] = await client.resume()
            assert isinstance(outcome.error, CreateOutcomeUnknown)
            assert statistics(service)["image"] == 1

    run(main())


def test_a_found_job_has_the_state_of_the_ledger_each_time(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            await client.enqueue(lake(1)).stored
        async with (
            client_of(service, ledger=tmp_path / "jobs.db") as client,
            client_of(service, ledger=tmp_path / "jobs.db") as other,
        ):
            held = [job async for job in client.jobs()]
            made = await other.generate(lake(1))
            job = await client.job("lake-001")
            assert (job.state, job.has_ended, job.eta_s) == (JobState.DONE, True, None)
            assert job.task_ids == {Kind.IMAGE: made.task_id}
            assert job.cancel() is JobState.DONE
            assert (await job.result()).task_id == made.task_id  # type: ignore[union-attr] # an image
            assert held

    run(main())


@pytest.mark.parametrize("wait", ["nothing", "the result", "a turn of the loop"])
def test_a_job_that_is_cancelled_just_before_the_close_is_not_resumed(tmp_path: Path, wait: str) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1), ledger=tmp_path / "jobs.db") as client:
            jobs = [client.enqueue(lake(number)) for number in range(4)]
            await asyncio.gather(*(job.stored for job in jobs))
            assert jobs[3].cancel() is jobs[3].cancel() is JobState.PLANNED
            if wait == "the result":
                with pytest.raises(JobCancelled, match="nothing was sent"):
                    await jobs[3].result()
                assert jobs[3].state is JobState.FAILED
            elif wait == "a turn of the loop":
                await asyncio.sleep(0)
        async with client_of(service, configured(images=1), ledger=tmp_path / "jobs.db") as client:
            assert (await client.job(jobs[3].id)).state is JobState.FAILED
            assert len(await client.resume()) == 3
        assert statistics(service)["image"] == 3

    run(main())


def test_a_job_that_is_cancelled_while_it_enters_the_ledger_is_not_resumed(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        for turns in range(12):
            async with client_of(service, ledger=tmp_path / "jobs.db") as client:
                job = client.enqueue(lake(turns))
                for _ in range(turns):
                    await asyncio.sleep(0)
                job.cancel()
            async with client_of(service, ledger=tmp_path / "jobs.db") as client:
                assert await client.resume() == []
        assert statistics(service)["image"] == 0

    run(main())
