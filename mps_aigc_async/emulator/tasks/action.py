"""An action of a service: its fields, its effect and its rate limit."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .fields import Table
from .orders import Kind

Verb: TypeAlias = Literal["create", "describe", "list", "media", "usage", "quotas"]


@dataclass(frozen=True, slots=True)
class Action:
    verb: Verb
    kind: Kind | None
    """The kind of its tasks; None for tasks of any kind."""
    fields: Table
    per_second: int
    """The documented limit, "接口请求频率限制" of each action's page, read 2026-11. The relay documents none, so its
    actions have VOD's limits."""
