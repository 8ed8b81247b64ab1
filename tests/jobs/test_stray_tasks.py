"""Tasks that closed clients have left running: an open client polls them while its creates wait for a slot."""

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, ImageRequest, Kind
from mps_aigc_async.emulator import Service
from mps_aigc_async.limits.strays import REASK_S
from mps_aigc_async.testing import run

from ..support import accepted, client_of, configured, in_memory

CREATE, POLL = "CreateAigcImageTask", "DescribeAigcImageTask"
CAP = 3
TASK_S = 200.0


def now() -> float:
    return asyncio.get_running_loop().time()


def polls(service: Service) -> int:
    return sum(arrival.action == POLL for arrival in service.arrivals)


async def leave(service: Service, count: int = CAP) -> list[str]:
    """The TaskIds of the tasks that a closed client leaves running."""
    async with client_of(service, configured(images=CAP)) as client:
        return [
            (await client.submit(ImageRequest(id=f"left-{number}", prompt="a lake"))).task_id for number in range(count)
        ]


async def create(client: AigcClient, name: str = "next") -> None:
    await client.submit(ImageRequest(id=name, prompt="a hill"))


def test_a_create_waits_only_until_tasks_that_a_closed_client_has_left_have_ended() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(TASK_S, TASK_S), max_running={"image": CAP})
        began = now()
        await leave(service)
        async with client_of(service, configured(images=CAP)) as client:
            await asyncio.gather(*(create(client, f"next-{number}") for number in range(CAP)))
            assert now() - began == pytest.approx(TASK_S, abs=30)
        assert accepted(service, CREATE) == 2 * CAP
        assert service.statistics(now()).refused == {}

    run(main())


def test_nobody_polls_what_was_left_while_no_create_waits() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(TASK_S, TASK_S))
        await leave(service, CAP - 1)
        before = polls(service)
        async with client_of(service, configured(images=CAP)) as client:
            await create(client)
            await asyncio.sleep(2.0)
            assert polls(service) == before
            assert client.statistics().slots[Kind.IMAGE].running == CAP

    run(main())


def test_a_task_that_was_taken_over_is_polled_to_its_end_though_nobody_waits_any_more() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(TASK_S, TASK_S))
        await leave(service)
        async with client_of(service, configured(images=CAP)) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10.0):
                    await create(client)
            await asyncio.sleep(TASK_S + 10.0)
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_a_client_that_closes_hands_its_strays_to_another_one() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(TASK_S, TASK_S))
        await leave(service)
        async with client_of(service, configured(images=CAP)) as second:
            async with client_of(service, configured(images=CAP)) as first:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(10.0):
                        await create(first)
            waiting = asyncio.create_task(create(second))
            await asyncio.sleep(TASK_S + 10.0)
            assert waiting.done()
            await waiting

    run(main())


def test_a_task_that_the_service_does_not_know_keeps_its_slot_until_its_deadline() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(TASK_S, TASK_S))
        began = now()
        await leave(service)
        service.faults.add(action=POLL, fault="error", code="ResourceNotFound", times=10_000)
        before = polls(service)
        async with client_of(service, configured(images=CAP, timeouts={"imageSeconds": 1800})) as client:
            waiting = asyncio.create_task(create(client))
            await asyncio.sleep(10 * REASK_S)
            assert polls(service) - before == pytest.approx(10 * CAP, abs=CAP)  # each once in REASK_S
            assert client.statistics().slots[Kind.IMAGE].running == CAP
            assert not waiting.done()
            await waiting
            assert now() - began == pytest.approx(1800.0, abs=60)

    run(main())


def test_an_unknown_create_is_no_stray() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(5.0, 5.0))
        async with client_of(service, configured(images=1)) as client:
            client._usable_engine().account().limits.slots[Kind.IMAGE].take_for(100.0, "unknown create")
            began = now()
            await create(client)
            assert now() - began >= 100.0
        assert {arrival.action for arrival in service.arrivals} == {CREATE}

    run(main())


def test_a_client_of_the_ledger_that_resumes_polls_alone(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with client_of(service, configured(images=1), ledger=ledger) as client:
            await create(client, "left")
        async with client_of(service, configured(images=1)) as other:
            waiting = asyncio.create_task(create(other))
            await asyncio.sleep(12.0)
            async with client_of(service, configured(images=1), ledger=ledger) as client:
                await asyncio.sleep(20.0)
                before = polls(service)
                await asyncio.sleep(50.0)
                assert polls(service) - before <= 50 / 5 + 1
                result = await client.generate(ImageRequest(id="left", prompt="a hill"))
                assert result.urls
                await asyncio.sleep(5.0)
                assert waiting.done()
        await waiting
        assert accepted(service, CREATE) == 2

    run(main())


def test_strays_of_one_vod_application_are_not_asked_of_another() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(TASK_S, TASK_S))

        def of(application: int) -> AbstractAsyncContextManager[AigcClient]:
            mps = {"imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"}}
            return client_of(service, configured(images=1, backend="vod", vod={"subAppId": application}, mps=mps))

        async with of(1) as client:
            await create(client)
        async with of(2) as stranger:
            waiting = asyncio.create_task(create(stranger))
            await asyncio.sleep(TASK_S)
            assert Counter(arrival.action for arrival in service.arrivals)["DescribeTaskDetail"] == 0
            async with of(1):
                await asyncio.sleep(30.0)
            assert waiting.done()
            await waiting

    run(main())
