"""The relay: the models of its own page, as data. VOD's facts are not the relay's, which lists fewer models.

The page has images only, and some points stay open: the number of reference images, the resolutions of single models
(one list for all), and ratios of Hunyuan's images.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from .facts import NOTHING, Fact, Model, ModelKind, OneOf, Source

PAGE: Final = Source("QuickRouter's undated page of aigc-image, as read", "2026-11")
"""quickrouter.ai, "腾讯混元图像创建接口"."""

_image = partial(Model, "relay", "image")

KIND_WIDE: Final[Mapping[ModelKind, tuple[Fact, ...]]] = {
    "image": (
        Fact(
            "resolution",
            OneOf(
                *("720P", "1080P", "2K", "4K", "1024x1024", "2048x2048", "2304x1728", "2496x1664", "2560x1440"),
                *("3024x1296", "4096x4096", "4694x3520", "4992x3328", "5404x3040", "6198x2656"),
            ),
            source=PAGE,
        ),
    ),
    "video": (),
    "audio": (),
}

MODELS: Final = (
    _image(
        "GEM",
        ("2.5", "3.0"),
        PAGE,
        (Fact("aspect_ratio", OneOf("1:1", "3:2", "2:3", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")),),
    ),
    _image("Qwen", ("0925",), PAGE, (Fact("aspect_ratio", NOTHING),)),
    _image("Hunyuan", ("3.0",), PAGE),
    # Not in the list of models, but named for resolutions and ratios, without versions.
    _image("Jimeng", (), PAGE, (Fact("aspect_ratio", NOTHING),)),
)
