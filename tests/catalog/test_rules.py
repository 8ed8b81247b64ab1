"""Each rule of the catalog at its edge, and the requests that are never judged."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import ImageRequest, ImageToVideo, ReferenceVideo, Subject, VideoRequest, VodFile, VodOptions
from mps_aigc_async.catalog import MODELS, Finding, Unlisted, findings
from mps_aigc_async.catalog.facts import ANYTHING
from mps_aigc_async.catalog.flat import kind_of
from mps_aigc_async.model.requests import Request

from .requests import FILM, SONG, URL, AudioRequest, image, video


def images(number: int) -> dict[str, Any]:
    return {"images": (URL,) * number}


BASE: dict[str, Any] = {"videos": (ReferenceVideo(url=FILM, refer_type="base"),)}
COVER: dict[str, Any] = {"resource_id": "5", "audios": (SONG,)}
FEATURE: dict[str, Any] = {"videos": (ReferenceVideo(url=FILM, refer_type="feature"),)}
LAST_BY_ID = VodOptions(last_frame_file_id="5")
A = Subject(id="1", name="a", images=(URL,))
FILMED = Subject(name="a", videos=(FILM,))
VOICED = Subject(id="1", name="a", voice_id="v")


def files(number: int, usage: str | None = None) -> VodOptions:
    return VodOptions(files=tuple(VodFile(file_id=str(n), usage=usage) for n in range(number)))


def storyboard(*seconds: int, prompt: str = "x") -> dict[str, Any]:
    shots = [{"index": n, "prompt": prompt, "duration": duration} for n, duration in enumerate(seconds)]
    return {"additional_parameters": {"multi_shot": True, "multi_prompt": shots}}


BOARD = "additional_parameters.multi_prompt"
RULES: list[tuple[str, object, object]] = [
    # field, a request that breaks its rule, the nearest one that does not
    ("prompt", image("Hunyuan", "3.0", prompt="湖" * 1001), image("Hunyuan", "3.0", prompt="湖" * 1000)),
    ("prompt", video("Kling", prompt="x" * 2001), video("Kling", prompt="x" * 2000)),
    ("prompt", AudioRequest("EL", prompt="x" * 2001), AudioRequest("EL", prompt="x" * 2000)),
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
    (
        "last_frame",
        video("Kling", "1.6", first_frame=URL, last_frame=URL),
        video("Kling", "1.6", first_frame=URL, last_frame=URL, resolution="1080P"),
    ),
    (
        "last_frame",
        video("Kling", "2.6", first_frame=URL, last_frame=URL, resolution="720P"),
        video("Kling", "2.6", first_frame=URL, last_frame=URL, resolution="1080p"),
    ),
    (
        "last_frame",
        video("Hailuo", "2.3", first_frame=URL, last_frame=URL),
        video("Hailuo", "02", first_frame=URL, last_frame=URL),
    ),
    (
        "last_frame",
        video("Vidu", "q3", first_frame=URL, last_frame=URL),
        video("Vidu", "q3-pro", first_frame=URL, last_frame=URL),
    ),
    (
        "last_frame",
        video("H2", "1.0", first_frame=URL, last_frame=URL),
        video("PixVerse", "v6", first_frame=URL, last_frame=URL),
    ),
    (
        "last_frame",
        video("Vidu", "q2-pro", last_frame=URL, **BASE),
        video("Vidu", "q2-pro", first_frame=URL, last_frame=URL, videos=(FILM,)),
    ),
    (
        "last_frame",
        video("Kling", "O1", last_frame=URL, **BASE),
        video("Kling", "O1", first_frame=URL, last_frame=URL, **FEATURE),
    ),
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
    ("scene_type", AudioRequest("Mureka", scene_type="speech"), AudioRequest("Mureka", scene_type="music")),
    ("model_version", AudioRequest("GL"), AudioRequest("GL", "3.0-clip")),
    ("model_version", AudioRequest("MiniMaxMusic"), AudioRequest("MiniMaxMusic", "2.6")),
    ("model_version", AudioRequest("Kling", "3.0"), AudioRequest("Kling")),
    ("lyrics", AudioRequest("GL", "3.0-pro"), AudioRequest("GL", "3.0-pro", lyrics="la")),
    ("model_version", AudioRequest("Tme", "1.0", **COVER), AudioRequest("Tme", **COVER)),
    ("resource_id", AudioRequest("Tme", audios=(SONG,)), AudioRequest("Tme", **COVER)),
    ("audios", AudioRequest("Tme", resource_id="5"), AudioRequest("Tme", **COVER)),
    ("logo_add", video("PixVerse", logo_add=True), video("Hailuo", logo_add=True)),
    ("logo_add", video("Hunyuan", "1.5", logo_add=True), video("H2", "1.0", logo_add=True)),
    # reported
    ("images", image("GEM", "3.1", **images(21)), image("GEM", "3.1", **images(20))),
    ("images", image("OG", "image2_low", **images(21)), image("OG", "image2_low", **images(20))),
    ("output_count", image("MJ", "v8.1"), image("MJ", "v8.1", output_count=4)),
    (
        "aspect_ratio",
        image("MJ", "v7", output_count=4, aspect_ratio="1:1"),
        image("MJ", "v7", output_count=4),
    ),
    ("aspect_ratio", image("MJ", "v8.1", output_count=4, aspect_ratio="1:1"), image("OG", aspect_ratio="1:1")),
    ("resolution", image("MJ", "v7", output_count=4, resolution="2K"), image("OG", resolution="2K")),
    ("images", image("MJ", "v8.2", output_count=4, **images(4)), image("MJ", "v8.2", output_count=4, **images(3))),
    ("output_count", image("Hunyuan", "3.0", output_count=2), image("OG", "image2_low", output_count=2)),
    ("output_count", image("GEM", "3.1", output_count=2), image("GEM", "3.1", output_count=1)),
    ("model_version", image("Wan", "2.2"), image("Seedream", "4.5")),
    ("model_version", video("Wan", "2.2"), video("GV", "3.1", duration=99)),
    ("duration", video("Hailuo", "H3", duration=3), video("Hailuo", "H3", duration=4)),
    ("duration", video("Hailuo", "H3", duration=16), video("Hailuo", "H3", duration=15)),
    ("prompt", video("Hailuo", "2.3-fast"), video("Hailuo", "2.3-fast", first_frame=URL)),
    ("resolution", video("Hailuo", "H3", resolution="1080P"), video("Hailuo", "H3", resolution="4K")),
    ("images", video("Hailuo", "H3", **images(10)), video("Hailuo", "H3", **images(9))),
    ("videos", video("Hailuo", "H3", videos=(FILM,) * 4), video("Hailuo", "H3", videos=(FILM,) * 3)),
    ("first_frame", video("Hailuo", "H3", first_frame=URL, audios=(SONG,)), video("Hailuo", "H3", audios=(SONG,))),
    ("last_frame", video("Hailuo", "H3", last_frame=URL, **FEATURE), video("Hailuo", "H3", last_frame=URL)),
    ("last_frame", video("PixVerse", "v6", last_frame=URL), video("PixVerse", "v6", first_frame=URL, last_frame=URL)),
    (
        "duration",
        video("PixVerse", "v5.6", duration=10, resolution="1080p"),
        video("PixVerse", "v5.6", duration=10, resolution="720P"),
    ),
    ("videos", video("H2", "1.1", **FEATURE), video("H2", "1.0", **FEATURE)),
    ("scene_type", AudioRequest("Kling", scene_type="music"), AudioRequest("Kling", scene_type="sfx")),
    ("scene_type", AudioRequest("Tme", scene_type="sfx", **COVER), AudioRequest("Tme", scene_type="music", **COVER)),
    (BOARD, video("Kling", "3.0", **storyboard(*[1] * 7)), video("Kling", "3.0", **storyboard(*[1] * 6))),
    (BOARD, video("Kling", "2.6", **storyboard(5)), video("Kling", "3.0-Omni", **storyboard(5))),
    (
        f"{BOARD}.prompt",
        video("Kling", "3.0", **storyboard(5, prompt="x" * 513)),
        video("Kling", "3.0", **storyboard(5, prompt="x" * 512)),
    ),
    (
        f"{BOARD}.duration",
        video("Kling", "3.0", duration=10, **storyboard(5, 4)),
        video("Kling", "3.0", duration=10, **storyboard(5, 5)),
    ),
]


def with_size(model: str, version: str, size: object) -> ImageRequest:
    return image(model, version, additional_parameters={"size": size})


RULES += [
    ("additional_parameters.size", with_size("Hunyuan", "3.0", broken), with_size("Hunyuan", "3.0", good))
    for broken, good in [("511x1024", "512x1024"), ("2049x512", "2048x512"), ("1024x1025", "1024X1024")]
] + [
    ("additional_parameters.size", with_size("Qwen", "0925", "511x511"), with_size("Qwen", "0925", "511*512")),
    ("additional_parameters.size", with_size("Qwen", "0925", "2048x2049"), with_size("Qwen", "0925", "2048x2048")),
]


VOD: list[tuple[str, object, object]] = [
    ("images", image("GG", "2.5", **images(4)), image("GG", "2.5", **images(3))),
    ("images", image("GG", "3.0", **images(15)), image("GG", "3.1", **images(14))),
    ("images", image("Hunyuan", "3.0", **images(4)), image("Hunyuan", "3.0", **images(3))),
    ("images", image("Kling", "2.1", **images(5)), image("Kling", "2.1", **images(4))),
    ("images", image("Kling", "3.0", **images(2)), image("Kling", "3.0", vod=files(1))),
    ("images", image("Kling", "O1", **images(8), vod=files(3)), image("Kling", "O1", **images(7), vod=files(3))),
    ("images", image("Vidu", "q2", **images(8)), image("Vidu", "q2", **images(7))),
    ("resolution", image("Kling", "3.0", resolution="4K"), image("Kling", "3.0", resolution="1K")),
    ("resolution", image("Kling", "O1", resolution="720P"), image("Kling", "O1", resolution="4k")),
    ("resolution", image("Vidu", "q2", resolution="1K"), image("Vidu", "q2", resolution="1080P")),
    ("resolution", image("OG", "image2_low", resolution="720P"), image("OG", "image2_low", resolution="4K")),
    ("resolution", image("GG", "3.0", resolution="720P"), image("GG", "3.1", resolution="720P")),
    ("resolution", image("SI", "4.5", resolution="1K"), image("SI", "4.0", resolution="1K")),
    ("resolution", image("SI", "5.0-lite", resolution="4K"), image("SI", "5.0-lite", resolution="3K")),
    ("resolution", image("Hunyuan", "3.0", resolution="1K"), image("Hunyuan", "3.5-preview", resolution="1K")),
    ("resolution", image("Qwen", "0925", resolution="1K"), image("Qwen", "2.0", resolution="1K")),
    ("aspect_ratio", image("Kling", "3.0", aspect_ratio="auto"), image("Kling", "O1", aspect_ratio="auto")),
    ("aspect_ratio", image("OG", aspect_ratio="5:4"), image("OG", aspect_ratio="9:21")),
    ("aspect_ratio", image("GG", "3.0", aspect_ratio="1:8"), image("GG", "3.1", aspect_ratio="1:8")),
    ("aspect_ratio", image("Vidu", "q2", aspect_ratio="5:4"), image("Vidu", "q2", aspect_ratio="21:9")),
    ("aspect_ratio", image("SI", aspect_ratio="1:1"), image("SI")),
    ("aspect_ratio", image("Hunyuan", "3.0", aspect_ratio="1:1"), image("Hunyuan", "3.5-preview", aspect_ratio="1:1")),
    ("aspect_ratio", image("Qwen", "2.0", aspect_ratio="1:1"), image("Qwen", "2.0")),
    ("output_count", image("Kling", output_count=10), image("Kling", output_count=9)),
    ("output_count", image("OG", output_count=9), image("OG", output_count=8)),
    ("output_count", image("Vidu", output_count=2), image("Vidu", output_count=1)),
    ("scene_type", image("Kling", scene_type="3d_panorama"), image("Kling", scene_type="image_expand")),
    ("scene_type", image("Hunyuan", scene_type="image_expand"), image("Hunyuan", scene_type="3d_panorama")),
    ("scene_type", image("OG", scene_type="image_expand"), image("OG")),
    (
        "additional_parameters.size",
        with_size("OG", "image2_high", "809x809"),
        with_size("OG", "image2_high", "810x810"),
    ),
    ("additional_parameters.size", with_size("Hunyuan", "3.0", "511x512"), with_size("Hunyuan", "3.0", "512x512")),
    ("duration", video("Kling", "2.5", duration=16), video("Kling", "2.5", duration=7)),
    ("duration", video("Hailuo", "2.3", duration=8), video("Hailuo", "2.3", duration=10)),
    ("duration", video("Hailuo", "H3", duration=16), video("Hailuo", "H3", duration=4)),
    ("duration", video("Vidu", "q2", duration=11), video("Vidu", "q3", duration=11)),
    ("duration", video("GV", "3.1", duration=6), video("GV", "3.1", duration=8)),
    ("duration", video("OS", "2.0", duration=6), video("OS", "2.0", duration=12)),
    ("duration", video("PixVerse", "v6", duration=16), video("PixVerse", "v6", duration=15)),
    ("resolution", video("Kling", resolution="540P"), video("Kling", resolution="720p")),
    ("resolution", video("Hailuo", resolution="720P"), video("Hailuo", resolution="768P")),
    ("resolution", video("Vidu", resolution="768P"), video("Vidu", resolution="540P")),
    ("resolution", video("GV", resolution="540P"), video("GV", resolution="720P")),
    ("resolution", video("OS", resolution="540P"), video("OS", resolution="720P")),
    ("resolution", video("PixVerse", resolution="768P"), video("PixVerse", resolution="540p")),
    ("aspect_ratio", video("Kling", aspect_ratio="4:3"), video("Kling", aspect_ratio="4:3", first_frame=URL)),
    ("aspect_ratio", video("Hailuo", "H3", aspect_ratio="2:3"), video("Hailuo", "H3", aspect_ratio="21:9")),
    ("aspect_ratio", video("Vidu", "q3", aspect_ratio="4:3"), video("Vidu", "q2", aspect_ratio="4:3")),
    ("aspect_ratio", video("GV", aspect_ratio="1:1"), video("GV", aspect_ratio="9:16")),
    ("aspect_ratio", video("OS", aspect_ratio="1:1"), video("OS", aspect_ratio="1:1", **images(1))),
    ("aspect_ratio", video("PixVerse", aspect_ratio="9:21"), video("PixVerse", aspect_ratio="21:9")),
    ("last_frame", video("Kling", "3.0", last_frame=URL), video("Kling", "3.0", first_frame=URL, last_frame=URL)),
    ("last_frame", video("GV", vod=files(1, "LastFrame")), video("GV", vod=files(1), last_frame=URL)),
    ("last_frame", video("GV", vod=LAST_BY_ID), video("GV", first_frame=URL, vod=LAST_BY_ID)),
    ("scene_type", video("Vidu", scene_type="lip_sync"), video("Kling", scene_type="lip_sync")),
    ("scene_type", video("Kling", scene_type="template_effect"), video("Vidu", scene_type="template_effect")),
    ("scene_type", video("Mingmou", scene_type="land2port"), video("Mingmou")),
    # reported
    ("scene_type", video("Hunyuan", "3d_2.0", scene_type="lip_sync"), video("Kling", scene_type="lip_sync")),
    ("scene_type", AudioRequest("Kling", scene_type="music"), AudioRequest("Kling", scene_type="sfx")),
    ("scene_type", AudioRequest("GL", "3.0-pro", scene_type="tts"), AudioRequest("GL", "3.0-pro", scene_type="music")),
    ("scene_type", AudioRequest("MiniMaxMusic", scene_type="sfx"), AudioRequest("MiniMaxMusic", scene_type="music")),
    ("logo_add", video("Kling", logo_add=True), video("Vidu", logo_add=True)),
    ("enable_audio", video("Hailuo", "2.3", enable_audio=True), video("Hailuo", "H3", enable_audio=True)),
    ("enable_audio", video("PixVerse", "v5.6", enable_audio=True), video("PixVerse", "v6", enable_audio=True)),
    (
        "duration",
        video("PixVerse", "v5.6", duration=10, resolution="1080P"),
        video("PixVerse", "v6", duration=10, resolution="1080P"),
    ),
    ("prompt", video("Vidu", "q3-drama"), video("Vidu", "q3-drama", **images(1))),
    ("images", video("GV", **images(4)), video("GV", **images(3))),
    (
        "last_frame",
        video("GV", first_frame=URL, last_frame=URL, **images(1)),
        video("GV", first_frame=URL, last_frame=URL),
    ),
    ("last_frame", video("OS", first_frame=URL, last_frame=URL), video("OS", first_frame=URL)),
    (
        "last_frame",
        video("Kling", "2.1", first_frame=URL, last_frame=URL),
        video("Kling", "2.1", first_frame=URL, last_frame=URL, resolution="1080P"),
    ),
    ("subjects.id", video("Kling", subjects=(Subject(name="a"),)), video("Kling", subjects=(Subject(id="1"),))),
    ("subjects.name", video("Vidu", subjects=(Subject(id="1"),)), video("Vidu", subjects=(Subject(name="a"),))),
    (
        "subjects.images",
        video("Vidu", subjects=(A.model_copy(update={"images": (URL,) * 4}),)),
        video("Vidu", subjects=(A,)),
    ),
    ("subjects.images", video("Kling", subjects=(A,)), video("Vidu", subjects=(A,))),
    ("subjects.videos", video("Vidu", "q2", subjects=(FILMED,)), video("Vidu", "q2-pro", subjects=(FILMED,))),
    ("subjects.voice_id", video("Kling", subjects=(VOICED,)), video("Vidu", subjects=(VOICED,))),
]
RELAY: list[tuple[str, object, object]] = [
    ("resolution", image("Qwen", "0925", resolution="1K"), image("Qwen", "0925", resolution="1024x1024")),
    ("aspect_ratio", image("GEM", "3.0", aspect_ratio="9:21"), image("GEM", "3.0", aspect_ratio="5:4")),
    ("aspect_ratio", image("Qwen", "0925", aspect_ratio="1:1"), image("Hunyuan", "3.0", aspect_ratio="1:1")),
    ("aspect_ratio", image("Jimeng", "4.0", aspect_ratio="1:1"), image("Jimeng", "4.0", resolution="6198x2656")),
]
BY_BACKEND = {"mps": RULES, "vod": VOD, "relay": RELAY}
ALL_RULES = [(backend, *rule) for backend, rules in BY_BACKEND.items() for rule in rules]


@pytest.mark.parametrize(
    ("backend", "field", "broken", "good"),
    ALL_RULES,
    ids=[f"{n}-{rule[0]}-{rule[1]}" for n, rule in enumerate(ALL_RULES)],
)
def test_a_rule(backend: str, field: str, broken: object, good: object) -> None:
    (finding,) = findings(broken, backend)
    assert isinstance(finding, Finding)
    assert finding.field == field
    assert findings(good, backend) == ()
    for part in (finding.field, finding.value, finding.model, finding.accepted, str(finding.source)):
        assert part
        assert part in str(finding)


def test_each_model_has_a_case_for_each_field_that_it_bounds() -> None:
    broken = {
        (backend, kind_of(request), getattr(request, "model_name", ""), field)
        for backend, field, request, _ in ALL_RULES
    }
    of_models = {
        (model.backend, model.kind, model.name, fact.field)
        for model in MODELS
        for fact in model.facts
        if fact.accepts is not ANYTHING
    }
    assert sorted(of_models - broken) == [], "add a case to RULES: a request that breaks the fact, and the nearest one"


def test_a_finding_says_what_would_be_accepted() -> None:
    (finding,) = findings(video("kling", "3.0-omni", duration=11, **FEATURE))
    assert str(finding) == (
        "duration: 11 s, but Kling 3.0-Omni takes 3 to 10 s with a reference video (official SDK 3.1.194, 2026-10)"
    )


def test_both_steps_of_a_chain_are_judged_and_its_video_has_a_first_frame() -> None:
    chain = ImageToVideo(
        image=image("Hunyuan", "3.0", resolution="8K"), video=video("Kling", "3.0", duration=2, aspect_ratio="16:9")
    )
    assert {finding.field for finding in findings(chain)} == {
        "image.resolution",
        "video.duration",
        "video.aspect_ratio",
    }


def test_without_a_version_only_what_is_true_of_all_is_judged() -> None:
    assert findings(video("Kling", duration=60, first_frame=URL, last_frame=URL, images=(URL,) * 20)) == ()
    assert [finding.field for finding in findings(video("Kling", resolution="540P"))] == ["resolution"]


def test_a_scenes_own_abilities_are_not_judged() -> None:
    assert findings(video("Kling", "2.6", scene_type="motion_control", videos=(FILM,), duration=20)) == ()


@pytest.mark.parametrize("size", [None, 5, [], "big", "１０x１０", "9" * 5000 + "x1", "0x" * 9, {"width": 1}])
def test_a_size_of_another_shape_is_not_judged(size: object) -> None:
    assert findings(with_size("Hunyuan", "3.0", size)) == ()


def test_a_value_is_shown_short_and_on_one_line() -> None:
    (finding,) = findings(video("Kling", resolution="a\n\x1b[31m" * 500))
    assert len(str(finding)) < 250
    assert str(finding).isprintable()


# --- never judged -----------------------------------------------------------------------------------------------------

texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
words = texts | st.sampled_from(["1080P", "16:9", "4:3", "music", "lip_sync", "3d_panorama", "jpeg", "{}"])
urls = st.lists(st.just(URL), max_size=12)
shots = st.fixed_dictionaries(
    {}, optional={"prompt": texts | st.just("x" * 600) | st.none(), "duration": st.integers() | texts | st.booleans()}
)
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
    )
    | st.fixed_dictionaries({"multi_prompt": st.none() | texts | st.lists(shots | texts | st.none(), max_size=8)}),
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
    "subjects": st.lists(st.builds(Subject, id=st.none() | texts, name=st.none() | texts, images=urls), max_size=3),
    "vod": st.none()
    | st.builds(
        VodOptions,
        last_frame_file_id=st.none() | texts,
        files=st.lists(
            st.builds(
                VodFile,
                file_id=st.just("1"),
                category=st.none() | words | st.sampled_from(["Image", "Video", "Audio"]),
                usage=st.none() | words | st.sampled_from(["FirstFrame", "LastFrame", "Reference"]),
            ),
            max_size=3,
        ),
    ),
}


def requests_of(names: st.SearchStrategy[str | None], versions: st.SearchStrategy[str | None]) -> Any:  # noqa: ANN401
    model = {"model_name": names, "model_version": versions}
    an_image = st.builds(ImageRequest, **of_images, **model)
    a_video = st.builds(VideoRequest, **of_videos, **model)
    of_a_chain = {name: values for name, values in of_videos.items() if name != "first_frame"}
    a_chain = st.builds(ImageToVideo, image=an_image, video=st.builds(VideoRequest, **of_a_chain, **model))
    return st.one_of(an_image, a_video, a_chain)


KNOWN_NAMES = {model.name.casefold() for model in MODELS}
WITHOUT_VERSIONS = {model.name.casefold() for model in MODELS if not model.all_versions}
"""Names without versions at some backend, where any version is one of the model's."""
known_names = st.sampled_from(sorted({model.name for model in MODELS}))
with_versions = st.sampled_from(sorted(KNOWN_NAMES - WITHOUT_VERSIONS))
known_versions = st.sampled_from(sorted({version for model in MODELS for version in model.versions}))


@given(
    requests_of(st.none() | texts.filter(lambda name: name.casefold() not in KNOWN_NAMES), st.none() | known_versions)
)
def test_an_unknown_model_is_never_refused(request: Request) -> None:
    assert all(isinstance(finding, Unlisted) and not finding.refuses for finding in findings(request))


@given(requests_of(with_versions, texts.map(lambda text: f"not {text}")))
def test_an_unknown_version_is_never_refused(request: Request) -> None:
    assert all(isinstance(finding, Unlisted) and not finding.refuses for finding in findings(request))


@given(requests_of(known_names, st.none() | known_versions), st.sampled_from([*BY_BACKEND, "another"]))
def test_any_valid_request_can_be_judged(request: Request, backend: str) -> None:
    for finding in findings(request, backend):
        assert str(finding).isprintable()
        assert len(str(finding)) < 400


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


# --- backends, sources and money --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "request_in_order"),
    [
        ("vod", image("Kling", "3.0", resolution="1K")),
        ("vod", image("Kling", "O1", aspect_ratio="auto")),
        ("vod", image("Kling", "3.0", scene_type="image_expand")),
        ("vod", video("Kling", "2.5", duration=7)),
        ("relay", image("Qwen", "0925", resolution="1024x1024")),
        ("relay", video("Kling", "2.5", duration=7)),
    ],
)
def test_facts_of_mps_judge_no_other_backend(backend: str, request_in_order: object) -> None:
    assert findings(request_in_order, backend) == ()
    assert findings(request_in_order, "another") == ()


def test_facts_of_vod_do_not_judge_the_relay() -> None:
    request = image("Hunyuan", "3.0", aspect_ratio="1:1", **images(4))
    assert {finding.field for finding in findings(request, "vod")} == {"aspect_ratio", "images"}
    assert findings(request, "relay") == ()


LIVE = "reported by other clients that tested MPS in 2026-08, gathered 2026-11-26"
SDK = "official SDK 3.1.194, 2026-10"


@pytest.mark.parametrize(
    ("request_at_stake", "refuses", "text"),
    [
        (
            video("Hailuo", "2.3", duration=8),
            True,
            f"duration: 8 s, but Hailuo 2.3 takes 6 or 10 s ({SDK}); "
            f"the service makes about 6 s and bills them ({LIVE})",
        ),
        (
            video("Hailuo", "H3", duration=20),
            False,
            f"duration: 20 s, but Hailuo H3 takes 4 to 15 s ({LIVE}); the service makes 5 s and bills them",
        ),
        (
            image("MJ", "v8.2"),
            False,
            f"output_count: 1, but MJ v8.2 takes 4 ({LIVE}); the service makes four images and bills each",
        ),
        (
            image("Kling", "2.1", **images(5)),
            True,
            f"images: 5, but Kling 2.1 takes at most 4 ({SDK}); "
            f"the service accepts the create, and the task fails ({LIVE})",
        ),
        (
            image("Kling", "3.0", **images(4)),
            True,
            f"images: 4, but Kling 3.0 takes at most 1 ({SDK}); taken live: at most 4 ({LIVE})",
        ),
        (image("OG", "image2_low", **images(21)), False, f"images: 21, but OG image2_low takes at most 20 ({LIVE})"),
    ],
    ids=lambda value: getattr(value, "model_name", None),
)
def test_a_finding_tells_the_cost_and_only_documents_refuse(request_at_stake: object, refuses: bool, text: str) -> None:
    (finding,) = findings(request_at_stake)
    assert (str(finding), finding.refuses) == (text, refuses)


@pytest.mark.parametrize(
    "parts",
    [None, "one", [5], [{}], [{"duration": "soon"}], [{"duration": True}], [{"duration": 10**4000}, {"duration": 1}]],
)
def test_a_storyboard_of_another_shape_is_not_summed(parts: Any) -> None:  # noqa: ANN401 — a case's value
    request = video("Kling", "3.0", duration=5, additional_parameters={"multi_prompt": parts})
    assert [finding for finding in findings(request) if finding.field.endswith("duration")] == []


def test_an_image_request_of_a_model_that_always_makes_four_may_say_so() -> None:
    assert findings(image("MJ", "v7", output_count=4)) == ()
