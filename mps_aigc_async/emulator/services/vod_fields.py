"""The fields of Tencent VOD's actions, from the official SDK's models (tencentcloud-sdk-python-vod 3.1.194,
`v20180717/models.py`)."""

from typing import Final

from ..tasks.fields import ListOf, OneOf, Table
from .sdk_fields import SUBJECTS

SWITCH: Final = OneOf(("Enabled", "Disabled"))
STORAGE: Final = OneOf(("Temporary", "Permanent"))
PERSONS: Final = OneOf(("AllowAdult", "Disallowed"))

_TYPE: Final = OneOf(("File", "Url", "Base64"))
_REGION: Final = OneOf(("Mainland", "Oversea", "OverseaUSWest"))

_FILE: Table = {
    "Type": _TYPE,
    "FileId": "string",
    "Url": "string",
    "Base64": "string",
    "Text": "string",
    "ReferenceType": "string",
}

_OUTPUT: Table = {
    "StorageMode": STORAGE,
    "MediaName": "string",
    "ClassId": "integer",
    "ExpireTime": "string",
    "Resolution": "string",
    "AspectRatio": "string",
    "PersonGeneration": PERSONS,
    "InputComplianceCheck": SWITCH,
    "OutputComplianceCheck": SWITCH,
    "LogoAdd": SWITCH,
}

_CREATE: Table = {
    "SubAppId": "integer",
    "ModelName": "string",  # never an enum: the list of models changes more often than the API
    "ModelVersion": "string",
    "Prompt": "string",
    "NegativePrompt": "string",
    "EnhancePrompt": SWITCH,
    "InputRegion": _REGION,
    "SceneType": "string",
    "Seed": "integer",
    "SessionId": "string",
    "SessionContext": "string",
    "TasksPriority": "integer",
    "ExtInfo": "document",
}
"""Fields of both creates."""

CREATE_IMAGE: Table = {
    **_CREATE,
    "FileInfos": ListOf(_FILE),
    "OutputConfig": {**_OUTPUT, "OutputImageCount": "integer", "OutputFormat": OneOf(("jpeg", "png"))},
}

CREATE_VIDEO: Table = {
    **_CREATE,
    "FileInfos": ListOf(
        {
            **_FILE,
            "Category": OneOf(("Image", "Video", "Audio")),
            "Usage": OneOf(("FirstFrame", "LastFrame", "Reference")),
            "ObjectId": "string",
            "VoiceId": "string",
            "KeepOriginalSound": SWITCH,
        }
    ),
    "SubjectInfos": SUBJECTS,
    "LastFrameFileId": "string",
    "LastFrameUrl": "string",
    "Procedure": "string",
    "OutputConfig": {
        **_OUTPUT,
        "Duration": "number",
        "AudioGeneration": SWITCH,
        "EnhanceSwitch": SWITCH,
        "OffPeak": SWITCH,
        "FrameInterpolate": SWITCH,
        "EnableBGM": SWITCH,
    },
}

_AUDIO_FILE: Table = {"Type": OneOf(("File", "Url")), "FileId": "string", "Url": "string"}

CREATE_AUDIO: Table = {
    "SubAppId": "integer",
    "ModelName": "string",
    "ModelVersion": "string",
    "SceneType": "string",  # sfx and music "at present"
    "Prompt": "string",
    "VideoInfos": ListOf(_AUDIO_FILE),
    "AudioInfos": ListOf(_AUDIO_FILE),
    "OutputConfig": {
        "StorageMode": STORAGE,
        "MediaName": "string",
        "ClassId": "integer",
        "ExpireTime": "string",
        "Duration": "integer",
        "OutputAudioFormat": "string",
    },
    "AdditionalParameters": "document",
}
"""No SessionId: a second create of an audio is a second task."""

DESCRIBE: Table = {"TaskId": "string", "SubAppId": "integer"}

_TIMES: Table = {"After": "string", "Before": "string"}

LIST: Table = {
    "SubAppId": "integer",
    "Status": OneOf(("WAITING", "PROCESSING", "FINISH")),
    "FileId": "string",
    "CreateTime": _TIMES,
    "FinishTime": _TIMES,
    "Sort": {"Field": "string", "Order": "string"},
    "Limit": "integer",
    "ScrollToken": "string",
}

MEDIA: Table = {"SubAppId": "integer", "FileIds": ListOf("string"), "Filters": ListOf("string")}

USAGE: Table = {
    "StartTime": "string",
    "EndTime": "string",
    "AigcType": OneOf(
        ("Video", "Image", "Text", "Audio", "SceneAigcVideo", "SceneAigcImage", "SceneAigcTime", "TextDetail")
    ),
    "SubAppId": "integer",
    "APIKey": "string",
    "APIKeys": ListOf("string"),
    "ScrollToken": "string",
    "PageSize": "integer",
    "ReqId": "string",
}

QUOTAS: Table = {
    "SubAppId": "integer",
    "QuotaType": OneOf(("Image", "Video", "Text")),
    "ApiToken": "string",
    "Limit": "integer",
    "Offset": "integer",
}
