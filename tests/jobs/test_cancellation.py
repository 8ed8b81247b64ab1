"""Cancellation at any await: nothing is made twice, nothing is lost, and no slot, task or file is left behind."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar

import pytest

from mps_aigc_async import AigcClient, ImageRequest, ImageToVideo, JobState, Kind, VideoRequest
from mps_aigc_async.emulator import Emulator, Service
from mps_aigc_async.jobs.terms import Terms
from mps_aigc_async.model.requests import Request
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.network.folders import Folder
from mps_aigc_async.network.partfile import Part, open_part, sync
from mps_aigc_async.network.places import LeastSpeed
from mps_aigc_async.testing import forget_limits, run, wall

from ..support import KEYS, client_of, configured, in_memory
from ..test_fault_table import open_in

T = TypeVar("T")

CHAIN = ImageToVideo(id="shot", image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="ripples"))


class At(Generic[T]):
    """Awaits `work`, and does something at its suspension number `at`: whatever it awaits there, however deep."""

    def __init__(self, work: Coroutine[Any, Any, T], at: int, do: Callable[[], object]) -> None:
        self._work, self._at, self._do = work, at, do
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        go_on: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                awaited = go_on()
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return] # of the coroutine's own type
            if self.suspensions == self._at:
                self._do()
            self.suspensions += 1
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 — handed on into the coroutine
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(steps.send, None)


class FromNowhere(Downloads):
    """Fetches without a network; all else is as it is: places, the part file, its name."""

    async def _fetch(self, url: str, part: Part, kind: Kind, speed: LeastSpeed) -> str:  # noqa: ARG002 — as overridden
        await asyncio.sleep(0.3)
        file = await open_part(part)
        try:
            part.size += await asyncio.to_thread(file.write, url.encode())
            await asyncio.to_thread(sync, file, part.size)
        finally:
            file.close()
        return ".png" if kind is Kind.IMAGE else ".mp4"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", FromNowhere)


async def at(client: AigcClient, number: int, folder: Path, do: Callable[[asyncio.Task[object]], object]) -> bool:
    """Make a chain, and do something to its task at its suspension of this number; whether it had one."""
    runner = await client._usable_engine().runner(client._ledger)
    tasks: list[asyncio.Task[object]] = []
    work = At(runner.outcome(CHAIN, "shot", Terms(Folder(folder))), number, lambda: do(tasks[0]))

    async def caller() -> object:
        return await work

    tasks.append(client._usable_engine().work.start(caller(), "the chain"))
    await asyncio.wait(tasks)
    return work.suspensions > number


async def check_all_is_given_back(client: AigcClient, service: Service) -> None:
    await asyncio.sleep(900)
    statistics = client.statistics()
    assert {kind: slots.taken for kind, slots in statistics.slots.items()} == dict.fromkeys(Kind, 0)
    assert (statistics.polling, statistics.creating) == (0, 0)
    assert all(pace.waiting == 0 for pace in statistics.paces.values())
    assert service.statistics(wall()).running == {"image": 0, "video": 0, "audio": 0}


def test_a_chain_cancelled_at_any_await_is_finished_by_the_next_call(tmp_path: Path) -> None:
    async def main(number: int) -> bool:
        service, folder = in_memory(image_seconds=(12, 12), video_seconds=(12, 12)), tmp_path / str(number)
        folder.mkdir()
        async with client_of(service, ledger=folder / "ledger.db") as client:
            cancelled = await at(client, number, folder, asyncio.Task.cancel)
            result = await client.generate(CHAIN, save_to=folder)
            assert [path.name for path in (*result.image.files, *result.video.files)] == ["shot.png", "shot.mp4"]
            assert await client.counts() == {JobState.SAVED: 2}
            await check_all_is_given_back(client, service)
        assert service.statistics(wall()).created == {"image": 1, "video": 1, "audio": 0}
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert open_in(folder) == []
        return cancelled

    number = 0
    while run(main(number)):
        number += 1
    assert number > 15  # pace, slot, create, polls, download and ledger, for both kinds


def test_a_client_closed_at_any_await_of_a_chain_loses_nothing(tmp_path: Path) -> None:
    """What is in flight is answered within the grace; the next client goes on from the ledger."""

    async def main(number: int) -> bool:
        service, folder = in_memory(image_seconds=(12, 12), video_seconds=(12, 12)), tmp_path / str(number)
        folder.mkdir()
        closing: list[asyncio.Task[None]] = []
        async with client_of(service, ledger=folder / "ledger.db", latency_s=0.5) as client:
            await at(client, number, folder, lambda _: closing.append(asyncio.create_task(client.aclose())))
            for closed in closing:
                await closed
        forget_limits()  # a new process knows nothing
        async with client_of(service, ledger=folder / "ledger.db") as client:
            assert JobState.UNKNOWN not in await client.counts()
            await client.generate(CHAIN, save_to=folder)
            await check_all_is_given_back(client, service)
        assert service.statistics(wall()).created == {"image": 1, "video": 1, "audio": 0}
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert open_in(folder) == []
        return bool(closing)

    number = 0
    while run(main(number)):
        number += 1
    assert number > 15


CANCELS = 1000


def test_a_thousand_cancels_at_any_time_leave_nothing_behind() -> None:
    """Callers of single requests and of batches, leaving while others come, two of them under one id now and then."""

    async def main() -> None:
        random, service = Random(7), in_memory()  # reproducible is what it is for
        for action in ("CreateAigcImageTask", "CreateAigcVideoTask", "DescribeAigcImageTask", "DescribeAigcVideoTask"):
            service.faults.add(action=action, fault="delay", seconds=3.0, times=None, probability=0.05)
            service.faults.add(action=action, fault="error", code="RequestLimitExceeded", times=None, probability=0.02)
        async with client_of(service, configured(images=20, videos=10), latency_s=0.2) as client:
            callers = [asyncio.create_task(_called(client, random, number)) for number in range(CANCELS)]
            loop = asyncio.get_running_loop()
            for caller in callers:
                loop.call_later(random.uniform(0, 600), caller.cancel)
            await asyncio.wait(callers)
            await check_all_is_given_back(client, service)
            assert set(await client.counts()) <= {JobState.PLANNED, JobState.DONE}
            # What was paid for is known, to the last task.
            done = (await client.counts())[JobState.DONE]
            assert sum(service.statistics(wall()).created.values()) == done > 20
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


async def _called(client: AigcClient, random: Random, number: int) -> None:
    await asyncio.sleep(random.uniform(0, 300))
    name = f"shot-{number // random.randint(1, 2)}"
    image, video = ImageRequest(prompt="a lake"), VideoRequest(prompt="ripples")
    requests: dict[str, Request] = {
        "image": image.model_copy(update={"id": f"{name}-i"}),
        "video": video.model_copy(update={"id": f"{name}-v"}),
        "chain": ImageToVideo(id=name, image=image, video=video),
    }
    request = requests[random.choice(sorted(requests))]
    if random.random() < 0.2:
        async for _ in client.run([request] * 3):
            if random.random() < 0.5:
                break
    elif isinstance(request, ImageRequest | VideoRequest) and random.random() < 0.3:
        await (await client.submit(request)).wait()
    else:
        await client.generate(request, timeout=random.choice([None, 30.0]))


async def test_cancels_over_real_sockets_leave_no_socket_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Development mode complains of every socket, transport or file that is left to the collector."""
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Downloads)
    random = Random(7)  # as above
    async with Emulator(speed=400) as emulator:
        config = configured(
            images=20, videos=10, poll_ms=100, tencentCloud={**KEYS, "endpoint": emulator.url}, pacing={"jitterMs": 250}
        )
        async with AigcClient(config, ledger=tmp_path / "ledger.db") as client:
            callers = [
                asyncio.create_task(
                    client.generate(CHAIN.model_copy(update={"id": f"shot-{number}"}), save_to=tmp_path)
                )
                for number in range(40)
            ]
            loop = asyncio.get_running_loop()
            for caller in callers:
                loop.call_later(random.uniform(0, 2.5), caller.cancel)
            await asyncio.wait(callers)
            async for outcome in client.run(CHAIN.model_copy(update={"id": f"shot-{number}"}) for number in range(40)):
                assert outcome.ok, outcome.error
        assert emulator.statistics().created == {"image": 40, "video": 40, "audio": 0}
    assert open_in(tmp_path) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
