"""Facts about audio models that are reported as tested: they warn, also under `strict`."""

import warnings
from typing import Any

import pytest

from mps_aigc_async import AigcClient, AudioRequest, CatalogWarning, ImageRequest, VideoRequest, VideoToAudio
from mps_aigc_async.catalog import judging, tell_reports
from mps_aigc_async.catalog.audio_reports import REPORTS, broken_reports

from ..support import configured


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the warnings of other tests in this process, so that each comes again."""
    monkeypatch.setattr(judging, "_warnings_given", set())


def audio(model: str, version: str = "", **fields: Any) -> AudioRequest:  # noqa: ANN401 — any field
    return AudioRequest(prompt="x", model_name=model, model_version=version or None, **fields)


SONG = "https://a/song.mp3"
LYRICS_BY_HAND = {"lyrics": "la"}


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (audio("MiniMaxMusic"), ["model_version"]),
        (audio("minimaxmusic", "3.0"), []),
        (audio("GL"), ["model_version"]),
        (audio("GL", "3.0-clip"), []),
        (audio("GL", "3.0-pro"), ["lyrics"]),
        (audio("GL", "3.0-PRO", lyrics="la"), []),
        (audio("GL", "3.0-pro", additional_parameters=LYRICS_BY_HAND), []),
        (audio("Kling", "3.0"), ["model_version"]),
        (audio("Kling"), []),
        (audio("Tme"), ["resource_id", "audios"]),
        (audio("Tme", "1.0", resource_id="5", audios=(SONG,)), ["model_version"]),
        (audio("Tme", resource_id="5", audios=(SONG,)), []),
        (audio("Mureka"), []),
        (AudioRequest(prompt="x"), []),
        (VideoRequest(prompt="x", model_name="Kling", model_version="3.0"), []),
        (ImageRequest(prompt="x", model_name="GL"), []),
        (VideoToAudio(video=VideoRequest(prompt="x"), audio=audio("GL")), ["audio.model_version"]),
        (object(), []),
    ],
)
def test_each_report_is_about_its_model_alone(request_: object, fields: list[str]) -> None:
    texts = list(broken_reports(request_))
    assert [text.partition(":")[0] for text in texts] == fields
    assert all("reported as tested on MPS, 2026-08" in text for text in texts)


@pytest.mark.parametrize("strictness", ["strict", "warn"])
def test_a_report_warns_and_refuses_nothing(strictness: Any) -> None:  # noqa: ANN401 — one of the words
    with pytest.warns(CatalogWarning, match="model_version: GL needs one"):
        tell_reports(audio("GL"), strictness)


def test_off_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_reports(audio("GL"), "off")


def test_the_client_tells_the_reports_on_mps_alone() -> None:
    """VOD has other versions of the models, and its documents require none."""
    request = audio("Kling", "3.0", scene_type="sfx")
    with pytest.warns(CatalogWarning, match="Kling refuses one"):
        AigcClient(configured(catalog="strict")).check(request)
    judging._warnings_given.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AigcClient(configured(catalog="strict", backend="vod")).check(request)


def test_each_report_has_its_source_and_date() -> None:
    assert {(str(report.source), bool(report.why)) for report in REPORTS} == {
        ("reported as tested on MPS, 2026-08", True)
    }
