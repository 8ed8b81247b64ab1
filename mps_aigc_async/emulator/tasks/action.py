"""An action of a service: what it takes, what it does, and how often it may be called."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .fields import Table
from .orders import Kind

Verb: TypeAlias = Literal["create", "describe", "list", "media"]


@dataclass(frozen=True, slots=True)
class Action:
    verb: Verb
    kind: Kind | None
    """Of the tasks that it is about; None: of any."""
    fields: Table
    per_second: int
    """The documented limit, "接口请求频率限制" of each action's page, read 2026-11. The relay documents none: VOD's."""
