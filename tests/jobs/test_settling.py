"""The user's word on jobs: settled, tried again, dropped."""

import asyncio

import pytest

from mps_aigc_async import (
    Attach,
    CreateAgain,
    CreateOutcomeUnknown,
    Drop,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobDropped,
    JobState,
    Kind,
    ServiceError,
    TaskFailed,
    VideoRequest,
)
from mps_aigc_async.model.settlement import Settlement
from mps_aigc_async.testing import run, wall

from ..support import Heard, accepted, client_of, in_memory
from .support import CAT, lost, row_of


def test_an_unknown_job_is_created_again_at_the_users_word_alone() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await lost(client, service)
            with pytest.raises(CreateOutcomeUnknown):  # asked for again it is not sent again
                await client.generate(CAT)
            assert accepted(service, "CreateAigcImageTask") == 1
            assert (await client.settle("cat/image", CreateAgain())).state is JobState.PLANNED
            assert await client.unknown() == []
            assert (await client.generate(CAT)).urls
            assert (await row_of(client, "cat/image")).error == {}
        assert accepted(service, "CreateAigcImageTask") == 2

    run(main())


def test_the_task_of_an_unknown_job_is_attached_and_polled_to_its_end() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            heard = Heard(client)
            await lost(client, service)
            (task_id,) = [arrival.task_id for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
            assert task_id is not None
            settled = await client.settle("cat/image", Attach(task_id))
            assert (settled.state, settled.task_id) == (JobState.SUBMITTED, task_id)
            result = await client.generate(CAT)
            assert result.task_id == task_id
            assert result.expires_at is not None
            assert result.expires_at.timestamp() <= wall() + 12 * 3600
            assert heard.names("cat/image") == ["Planned", "Paced", "Unknown", "Submitted", "Done"]
            await asyncio.sleep(400)  # the slot of the unknown create is back as well
            assert client.statistics().slots[Kind.IMAGE].taken == 0
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_task_that_is_waited_for_already_leaks_no_slot_when_its_job_gets_it() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(100, 100))
        async with client_of(service) as client:
            await lost(client, service)
            (task_id,) = [arrival.task_id for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
            assert task_id is not None
            waiting = asyncio.create_task(client.attach("image", task_id).wait())
            await asyncio.sleep(1)
            await client.settle("cat/image", Attach(task_id))
            assert client.statistics().slots[Kind.IMAGE].taken == 1
            assert (await client.generate(CAT)).urls == (await waiting).urls
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_a_dropped_job_has_failed_and_stays_so() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await lost(client, service)
            assert (await client.settle("cat/image", Drop())).state is JobState.FAILED
            with pytest.raises(JobDropped, match="given up"):
                await client.generate(CAT)
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_what_failed_is_tried_again_at_the_users_word_alone() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            service.faults.add(fault="error", code="InvalidParameterValue.ModelName")
            dog = ImageRequest(id="dog", prompt="a dog")
            for _ in range(2):
                with pytest.raises(ServiceError, match="ModelName"):
                    await client.generate(dog)
            assert accepted(service, "CreateAigcImageTask") == 1
            assert [job.job_id for job in await client.retry_failed()] == ["dog/image"]
            assert await client.counts() == {JobState.DONE: 1, JobState.PLANNED: 1}
            assert (await client.generate(dog)).urls
            assert (await row_of(client, "dog/image")).attempts == 2
            assert await client.retry_failed() == []
        assert accepted(service, "CreateAigcImageTask") == 2

    run(main())


def test_of_a_chain_only_the_failed_step_is_tried_again() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            chain = ImageToVideo(id="a", image=ImageRequest(prompt="a"), video=VideoRequest(prompt="fail-later"))
            with pytest.raises(TaskFailed) as failed:
                await client.generate(chain)
            await client.retry_failed()
            with pytest.raises(TaskFailed) as again:
                await client.generate(chain)
            assert again.value.task_id != failed.value.task_id
            assert again.value.partial == failed.value.partial
        assert service.statistics(wall()).created == {"image": 1, "video": 2, "audio": 0}

    run(main())


def test_a_task_that_was_not_found_is_asked_about_again_and_not_paid_for_twice() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcImageTask", fault="error", code="FailedOperation.TaskNotFound", times=3)
        async with client_of(service) as client:
            task = await client.submit(CAT)
            with pytest.raises(ServiceError, match="TaskNotFound"):
                await task.wait()
            (tried,) = await client.retry_failed()
            assert (tried.state, tried.task_id) == (JobState.SUBMITTED, task.task_id)
            assert (await client.generate(CAT)).task_id == task.task_id
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_task_planned_again_says_so_to_who_waits_for_the_old_one() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            task = await client.submit(ImageRequest(id="x", prompt="fail-later"))
            with pytest.raises(TaskFailed):
                await task.wait()
            await client.retry_failed()
            with pytest.raises(InvalidRequest, match="planned again meanwhile"):
                await task.wait()
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_a_dropped_job_is_not_tried_again_with_what_failed() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await lost(client, service)
            await client.settle("cat/image", Drop())
            assert await client.retry_failed() == []
            with pytest.raises(JobDropped):
                await client.generate(CAT)
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


@pytest.mark.parametrize("how", [CreateAgain(), Attach("4-AigcImage-x"), Drop()], ids=lambda how: type(how).__name__)
def test_only_an_unknown_job_can_be_settled(how: Settlement) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            before = await row_of(client, "cat/image")
            with pytest.raises(InvalidRequest, match="the job is done: only one of unknown outcome"):
                await client.settle("cat/image", how)
            with pytest.raises(InvalidRequest, match=r"is not in the ledger.*job dog/image"):
                await client.settle("dog/image", how)
            assert await row_of(client, "cat/image") == before

    run(main())


def test_a_task_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            known = await client.generate(ImageRequest(id="dog", prompt="a dog"))
            await lost(client, service)
            with pytest.raises(InvalidRequest, match="is dog/image's already"):
                await client.settle("cat/image", Attach(known.task_id))
            with pytest.raises(ServiceError, match="job cat/image"):
                await client.settle("cat/image", Attach("4-AigcImage-nobody"))
            assert [job.job_id for job in await client.unknown()] == ["cat/image"]

    run(main())
