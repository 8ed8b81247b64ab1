"""The lists of the documents, written down once more: no request that they allow has a documented finding."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from mps_aigc_async import AudioRequest as Audio
from mps_aigc_async import ReferenceVideo, Subject
from mps_aigc_async.catalog import findings
from mps_aigc_async.model.requests import Step

from .requests import FILM, URL, image, video

WIDE = ["16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9"]
FEATURE: dict[str, Any] = {"videos": (ReferenceVideo(url=FILM, refer_type="feature"),)}
BOTH_FRAMES: dict[str, Any] = {"first_frame": URL, "last_frame": URL}


def mps_images() -> Iterator[Step]:
    for version, ratio, size in product(("2.1", "3.0", "3.0-Omni", "O1"), WIDE, ("720P", "1080P", "2K", "4K")):
        yield image("Kling", version, aspect_ratio=ratio, resolution=size, output_format="png", logo_add=True)
    counts = {("Kling", "2.1"): 4, ("Kling", "3.0-Omni"): 10, ("Kling", "O1"): 10, ("Vidu", "q2"): 7}
    counts |= {("Hunyuan", "3.5-preview"): 5, ("Hunyuan", "3.0"): 3, ("wand-vega-image", "1.0-pro"): 10}
    for (model, version), most in counts.items():
        yield from (image(model, version, images=(URL,) * number) for number in range(most + 1))
    yield from (image("Vidu", "q2", aspect_ratio=ratio) for ratio in WIDE)
    yield from (image("wand-vega-image", "1.0-lite", resolution=size) for size in ("1K", "2K", "4K"))
    sizes = {"Hunyuan": ("3.0", "512x2048", "1024x1024"), "Qwen": ("0925", "512x512", "2048x2048")}
    for model, (version, *texts) in sizes.items():
        yield from (image(model, version, additional_parameters={"size": text}) for text in texts)


SECONDS: dict[str, dict[str, list[int]]] = {
    "Kling": {
        **{key: [5, 10] for key in ("1.6", "2.0", "2.1", "2.5", "2.6")},
        "O1": [*range(3, 11)],
        "3.0": [*range(3, 16)],
        "3.0-Omni": [*range(3, 16)],
    },
    "Hailuo": {"02": [6, 10], "2.3": [6, 10]},
    "Vidu": {
        **{key: [*range(1, 11)] for key in ("q2", "q2-pro", "q2-turbo")},
        **{key: [*range(3, 17)] for key in ("q3", "q3-pro", "q3-turbo", "q3-mix")},
    },
    "PixVerse": {"v5.6": [5, 8, 10], "v6": [*range(1, 16)], "c1": [*range(1, 16)]},
    "wand-vega-video": {"1.0-lite": [*range(4, 16)]},
    "H2": {"1.0": [*range(3, 16)]},
}


def mps_videos() -> Iterator[Step]:
    for model, by_version in SECONDS.items():
        for version, seconds in by_version.items():
            yield from (video(model, version, duration=duration) for duration in seconds)
    sizes = {"Kling": ("720P", "1080P", "4K"), "Hailuo": ("768P", "1080P"), "H2": ("720P", "1080P")}
    sizes |= dict.fromkeys(("Vidu", "PixVerse"), ("540P", "720P", "1080P"))
    ratios = {
        "Kling": WIDE[:3],
        "Vidu": WIDE[:3],
        "PixVerse": WIDE[:5],
        "H2": [*WIDE[:5], "4:5", "5:4", "21:9", "9:21"],
    }
    for model, texts in sizes.items():
        for version, size, ratio in product(SECONDS[model], (*texts, "2K", "4K"), (*ratios.get(model, ()), None)):
            yield video(model, version, resolution=size, aspect_ratio=ratio, logo_add=model != "PixVerse")
    yield from (video("PixVerse", "v6", aspect_ratio=ratio, enable_audio=True) for ratio in WIDE)
    yield from (video("Vidu", "q2", aspect_ratio=ratio, off_peak=True) for ratio in WIDE[:5])
    for version in ("2.0", "O1", "3.0", "3.0-Omni"):
        yield video("Kling", version, **BOTH_FRAMES)
    for version in ("1.6", "2.1", "2.5", "2.6"):
        yield video("Kling", version, resolution="1080P", enable_audio=True, **BOTH_FRAMES)
    with_last = {"Vidu": ("q2-pro", "q2-turbo", "q3-pro", "q3-turbo"), "PixVerse": ("v5.6", "v6", "c1")}
    with_last |= {"Hailuo": ("02",), "wand-vega-video": ("1.0-lite",)}
    yield from (video(model, version, **BOTH_FRAMES) for model, versions in with_last.items() for version in versions)
    for version in ("O1", "3.0-Omni"):
        yield video("Kling", version, images=(URL,) * 7)
        yield video("Kling", version, images=(URL,) * 4, videos=(FILM,), duration=10)
        yield video("Kling", version, first_frame=URL, **FEATURE)
    yield video("Kling", "1.6", images=(URL,) * 4)
    yield video("H2", "1.0", images=(URL,) * 5, videos=(FILM,))
    yield from (video("Vidu", version, images=(URL,) * 7) for version in ("q2", "q2-pro", "q3-turbo", "q3", "q3-mix"))
    scenes = {"Kling": ("motion_control", "avatar_i2v", "lip_sync"), "Mingmou": ("land2port",)}
    scenes |= {"Vidu": ("template_effect",), "Hunyuan": ("3d_scene",)}
    yield from (video(model, scene_type=scene) for model, names in scenes.items() for scene in names)


def mps_audios() -> Iterator[Step]:
    versions = {"GL": ("3.0-clip", "3.0-pro"), "MiniMaxMusic": ("2.0", "2.5", "2.6", "3.0")}
    versions |= {"EL": ("compose_v2", "sound_t2s_v2"), "Mureka": ("song_9.5", "instrumental_8")}
    for model, names in versions.items():
        for name in names:
            yield Audio(prompt="x" * 2000, model_name=model, model_version=name, scene_type="music")
    yield Audio(prompt="x", model_name="EL", videos=(FILM,), scene_type="music")
    yield Audio(prompt="x", model_name="Kling", videos=(FILM,), scene_type="sfx")


def vod_steps() -> Iterator[Step]:
    sizes = {"2.1": ("1k", "2k"), "3.0": ("1k", "2k"), "3.0-Omni": ("1k", "4k"), "O1": ("1k", "4k")}
    for version, texts in sizes.items():
        for size, ratio in product(texts, WIDE):
            yield image("Kling", version, resolution=size, aspect_ratio=ratio, output_count=9)
    for ratio in (*WIDE, "1:4", "1:8", "4:1", "8:1", "4:5", "5:4"):
        yield image("GG", "3.1", aspect_ratio=ratio, resolution="720P", images=(URL,) * 14)
    yield from (image("OG", "image2_low", aspect_ratio=r, resolution="4K", output_count=8) for r in (*WIDE, "9:21"))
    yield from (video("Kling", "2.5", duration=duration) for duration in range(3, 16))
    yield from (video("Hailuo", "H3", duration=n, resolution="2K", aspect_ratio="21:9") for n in range(4, 16))
    yield from (video("Vidu", version, duration=n) for version in ("q2", "q3", "q3-pro") for n in range(1, 11))
    yield from (video("PixVerse", "v6", duration=n, resolution="2k", aspect_ratio="21:9") for n in range(1, 16))
    yield from (video("OS", "2.0", duration=n, resolution="720P", aspect_ratio="9:16") for n in (4, 8, 12))
    yield video("GV", "3.1", duration=8, resolution="1080P", aspect_ratio="9:16", enable_audio=True, **BOTH_FRAMES)
    yield from (video(model, enable_audio=True) for model in ("GV", "OS", "Vidu", "Kling"))
    yield video("Vidu", "q2-pro", subjects=(Subject(name="a", videos=(FILM,), voice_id="v"),))
    yield video("Kling", "3.0", subjects=(Subject(id="a"),))


@pytest.mark.parametrize(
    ("backend", "steps"),
    [("mps", mps_images), ("mps", mps_videos), ("mps", mps_audios), ("vod", vod_steps)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_the_documents_allow_is_never_refused(backend: str, steps: Any) -> None:  # noqa: ANN401 — a generator
    requests = list(steps())
    assert len(requests) >= 10
    refused = [str(finding) for step in requests for finding in findings(step, backend) if finding.refuses]
    assert refused == []
