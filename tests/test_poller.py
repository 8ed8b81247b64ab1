"""Polling: one poll per interval and task, earliest due first, on while the task runs and no longer."""

import asyncio
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from mps_aigc_async import AigcClient, ImageRequest, JobState, Kind, TaskNotFound, TaskStatus, VideoRequest
from mps_aigc_async.calls import Calls
from mps_aigc_async.emulator import Service
from mps_aigc_async.limits import AccountLimits
from mps_aigc_async.ownership import Owner
from mps_aigc_async.poller import Poller
from mps_aigc_async.tempo import Fixed
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.transport import Gate, Sent, unheard
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest
from mps_aigc_async.wire.mps import Mps
from mps_aigc_async.wire.vod import Vod

from .support import client_of, configured, in_memory


def polls(service: Service, action: str = "DescribeAigcImageTask") -> dict[str | None, list[float]]:
    """Arrival times by task."""
    times = defaultdict[str | None, list[float]](list)
    for arrival in service.arrivals:
        if arrival.action == action:
            times[arrival.task_id].append(arrival.at)
    return times


def test_a_task_is_asked_about_at_the_interval_and_not_after_its_end() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with client_of(service, configured(poll_ms=5000)) as client:
            await client.generate(ImageRequest(prompt="x"))
            await asyncio.sleep(100)
        ((times),) = polls(service).values()
        assert len(times) == 12 or len(times) == 13  # every 5 s until the first poll after 60 s
        assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx(
            [5.0] * (len(times) - 1), abs=0.3
        )

    run(main())


def test_under_pressure_the_polls_share_the_actions_pace_evenly() -> None:
    """60 tasks at one poll a second want three times what 20 a second gives: nobody starves, nobody is refused."""

    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with client_of(service, configured(images=60, poll_ms=1000, poll_strategy="fixed")) as client:
            async for outcome in client.run([ImageRequest(prompt=f"{number}") for number in range(60)]):
                assert outcome.ok
        assert service.statistics(wall()).refused == {}
        counts = [len(times) for times in polls(service).values()]
        assert len(counts) == 60
        assert max(counts) - min(counts) <= 4
        longest = max(later - earlier for times in polls(service).values() for earlier, later in pairwise(times))
        assert longest < 60 / 20 * 1.05 + 0.3

    run(main())


@pytest.mark.parametrize("step_s", [-240.0, 240.0])
def test_a_machines_clock_that_is_put_right_delays_no_poll(step_s: float) -> None:
    async def main() -> None:
        service, step = in_memory(image_seconds=(60, 60)), 0.0

        def stepped() -> float:
            return wall() + step

        config = configured(timeouts={"imageSeconds": 7200})
        transport = partial(InMemoryTransport, service, wall, latency_s=0.2)
        async with AigcClient(config, transport=transport, wall=stepped) as client:
            begun = wall()
            image = asyncio.create_task(client.generate(ImageRequest(prompt="a cat")))
            while not (times := polls(service)) or len(*times.values()) < 3:  # noqa: ASYNC110 — while one is under way
                await asyncio.sleep(0.01)
            step = step_s
            await image
            assert wall() - begun < 60 + 7

    run(main())


def test_tasks_that_ended_before_they_were_resumed_teach_no_tempo(tmp_path: Path) -> None:
    async def main() -> None:
        ledger, service = tmp_path / "jobs.db", in_memory(image_seconds=(60, 60), max_running={"image": 100})
        batch = [ImageRequest(id=f"{number}", prompt="a cat") for number in range(60)]
        async with client_of(service, configured(images=60), ledger=ledger) as client:
            tasks = [await client.submit(request) for request in batch]
        await asyncio.sleep(8 * 3600)
        async with client_of(service, configured(images=60), ledger=ledger) as client:
            await asyncio.gather(*(client.attach("image", task.task_id).wait() for task in tasks))
            dog = await client.generate(ImageRequest(prompt="a dog"))
        assert len(polls(service)[dog.task_id]) >= 60 / 5

    run(main())


async def test_kinds_that_share_an_action_share_its_rate() -> None:
    """VOD asks about images and videos by one action: the tasks of both count for how far apart their polls must be."""
    limits = AccountLimits({}, 20, {Kind.IMAGE: 30, Kind.VIDEO: 30})
    for kind in (Kind.IMAGE, Kind.VIDEO):
        for number in range(30):
            limits.slots[kind].adopt(f"{kind} {number}")
    calls = cast("Calls", None)  # asks nothing
    for dialect, spacing_s in ((Mps(), 1.5), (Vod(sub_app_id=1), 3.0)):
        poller = Poller(calls, dialect, limits, Owner(), tempo=Fixed(), interval_s=1.0, wall=time.time)
        assert poller._spacing_s(Kind.IMAGE) == poller._spacing_s(Kind.VIDEO) == spacing_s


def test_a_failed_poll_is_repeated_at_growing_intervals_and_loses_nothing() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        service.faults.add(action="DescribeAigcImageTask", fault="http_status", status=502, times=4)
        async with client_of(service, configured(poll_ms=5000)) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
        times = [arrival.at for arrival in service.arrivals if arrival.action == "DescribeAigcImageTask"]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[:4] == pytest.approx([5, 10, 20, 40], abs=0.3)

    run(main())


@pytest.mark.parametrize("code", ["AuthFailure.SecretIdNotFound", "InternalError", "RequestLimitExceeded", "New.Code"])
def test_a_paid_task_is_polled_on_through_every_refusal_that_may_pass(code: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcVideoTask", fault="error", code=code, times=3)
        async with client_of(service) as client:
            assert (await client.generate(VideoRequest(prompt="x"))).urls

    run(main())


def test_a_task_the_service_does_not_know_ends_at_once() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            with pytest.raises(TaskNotFound) as caught:
                await client.attach("image", "4-AigcImage-nobody").wait()
            assert caught.value.task_id == "4-AigcImage-nobody"
            assert client.statistics().slots[Kind.IMAGE].running == 0

    run(main())


def test_images_and_videos_do_not_wait_for_each_others_polls() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60), video_seconds=(60, 60))
        async with client_of(service, configured(images=100, videos=5, poll_ms=1000)) as client:
            images = [ImageRequest(prompt=f"{number}") for number in range(100)]
            videos = [VideoRequest(prompt=f"{number}") for number in range(5)]
            async for _ in client.run([*videos, *images]):
                pass
        for times in polls(service, "DescribeAigcVideoTask").values():
            assert max(later - earlier for earlier, later in pairwise(times)) < 1.3

    run(main())


def test_a_status_that_no_document_knows_is_polled_on_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Paused(InMemoryTransport):
        """The first ten polls are answered with a word of the service's own."""

        left = 10

        async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = unheard) -> HttpAnswer:
            answer = await super().exchange(request, gate, sent)
            if request.headers["X-TC-Action"].startswith("Describe") and self.left:
                self.left -= 1
                return replace(answer, body=answer.body.replace(b'"RUN"', b'"PAUSED"').replace(b'"WAIT"', b'"PAUSED"'))
            return answer

    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Paused(service, wall)) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
        assert caplog.text.count("unknown status 'PAUSED'") == 1

    run(main())


def test_a_bug_in_decoding_reaches_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> TaskStatus:
        raise ZeroDivisionError

    monkeypatch.setattr("mps_aigc_async.wire.mps._decode_status", broken)

    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            with pytest.raises(ZeroDivisionError):
                await client.generate(ImageRequest(prompt="x"))
            assert client.statistics().slots[Kind.IMAGE].running == 0

    run(main())


def test_who_stops_waiting_for_a_task_takes_nobody_with_them() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with client_of(service, configured()) as client:
            task = await client.submit(ImageRequest(prompt="x"))
            attached = client.attach("image", task.task_id)
            waiting = [asyncio.create_task(task.wait()), *(asyncio.create_task(attached.wait()) for _ in range(3))]
            await asyncio.sleep(20)
            waiting[0].cancel()
            waiting[2].cancel()
            await asyncio.sleep(20)
            urls = [(await one).urls for one in (waiting[1], waiting[3], asyncio.create_task(attached.wait()))]
            assert urls[0] == urls[1] == urls[2] != ()
            assert waiting[0].cancelled()
            assert waiting[2].cancelled()

    run(main())


def test_a_task_done_while_nobody_waited_is_in_the_ledger() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.submit(ImageRequest(id="x", prompt="x"))
            assert client.statistics().polling == 1
            await asyncio.sleep(300)
            assert client.statistics().polling == 0
            assert await client.counts() == {JobState.DONE: 1}

    run(main())
