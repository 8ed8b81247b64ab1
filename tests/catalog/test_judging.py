"""A request with findings: refused, warned about, or not checked."""

import re
import warnings
from typing import Any

import pytest

from mps_aigc_async import CatalogWarning, ImageToVideo, InvalidRequest, VideoRequest
from mps_aigc_async.catalog import judge, judging
from mps_aigc_async.testing import run

from ..support import accepted, client_of, configured, in_memory
from .requests import image, video


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the warnings of other tests in this process, so that each comes again."""
    monkeypatch.setattr(judging, "_warnings_given", {})


TOO_LONG = VideoRequest(prompt="x", duration=60)
BY_DEFAULT: dict[str, Any] = {"mps": {"videoGeneration": {"modelName": "Kling", "modelVersion": "3.0"}}}


def test_strict_refuses_by_the_configs_model_before_anything_is_sent() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(catalog="strict", **BY_DEFAULT)) as client:
            with pytest.raises(InvalidRequest, match=r"duration: 60 s, but Kling 3\.0 takes 3 to 15 s .*\"warn\""):
                await client.generate(TOO_LONG)
            with pytest.raises(InvalidRequest, match=r"image\.resolution: .*; video\.duration: "):
                client.check(ImageToVideo(image=image("Hunyuan", "3.0", resolution="8K"), video=TOO_LONG))
            outcomes = [outcome async for outcome in client.run([TOO_LONG, VideoRequest(prompt="x", duration=5)])]
        assert sorted(outcome.ok for outcome in outcomes) == [False, True]
        assert accepted(service, "CreateAigcVideoTask") == 1
        assert sum(1 for arrival in service.arrivals if arrival.action.startswith("Create")) == 1

    run(main())


def test_a_batch_is_warned_about_once_for_each_finding_and_sent() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(videos=50, poll_ms=60_000, **BY_DEFAULT)) as client:
            batch = (VideoRequest(prompt="x", duration=(60, 2)[n % 2]) for n in range(100))
            with pytest.warns(CatalogWarning) as told:
                outcomes = [outcome async for outcome in client.run(batch)]
        assert all(outcome.ok for outcome in outcomes)
        values = [re.findall(r"duration: (\d+) s, but Kling 3.0 takes", str(warning.message)) for warning in told]
        assert values == [["60"], ["2"]]

    run(main())


def test_off_says_nothing() -> None:
    async def main() -> None:
        async with client_of(in_memory(), configured(catalog="off", **BY_DEFAULT)) as client:
            assert (await client.generate(VideoRequest(prompt="x", duration=2))).urls

    run(main())  # a warning would be an error here


def test_a_warning_that_is_an_error_refuses_each_such_request_alone() -> None:
    """With warnings as errors, the request is refused. The batch does not end with a foreign exception."""

    async def main() -> None:
        async with client_of(in_memory(), configured(**BY_DEFAULT)) as client:
            with warnings.catch_warnings():
                warnings.simplefilter("error", CatalogWarning)
                batch = [TOO_LONG, VideoRequest(prompt="x", duration=5), TOO_LONG]
                outcomes = [outcome async for outcome in client.run(batch)]
        assert [type(outcome.error) for outcome in outcomes if not outcome.ok] == [InvalidRequest] * 2
        assert sum(outcome.ok for outcome in outcomes) == 1

    run(main())


def test_strict_warns_of_a_report_and_of_a_misspelt_name_and_sends_both() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(catalog="strict")) as client:
            with pytest.warns(
                CatalogWarning, match=r"takes 4 to 15 s \(reported .*; the service makes 5 s and bills them"
            ):
                assert (await client.generate(video("Hailuo", "H3", duration=20))).urls
            with pytest.warns(CatalogWarning, match="is Kling meant"):
                assert (await client.generate(video("Klign"))).urls
            with pytest.raises(InvalidRequest, match="the service makes about 6 s and bills them") as refusal:
                await client.generate(video("Hailuo", "02", duration=8))
            assert "catalog" in str(refusal.value)
        assert accepted(service, "CreateAigcVideoTask") == 2

    run(main())


def test_a_client_of_another_backend_is_not_judged_by_the_facts_of_mps() -> None:
    async def main() -> None:
        async with client_of(in_memory(), configured(backend="vod", catalog="strict")) as client:
            client.check(image("Kling", "3.0", resolution="1K"))
            client.check(video("Kling", "2.5", duration=7))
            with pytest.raises(InvalidRequest, match="for VOD"):
                client.check(video("GV", "3.1", duration=7))

    run(main())


def test_what_has_begun_is_not_judged_again() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(**BY_DEFAULT)) as client:
            named = TOO_LONG.model_copy(update={"id": "one"})
            with pytest.warns(CatalogWarning):
                first = await client.generate(named)
            judging._warnings_given.clear()
            assert await client.generate(named) == first
        assert accepted(service, "CreateAigcVideoTask") == 1

    run(main())


def test_what_is_remembered_has_an_end_and_what_is_told_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has warned a thousand times must still tell what costs money."""
    monkeypatch.setattr(judging, "MOST_WARNINGS", 3)

    def judge_ten() -> None:
        for number in range(10):
            judge(video("Kling", resolution=f"{number}P"), "warn")

    with pytest.warns(CatalogWarning) as told:
        judge_ten()
    assert len(told) == 10
    assert len(judging._warnings_given) == 3
