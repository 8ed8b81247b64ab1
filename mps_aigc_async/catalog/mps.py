"""MPS: its documented models, and the models and abilities that others report of it, as data.

Some points stay open, because the documents do not state them or contradict each other:
- the models that accept a first frame, subjects, reference audio, background music or a watermark ("some models");
- more than one output image: "at present 1 by default";
- durations of Hunyuan's and Mingmou's videos; resolutions and ratios of Hunyuan's, Mingmou's and wand-vega's videos;
  ratios of Hunyuan's, Qwen's, wand-vega's, GEM's and Jimeng's images. No list has them; the guide's console does offer
  1:1 for Hunyuan;
- Hailuo's 10 seconds outside its "std" mode, and all else that depends on modes within `additional_parameters`;
- the versions of Kling with sound: the API says Kling, the guide "such as 3.0". Sound for H2: the API's list lacks it,
  the guide's console offers it;
- 2K and 4K videos: some models' lists have 4K, and a note below the lists allows 2K and 4K beside the lists;
- ratios of Kling's videos from reference images: "text-to-video only" may exclude frames alone, as for other models;
- the fields of a scene (`scene_type`): the lists describe the models without a scene;
- one reference image for models that are not listed as accepting several;
- the watermark of images: no list of models;
- resolutions that depend on the duration ("related to the model and the duration"), but for the reported one;
- sound beside a last frame: neither a document nor a dated report names models;
- PixVerse's `Quality`, which is reported: the SDK has no such field, so no request can carry it;
- reference images of MJ with a signed URL, which fail by a report: a URL may be anyone's;
- the names (`Text`) of PixVerse's reference images: the SDK's structure has no such field.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from .facts import (
    ANYTHING,
    NOTHING,
    UNSET,
    Between,
    Differ,
    Fact,
    Given,
    Model,
    ModelKind,
    Nothing,
    OneOf,
    Pixels,
    Required,
    Source,
    Unless,
    With,
    Without,
)

SDK: Final = Source("official SDK 3.1.194", "2026-10")
"""Descriptions of the parameters of the Create… actions, MPS API 2019-06-12."""
GUIDE: Final = Source("AIGC guide", "2026-05-29")
"""「AIGC 创作接入教程」."""
OLDER_API: Final = Source("CreateAigcImageTask's page", "2025-12-31")
"""A page with models that the newer list lacks."""
LIVE: Final = Source("reported by other clients that tested MPS in 2026-08", "2026-11-26", "reported")
"""Facts that publishers of other clients state as tested on the real API."""
RESELLERS: Final = Source("reported of PixVerse by other services that sell it", "2026-04-24", "reported")

WITH_FRAMES: Final = Given(("first_frame", "last_frame"), "with a first or last frame")
WITH_VIDEO: Final = Given(("videos",), "with a reference video")
EDITING: Final = Given(("base_videos",), "with a base video (the one to edit)")
EDITING_BY_DEFAULT: Final = Given(("base_videos", "plain_videos"), "with a base video (the default refer_type)")
WITHOUT_1080P: Final = Unless("resolution", ("1080P", "2K", "4K"), "unless the resolution is 1080P")
"""The default is 720P. The documents do not say from which resolution the service makes 2K and 4K."""

AT_1080P: Final = With("resolution", ("1080P",), "at 1080P")
WITHOUT_FIRST: Final = Without(("first_frame",), "without a first frame")
WITH_REFERENCES: Final = Given(("videos", "audios"), "with a reference video or audio")
WITHOUT_IMAGE: Final = Without(
    ("first_frame", "last_frame", "images", "videos", "subjects.images"), "without an image to start from"
)

_FAILS: Final = "the service accepts the create, and the task fails"
_ONE_IMAGE: Final = Fact(
    "output_count", OneOf(1), default=1, source=LIVE, effect="the service ignores the count and makes one image"
)
_STORYBOARD: Final = "additional_parameters.multi_prompt"
_image, _video, _audio = partial(Model, "mps", "image"), partial(Model, "mps", "video"), partial(Model, "mps", "audio")

_16_9, _WIDE_AND_TALL = ("16:9", "9:16", "1:1"), ("16:9", "9:16", "1:1", "4:3", "3:4")
_IMAGE_RATIOS = OneOf(*_WIDE_AND_TALL, "3:2", "2:3", "21:9")
_RESOLUTIONS = ("540P", "720P", "1080P", "2K", "4K")

KIND_WIDE: Final[Mapping[ModelKind, tuple[Fact, ...]]] = {
    # True of every model of the kind whose own entry has no other fact about the field.
    "image": (
        Fact("prompt", Between(0, 1000, " characters"), source=GUIDE),
        Fact("images", Between(0, 1), source=SDK),  # "one by default"; models with several have their own fact
        Fact("images", Between(0, 20), source=LIVE),  # the create refuses more
        Fact("output_count", ANYTHING, default=1, source=SDK),
        Fact("output_format", OneOf("jpeg", "png"), source=SDK),
        Fact("resolution", OneOf("720P", "1080P", "2K", "4K"), source=SDK),
        Fact("scene_type", NOTHING, source=SDK),
    ),
    "video": (
        Fact("prompt", Between(0, 2000, " characters"), source=GUIDE),
        Fact("images", Between(0, 1), source=SDK),
        Fact("videos", NOTHING, source=SDK),  # "at present only …"
        Fact("last_frame", NOTHING, source=SDK),
        Fact("last_frame", NOTHING, when=WITHOUT_FIRST, source=LIVE),
        Fact("first_frame", NOTHING, when=EDITING, source=SDK),
        Fact("enable_audio", NOTHING, source=SDK),
        Fact("logo_add", NOTHING, source=SDK),
        Fact("off_peak", NOTHING, source=SDK),  # "at present only Vidu"
        Fact("scene_type", NOTHING, source=SDK),
    ),
    "audio": (
        Fact("prompt", Between(0, 2000, " characters"), source=SDK),
        Fact("videos", NOTHING, source=SDK),  # "only some models": those below with their own fact
        Fact("scene_type", OneOf("music"), source=SDK),
    ),
}

IMAGES: Final = (
    _image(
        "Hunyuan",
        ("3.0", "3.5-preview"),
        SDK,
        (
            Fact("images", Between(0, 3), versions=("3.0",)),
            Fact("images", Between(0, 3), versions=("3.0",), source=LIVE, effect=_FAILS),
            Fact("images", Between(0, 5), versions=("3.5-preview",)),
            Fact("additional_parameters.size", Pixels(side=(512, 2048), area=(0, 1024 * 1024)), versions=("3.0",)),
            Fact("scene_type", OneOf("3d_panorama")),
            _ONE_IMAGE,
        ),
        live_versions=("3d_2.0",),
        live_source=LIVE,
    ),
    _image(
        "Qwen",
        ("0925",),
        SDK,
        # The document's lower bound is "512x512=261632", but 261632 is 511x512. The laxer number is the bound here.
        (
            Fact("additional_parameters.size", Pixels(area=(261632, 2048 * 2048)), versions=("0925",)),
            Fact("images", Between(0, 9), source=LIVE, effect=_FAILS),
        ),
    ),
    _image(
        "Vidu",
        ("q2",),
        SDK,
        (
            Fact("images", Between(0, 7), versions=("q2",)),
            Fact("images", Between(0, 7), versions=("q2",), source=LIVE, effect=_FAILS),
            Fact("aspect_ratio", _IMAGE_RATIOS, versions=("q2",)),
        ),
    ),
    _image(
        "Kling",
        ("2.1", "O1", "3.0", "3.0-Omni"),
        SDK,
        (
            Fact("images", Between(0, 1), versions=("3.0",)),
            Fact("images", Between(0, 4), versions=("2.1",)),
            Fact("images", Between(0, 10), versions=("O1", "3.0-Omni")),
            Fact("images", Between(0, 4), versions=("2.1", "3.0"), source=LIVE, effect=_FAILS),
            Fact("images", Between(0, 10), versions=("O1", "3.0-Omni"), source=LIVE, effect=_FAILS),
            Fact("aspect_ratio", _IMAGE_RATIOS),
        ),
    ),
    _image(
        "wand-vega-image",
        ("1.0-lite", "1.0-flash", "1.0-pro"),
        SDK,
        (Fact("images", Between(0, 10)), Fact("resolution", OneOf("1K", "2K", "4K"))),
    ),
    # The older page names no resolutions and no formats.
    _image(
        "GEM",
        ("2.5", "3.0"),
        OLDER_API,
        (
            Fact("images", Between(0, 3)),
            Fact("images", Between(0, 20), source=LIVE, effect=_FAILS),
            _ONE_IMAGE,
            Fact("resolution", ANYTHING),
            Fact("output_format", ANYTHING),
        ),
        live_versions=("3.1",),
        live_source=LIVE,
    ),
    _image(
        "Jimeng",
        ("4.0",),
        OLDER_API,
        (Fact("images", Between(0, 1)), Fact("resolution", ANYTHING), Fact("output_format", ANYTHING)),
    ),
    _image("OG", ("image2_low", "image2_medium", "image2_high"), LIVE),
    _image("Seedream", ("4.5", "5.0-lite", "5.0-pro"), LIVE),
    _image(
        "MJ",
        ("v7", "v8.1", "v8.2"),
        LIVE,
        (
            Fact("aspect_ratio", Nothing("none: its prompt names the ratio"), versions=("v7",), source=SDK),
            Fact("output_count", OneOf(4), default=4, effect="the service makes four images and bills each"),
            Fact("images", Between(0, 3), effect=_FAILS),
            Fact("aspect_ratio", Nothing("none: its prompt names the ratio")),
            Fact("resolution", NOTHING),
        ),
    ),
    _image("Wan", ("2.2",), LIVE, (Fact("model_version", Nothing("no requests yet")),)),
)

_KLING_AT_1080P: Final = ("1.6", "2.1", "2.5", "2.6")
_KLING_REFERRING: Final = ("O1", "3.0-Omni")
_KLING_3: Final = ("3.0", "3.0-Omni")
_VIDU_Q2: Final = ("q2", "q2-pro", "q2-turbo")
_VIDU_Q3: Final = ("q3", "q3-pro", "q3-turbo", "q3-mix")

VIDEOS: Final = (
    _video(
        "Hunyuan", ("1.5",), SDK, (Fact("scene_type", OneOf("3d_scene")),), live_versions=("3d_2.0",), live_source=LIVE
    ),
    _video(
        "wand-vega-video",
        ("1.0-lite",),
        SDK,
        (
            Fact("duration", Between(4, 15, " s"), versions=("1.0-lite",)),
            Fact("last_frame", ANYTHING, versions=("1.0-lite",)),
            Fact("images", Between(0, 9), versions=("1.0-lite",)),
        ),
    ),
    _video(
        "Hailuo",
        ("02", "2.3", "2.3-fast"),
        SDK,
        (
            Fact("duration", OneOf(6, 10, unit=" s"), default=6),
            Fact("resolution", OneOf("768P", "1080P", "2K", "4K"), default="768P"),
            Fact("aspect_ratio", NOTHING),
            Fact("last_frame", ANYTHING, versions=("02",)),
            Fact("logo_add", ANYTHING),
            Fact(
                "duration",
                OneOf(6, 10, unit=" s"),
                versions=("02", "2.3", "2.3-fast"),
                source=LIVE,
                effect="the service makes about 6 s and bills them",
            ),
            Fact(
                "duration",
                Between(4, 15, " s"),
                versions=("H3",),
                source=LIVE,
                effect="the service makes 5 s and bills them",
            ),
            Fact("prompt", NOTHING, versions=("2.3-fast",), when=WITHOUT_IMAGE, source=LIVE),
            Fact("resolution", OneOf("4K"), versions=("H3",), source=LIVE, effect="the service makes 2560x1440 pixels"),
            Fact("images", Between(0, 9), versions=("H3",), source=LIVE),
            Fact("videos", Between(0, 3), versions=("H3",), source=LIVE),
            Fact("first_frame", NOTHING, versions=("H3",), when=WITH_REFERENCES, source=LIVE),
            Fact("last_frame", ANYTHING, versions=("H3",), source=LIVE),
            Fact("last_frame", NOTHING, versions=("H3",), when=WITH_REFERENCES, source=LIVE),
        ),
        live_versions=("H3",),
        live_source=LIVE,
    ),
    _video(
        "Kling",
        ("1.6", "2.0", "2.1", "2.5", "O1", "2.6", "3.0", "3.0-Omni"),
        SDK,
        (
            Fact("duration", OneOf(5, 10, unit=" s"), default=5, versions=("2.0", *_KLING_AT_1080P)),
            Fact("duration", Between(3, 10, " s"), default=5, versions=("O1",)),
            Fact("duration", Between(3, 15, " s"), default=5, versions=("3.0", "3.0-Omni")),
            Fact("duration", Between(3, 10, " s"), default=5, versions=("3.0-Omni",), when=WITH_VIDEO),
            Fact("resolution", OneOf("720P", "1080P", "2K", "4K"), default="720P"),
            Fact("aspect_ratio", OneOf(*_16_9), default="16:9"),
            Fact("aspect_ratio", NOTHING, when=WITH_FRAMES),
            Fact("last_frame", ANYTHING),
            Fact("last_frame", NOTHING, versions=_KLING_AT_1080P, when=WITHOUT_1080P),
            Fact("images", Between(1, 4), versions=("1.6",)),
            Fact("images", Between(1, 7), versions=_KLING_REFERRING),
            Fact("images", Between(0, 4), versions=_KLING_REFERRING, when=WITH_VIDEO),
            Fact("videos", ANYTHING, versions=_KLING_REFERRING),
            Fact("first_frame", NOTHING, versions=_KLING_REFERRING, when=EDITING_BY_DEFAULT),
            Fact("last_frame", NOTHING, versions=_KLING_REFERRING, when=EDITING_BY_DEFAULT),
            Fact("enable_audio", ANYTHING),
            Fact("logo_add", ANYTHING),
            Fact("scene_type", OneOf("motion_control", "avatar_i2v", "lip_sync")),
            Fact(_STORYBOARD, NOTHING, source=LIVE),
            Fact(_STORYBOARD, Between(1, 6, " parts"), versions=_KLING_3, source=LIVE),
            Fact(f"{_STORYBOARD}.prompt", Between(0, 512, " characters"), versions=_KLING_3, source=LIVE),
            Fact(
                f"{_STORYBOARD}.duration",
                Nothing("parts whose durations sum to `duration`"),
                versions=_KLING_3,
                when=Differ((f"{_STORYBOARD}.duration", "duration")),
                source=LIVE,
            ),
        ),
    ),
    _video(
        "Vidu",
        (*_VIDU_Q2, *_VIDU_Q3),
        SDK,
        (
            Fact("duration", Between(3, 16, " s"), default=5, versions=_VIDU_Q3),
            Fact("duration", Between(1, 10, " s"), default=5, versions=_VIDU_Q2),
            Fact("resolution", OneOf(*_RESOLUTIONS), default="720P"),
            Fact("aspect_ratio", OneOf(*_16_9), versions=_VIDU_Q3),
            # "only q2" has 4:3 and 3:4: the version or the family? So q2-pro and q2-turbo may have them too.
            Fact("aspect_ratio", OneOf(*_WIDE_AND_TALL), versions=_VIDU_Q2),
            Fact("aspect_ratio", NOTHING, when=WITH_FRAMES),
            Fact("last_frame", ANYTHING, versions=("q2-pro", "q2-turbo", "q3-pro", "q3-turbo")),
            Fact("last_frame", NOTHING, versions=("q2-pro",), when=EDITING),
            Fact("images", Between(1, 7), versions=("q2", "q2-pro", "q3-turbo", "q3", "q3-mix")),
            Fact("videos", ANYTHING, versions=("q2-pro",)),
            Fact("enable_audio", ANYTHING, versions=_VIDU_Q3),
            Fact("off_peak", ANYTHING),
            Fact("logo_add", ANYTHING),
            Fact("scene_type", OneOf("template_effect")),
        ),
    ),
    _video(
        "PixVerse",
        ("v5.6", "v6", "c1"),
        SDK,
        (
            Fact("duration", OneOf(5, 8, 10, unit=" s"), default=5, versions=("v5.6",)),
            Fact("duration", Between(1, 15, " s"), default=5, versions=("v6", "c1")),
            Fact("duration", OneOf(5, 8, unit=" s"), versions=("v5.6",), when=AT_1080P, source=RESELLERS),
            Fact("resolution", OneOf(*_RESOLUTIONS), default="720P"),
            Fact("aspect_ratio", OneOf(*_WIDE_AND_TALL), versions=("v5.6",)),
            Fact("aspect_ratio", OneOf(*_WIDE_AND_TALL, "2:3", "3:2", "21:9"), versions=("v6", "c1")),
            Fact("aspect_ratio", NOTHING, when=WITH_FRAMES),
            Fact("last_frame", ANYTHING),
            Fact("images", Between(1, 7)),
            Fact("enable_audio", ANYTHING),
        ),
    ),
    _video("Mingmou", (), SDK, (Fact("scene_type", OneOf("land2port")),)),
    _video(
        "H2",
        ("1.0",),
        SDK,
        (
            Fact("duration", Between(3, 15, " s"), default=5),
            Fact("resolution", OneOf("720P", "1080P", "2K", "4K"), default="1080P"),
            Fact("aspect_ratio", OneOf(*_WIDE_AND_TALL, "4:5", "5:4", "21:9", "9:21")),
            Fact("aspect_ratio", NOTHING, when=WITH_FRAMES),
            Fact("images", Between(1, 9), versions=("1.0",)),
            Fact("images", Between(0, 5), versions=("1.0",), when=WITH_VIDEO),
            Fact("videos", ANYTHING, versions=("1.0",)),
            Fact("enable_audio", ANYTHING, source=GUIDE),
            Fact("logo_add", ANYTHING),
            Fact("videos", NOTHING, versions=("1.1",), source=LIVE),
        ),
        live_versions=("1.1",),
        live_source=LIVE,
    ),
    _video("GV", ("3.1", "3.1-fast"), LIVE),
    _video("OS", ("2.0",), LIVE),
    _video("Wan", ("2.2",), LIVE, (Fact("model_version", Nothing("no requests yet")),)),
)

_A_VERSION: Final = Required("one of its versions")

AUDIOS: Final = (
    _audio(
        "GL",
        ("3.0-clip", "3.0-pro"),
        SDK,
        (
            Fact("model_version", _A_VERSION, source=LIVE),
            Fact("lyrics", Required("`lyrics`"), versions=("3.0-pro",), source=LIVE, effect=_FAILS),
        ),
    ),
    _audio(
        "MiniMaxMusic",
        ("2.0", "2.5", "2.6", "3.0"),
        SDK,
        (Fact("model_version", _A_VERSION, source=LIVE),),
    ),
    _audio(
        "EL",
        ("compose_v2", "sound_t2s_v2"),
        SDK,
        # Music for a video. The other version makes sounds; no document names a scene for sounds.
        (Fact("videos", ANYTHING), Fact("scene_type", ANYTHING, versions=("sound_t2s_v2",))),
    ),
    _audio(
        "Mureka",
        ("song_8", "song_9", "song_9.5", "instrumental_8", "instrumental_9", "instrumental_9.5"),
        SDK,
    ),
    _audio(
        "Tme",
        (),
        LIVE,
        (
            Fact("model_version", UNSET),
            Fact("scene_type", OneOf("music")),
            Fact("resource_id", Required("a `resource_id`, the song to cover")),
            Fact("audios", Required("`audios`, the voice to cover the song with")),
        ),
    ),
    # Not in the list of models, but named for the sound of a video, without versions and scenes.
    _audio(
        "Kling",
        (),
        SDK,
        (
            Fact("videos", ANYTHING),
            Fact("scene_type", ANYTHING),
            Fact("scene_type", OneOf("sfx"), source=LIVE),
            Fact("model_version", UNSET, source=LIVE),
        ),
    ),
)

MODELS: Final = (*IMAGES, *VIDEOS, *AUDIOS)
