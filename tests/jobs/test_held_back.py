"""Retry-After holds its action back, for all calls of it; and whose calls count together."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from mps_aigc_async import AigcClient, Config, CreateOutcomeUnknown, ImageRequest, JobState, ServiceError, VideoRequest
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..engine.test_backends import config_of
from ..limits.crowded import serving
from ..limits.measuring import most_in_a_window
from ..support import KEYS, client_of, configured, in_memory

THROTTLED = json.dumps({"Response": {"Error": {"Code": "RequestLimitExceeded", "Message": ""}, "RequestId": "r"}})
UNAVAILABLE = json.dumps({"Response": {"Error": {"Code": "ServiceUnavailable", "Message": ""}, "RequestId": "r"}})
ANSWERS = {
    "MPS, throttled behind 200": (200, THROTTLED.encode()),
    "MPS, unavailable behind 200": (200, UNAVAILABLE.encode()),
    "a gateway's 503": (503, b"<html>down for a while</html>"),
}


class Asking(InMemoryTransport):
    """Answers the calls whose numbers it is given with Retry-After, and hands the others on."""

    def __init__(self, service: Service, asks: Callable[[int], tuple[int, bytes, str] | None], action: str) -> None:
        super().__init__(service, wall, latency_s=0.1)
        self._asks = asks
        self._action = action
        self.sent: list[float] = []
        self.asked: list[float] = []
        """When those answers came."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        if request.headers["X-TC-Action"] != self._action:
            return await super().exchange(request, gate, sent)
        await gate()
        sent()
        self.sent.append(wall())
        told = self._asks(len(self.sent))
        if told is None:
            return await super().exchange(request, _open)
        await asyncio.sleep(0.1)
        self.asked.append(wall())
        return HttpAnswer(told[0], {"retry-after": told[2]}, told[1])


async def _open() -> None:
    """A gate that is passed already."""


def first(status: int, body: bytes, header: str) -> Callable[[int], tuple[int, bytes, str] | None]:
    return lambda number: (status, body, header) if number == 5 else None


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("1.5", 1.5), ("1000000000", 600.0)])
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_create_at_all_goes_out_before_the_time_that_one_was_told(answer: str, header: str, seconds: float) -> None:
    async def main() -> None:
        transport = Asking(in_memory(), first(*ANSWERS[answer], header), "CreateAigcImageTask")
        async with AigcClient(configured(images=60), transport=lambda: transport, wall=wall) as client:
            batch = [ImageRequest(id=f"{number}", prompt="x") for number in range(40)]
            outcomes = [outcome async for outcome in client.run(batch)]
            failed = [outcome.error for outcome in outcomes if outcome.error is not None]
        # Of the 503 nobody knows what became of the create; the others are not touched by that.
        assert [type(error) for error in failed] == [CreateOutcomeUnknown] * answer.startswith("a gateway")
        (asked,) = transport.asked
        assert [at for at in transport.sent if asked < at < asked + seconds] == []
        assert sum(1 for at in transport.sent if at > asked) >= 30

    run(main())


def test_polls_go_on_while_creates_are_held_back() -> None:
    async def main() -> None:
        service = in_memory()
        transport = Asking(service, first(*ANSWERS["a gateway's 503"], "300"), "CreateAigcImageTask")
        async with AigcClient(configured(images=60), transport=lambda: transport, wall=wall) as client:
            batch = [ImageRequest(id=f"{number}", prompt="x") for number in range(20)]
            assert len([error for error in await _outcomes(client, batch) if error is not None]) == 1
        polls = [arrival.at for arrival in service.arrivals if arrival.action == "DescribeAigcImageTask"]
        (asked,) = transport.asked
        assert any(asked < at < asked + 300 for at in polls)

    run(main())


def test_a_poll_that_is_told_to_wait_holds_back_all_polls() -> None:
    async def main() -> None:
        transport = Asking(in_memory(), first(*ANSWERS["a gateway's 503"], "40"), "DescribeAigcImageTask")
        async with AigcClient(configured(images=10), transport=lambda: transport, wall=wall) as client:
            batch = [ImageRequest(id=f"{number}", prompt="x") for number in range(10)]
            assert [outcome.error async for outcome in client.run(batch) if not outcome.ok] == []
        (asked,) = transport.asked
        assert [at for at in transport.sent if asked < at < asked + 40] == []

    run(main())


def test_the_wait_that_the_service_asks_for_is_not_held_against_a_call() -> None:
    """Three times 300 s, and a call's retries may take 120 s."""

    async def main() -> None:
        asks = {1, 2, 3}
        unavailable = ANSWERS["MPS, unavailable behind 200"]
        transport = Asking(
            in_memory(), lambda number: (*unavailable, "300") if number in asks else None, "CreateAigcImageTask"
        )
        async with AigcClient(configured(), transport=lambda: transport, wall=wall) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
        assert len(transport.sent) == 4
        assert all(later - earlier >= 300 for earlier, later in zip(transport.sent, transport.sent[1:], strict=False))

    run(main())


def test_a_date_counts_from_the_services_clock_and_not_from_ours() -> None:
    async def main() -> None:
        service, body = in_memory(), ANSWERS["MPS, unavailable behind 200"][1]

        class Dated(Asking):
            async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
                answer = await super().exchange(request, gate, sent)
                if "retry-after" not in answer.headers:
                    return answer
                return HttpAnswer(200, {**answer.headers, "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, answer.body)

        until = "Thu, 01 Jan 2026 00:00:20 GMT"
        transport = Dated(service, lambda number: (200, body, until) if number == 1 else None, "CreateAigcImageTask")
        async with AigcClient(configured(), transport=lambda: transport, wall=lambda: wall() + 86_400) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
        (asked,) = transport.asked
        assert asked + 20 <= transport.sent[1] < asked + 21

    run(main())


def test_while_creates_are_held_back_none_is_left_in_intent(tmp_path: Path) -> None:
    """A crash in those minutes must make no create unknown that was never sent."""

    async def main() -> None:
        transport = Asking(in_memory(), first(*ANSWERS["MPS, throttled behind 200"], "300"), "CreateAigcImageTask")
        config = configured(images=60)
        client = AigcClient(config, ledger=tmp_path / "jobs.db", transport=lambda: transport, wall=wall)
        async with client:
            batch = [ImageRequest(id=f"{number}", prompt="x") for number in range(40)]
            task = asyncio.create_task(_outcomes(client, batch))
            await asyncio.sleep(100)
            counts = await client.counts()
            assert counts.get(JobState.INTENT, 0) == counts.get(JobState.UNKNOWN, 0) == 0
            assert counts[JobState.PLANNED] > 0
            assert await task == [None] * 40

    run(main())


@pytest.mark.parametrize("action", ["DescribeAigcImageTask", "DescribeAigcTaskList"])
def test_calls_that_were_prepared_before_are_signed_at_the_time_when_they_go_out(action: str) -> None:
    """A signature is refused after 5 minutes: polls, and calls of the user's own."""

    async def main() -> None:
        ages = list[float]()

        class Signed(Asking):
            async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
                async def reached() -> None:
                    await gate()
                    ages.append(wall() - int(request.headers["X-TC-Timestamp"]))

                return await super().exchange(request, reached, sent)

        down = ANSWERS["MPS, throttled behind 200"]
        transport = Signed(in_memory(), lambda number: (*down, "400") if number == 8 else None, action)
        async with AigcClient(configured(images=30, poll_ms=1000), transport=lambda: transport, wall=wall) as client:
            batch = [ImageRequest(id=f"{number}", prompt="x") for number in range(30)]
            asked = [asyncio.create_task(client.call("DescribeAigcTaskList", {"Limit": 1})) for _ in range(30)]
            assert await _outcomes(client, batch) == [None] * 30
            await asyncio.gather(*asked, return_exceptions=True)
        assert transport.asked
        assert transport.sent[-1] > transport.asked[0] + 400
        assert max(ages) < 5

    run(main())


async def _outcomes(client: AigcClient, batch: list[ImageRequest]) -> list[object]:
    return [outcome.error async for outcome in client.run(batch)]


def test_an_action_of_the_users_own_waits_as_well() -> None:
    async def main() -> None:
        body = ANSWERS["MPS, unavailable behind 200"][1]
        transport = Asking(in_memory(), lambda number: (200, body, "50") if number == 1 else None, "DescribeUsageData")
        async with AigcClient(configured(), transport=lambda: transport, wall=wall) as client:
            with pytest.raises(ServiceError):  # the emulator has no such action
                await client.call("DescribeUsageData", {})
        assert transport.sent[1] - transport.asked[0] >= 50

    run(main())


async def test_over_a_real_socket_a_relays_429_holds_back_all_creates() -> None:
    loop, created, asked = asyncio.get_running_loop(), list[float](), list[float]()

    def answer(request: web.Request, _body: bytes) -> web.Response:
        if request.method == "GET":
            files = [{"FileUrl": "https://files.example/1.png"}]
            inner = {"TaskId": "t", "Status": "FINISH", "Output": {"FileInfos": files}}
            detail = {"TaskType": "AigcImageTask", "Status": "FINISH", "AigcImageTask": inner, "RequestId": "r"}
            return web.json_response({"Response": detail})
        created.append(loop.time())
        if len(created) == 3:
            asked.append(loop.time())
            return web.json_response({"error": {"code": "slow_down"}}, status=429, headers={"Retry-After": "1.5"})
        return web.json_response({"Response": {"TaskId": f"t-{len(created)}", "RequestId": "r"}})

    async with serving(answer) as url:
        sections = {"relay": {"baseUrl": url, "apiKey": "RELAYEXAMPLE"}, "limits": {"CreateAigcImageTask": 10}}
        concurrency = {"maxImageTasks": 20, "pollIntervalMs": 100}
        async with AigcClient(config_of("relay", **sections, concurrency=concurrency)) as client:
            batch = [ImageRequest(id=f"{number}", prompt="x") for number in range(8)]
            assert await _outcomes(client, batch) == [None] * 8
    # A call on its way when the client had not heard yet is no fault: half a second for a busy machine.
    assert [at for at in created if asked[0] + 0.5 < at < asked[0] + 1.4] == []
    assert len(created) == 9


# --- whose calls count together ---------------------------------------------------------------------------------------


def test_backends_on_one_endpoint_keep_their_own_limits() -> None:
    """A proxy or the emulator: VOD's 20 creates a second are not MPS's 10."""

    async def main() -> None:
        service = in_memory()
        wide = {"concurrency": {"maxImageTasks": 50, "maxVideoTasks": 50}}
        async with (
            client_of(service, config_of("vod", **wide)) as vod,
            client_of(service, config_of("mps", **wide)) as mps,
        ):
            batch = [VideoRequest(id=f"{number}", prompt="x") for number in range(40)]
            outcomes = await asyncio.gather(*(_videos(client, batch) for client in (vod, mps)))
            assert outcomes == [[None] * 40] * 2
        assert service.statistics(wall()).refused.get("RequestLimitExceeded", 0) == 0

    run(main())


async def _videos(client: AigcClient, batch: list[VideoRequest]) -> list[object]:
    return [outcome.error async for outcome in client.run(batch)]


def test_clients_of_vod_share_one_rate_whatever_region_they_name() -> None:
    async def main() -> None:
        service = in_memory()
        regions = [KEYS, {**KEYS, "region": "ap-guangzhou"}]
        wide = {"concurrency": {"maxImageTasks": 50, "maxVideoTasks": 50}}
        configs = [Config.parse({**_plain("vod"), **wide, "tencentCloud": keys}) for keys in regions]
        async with client_of(service, configs[0]) as one, client_of(service, configs[1]) as other:
            batch = [VideoRequest(id=f"{number}", prompt="x") for number in range(40)]
            await asyncio.gather(*(_videos(client, batch) for client in (one, other)))
        creates = [arrival.at for arrival in service.arrivals if arrival.action == "vod:CreateAigcVideoTask"]
        assert most_in_a_window(creates) <= 20

    run(main())


def _plain(backend: str) -> dict[str, object]:
    return {"backend": backend, "catalog": "off"}


def test_clients_that_name_different_rates_keep_the_lowest() -> None:
    async def main() -> None:
        service = in_memory()
        careful = configured(images=50, limits={"CreateAigcImageTask": 5})
        async with client_of(service, configured(images=50)) as one, client_of(service, careful) as other:
            batch = [ImageRequest(id=f"{number}", prompt="x") for number in range(20)]
            await asyncio.gather(*(_outcomes(client, batch) for client in (one, other)))
            creates = [arrival.at for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
            assert most_in_a_window(creates) <= 5
            await other.aclose()
            assert one.statistics().paces["CreateAigcImageTask"].rate == 20

    run(main())
