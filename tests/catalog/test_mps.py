"""Reported facts about MPS's audio models: they warn, also under `strict`."""

import warnings
from typing import Any

import pytest

from mps_aigc_async import AigcClient, AudioRequest, CatalogWarning, ImageRequest, VideoRequest, VideoToAudio
from mps_aigc_async.catalog import judging
from mps_aigc_async.catalog.rules import findings

from ..support import configured
from .requests import SONG


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the warnings of other tests in this process, so that each comes again."""
    monkeypatch.setattr(judging, "_warnings_given", {})


def audio(model: str, version: str = "", **fields: Any) -> AudioRequest:  # noqa: ANN401 — any field
    return AudioRequest(prompt="x", model_name=model, model_version=version or None, **fields)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (audio("MiniMaxMusic"), ["model_version"]),
        (audio("minimaxmusic", "3.0"), []),
        (audio("GL"), ["model_version"]),
        (audio("GL", "3.0-clip"), []),
        (audio("GL", "3.0-pro"), ["lyrics"]),
        (audio("GL", "3.0-PRO", lyrics="la"), []),
        (audio("GL", "3.0-pro", additional_parameters={"lyrics": "la"}), []),
        (audio("Kling", "3.0"), ["model_version"]),
        (audio("Kling"), []),
        (audio("Tme"), ["resource_id", "audios"]),
        (audio("Tme", "1.0", resource_id="5", audios=(SONG,)), ["model_version"]),
        (audio("Tme", resource_id="5", audios=(SONG,)), []),
        (audio("Mureka"), []),
        (AudioRequest(prompt="x"), []),
        (VideoToAudio(video=VideoRequest(prompt="x"), audio=audio("GL")), ["audio.model_version"]),
    ],
)
def test_each_report_is_about_its_model_alone(request_: object, fields: list[str]) -> None:
    results = findings(request_)
    assert sorted(finding.field for finding in results) == sorted(fields)
    assert not any(finding.refuses for finding in results)


@pytest.mark.parametrize("cls", [VideoRequest, ImageRequest])
def test_other_kinds_need_no_version(cls: type[VideoRequest | ImageRequest]) -> None:
    assert findings(cls(prompt="x", model_name="Kling")) == ()


def test_a_finding_names_the_need_and_the_cost() -> None:
    (finding,) = findings(audio("GL", "3.0-pro"))
    assert str(finding).startswith("lyrics: missing, but GL 3.0-pro takes `lyrics`")
    assert "the service accepts the create, and the task fails" in str(finding)


def test_the_client_tells_the_reports_on_mps_alone() -> None:
    """VOD has other versions of the models, and its documents require none."""
    request = audio("Kling", "3.0", scene_type="sfx")
    with pytest.warns(CatalogWarning, match=r"model_version: 3\.0, but Kling takes none"):
        AigcClient(configured(catalog="strict")).check(request)
    judging._warnings_given.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AigcClient(configured(catalog="strict", backend="vod")).check(request)
