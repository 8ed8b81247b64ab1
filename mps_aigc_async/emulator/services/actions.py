"""The emulator's actions as tables: their fields, their effects and their rate limits.

Limits, faults, the log and the statistics use an action's full name. MPS's names are bare, VOD's begin with `vod:` and
the relay's with `relay:`, since two services have an action CreateAigcImageTask.
"""

from collections.abc import Mapping
from typing import Final

from ..tasks.action import Action
from . import mps_fields, relay_fields, vod_fields

MPS: Final[Mapping[str, Action]] = {
    "CreateAigcImageTask": Action("create", "image", mps_fields.CREATE_IMAGE, 20),
    "DescribeAigcImageTask": Action("describe", "image", mps_fields.DESCRIBE, 20),
    "CreateAigcVideoTask": Action("create", "video", mps_fields.CREATE_VIDEO, 10),
    "DescribeAigcVideoTask": Action("describe", "video", mps_fields.DESCRIBE, 50),
    "CreateAigcAudioTask": Action("create", "audio", mps_fields.CREATE_AUDIO, 20),
    "DescribeAigcAudioTask": Action("describe", "audio", mps_fields.DESCRIBE, 20),
    "DescribeAigcTaskList": Action("list", None, mps_fields.LIST_TASKS, 20),
    "DescribeAigcTaskStatus": Action("describe", None, mps_fields.DESCRIBE, 20),
    "DescribeUsageData": Action("usage", None, mps_fields.USAGE, 100),
}

VOD: Final[Mapping[str, Action]] = {
    "CreateAigcImageTask": Action("create", "image", vod_fields.CREATE_IMAGE, 20),
    "CreateAigcVideoTask": Action("create", "video", vod_fields.CREATE_VIDEO, 20),
    "CreateAigcAudioTask": Action("create", "audio", vod_fields.CREATE_AUDIO, 20),
    "DescribeTaskDetail": Action("describe", None, vod_fields.DESCRIBE, 100),
    "DescribeTasks": Action("list", None, vod_fields.LIST, 20),
    "DescribeMediaInfos": Action("media", None, vod_fields.MEDIA, 100),
    "DescribeAigcUsageData": Action("usage", None, vod_fields.USAGE, 20),
    "DescribeAigcQuotas": Action("quotas", None, vod_fields.QUOTAS, 20),
}

RELAY: Final[Mapping[str, Action]] = {
    "aigc-image": Action("create", "image", relay_fields.CREATE_IMAGE, 20),
    "aigc-video": Action("create", "video", relay_fields.CREATE_VIDEO, 20),
    "query": Action("describe", None, {}, 100),
}

ACTIONS: Final[Mapping[str, Action]] = {
    **MPS,
    **{f"vod:{name}": action for name, action in VOD.items()},
    **{f"relay:{name}": action for name, action in RELAY.items()},
}
"""All actions, by full name."""
