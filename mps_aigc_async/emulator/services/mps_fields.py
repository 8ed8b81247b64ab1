"""The fields of MPS's actions, from the official SDK's models (tencentcloud-sdk-python-mps 3.1.194,
`v20190612/models.py`)."""

from ..tasks.fields import ListOf, OneOf, Table
from .sdk_fields import SUBJECTS

_IMAGE: Table = {"ImageUrl": "string", "ReferenceType": "string"}
_COS: Table = {"CosBucketName": "string", "CosBucketRegion": "string", "CosBucketPath": "string"}

CREATE_IMAGE: Table = {
    "ModelName": "string",  # never an enum: the list of models changes more often than the API
    "ModelVersion": "string",
    "SceneType": "string",
    "Prompt": "string",
    "NegativePrompt": "string",
    "EnhancePrompt": "boolean",
    "ImageInfos": ListOf(_IMAGE),
    "OutputImageCount": "integer",
    "ExtraParameters": {
        "AspectRatio": "string",
        "Resolution": "string",
        "LogoAdd": "integer",
        "OutputFormat": "string",
    },
    "AdditionalParameters": "document",
    "StoreCosParam": _COS,
    "Operator": "string",
}

CREATE_VIDEO: Table = {
    "ModelName": "string",
    "ModelVersion": "string",
    "SceneType": "string",
    "Prompt": "string",
    "NegativePrompt": "string",
    "EnhancePrompt": "boolean",
    "ImageUrl": "string",
    "LastImageUrl": "string",
    "ImageInfos": ListOf(_IMAGE),
    "VideoInfos": ListOf({"VideoUrl": "string", "ReferType": "string", "KeepOriginalSound": "string"}),
    "AudioInfos": ListOf({"AudioUrl": "string"}),
    "SubjectInfos": SUBJECTS,
    "Duration": "integer",
    "ExtraParameters": {
        "Resolution": "string",
        "AspectRatio": "string",
        "LogoAdd": "integer",
        "EnableAudio": "boolean",
        "OffPeak": "boolean",
        "EnableBgm": "boolean",
    },
    "StoreCosParam": _COS,
    "AdditionalParameters": "document",
    "Operator": "string",
}

DESCRIBE: Table = {"TaskId": "string"}

CREATE_AUDIO: Table = {
    "ModelName": "string",
    "ModelVersion": "string",
    "SceneType": "string",
    "Prompt": "string",
    "VideoInfos": ListOf({"VideoUrl": "string"}),
    "AudioInfos": ListOf({"AudioUrl": "string"}),
    "StoreCosParam": _COS,
    "ExtraParameters": {"ResourceId": "string", "OutputAudioFormat": "string"},
    "AdditionalParameters": "document",
    "Operator": "string",
}

LIST_TASKS: Table = {
    "PageNum": "integer",
    "PageSize": "integer",
    "QueryTaskFilter": {
        "TaskId": "string",
        "TaskType": "string",
        "TaskStatus": "string",
        "Resolution": "string",
        "Ratio": "string",
        "ExecuteMode": "string",
        "VideoType": "string",
        "ModelTier": "string",
    },
}

_TASK_TYPES = OneOf((
    "Transcode", "Enhance", "AIAnalysis", "AIRecognition", "AIReview", "Snapshot", "AnimatedGraphics",
    "AiQualityControl", "Evaluation", "ImageProcess", "AddBlindWatermark", "AddNagraWatermark", "ExtractBlindWatermark",
    "AIGCVideo", "AIGCImage",
))  # fmt: skip
_REGIONS = OneOf((
    "ap-guangzhou", "ap-hongkong", "ap-taipei", "ap-singapore", "ap-mumbai", "ap-jakarta", "ap-seoul", "ap-bangkok",
    "ap-tokyo", "na-siliconvalley", "na-ashburn", "na-toronto", "sa-saopaulo", "eu-frankfurt", "eu-moscow", "aws",
))  # fmt: skip

USAGE: Table = {
    "StartTime": "string",
    "EndTime": "string",
    "Types": ListOf(_TASK_TYPES),
    "ProcessRegions": ListOf(_REGIONS),
}
