"""Each rule of the catalog at its edge, and the requests that are never judged."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import ImageRequest, ImageToVideo, ReferenceVideo, VideoRequest
from mps_aigc_async.catalog import MODELS, findings
from mps_aigc_async.catalog.facts import ANYTHING
from mps_aigc_async.catalog.rules import kind_of
from mps_aigc_async.model.requests import Request

from .requests import FILM, URL, AudioRequest, image, video


def images(number: int) -> dict[str, Any]:
    return {"images": (URL,) * number}


BASE: dict[str, Any] = {"videos": (ReferenceVideo(url=FILM, refer_type="base"),)}
FEATURE: dict[str, Any] = {"videos": (ReferenceVideo(url=FILM, refer_type="feature"),)}
RULES: list[tuple[str, object, object]] = [
    # field, a request that breaks its rule, the nearest one that does not
    ("prompt", image("Hunyuan", "3.0", prompt="湖" * 1001), image("Hunyuan", "3.0", prompt="湖" * 1000)),
    ("prompt", video("Kling", prompt="x" * 2001), video("Kling", prompt="x" * 2000)),
    ("prompt", AudioRequest("GL", prompt="x" * 2001), AudioRequest("GL", prompt="x" * 2000)),
    ("images", image("Hunyuan", "3.0", **images(4)), image("Hunyuan", "3.0", **images(3))),
    ("images", image("Hunyuan", "3.5-preview", **images(6)), image("Hunyuan", "3.5-preview", **images(5))),
    ("images", image("Qwen", "0925", **images(2)), image("Qwen", "0925", **images(1))),
    ("images", image("Kling", "2.1", **images(5)), image("Kling", "2.1", **images(4))),
    ("images", image("Kling", "3.0", **images(2)), image("Kling", "3.0", **images(1))),
    ("images", image("Kling", "O1", **images(11)), image("Kling", "O1", **images(10))),
    ("images", image("Vidu", "q2", **images(8)), image("Vidu", "q2", **images(7))),
    ("images", image("wand-vega-image", **images(11)), image("wand-vega-image", **images(10))),
    ("images", image("GEM", "3.0", **images(4)), image("GEM", "3.0", **images(3))),
    ("images", image("Jimeng", "4.0", **images(2)), image("Jimeng", "4.0", **images(1))),
    ("aspect_ratio", image("Kling", "2.1", aspect_ratio="5:4"), image("Kling", "2.1", aspect_ratio="21:9")),
    ("aspect_ratio", image("Vidu", "q2", aspect_ratio="9:21"), image("Vidu", "q2", aspect_ratio="3:2")),
    ("resolution", image("Hunyuan", "3.0", resolution="1K"), image("wand-vega-image", resolution="1K")),
    ("resolution", image("wand-vega-image", resolution="720P"), image("Hunyuan", "3.0", resolution="720p")),
    ("output_format", image("Hunyuan", output_format="webp"), image("GEM", output_format="webp")),
    ("scene_type", image("Kling", scene_type="3d_panorama"), image("Hunyuan", scene_type="3d_panorama")),
    ("scene_type", image("Hunyuan", scene_type="3d_scene"), image("Hunyuan", scene_type="3d_panorama")),
    ("duration", video("Kling", "2.1", duration=7), video("Kling", "2.1", duration=10)),
    ("duration", video("Kling", "O1", duration=11), video("Kling", "O1", duration=10)),
    ("duration", video("Kling", "3.0", duration=2), video("Kling", "3.0", duration=3)),
    ("duration", video("Kling", "3.0", duration=16), video("Kling", "3.0", duration=15)),
    ("duration", video("Kling", "3.0-Omni", duration=11, **FEATURE), video("Kling", "3.0-Omni", duration=11)),
    ("duration", video("Hailuo", "02", duration=8), video("Hailuo", "02", duration=6)),
    ("duration", video("Vidu", "q3", duration=17), video("Vidu", "q3", duration=16)),
    ("duration", video("Vidu", "q3", duration=2), video("Vidu", "q2", duration=2)),
    ("duration", video("Vidu", "q2-pro", duration=11), video("Vidu", "q2-pro", duration=10)),
    ("duration", video("PixVerse", "v5.6", duration=9), video("PixVerse", "v6", duration=9)),
    ("duration", video("PixVerse", "c1", duration=16), video("PixVerse", "c1", duration=15)),
    ("duration", video("wand-vega-video", "1.0-lite", duration=3), video("wand-vega-video", "1.0-lite", duration=4)),
    ("duration", video("H2", "1.0", duration=2), video("H2", "1.0", duration=3)),
    ("resolution", video("Kling", resolution="540P"), video("Vidu", resolution="540P")),
    ("resolution", video("Vidu", resolution="768P"), video("Vidu", resolution="1080P")),
    ("resolution", video("PixVerse", resolution="768P"), video("PixVerse", resolution="540P")),
    ("resolution", video("Hailuo", resolution="720P"), video("Hailuo", resolution="768P")),
    ("resolution", video("H2", resolution="768P"), video("H2", resolution="4K")),
    ("aspect_ratio", video("Kling", aspect_ratio="4:3"), video("Kling", aspect_ratio="1:1")),
    ("aspect_ratio", video("Kling", aspect_ratio="1:1", first_frame=URL), video("Kling", first_frame=URL)),
    ("aspect_ratio", video("Vidu", "q3", aspect_ratio="4:3"), video("Vidu", "q2", aspect_ratio="4:3")),
    (
        "aspect_ratio",
        video("H2", aspect_ratio="1:1", first_frame=URL),
        video("H2", "1.0", aspect_ratio="9:21", **images(9)),
    ),
    ("aspect_ratio", video("PixVerse", "v5.6", aspect_ratio="21:9"), video("PixVerse", "c1", aspect_ratio="21:9")),
    ("aspect_ratio", video("Hailuo", aspect_ratio="16:9"), video("Hailuo")),
    ("last_frame", video("Kling", "1.6", last_frame=URL), video("Kling", "1.6", last_frame=URL, resolution="1080P")),
    (
        "last_frame",
        video("Kling", "2.6", last_frame=URL, resolution="720P"),
        video("Kling", "2.6", last_frame=URL, resolution="1080p"),
    ),
    ("last_frame", video("Hailuo", "2.3", last_frame=URL), video("Hailuo", "02", last_frame=URL)),
    ("last_frame", video("Vidu", "q3", last_frame=URL), video("Vidu", "q3-pro", last_frame=URL)),
    ("last_frame", video("H2", "1.0", last_frame=URL), video("PixVerse", "v6", last_frame=URL)),
    (
        "last_frame",
        video("Vidu", "q2-pro", last_frame=URL, **BASE),
        video("Vidu", "q2-pro", last_frame=URL, videos=(FILM,)),
    ),
    ("last_frame", video("Kling", "O1", last_frame=URL, **BASE), video("Kling", "O1", last_frame=URL, **FEATURE)),
    ("first_frame", video("Kling", "O1", first_frame=URL, videos=(FILM,)), video("Kling", "O1", first_frame=URL)),
    ("first_frame", video("H2", "1.0", first_frame=URL, **BASE), video("H2", "1.0", first_frame=URL, videos=(FILM,))),
    ("images", video("Kling", "1.6", **images(5)), video("Kling", "1.6", **images(4))),
    ("images", video("Kling", "O1", **images(8)), video("Kling", "O1", **images(7))),
    ("images", video("Kling", "O1", **images(5), **FEATURE), video("Kling", "O1", **images(4), **FEATURE)),
    ("images", video("Vidu", "q3-mix", **images(8)), video("Vidu", "q3-mix", **images(7))),
    ("images", video("Vidu", "q3-pro", **images(2)), video("Vidu", "q3-pro", **images(1))),
    ("images", video("H2", "1.0", **images(10)), video("H2", "1.0", **images(9))),
    ("images", video("H2", "1.0", **images(6), **FEATURE), video("H2", "1.0", **images(5), **FEATURE)),
    ("images", video("wand-vega-video", "1.0-lite", **images(10)), video("wand-vega-video", "1.0-lite", **images(9))),
    ("images", video("PixVerse", **images(8)), video("PixVerse", **images(7))),
    ("videos", video("Kling", "3.0", **FEATURE), video("Kling", "3.0-Omni", **FEATURE)),
    ("videos", video("Vidu", "q2", videos=(FILM,)), video("Vidu", "q2-pro", videos=(FILM,))),
    ("videos", AudioRequest("Mureka", videos=(FILM,)), AudioRequest("EL", videos=(FILM,))),
    ("videos", AudioRequest("MiniMaxMusic", "2.6", videos=(FILM,)), AudioRequest("Kling", videos=(FILM,))),
    ("enable_audio", video("Vidu", "q2", enable_audio=True), video("Vidu", "q3", enable_audio=True)),
    ("enable_audio", video("Hailuo", enable_audio=True), video("Hailuo", enable_audio=False)),
    ("off_peak", video("Kling", off_peak=True), video("Vidu", off_peak=True)),
    ("scene_type", video("Vidu", scene_type="lip_sync"), video("Kling", scene_type="lip_sync")),
    ("scene_type", video("Kling", scene_type="template_effect"), video("Vidu", scene_type="template_effect")),
    ("scene_type", video("Mingmou", scene_type="3d_scene"), video("Mingmou", scene_type="land2port")),
    ("scene_type", video("H2", scene_type="3d_scene"), video("Hunyuan", scene_type="3d_scene")),
    ("scene_type", video("Hunyuan", scene_type="lip_sync"), video("Hunyuan", scene_type="3d_scene")),
    ("scene_type", AudioRequest("GL", scene_type="speech"), AudioRequest("GL", scene_type="music")),
]


def sized(model: str, version: str, size: object) -> ImageRequest:
    return image(model, version, additional_parameters={"size": size})


RULES += [
    ("additional_parameters.size", sized("Hunyuan", "3.0", broken), sized("Hunyuan", "3.0", good))
    for broken, good in [("511x1024", "512x1024"), ("2049x512", "2048x512"), ("1024x1025", "1024X1024")]
] + [
    ("additional_parameters.size", sized("Qwen", "0925", "511x511"), sized("Qwen", "0925", "511*512")),
    ("additional_parameters.size", sized("Qwen", "0925", "2048x2049"), sized("Qwen", "0925", "2048x2048")),
]


@pytest.mark.parametrize(("field", "broken", "good"), RULES, ids=[f"{n}-{rule[0]}" for n, rule in enumerate(RULES)])
def test_a_rule(field: str, broken: object, good: object) -> None:
    (finding,) = findings(broken)
    assert finding.field == field
    assert findings(good) == ()
    for part in (finding.field, finding.value, finding.model, finding.accepted, str(finding.source)):
        assert part
        assert part in str(finding)


def test_each_model_has_a_case_for_each_field_that_it_bounds() -> None:
    broken = {(kind_of(rule[1]), getattr(rule[1], "model_name", ""), rule[0]) for rule in RULES}
    of_models = {
        (model.kind, model.name, fact.field) for model in MODELS for fact in model.facts if fact.accepts is not ANYTHING
    }
    assert sorted(of_models - broken) == [], "add a case to RULES: a request that breaks the fact, and the nearest one"


def test_a_finding_says_what_would_be_accepted() -> None:
    (found,) = findings(video("kling", "3.0-omni", duration=11, **FEATURE))
    assert str(found) == (
        "duration: 11 s, but Kling 3.0-Omni takes 3 to 10 s with a reference video (official SDK 3.1.194, 2026-10)"
    )


def test_both_steps_of_a_chain_are_judged_and_its_video_has_a_first_frame() -> None:
    asked = ImageToVideo(
        image=image("Hunyuan", "3.0", resolution="8K"), video=video("Kling", "3.0", duration=2, aspect_ratio="16:9")
    )
    assert {found.field for found in findings(asked)} == {"image.resolution", "video.duration", "video.aspect_ratio"}


def test_without_a_version_only_what_is_true_of_all_is_judged() -> None:
    assert findings(video("Kling", duration=60, last_frame=URL, images=(URL,) * 20)) == ()
    assert [found.field for found in findings(video("Kling", resolution="540P"))] == ["resolution"]


def test_a_scenes_own_abilities_are_not_judged() -> None:
    assert findings(video("Kling", "2.6", scene_type="motion_control", videos=(FILM,), duration=20)) == ()


@pytest.mark.parametrize("size", [None, 5, [], "big", "１０x１０", "9" * 5000 + "x1", "0x" * 9, {"width": 1}])
def test_a_size_of_another_shape_is_not_judged(size: object) -> None:
    assert findings(sized("Hunyuan", "3.0", size)) == ()


def test_a_value_is_shown_short_and_on_one_line() -> None:
    (found,) = findings(video("Kling", resolution="a\n\x1b[31m" * 500))
    assert len(str(found)) < 250
    assert str(found).isprintable()


# --- never judged -----------------------------------------------------------------------------------------------------

texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
words = texts | st.sampled_from(["1080P", "16:9", "4:3", "music", "lip_sync", "3d_panorama", "jpeg", "{}"])
urls = st.lists(st.just(URL), max_size=12)
common = {
    "prompt": st.text(alphabet="x湖", min_size=1, max_size=20),
    "scene_type": st.none() | words,
    "images": urls,
    "aspect_ratio": st.none() | words,
    "resolution": st.none() | words,
    "additional_parameters": st.none()
    | st.dictionaries(
        st.just("size") | texts,
        texts | st.from_regex(r"[0-9]{1,12}[xX*][0-9]{1,12}") | st.integers() | st.none() | st.lists(texts),
    ),
}
of_images = {
    **common,
    "output_count": st.none() | st.integers(min_value=1),
    "output_format": st.none() | words,
}
of_videos = {
    **common,
    "first_frame": st.sampled_from([None, URL]),
    "last_frame": st.sampled_from([None, URL]),
    "videos": st.lists(st.just(FILM) | st.builds(ReferenceVideo, url=st.just(FILM), refer_type=st.none() | words)),
    "duration": st.none() | st.integers(min_value=1),
    "enable_audio": st.none() | st.booleans(),
    "off_peak": st.none() | st.booleans(),
}


def requests_of(names: st.SearchStrategy[str | None], versions: st.SearchStrategy[str | None]) -> Any:  # noqa: ANN401
    model = {"model_name": names, "model_version": versions}
    an_image = st.builds(ImageRequest, **of_images, **model)
    a_video = st.builds(VideoRequest, **of_videos, **model)
    of_a_chain = {name: values for name, values in of_videos.items() if name != "first_frame"}
    a_chain = st.builds(ImageToVideo, image=an_image, video=st.builds(VideoRequest, **of_a_chain, **model))
    return st.one_of(an_image, a_video, a_chain)


KNOWN_NAMES = {model.name.casefold() for model in MODELS}
known_names = st.sampled_from(sorted({model.name for model in MODELS}))
known_versions = st.sampled_from(sorted({version for model in MODELS for version in model.versions}))


@given(
    requests_of(st.none() | texts.filter(lambda name: name.casefold() not in KNOWN_NAMES), st.none() | known_versions)
)
def test_an_unknown_model_is_never_judged(request: Request) -> None:
    assert findings(request) == ()


@given(requests_of(known_names, texts.map(lambda text: f"not {text}")))
def test_an_unknown_version_is_never_judged(request: Request) -> None:
    assert findings(request) == ()


@given(requests_of(known_names, st.none() | known_versions))
def test_any_valid_request_can_be_judged(request: Request) -> None:
    for found in findings(request):
        assert str(found).isprintable()
        assert len(str(found)) < 300


def documents_own_samples() -> Iterator[Request]:
    """The sample requests of the guide (2026-05-29), its complete configuration, and the API's page (2025-12-31)."""
    yield ImageRequest(prompt="draw a cat", operator="admin")
    yield image("Hunyuan", "3.0", prompt="A beautiful sunset over mountains, photorealistic, 4K", enhance_prompt=True)
    yield image("Hunyuan", "3.0", prompt="A young woman in ancient Chinese hanfu, standing by a moonlit lake")
    yield video("Kling", "3.0", first_frame=URL, duration=5, enable_audio=True)
    yield video("Kling", "3.0", first_frame=URL, duration=5, enable_audio=True, resolution="1080P")
    yield image("Hunyuan", "3.0", resolution="720P", aspect_ratio="1:1", output_count=1, logo_add=True)  # the console
    yield video("H2", "1.0", resolution="720P", aspect_ratio="16:9", duration=3, enable_audio=True, logo_add=True)
    yield ImageToVideo(
        image=image("Hunyuan", "3.0", enhance_prompt=True), video=video("Kling", "3.0", duration=5, enable_audio=True)
    )


@pytest.mark.parametrize("request_of_theirs", [*documents_own_samples()], ids=lambda request: type(request).__name__)
def test_the_documents_own_samples_are_in_order(request_of_theirs: Request) -> None:
    assert findings(request_of_theirs) == ()
