"""The fields of the relay's routes, and their names at VOD.

The image route's source is quickrouter.ai's page "腾讯混元图像创建接口" (read 2026-11): its table, or its example where
the two differ (`tasks_priority` is a number, `type` is "file"). The table is flat; by the example, the fields after
`output_config` are inside that object. No page of quickrouter.ai has the video route: its table is the image's, with
the fields that relays of the same family document for their video routes.
"""

from collections.abc import Mapping
from typing import Final

from ..tasks.fields import Json, ListOf, OneOf, Table
from .vod_fields import PERSONS, STORAGE, SWITCH

_FILE: Table = {
    "type": OneOf(("file", "url", "File", "Url")),
    "file_id": "string",
    "url": "string",
    "text": "string",
}

_OUTPUT: Table = {
    "storage_mode": STORAGE,
    "resolution": "string",
    "aspect_ratio": "string",
    "person_generation": PERSONS,
    "input_compliance_check": SWITCH,
    "output_compliance_check": SWITCH,
}

CREATE_IMAGE: Table = {
    "model_name": "string",
    "model_version": "string",
    "prompt": "string",
    "file_infos": ListOf(_FILE),
    "negative_prompt": "string",
    "enhance_prompt": SWITCH,
    "output_config": _OUTPUT,
    "session_id": "string",
    "session_context": "string",
    "tasks_priority": "integer",
    "ext_info": "string",  # "保留字段": the page's own value, "myextinfo", is no JSON
}

CREATE_VIDEO: Table = {
    **CREATE_IMAGE,
    "file_infos": ListOf(
        {
            **_FILE,
            "category": OneOf(("Image", "Video", "Audio")),
            "usage": OneOf(("FirstFrame", "LastFrame", "Reference")),
            "reference_type": "string",
        }
    ),
    "last_frame_file_id": "string",
    "last_frame_url": "string",
    "scene_type": "string",
    "output_config": {
        **_OUTPUT,
        "media_name": "string",
        "class_id": "integer",
        "expire_time": "string",
        "duration": "number",
        "audio_generation": SWITCH,
        "enhance_switch": SWITCH,
    },
}

REQUIRED: Final = ("model_name", "model_version", "prompt")
"""`prompt` is marked optional and described as required ("提示词 必需")."""


def with_vods_names(fields: Mapping[str, Json]) -> Mapping[str, Json]:
    """The same request with VOD's names of the fields: `file_infos[].file_id` is `FileInfos[].FileId`."""
    return {_pascal(name): _value(name, value) for name, value in fields.items()}


def _value(name: str, value: Json) -> Json:
    if name == "type":
        return str(value).capitalize()
    if isinstance(value, Mapping):
        return with_vods_names(value)
    if isinstance(value, list):
        return [with_vods_names(item) if isinstance(item, Mapping) else item for item in value]
    return value


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
