"""The places of a batch's requests: outcomes name them, and the ledger keeps the order of the latest batch."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mps_aigc_async import AigcClient, ImageRequest, ImageToVideo, Kind, Origin, Outcome, VideoRequest
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.results import Result
from mps_aigc_async.testing import run

from ..support import client_of, configured, in_memory, statistics


def lake(name: str, prompt: str = "a lake") -> ImageRequest:
    return ImageRequest(id=name, prompt=prompt)


async def outcomes(
    client: AigcClient, batch: Sequence[BatchItem], save_to: Path | None = None
) -> list[Outcome[BatchItem, Result]]:
    return [outcome async for outcome in client.run(batch, save_to=save_to)]


def names_in(ledger: Path) -> list[str]:
    with open_snapshot(ledger) as snapshot:
        return [name for name, _ in snapshot.requests()]


def test_an_outcome_names_the_place_of_its_request_also_of_a_bad_one() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            batch: list[BatchItem] = [lake("a"), {"image": {"promt": "a lake"}}, lake("c")]
            made = await outcomes(client, batch)
        assert sorted((outcome.index, outcome.ok) for outcome in made) == [(0, True), (1, False), (2, True)]
        for outcome in made:
            assert outcome.index is not None
            assert outcome.request is batch[outcome.index]

    run(main())


def test_the_ledger_follows_the_order_of_the_latest_batch(tmp_path: Path) -> None:
    ledger = tmp_path / "jobs.db"

    async def main() -> None:
        async with client_of(in_memory(), ledger=ledger) as client:
            await outcomes(client, [lake("b"), lake("a")])
            assert names_in(ledger) == ["b", "a"]
            await outcomes(client, [lake("new"), lake("a"), lake("b")])
            assert names_in(ledger) == ["new", "a", "b"]

    run(main())


def test_the_latest_version_of_a_request_stands_first(tmp_path: Path) -> None:
    ledger = tmp_path / "jobs.db"

    async def main() -> None:
        async with client_of(in_memory(), ledger=ledger) as client:
            await outcomes(client, [lake("a"), lake("b")])
            await client.redo("a")
            await client.redo("a")
            assert names_in(ledger) == ["a@3", "a@2", "a", "b"]

    run(main())


def test_requests_of_no_batch_follow_in_the_order_of_planning(tmp_path: Path) -> None:
    ledger = tmp_path / "jobs.db"

    async def main() -> None:
        async with client_of(in_memory(), ledger=ledger) as client:
            await client.generate(lake("single"))
            await client.generate(lake("another"))
            await client.redo("single")
            await outcomes(client, [lake("of-batch")])
            assert names_in(ledger) == ["of-batch", "single@2", "single", "another"]

    run(main())


def test_rows_have_the_folder_and_the_steps_of_their_request(tmp_path: Path) -> None:
    ledger = tmp_path / "jobs.db"
    chain = ImageToVideo(id="shot", image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="wind"))

    async def main() -> None:
        async with client_of(in_memory(), ledger=ledger) as client:
            await outcomes(client, [chain], save_to=tmp_path / "out")

    run(main())
    with open_snapshot(ledger) as snapshot:
        [(_, rows)] = snapshot.requests()
    assert {row.kind: (row.position, row.save_to, row.steps) for row in rows} == {
        kind: (0, str(tmp_path / "out"), (Kind.IMAGE, Kind.VIDEO)) for kind in (Kind.IMAGE, Kind.VIDEO)
    }


def test_a_table_of_500_rows_is_joined_back_by_index(tmp_path: Path) -> None:
    """A CSV with three bad rows: the others are made, and the bad ones are named by their own ids."""
    table = tmp_path / "shots.csv"
    prompts = {7: "", 123: "x" * 5001, 499: ""}
    rows = "".join(f'{number},"{prompts.get(number, f"lake {number}")}"\n' for number in range(500))
    table.write_text(f"id,prompt\n{rows}", encoding="utf-8")

    async def main() -> None:
        service = in_memory(image_seconds=(1, 2))
        async with client_of(service, configured(images=50), ledger=tmp_path / "jobs.db") as client:
            with table.open(encoding="utf-8", newline="") as file:
                shots = list(csv.DictReader(file))
            batch: list[BatchItem] = [{"id": int(shot["id"]), "image": {"prompt": shot["prompt"]}} for shot in shots]
            columns: list[dict[str, object]] = [{} for _ in shots]
            async for outcome in client.run(batch):
                assert outcome.index is not None
                columns[outcome.index] = outcome.as_dict()
            bad = [column["job_id"] for column in columns if not column["ok"]]
            assert bad == [shots[number]["id"] for number in sorted(prompts)]
            assert [column["job_id"] for column in columns] == [shot["id"] for shot in shots]
            assert statistics(service)["image"] == 497

    run(main())


def test_an_outcome_tells_a_kept_request_from_a_fresh_one_and_names_the_model(tmp_path: Path) -> None:
    service, ledger = in_memory(), tmp_path / "jobs.db"
    before: dict[str, Any] = {"mps": {"videoGeneration": {"modelName": "Hailuo", "modelVersion": "02", "duration": 6}}}
    after: dict[str, Any] = {"mps": {"videoGeneration": {"modelName": "Hailuo", "modelVersion": "H3", "duration": 6}}}
    film = VideoRequest(id="film", prompt="waves")
    own = VideoRequest(id="own", prompt="waves", model_name="Kling")

    async def main() -> None:
        async with client_of(service, ledger=ledger, config=configured(**before)) as client:
            made = await outcomes(client, [film, own])
        assert {one.job_id: (one.is_kept, one.origins) for one in made} == {
            "film": (False, (Origin(Kind.VIDEO, "Hailuo 02", is_kept=False),)),
            "own": (False, (Origin(Kind.VIDEO, "Kling", is_kept=False),)),
        }
        async with client_of(service, ledger=ledger, config=configured(**after)) as client:
            made = await outcomes(client, [film, own, VideoRequest(id="new", prompt="dunes")])
        changed = ("model_version was 02, and is H3 now",)
        assert {one.job_id: (one.is_kept, one.origins) for one in made} == {
            "film": (True, (Origin(Kind.VIDEO, "Hailuo 02", is_kept=True, changed_defaults=changed),)),
            "own": (True, (Origin(Kind.VIDEO, "Kling", is_kept=True),)),
            "new": (False, (Origin(Kind.VIDEO, "Hailuo H3", is_kept=False),)),
        }

    run(main())


def test_a_failed_chain_names_the_origin_of_its_paid_image() -> None:
    chain = ImageToVideo(
        id="a", image=lake("x").model_copy(update={"id": None}), video=VideoRequest(prompt="fail-later")
    )

    async def main() -> None:
        async with client_of(in_memory(), ledger=None) as client:
            [failed] = await outcomes(client, [chain])
        assert failed.error is not None
        assert failed.partial is not None
        assert [(origin.kind, origin.is_kept) for origin in failed.origins] == [(Kind.IMAGE, False)]

    run(main())


def test_the_model_is_the_one_with_which_a_step_was_sent_at_last(tmp_path: Path) -> None:
    refused = ImageRequest(id="a", prompt="forbidden-content", model_name="Hunyuan", model_version="3.0")
    edited = ImageRequest(id="a", prompt="a lake", model_name="Kling", model_version="2.1")

    async def main() -> None:
        async with client_of(in_memory(), ledger=tmp_path / "jobs.db") as client:
            [outcome] = await outcomes(client, [refused])
            assert (outcome.ok, outcome.is_kept, outcome.origins) == (False, False, ())
            [outcome] = await outcomes(client, [edited])
            assert outcome.origins == (Origin(Kind.IMAGE, "Kling 2.1", is_kept=False),)

    run(main())


def test_a_failure_is_not_kept_though_its_image_is(tmp_path: Path) -> None:
    chain = ImageToVideo(id="a", image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="fail-later"))

    async def main() -> None:
        async with client_of(in_memory(), ledger=tmp_path / "jobs.db") as client:
            for is_kept in (False, True):
                [outcome] = await outcomes(client, [chain])
                assert [origin.is_kept for origin in outcome.origins] == [is_kept]
                assert not outcome.is_kept
                assert outcome.as_dict()["kept"] is False

    run(main())
