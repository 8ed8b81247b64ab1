"""An audio's order, which MPS and VOD share, and MPS's rules about an audio's scene and version.

Sources: CreateAigcAudioTask of MPS and of VOD (official SDKs 3.1.194, 2026-10), and rules that are reported as tested
on MPS in 2026-08, each marked as such.
"""

import json
from collections.abc import Mapping
from typing import Final

from ..tasks.fields import Json, integer_of, text_of
from ..tasks.orders import MAX_COUNT, AudioOrder, Format, VideoOrder, label_of, out_of_range, video_size, within

AUDIO_SECONDS: Final = 3
"""Seconds of an audio without a length, chosen for the emulator: 3 seconds are a few kilobytes."""

SCENES: Final = ("tts", "music", "sfx")
"""The values of SceneType; MPS refuses an audio without one (reported, 2026-08)."""

_FORMATS: Final[Mapping[str, Format]] = {"": "mp3", "mp3": "mp3", "wav": "wav"}
"""The format by OutputAudioFormat. The documents name no values; the emulator chose these two."""

_ONLY_SCENE: Final[Mapping[str, str]] = {
    # "Kling takes sfx only, music models music only" (reported, 2026-08). EL makes music and sounds.
    "Kling": "sfx",
    "GL": "music",
    "MiniMaxMusic": "music",
    "Mureka": "music",
    "Tme": "music",
    "EL compose_v2": "music",
}
_WITH_VERSION: Final = ("MiniMaxMusic", "GL")
"""Models that need a ModelVersion (reported, 2026-08)."""
_WITHOUT_VERSION: Final = ("Kling", "Tme")
"""Models that refuse a ModelVersion (reported, 2026-08)."""


def audio_order(fields: Mapping[str, Json], prompt: str, format_field: tuple[str, str], seconds: int) -> AudioOrder:
    """The order of an audio. `format_field` is the name of the field for the format, and its value. Raises Refused."""
    name, value = format_field
    if value.lower() not in _FORMATS:
        raise out_of_range(name, "mp3 or wav")
    label = label_of(fields)
    seconds = seconds or AUDIO_SECONDS
    film = VideoOrder(prompt, label, video_size({}), seconds, audio=True, first_url="", last_url="")
    return AudioOrder(
        prompt=prompt,
        label=label,
        seconds=seconds,
        format=_FORMATS[value.lower()],
        film=film if fields.get("VideoInfos") else None,
        count=_count(fields),
    )


def require_scene_and_version(fields: Mapping[str, Json]) -> None:
    """Raise Refused for a scene or a version that MPS refuses for the model."""
    scene, model, version = (text_of(fields, name) for name in ("SceneType", "ModelName", "ModelVersion"))
    if scene not in SCENES:
        raise out_of_range("SceneType", f"one of {', '.join(SCENES)}")
    only = _ONLY_SCENE.get(model) or _ONLY_SCENE.get(label_of(fields))
    if only and scene != only:
        raise out_of_range("SceneType", f"{only} for {label_of(fields)}")
    if model in _WITH_VERSION and not version:
        raise out_of_range("ModelVersion", f"set for {model}")
    if model in _WITHOUT_VERSION and version:
        raise out_of_range("ModelVersion", f"left out for {model}")


def flaw_of(fields: Mapping[str, Json], resource_id: str) -> str:
    """The reason why MPS accepts an audio and then fails its task (reported, 2026-08); empty for none."""
    if label_of(fields) == "GL 3.0-pro" and not text_of(_parameters(fields), "lyric"):
        return "GL 3.0-pro needs lyrics."
    if text_of(fields, "ModelName") == "Tme" and not (resource_id and fields.get("AudioInfos")):
        return "Tme needs ExtraParameters.ResourceId and AudioInfos."
    return ""


def _count(fields: Mapping[str, Json]) -> int:
    """The number of audios: Mureka's `n` ("指定输出音频文件数")."""
    if text_of(fields, "ModelName") != "Mureka":
        return 1
    return int(within("AdditionalParameters.n", integer_of(_parameters(fields), "n", 1), MAX_COUNT))


def _parameters(fields: Mapping[str, Json]) -> Mapping[str, Json]:
    """The object in AdditionalParameters; empty for anything else."""
    document: Json = json.loads(text_of(fields, "AdditionalParameters") or "{}")
    return document if isinstance(document, Mapping) else {}
