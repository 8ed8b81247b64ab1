"""The service's queue: a task that waits in it is waited for, keeps its slot, and has a deadline of its own."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import AigcClient, Config, ImageRequest, JobState, Kind, TaskTimeout, VideoRequest
from mps_aigc_async.testing import run, wall

from ..queues import Made, Queues


def opened(service: Queues, config: Config, ledger: Path | None = None) -> AigcClient:
    """A client of the stand-in."""
    return AigcClient(config, endpoint="http://127.0.0.1:80", ledger=ledger, transport=lambda: service, wall=wall)


def videos(count: int) -> list[VideoRequest]:
    return [
        VideoRequest(id=f"{number}", prompt=f"{number}", model_name="Kling", model_version="3.0")
        for number in range(count)
    ]


ALL = [
    Queues("mps"), Queues("vod"), *(Queues("relay", word=word) for word in ("NOT_START", "SUBMITTED", "QUEUED")),
]  # fmt: skip


@pytest.mark.parametrize("strategy", ["adaptive", "fixed"])
@pytest.mark.parametrize("template", ALL, ids=lambda service: f"{service.backend} {service.word}")
def test_twelve_tasks_are_all_waited_for_where_the_service_works_on_one_at_a_time(
    template: Queues, strategy: str
) -> None:
    """Each runs for 20 minutes, so that the last of five waits for longer than a run may last."""

    async def main() -> None:
        service, most = Queues(template.backend, run_s=1200, word=template.word), 0
        caps = {"maxVideoTasks": 5, "pollIntervalMs": 60000, "pollStrategy": strategy}
        async with opened(service, service.config(concurrency=caps)) as client:
            async for outcome in client.run(videos(12)):
                assert outcome.ok, outcome.error
                most = max(most, client.statistics().slots[Kind.VIDEO].most_taken)
        assert (len(service.tasks), most) == (12, 5)

    run(main())


def test_more_than_the_cap_are_never_at_the_service(tmp_path: Path) -> None:
    """A task seen waiting keeps its slot: at every create, at most four others have not ended."""

    async def main() -> None:
        service = Queues("vod", run_s=1200)
        async with opened(service, service.config(), tmp_path / "jobs.db") as client:
            assert all([outcome.ok async for outcome in client.run(videos(12))])
        made = list(service.tasks.values())
        assert max(sum(1 for other in made if other.at <= task.at < other.ends) for task in made) == 5

    run(main())


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
def test_a_queue_is_waited_for_after_a_restart_too_and_nothing_is_created_twice(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger, done = Queues(backend, run_s=1200), tmp_path / "jobs.db", set[str]()
        for seconds in (1000, 3000, 4000):
            async with opened(service, service.config(), ledger) as client:
                try:
                    async with asyncio.timeout(seconds):
                        async for outcome in client.run(videos(12)):
                            assert outcome.ok, outcome.error
                            done.add(outcome.job_id)
                except TimeoutError:
                    pass
        async with opened(service, service.config(), ledger) as client:
            assert all([outcome.ok async for outcome in client.run(videos(12))])
        assert len(service.tasks) == 12

    run(main())


def test_the_queues_deadline_is_a_setting_of_its_own() -> None:
    async def main() -> None:
        service = Queues("vod", run_s=10_000)
        async with opened(service, service.config(timeouts={"videoSeconds": 20_000, "queueSeconds": 3000})) as client:
            first = asyncio.create_task(client.generate(videos(1)[0]))
            await asyncio.sleep(1)
            began = wall()
            with pytest.raises(TaskTimeout, match=r"not begun.*queueSeconds") as caught:
                await client.generate(videos(2)[1])
            assert wall() - began == pytest.approx(3000, abs=20)
            assert caught.value.last_status == "WAITING"
            assert (await first).urls

    run(main())


def test_a_task_given_up_in_the_queue_keeps_its_slot_for_as_long_as_it_may_run() -> None:
    """The service has not ended it: it may begin at any moment, and another beside it would be one too many."""

    async def main() -> None:
        service = Queues("vod", run_s=10**9)
        config = service.config(videos=1, timeouts={"videoSeconds": 1800, "queueSeconds": 600})
        async with opened(service, config) as client:
            await client.submit(ImageRequest(prompt="x", model_name="Hunyuan", model_version="3.0"))  # runs for ever
            await asyncio.sleep(1)
            with pytest.raises(TaskTimeout):
                await client.generate(videos(1)[0])
            given_up, slots = wall(), client.statistics().slots
            assert slots[Kind.VIDEO].taken == 1
            assert (await client.counts())[JobState.SUBMITTED] == 2
            waits = asyncio.create_task(client.generate(videos(2)[1]))
            await asyncio.sleep(1790)
            assert len(service.tasks) == 2
            await asyncio.sleep(20)
            assert list(service.tasks.values())[2].at - given_up == pytest.approx(1800, abs=5)
            waits.cancel()

    run(main())


def test_a_task_that_ran_past_its_deadline_gives_its_slot_back() -> None:
    async def main() -> None:
        service = Queues("vod", run_s=10**9)
        async with opened(service, service.config(videos=1)) as client:
            with pytest.raises(TaskTimeout, match="videoSeconds"):
                await client.generate(videos(1)[0])
            assert client.statistics().slots[Kind.VIDEO].taken == 0

    run(main())


REFUSAL = {"Code": "RequestLimitExceeded", "Message": "slow down"}


@pytest.mark.parametrize("refusal", [REFUSAL, {"Code": "InternalError", "Message": ""}], ids=lambda one: one["Code"])
def test_polls_that_are_refused_while_a_task_waits_end_no_waiting(refusal: dict[str, str]) -> None:
    async def main() -> None:
        service = Queues("vod", run_s=1700)
        service.refused_polls = {"Response": {"Error": refusal, "RequestId": "r"}}
        async with opened(service, service.config()) as client:
            outcomes = await asyncio.gather(*(client.generate(request) for request in videos(3)))
        assert all(outcome.urls for outcome in outcomes)
        assert len(service.tasks) == 3

    run(main())


class Ahead(Queues):
    """Its outer word says that a task is in progress while the task's own member says that it waits."""

    inner = "WAITING"

    def _vod(self, task: Made, now: float) -> dict[str, Any]:
        detail = super()._vod(task, now)
        if detail["Status"] == "WAITING":
            detail["Status"] = "PROCESSING"
            detail["AigcVideoTask"] = {**detail["AigcVideoTask"], "Status": self.inner}
        return detail


class Unheard(Queues):
    """Its word for a task that waits is in no document."""

    def _vod(self, task: Made, now: float) -> dict[str, Any]:
        detail = super()._vod(task, now)
        return detail | ({"Status": "PENDING"} if detail["Status"] == "WAITING" else {})


@pytest.mark.parametrize("sort", [Ahead, Unheard])
def test_the_runs_deadline_begins_with_a_word_that_is_known_to_mean_a_run(sort: type[Queues]) -> None:
    async def main() -> None:
        service = sort("vod", run_s=1700)
        async with opened(service, service.config()) as client:
            assert all([outcome.ok async for outcome in client.run(videos(4))])
        assert len(service.tasks) == 4

    run(main())
