"""The actions the emulator answers, as a table: what each takes, does, and how often it may be called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .fields import CREATE_IMAGE, CREATE_VIDEO, DESCRIBE, Table
from .orders import Kind

Verb: TypeAlias = Literal["create", "describe"]

VERSION = "2019-06-12"
"""X-TC-Version of MPS, the only one there is."""


@dataclass(frozen=True, slots=True)
class Action:
    kind: Kind
    verb: Verb
    fields: Table
    per_second: int
    """The documented limit, "接口请求频率限制" of each action's page, read 2026-11."""


ACTIONS: Final[Mapping[str, Action]] = {
    "CreateAigcImageTask": Action("image", "create", CREATE_IMAGE, 20),
    "DescribeAigcImageTask": Action("image", "describe", DESCRIBE, 20),
    "CreateAigcVideoTask": Action("video", "create", CREATE_VIDEO, 10),
    "DescribeAigcVideoTask": Action("video", "describe", DESCRIBE, 50),
}
