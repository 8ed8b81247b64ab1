"""VOD: its documented models, as data.

Some points stay open, because the documents do not state them or contradict each other:
- the versions that accept frames, references and a video to edit: "ask us, or see the maker's documents";
- the models with sound: "supported models include" five, and MPS's document names a sixth;
- durations of the versions that are newer than the line for their model: Vidu q3 (1 to 10 s for "Vidu"), GV omni (8 s
  for "GV"), Hailuo H3-Max and H3_regen (6 or 10 s for "Hailuo", 4 to 15 s for H3);
- 2K and 4K videos: a resolution beyond the model's is made by enhancement (`EnhanceSwitch`);
- 540P of Vidu's videos and 4K of Kling 2.1's images: the lists lack them, the table of usage has them;
- ratios of a video with a first frame: the frame's ratio is taken, and no line refuses another;
- sides of OG's images: "divisible by 16", but the document's own sample (728x1024) is not;
- the older text of the poll's answer (AigcVideoTaskInput): prompts of 1000 characters, fewer models with a last frame;
- `reference_type` and `text` of files: the lines name models, and no line refuses the fields for others.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from .facts import (
    ANYTHING,
    NOTHING,
    Between,
    Fact,
    Given,
    Model,
    ModelKind,
    Nothing,
    OneOf,
    Pixels,
    Source,
    Unless,
    With,
    Without,
)

SDK: Final = Source("official SDK 3.1.194 for VOD", "2026-10")
"""Descriptions of the parameters of CreateAigcImageTask and CreateAigcVideoTask, VOD API 2018-07-17, and of their
structures (AigcImageOutputConfig, AigcVideoOutputConfig, AigcVideoTaskInputSubjectInfo …)."""
LIVE: Final = Source("reported by other clients of VOD", "2026-11-26", "reported")

AT_1080P: Final = With("resolution", ("1080P",), "at 1080P")
WITHOUT_1080P: Final = Unless("resolution", ("1080P", "2K", "4K"), "unless the resolution is 1080P")
WITH_IMAGES: Final = Given(("images",), "with reference images")
WITHOUT_IMAGES: Final = Without(("images", "subjects.images"), "without a reference image")
WITHOUT_FIRST: Final = Without(("first_frame",), "without a first frame")
FROM_TEXT: Final = Without(("first_frame", "last_frame", "images", "videos"), "without an image or a video")

_image, _video, _audio = partial(Model, "vod", "image"), partial(Model, "vod", "video"), partial(Model, "vod", "audio")
_IGNORED: Final = "the service ignores the count and makes one image"
_RATIOS: Final = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9")
_GG_RATIOS: Final = (*_RATIOS, "4:5", "5:4")
_UP_FROM_720P: Final = ("720P", "1080P", "2K", "4K")

KIND_WIDE: Final[Mapping[ModelKind, tuple[Fact, ...]]] = {
    "image": (
        Fact("output_count", OneOf(1), default=1, source=SDK, effect=_IGNORED),
        Fact("output_format", OneOf("jpeg", "png"), source=SDK),
        Fact("scene_type", NOTHING, source=SDK),
    ),
    "video": (
        Fact("last_frame", NOTHING, when=WITHOUT_FIRST, source=SDK),
        Fact("scene_type", NOTHING, source=SDK),
        # "Only for Vidu": its own facts override these.
        Fact("subjects.images", NOTHING, source=SDK),
        Fact("subjects.videos", NOTHING, source=SDK),
        Fact("subjects.voice_id", NOTHING, source=SDK),
        Fact("logo_add", NOTHING, source=LIVE),
    ),
    "audio": (),
}

IMAGES: Final = (
    _image(
        "OG",
        ("image2_low", "image2_medium", "image2_high"),
        SDK,
        (
            Fact("resolution", OneOf("1K", "2K", "4K"), default="1K"),
            Fact("aspect_ratio", OneOf(*_RATIOS, "9:21")),
            Fact("output_count", Between(1, 8)),
            Fact("additional_parameters.size", Pixels(area=(655_360, 8_294_400))),
        ),
    ),
    _image(
        "GG",
        ("2.5", "3.0", "3.1", "3.1-lite"),
        SDK,
        (
            Fact("images", Between(0, 3), versions=("2.5",)),
            Fact("images", Between(0, 14), versions=("3.0", "3.1")),
            Fact("resolution", OneOf("1K", "2K", "4K"), default="1K", versions=("2.5", "3.0")),
            Fact("resolution", OneOf("720P", "1K", "2K", "4K"), default="1K", versions=("3.1",)),
            Fact("aspect_ratio", OneOf(*_GG_RATIOS), versions=("2.5", "3.0")),
            # The list for 3.1 has no ratio that the older lists lack but 1:4, 1:8, 4:1 and 8:1.
            Fact("aspect_ratio", OneOf(*_GG_RATIOS, "1:4", "1:8", "4:1", "8:1"), versions=("3.1",)),
        ),
    ),
    _image(
        "Hunyuan",
        ("3.0", "3d_2.0", "3.5-preview"),
        SDK,
        (
            Fact("images", Between(0, 3), versions=("3.0",)),
            Fact("resolution", Nothing("none: `additional_parameters.size` sets it"), versions=("3.0",)),
            Fact("aspect_ratio", NOTHING, versions=("3.0",)),
            Fact("additional_parameters.size", Pixels(side=(512, 2048), area=(0, 1024 * 1024)), versions=("3.0",)),
            Fact("scene_type", OneOf("3d_panorama")),
        ),
    ),
    _image(
        "Vidu",
        ("q2",),
        SDK,
        (
            Fact("images", Between(0, 7), versions=("q2",)),
            Fact("resolution", OneOf("1080P", "2K", "4K"), default="1080P", versions=("q2",)),
            Fact("aspect_ratio", OneOf(*_RATIOS), versions=("q2",)),
        ),
    ),
    _image(
        "Kling",
        ("2.1", "3.0", "3.0-Omni", "O1", "scene"),
        SDK,
        (
            Fact("images", Between(0, 4), versions=("2.1",)),
            Fact("images", Between(0, 1), versions=("3.0",)),
            Fact("images", Between(0, 10), versions=("3.0-Omni", "O1")),
            Fact("resolution", OneOf("1K", "2K"), default="1K", versions=("3.0",)),
            Fact("resolution", OneOf("1K", "2K", "4K"), default="1K", versions=("2.1", "3.0-Omni", "O1")),
            Fact("aspect_ratio", OneOf(*_RATIOS), versions=("2.1", "3.0")),
            Fact("aspect_ratio", OneOf(*_RATIOS, "auto"), versions=("3.0-Omni", "O1")),
            Fact("output_count", Between(1, 9)),
            Fact("scene_type", OneOf("image_expand")),
        ),
    ),
    _image("Mingmou", ("1.0",), SDK),
    # Not in the list of models, but in the lists of resolutions and ratios.
    _image(
        "SI",
        ("4.0", "4.5", "5.0-lite"),
        SDK,
        (
            Fact("resolution", OneOf("1K", "2K", "4K"), default="1K", versions=("4.0",)),
            Fact("resolution", OneOf("2K", "4K"), default="2K", versions=("4.5",)),
            Fact("resolution", OneOf("2K", "3K"), default="2K", versions=("5.0-lite",)),
            Fact("aspect_ratio", Nothing("none: its prompt names the ratio")),
        ),
    ),
    _image(
        "Qwen",
        ("0925", "2.0"),
        SDK,
        (
            Fact("resolution", Nothing("none: `vod.ext_info` sets it"), versions=("0925",)),
            Fact("aspect_ratio", NOTHING),
        ),
    ),
)

_KLING: Final = ("1.6", "2.0", "2.1", "2.5", "2.6", "O1", "3.0", "3.0-Omni", "3.0-turbo")
_VIDU_Q2: Final = ("q2", "q2-pro", "q2-turbo")
_VIDU_Q3: Final = ("q3", "q3-pro", "q3-turbo", "q3-mix", "q3-drama", "q3-ad")

VIDEOS: Final = (
    _video(
        "Hailuo",
        ("02", "2.3", "2.3-fast", "H3", "H3_regen", "H3-Max"),
        SDK,
        (
            Fact("duration", OneOf(6, 10, unit=" s"), default=6, versions=("02", "2.3", "2.3-fast")),
            Fact("duration", Between(4, 15, " s"), versions=("H3",)),
            Fact("resolution", OneOf("768P", "1080P", "2K", "4K"), default="768P"),
            Fact("enable_audio", NOTHING, versions=("02", "2.3", "2.3-fast"), source=LIVE),
            Fact(
                "aspect_ratio",
                OneOf("21:9", "16:9", "4:3", "1:1", "3:4", "9:16"),
                versions=("H3",),
            ),
        ),
    ),
    _video(
        "Kling",
        (*_KLING, "scene"),
        SDK,
        (
            Fact("duration", Between(3, 15, " s"), default=5),
            Fact("resolution", OneOf(*_UP_FROM_720P), default="720P"),
            Fact("aspect_ratio", OneOf("16:9", "9:16", "1:1"), default="16:9", when=FROM_TEXT),
            Fact("enable_audio", ANYTHING),
            Fact("last_frame", NOTHING, versions=("2.1",), when=WITHOUT_1080P, source=LIVE),
            Fact("subjects.id", Nothing("an `id` in each subject")),
            Fact("scene_type", OneOf("motion_control", "avatar_i2v", "lip_sync")),
        ),
    ),
    _video(
        "Vidu",
        (*_VIDU_Q2, *_VIDU_Q3, "scene", "avatar-q2-pro", "avatar-q2-turbo", "lip-sync"),
        SDK,
        (
            Fact("duration", Between(1, 10, " s"), versions=_VIDU_Q2),
            Fact("resolution", OneOf("540P", *_UP_FROM_720P), default="720P"),
            Fact("aspect_ratio", OneOf("16:9", "9:16", "1:1"), versions=_VIDU_Q3),
            # "only q2" has 4:3 and 3:4: the version or the family? So q2-pro and q2-turbo may have them too.
            Fact("aspect_ratio", OneOf("16:9", "9:16", "1:1", "4:3", "3:4"), versions=_VIDU_Q2),
            Fact("enable_audio", ANYTHING),
            Fact("subjects.name", Nothing("a `name` in each subject")),
            Fact("subjects.images", Between(0, 3)),
            Fact("subjects.videos", NOTHING),
            Fact("subjects.videos", Between(0, 1), versions=("q2-pro",)),
            Fact("subjects.voice_id", ANYTHING),
            Fact("scene_type", OneOf("template_effect")),
            Fact("logo_add", ANYTHING, source=LIVE),
            Fact("prompt", NOTHING, versions=("q3-mix", "q3-drama"), when=WITHOUT_IMAGES, source=LIVE),
        ),
    ),
    _video(
        "GV",
        ("3.1", "3.1-fast", "3.1-lite", "omni"),
        SDK,
        (
            Fact("duration", OneOf(8, unit=" s"), default=8, versions=("3.1", "3.1-fast", "3.1-lite")),
            Fact("resolution", OneOf(*_UP_FROM_720P), default="720P"),
            Fact("aspect_ratio", OneOf("16:9", "9:16"), default="16:9"),
            Fact("enable_audio", ANYTHING),
            Fact("images", Between(0, 3), source=LIVE),
            Fact("last_frame", NOTHING, when=WITH_IMAGES, source=LIVE),
        ),
    ),
    _video(
        "OS",
        ("2.0",),
        SDK,
        (
            Fact("duration", OneOf(4, 8, 12, unit=" s"), default=8),
            Fact("resolution", OneOf(*_UP_FROM_720P)),
            Fact("aspect_ratio", OneOf("16:9", "9:16"), default="16:9", when=FROM_TEXT),
            Fact("enable_audio", ANYTHING),
            Fact("last_frame", NOTHING, source=LIVE),
        ),
    ),
    _video(
        "Hunyuan", ("1.5", "3d_2.0"), SDK, (Fact("scene_type", OneOf("3d_scene"), versions=("3d_2.0",), source=LIVE),)
    ),
    _video("Mingmou", ("1.0",), SDK),
    _video(
        "PixVerse",
        ("v5.6", "v6", "c1"),
        SDK,
        (
            Fact("duration", Between(1, 15, " s"), default=5),
            Fact("resolution", OneOf("540P", *_UP_FROM_720P), default="720P"),
            Fact("aspect_ratio", OneOf(*_RATIOS)),
            Fact("duration", OneOf(5, 8, 10, unit=" s"), versions=("v5.6",), source=LIVE),
            Fact("duration", OneOf(5, 8, unit=" s"), versions=("v5.6",), when=AT_1080P, source=LIVE),
            Fact("enable_audio", NOTHING, versions=("v5.6",), source=LIVE),
        ),
    ),
    _video("Wan", ("3.0",), LIVE),
)

# VOD's document lists no audio models.
AUDIOS: Final = (
    _audio("Kling", (), LIVE, (Fact("scene_type", OneOf("sfx")),)),
    _audio("MiniMaxMusic", ("2.0", "2.5", "2.6", "3.0"), LIVE, (Fact("scene_type", OneOf("music")),)),
    _audio("GL", ("3.0-clip", "3.0-pro"), LIVE, (Fact("scene_type", OneOf("music")),)),
)

MODELS: Final = (*IMAGES, *VIDEOS, *AUDIOS)
