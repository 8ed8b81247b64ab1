"""Plans: a run creates exactly what its plan says, at each step of a working day."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    AudioRequest,
    Budget,
    BudgetReached,
    CatalogWarning,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    Kind,
    Plan,
    Standing,
    VideoRequest,
)
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.testing import run

from ..support import client_of, configured, in_memory, statistics

PRICES = {"image": [{"each": 0.2}], "video": [{"model": "Kling", "second": 0.5}]}
MODELS = {
    "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
    "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0", "duration": 5},
}
CONFIG = configured(4, 2, prices=PRICES, mps=MODELS)


def shot(number: int, picture: str = "a lake", film: str = "wind") -> ImageToVideo:
    return ImageToVideo(id=f"shot-{number:02}", image=ImageRequest(prompt=picture), video=VideoRequest(prompt=film))


def planned(plan: Plan) -> dict[str, int]:
    """The number of tasks to create, by kind."""
    tasks = Counter[str]()
    for work in plan.creates:
        tasks[work.kind.value] += work.tasks
    return {kind.value: tasks[kind.value] for kind in Kind}


async def run_as_planned(
    client: AigcClient,
    service: Service,
    batch: list[BatchItem],
    plan: Plan,
    *,
    failing: int = 0,
    budget: Budget | None = None,
) -> Counter[str]:
    """Run the batch; the service has got as many creates as the plan said, without the videos of chains whose image
    fails (`failing`) or whose own create is refused. Return the outcomes by their errors."""
    before, expected = statistics(service), planned(plan)
    expected["video"] -= failing
    outcomes = Counter[str]()
    async for outcome in client.run(batch, budget=budget):
        outcomes[type(outcome.error).__name__] += 1
    after = statistics(service)
    assert {kind: after[kind] - before[kind] for kind in after} == expected
    return outcomes


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "jobs.db" if request.param == "file" else None


def test_a_working_day_goes_as_planned(ledger: Path | None) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, CONFIG, ledger=ledger) as client:
            shots: list[BatchItem] = [shot(number) for number in range(8)]
            shots[2] = shot(2, picture="fail-later at once")
            shots[3] = shot(3, film="forbidden-content")
            plan = client.plan(shots)
            assert plan.requests == {Standing.NEW: 8}
            assert await run_as_planned(client, service, shots[:6], client.plan(shots[:6]), failing=2) == {
                "NoneType": 4, "TaskFailed": 1, "ContentViolation": 1,
            }  # fmt: skip

            plan = client.plan(shots)
            assert plan.requests == {Standing.NEW: 2, Standing.KEPT: 4, Standing.FAILED: 2}
            assert plan.blocked == {Kind.VIDEO: 1}
            await run_as_planned(client, service, shots, plan)

            shots[0] = shot(0, film="a storm")
            shots[1] = shot(1, picture="a hill")
            shots[3] = shot(3, film="a breeze")  # its first content was refused: nothing to pay
            shots.append(shot(8))
            plan = client.plan(shots)
            assert plan.requests == {
                Standing.NEW: 1, Standing.UNDER_WAY: 1, Standing.KEPT: 4, Standing.CONFLICT: 2, Standing.FAILED: 1,
            }  # fmt: skip
            assert [name for name, _ in plan.problems] == ["shot-00", "shot-01"]
            assert "a storm" in plan.problems[0][1]

            plan = client.plan(shots, redo_changed=True)
            assert plan.requests[Standing.CHANGED] == 2
            assert planned(plan) == {"image": 2, "video": 4, "audio": 0}
            for changed in (shots[0], shots[1]):
                assert isinstance(changed, ImageToVideo)
                await client.new_version(changed.id or "", changed)
            await run_as_planned(client, service, shots, plan)

            plan = client.plan(shots, redo=["shot-05"])
            assert planned(plan) == {"image": 1, "video": 1, "audio": 0}
            await client.new_version("shot-05")
            await run_as_planned(client, service, shots, plan)

            plan = client.plan(shots, retry_failed=True)
            assert planned(plan) == {"image": 1, "video": 1, "audio": 0}
            await client.retry_failed()
            before = statistics(service)["image"]
            [outcome] = [one async for one in client.run([shots[2]])]
            assert not outcome.ok  # it fails again, and its video is not made
            assert statistics(service)["image"] == before + 1

            assert planned(client.plan(shots)) == {"image": 0, "video": 0, "audio": 0}

    run(main())


def test_amounts_and_costs_are_those_of_the_requests_as_they_are_sent() -> None:
    async def main() -> None:
        async with client_of(in_memory(), CONFIG) as client:
            plan = client.plan(
                [
                    shot(0),
                    shot(1),
                    VideoRequest(prompt="x", model_name="Vidu", model_version="q2", duration=4),
                    VideoRequest(prompt="x", model_name="Hunyuan", model_version="1.5"),
                    AudioRequest(prompt="x", model_name="GL", model_version="3.0-pro", scene_type="music"),
                ]
            )
            assert [(work.kind, work.model, work.tasks, work.number, work.cost) for work in plan.creates] == [
                (Kind.IMAGE, "Hunyuan 3.0", 2, 2, pytest.approx(0.4)),
                (Kind.VIDEO, "Kling 3.0", 2, 10, 5.0),
                (Kind.VIDEO, "Vidu q2", 1, 4, None),
                (Kind.VIDEO, "Hunyuan 1.5", 1, None, None),
                (Kind.AUDIO, "GL 3.0-pro", 1, None, None),
            ]
            assert plan.total.cost == pytest.approx(5.4)
            assert plan.unpriced == ["Vidu q2", "Hunyuan 1.5", "GL 3.0-pro"]
            assert plan.currency == "CNY"

    run(main())


def test_the_earliest_finish_follows_the_caps_and_the_durations_in_the_ledger(ledger: Path | None) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(30, 30), video_seconds=(100, 100))
        async with client_of(service, CONFIG, ledger=ledger) as client:
            shots: list[BatchItem] = [shot(number) for number in range(6)]
            # 6 videos, 2 at once, after the first image: 120 + 3 * 240 s.
            assert client.plan(shots).finish_s == pytest.approx(840)
            await run_as_planned(client, service, shots[:2], client.plan(shots[:2]))
            assert client.plan(shots).finish_s == pytest.approx(30 + 2 * 100, rel=0.1)
            assert client.plan(shots[:2]).finish_s == 0

    run(main())


def test_faulty_requests_and_findings_are_named_and_nothing_is_sent() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, CONFIG) as client:
            bad: list[BatchItem] = [
                {"image": {"promt": "a lake"}},
                VideoRequest(prompt="x", model_name="Kling", model_version="2.1", duration=7),
                VideoRequest(prompt=""),
            ]
            plan = client.plan(bad)
            assert plan.requests == {Standing.NEW: 1, Standing.REFUSED: 2}
            assert plan.problems[0][0] == "item 1"
            assert "duration: 7 s" in plan.findings[0]
            assert not service.arrivals

    with pytest.warns(CatalogWarning):  # the run warns, the plan does not
        run(_made_once())
    run(main())


async def _made_once() -> None:
    async with client_of(in_memory(), CONFIG) as client:
        await client.generate(VideoRequest(prompt="x", model_name="Kling", model_version="2.1", duration=7))


def test_a_client_that_is_not_open_plans_by_the_file(tmp_path: Path) -> None:
    client = AigcClient(CONFIG, ledger=tmp_path / "missing.db")
    assert client.plan([shot(0)]).requests == {Standing.NEW: 1}
    assert not (tmp_path / "missing.db").exists()


def test_requests_without_an_id_are_new_each_time_in_memory_and_the_same_in_a_file(ledger: Path | None) -> None:
    async def main() -> None:
        async with client_of(in_memory(), CONFIG, ledger=ledger) as client:
            lake: list[BatchItem] = [ImageRequest(prompt="a lake")]
            [outcome] = [one async for one in client.run(lake)]
            assert outcome.ok
            expected = Standing.NEW if ledger is None else Standing.KEPT
            assert client.plan(lake).requests == {expected: 1}
            assert client.plan(lake).requests == {expected: 1}

    run(main())


def test_a_version_under_way_is_not_planned_a_second_time(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(20, 20))
        async with client_of(service, CONFIG, ledger=tmp_path / "jobs.db") as client:
            async with client.run([shot(0)]):
                await asyncio.sleep(10)
            plan = client.plan([shot(0)], redo=["shot-00"])
            assert planned(plan) == {"image": 0, "video": 1, "audio": 0}
            assert await client.new_version("shot-00") == "shot-00"
            await run_as_planned(client, service, [shot(0)], plan)

    run(main())


def test_a_chain_whose_image_has_expired_is_blocked(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(20, 20))
        async with client_of(service, CONFIG, ledger=tmp_path / "jobs.db") as client:
            async with client.run([shot(0)]):
                await asyncio.sleep(10)
            await asyncio.sleep(36 * 3600)
            plan = client.plan([shot(0)])
            assert (planned(plan)["video"], plan.blocked) == (0, {Kind.VIDEO: 1})
            assert plan.problems == (("shot-00/video", "the image's URL expires too soon: redo it"),)
            await run_as_planned(client, service, [shot(0)], plan)

    run(main())


def test_an_id_that_is_in_the_batch_twice_is_made_once() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, CONFIG) as client:
            batch: list[BatchItem] = [shot(0), shot(0), shot(0, film="rain")]
            plan = client.plan(batch)
            assert plan.requests == {Standing.NEW: 1, Standing.KEPT: 1, Standing.REFUSED: 1}
            await run_as_planned(client, service, batch, plan)

    run(main())


def lake(name: str) -> ImageRequest:
    return ImageRequest(id=name, prompt="a lake")


@pytest.mark.parametrize(
    "bounds",
    [
        [Budget(images=3), Budget(images=5), Budget()],
        [Budget(video_seconds=10), Budget(video_seconds=15, images=4), Budget()],
        [Budget(cost=6), Budget(cost=9.3), Budget(cost=100)],
        [Budget(images=0), Budget(cost=0), Budget()],
    ],
)
def test_a_plan_within_bounds_is_what_the_run_creates(ledger: Path | None, bounds: list[Budget]) -> None:
    async def main() -> None:
        service = in_memory()
        batch: list[BatchItem] = [shot(0), lake("a"), shot(1), shot(2), lake("b"), shot(3)]
        async with client_of(service, CONFIG, ledger=ledger) as client:
            for budget in bounds:
                plan, before = client.plan(batch, budget=budget), statistics(service)
                ends = Counter([type(outcome.error) async for outcome in client.run(batch, budget=budget)])
                after = statistics(service)
                assert {kind: after[kind] - before[kind] for kind in after} == planned(plan)
                assert ends[BudgetReached] == plan.requests.get(Standing.BEYOND, 0)
                spent = client.plan([]).spent
                assert (spent.images, spent.video_seconds) == (after["image"], 5 * after["video"])
                assert spent.cost == pytest.approx(0.2 * after["image"] + 2.5 * after["video"])
            assert client.plan(batch).requests == {Standing.KEPT: len(batch)}

    run(main())


def test_a_plan_keeps_the_room_of_begun_chains(tmp_path: Path) -> None:
    """The chain at the end of the batch has its image: its video comes before the requests above it."""

    async def main() -> None:
        service = in_memory()
        batch: list[BatchItem] = [VideoRequest(id="v", prompt="v", duration=5), shot(1)]
        async with client_of(service, CONFIG, ledger=tmp_path / "jobs.db") as client:
            batches = client.run([shot(1)])
            async with batches:
                while statistics(service)["image"] == 0:  # noqa: ASYNC110 — virtual time
                    await asyncio.sleep(1)
            budget = Budget(video_seconds=5)
            plan = client.plan(batch, budget=budget)
            assert plan.requests == {Standing.UNDER_WAY: 1, Standing.BEYOND: 1}
            assert {outcome.job_id: outcome.ok async for outcome in client.run(batch, budget=budget)} == {
                "v": False, "shot-01": True,
            }  # fmt: skip

    run(main())


def test_a_plan_and_its_run_agree_which_chains_have_begun(tmp_path: Path) -> None:
    """A chain whose image has expired needs no room; a video that is made again from a good image does."""

    async def main() -> None:
        service, first = in_memory(image_seconds=(20, 20)), Budget(video_seconds=5)
        async with client_of(service, CONFIG, ledger=tmp_path / "jobs.db") as client:
            async with client.run([shot(0)]):
                await asyncio.sleep(10)  # its image is created, and its video is not
            await asyncio.sleep(36 * 3600)
            await run_as_planned(client, service, [shot(1)], client.plan([shot(1)], budget=first), budget=first)
            await client.new_version("shot-01", shot(1, film="rain"))
            batch: list[BatchItem] = [shot(2), shot(1, film="rain")]
            plan = client.plan(batch, budget=Budget(video_seconds=10))
            assert (plan.requests[Standing.BEYOND], planned(plan)) == (1, {"image": 0, "video": 1, "audio": 0})
            await run_as_planned(client, service, batch, plan, budget=Budget(video_seconds=10))

    run(main())


def test_a_budget_that_needs_a_price_refuses_a_model_without_one() -> None:
    async def main() -> None:
        async with client_of(in_memory(), CONFIG) as client:
            batch: list[BatchItem] = [VideoRequest(id="v", prompt="v", model_name="Vidu", duration=5)]
            plan = client.plan(batch, budget=Budget(cost=5))
            assert plan.requests == {Standing.REFUSED: 1}
            [(name, reason)] = plan.problems
            assert (name, "has no price" in reason) == ("v", True)
            with pytest.raises(InvalidRequest, match=r"takes a Budget, such as Budget\(images=100\), not int"):
                client.run(batch, budget=3)  # type: ignore[call-overload] # as a user may

    run(main())
