"""RequestLimitExceeded for concurrency: a model's creates wait for its tasks, the others go on at the full rate."""

import asyncio
import json
from collections.abc import Sequence
from itertools import chain

import pytest
from aiohttp import web

from mps_aigc_async import AigcClient, Config, Kind, Outcome, TooManyTasks, VideoRequest
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model.events import Event, Retried, Throttled
from mps_aigc_async.model.results import Result
from mps_aigc_async.model.states import Ending
from mps_aigc_async.testing import run, wall
from mps_aigc_async.wire import mps_errors

from ..support import KEYS, configured
from .crowded import SILENT, TELLING, Crowded, CrowdedTransport, serving

CREATE = "CreateAigcVideoTask"
H3, KLING = "Hailuo H3", "Kling 3.0"


def requests(model: str, count: int) -> list[VideoRequest]:
    name, version = model.split()
    return [VideoRequest(id=f"{name}-{n}", prompt="x", model_name=name, model_version=version) for n in range(count)]


async def _all(client: AigcClient, batch: Sequence[BatchItem]) -> list[Outcome[BatchItem, Result]]:
    return [outcome async for outcome in client.run(batch)]


def open_client(service: Crowded, videos: int) -> AigcClient:
    return AigcClient(configured(videos=videos), transport=lambda: CrowdedTransport(service), wall=wall)


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The words of a service that names concurrency as the cause. The row stands for the dialect's reading of them."""
    code = "RequestLimitExceeded.Concurrency"
    monkeypatch.setitem(mps_errors.BY_CODE, code, (TooManyTasks, Ending.REFUSED_FOR_NOW))
    return {"message": TELLING, "code": code}


@pytest.fixture(params=["silent", "telling"])
def service_of_ten(request: pytest.FixtureRequest, telling: dict[str, str]) -> dict[str, str]:
    """The words of a service whose model runs ten tasks."""
    return telling if request.param == "telling" else {"message": SILENT}


def test_forty_creates_of_a_model_that_runs_ten_are_all_done(service_of_ten: dict[str, str]) -> None:
    async def main() -> None:
        service = Crowded(wall, {H3: 10}, **service_of_ten)  # type: ignore[arg-type]
        async with open_client(service, videos=40) as client:
            outcomes = await _all(client, requests(H3, 40))
            assert [outcome.error for outcome in outcomes if not outcome.ok] == []
            assert client.statistics().paces[CREATE].rate == 10
            assert client.statistics().slots[Kind.VIDEO].learned_cap is None
        assert service.tasks_by_model == {H3: 40}
        took = service.creates[-1][0] - service.creates[0][0]
        assert took < 4 * (60 + 20)
        # The creates under way at the first refusal, a row that proves the cause (a window or two), a probe each 20 s.
        assert len(service.refusals) <= 25 + took / 20

    run(main())


def test_the_cap_is_learned_by_model_and_shown(service_of_ten: dict[str, str]) -> None:
    async def main() -> None:
        service = Crowded(wall, {H3: 10}, **service_of_ten)  # type: ignore[arg-type]
        async with open_client(service, videos=60) as client:
            batch = asyncio.create_task(_all(client, requests(H3, 40)))
            await asyncio.sleep(10)
            slots = client.statistics().slots[Kind.VIDEO]
            assert (slots.learned_model_caps, slots.learned_cap, slots.taken) == ({H3: 10}, None, 10)
            await batch

    run(main())


def test_creates_of_other_models_go_on_at_the_full_rate(service_of_ten: dict[str, str]) -> None:
    """All creates of the refused model stand at the head of the batch."""

    async def main() -> None:
        service = Crowded(wall, {H3: 10}, **service_of_ten)  # type: ignore[arg-type]
        async with open_client(service, videos=100) as client:
            began = wall()
            outcomes = await _all(client, [*requests(H3, 60), *requests(KLING, 60)])
            assert all(outcome.ok for outcome in outcomes)
            assert client.statistics().paces[CREATE].rate == 10
        times = [at - began for at, model in service.creates if model == KLING]
        # 120 creates at 10/s are 12 s; the refused ones are sent once or twice more.
        assert times[-1] < 17
        # Meanwhile the other model's creates have the whole rate.
        assert (len(times) - 1) / (times[-1] - times[0]) > 9
        assert service.over_rate == 0

    run(main())


def test_a_time_named_beside_concurrency_holds_back_that_model_alone(telling: dict[str, str]) -> None:
    async def main() -> None:
        service = Crowded(wall, {H3: 2}, task_s=10.0, retry_after="45", **telling)  # type: ignore[arg-type]
        async with open_client(service, videos=40) as client:
            items = chain.from_iterable(zip(requests(H3, 6), requests(KLING, 6), strict=True))
            outcomes = await _all(client, list(items))
            assert all(outcome.ok for outcome in outcomes)
        first = service.refusals[0][0]
        assert [at for at, model in service.creates if model == H3 and first + 1 < at < first + 45] == []
        assert max(at for at, model in service.creates if model == KLING) - first < 3

    run(main())


def test_models_take_turns_at_the_rate() -> None:
    """Every other create is of the refused model."""

    async def main() -> None:
        service = Crowded(wall, {H3: 2})
        async with open_client(service, videos=40) as client:
            items = chain.from_iterable(zip(requests(H3, 20), requests(KLING, 20), strict=True))
            outcomes = await _all(client, list(items))
            assert all(outcome.ok for outcome in outcomes)
        assert max(at for at, model in service.creates if model == KLING) - service.creates[0][0] < 8

    run(main())


def test_many_items_of_the_refused_model_do_not_hide_the_others() -> None:
    """Reading goes on while a model's creates wait for its room: up to all the places that a batch has."""

    async def main() -> None:
        service = Crowded(wall, {H3: 2}, task_s=600.0)
        async with open_client(service, videos=20) as client:
            began = wall()
            batch = asyncio.create_task(_all(client, [*requests(H3, 110), *requests(KLING, 18)]))
            await asyncio.sleep(60)
            assert service.tasks_by_model == {H3: 2, KLING: 18}
            assert max(at for at, model in service.creates if model == KLING) - began < 30
            batch.cancel()
            await asyncio.wait({batch})

    run(main())


def test_a_single_create_is_not_given_up_while_other_clients_fill_its_model() -> None:
    """No task of ours runs there. Without patience the create had six sends in a second and a half."""

    async def main() -> None:
        service = Crowded(wall, {H3: 0})
        events: list[Event] = []
        async with open_client(service, videos=5) as client:
            client.on_event(events.append)
            one = asyncio.create_task(client.generate(requests(H3, 1)[0]))
            await asyncio.sleep(300)
            service.open_to_all()
            assert (await one).urls
            assert client.statistics().paces[CREATE].rate == 10
        assert len(service.refusals) <= 7 + 300 / 20
        waits = [event.delay_s for event in events if isinstance(event, Retried)]
        assert waits[-1] == 20

    run(main())


def test_a_stray_refusal_of_a_single_create_is_soon_over() -> None:
    """Another process used the rate for a moment."""

    async def main() -> None:
        service = Crowded(wall, {H3: 0})
        async with open_client(service, videos=5) as client:
            client.on_event(lambda event: service.open_to_all() if isinstance(event, Retried) else None)
            began = wall()
            await client.submit(requests(H3, 1)[0])
            assert wall() - began < 2

    run(main())


def test_beside_a_process_that_takes_most_of_the_rate_all_are_done_and_the_pace_slows() -> None:
    async def main() -> None:
        service = Crowded(wall, {})
        events: list[Event] = []

        async def stranger() -> None:
            while True:
                service.answer(CREATE, {"ModelName": "Other", "ModelVersion": "1"})
                await asyncio.sleep(1 / 7)

        other = asyncio.create_task(stranger())
        async with open_client(service, videos=200) as client:
            client.on_event(events.append)
            outcomes = await _all(client, [*requests(H3, 60), *requests(KLING, 60)])
            assert [outcome.error for outcome in outcomes if not outcome.ok] == []
            assert any(isinstance(event, Throttled) for event in events)
        other.cancel()
        ours = [at for at, model in service.creates if model in (H3, KLING)]
        assert ours[-1] - ours[0] < 60  # 120 creates at the 3/s that are left: 40 s

    run(main())


@pytest.mark.parametrize("rate", [1, 2, 5])
def test_a_service_with_a_lower_rate_than_documented_is_used_for_the_most_part(rate: int) -> None:
    """Its refusals look like refusals of concurrency. At 20 s for each, the batch took up to eight times as long."""

    async def main() -> None:
        service = Crowded(wall, {}, rate=rate)
        async with open_client(service, videos=200) as client:
            outcomes = await _all(client, requests(H3, 60))
            assert [outcome.error for outcome in outcomes if not outcome.ok] == []
        assert service.creates[-1][0] - service.creates[0][0] < 60 / rate * 1.7

    run(main())


def test_a_process_that_sends_in_bunches_costs_few_creates_their_turn() -> None:
    async def main() -> None:
        service = Crowded(wall, {})

        async def stranger() -> None:
            while True:
                for _ in range(9):
                    service.answer(CREATE, {"ModelName": "Other", "ModelVersion": "1"})
                await asyncio.sleep(1)

        other = asyncio.create_task(stranger())
        async with open_client(service, videos=40) as client:
            outcomes = await _all(client, requests(H3, 120))
            assert [outcome.error for outcome in outcomes if not outcome.ok] == []
        other.cancel()
        ours = [at for at, model in service.creates if model == H3]
        assert ours[-1] - ours[0] < 240  # the other process leaves one create a second: 120 s

    run(main())


async def test_over_real_sockets_a_crowded_model_is_made_and_the_others_are_not_slowed() -> None:
    loop = asyncio.get_running_loop()
    service = Crowded(loop.time, {H3: 3}, rate=50, task_s=0.2)

    def answer(request: web.Request, body: bytes) -> web.Response:
        response = service.answer(request.headers["X-TC-Action"], json.loads(body))
        return web.json_response({"Response": {**response, "RequestId": "r-1"}})

    async with serving(answer) as url:
        config = Config.parse(
            {
                "tencentCloud": {**KEYS, "endpoint": url},
                "limits": {CREATE: 50},
                "concurrency": {"maxVideoTasks": 20, "pollIntervalMs": 100, "pollStrategy": "fixed"},
            }
        )
        async with AigcClient(config) as client:
            outcomes = await _all(client, [*requests(H3, 12), *requests(KLING, 12)])
            assert [outcome.error for outcome in outcomes if not outcome.ok] == []
            assert client.statistics().slots[Kind.VIDEO].taken == 0
    assert service.tasks_by_model == {H3: 12, KLING: 12}
    assert service.over_rate == 0
