"""The traffic between a stand-in's socket and its service: the call, the answer, and the two ways to give none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    now: float
    """Unix seconds of its arrival."""


@dataclass(frozen=True, slots=True)
class Reply:
    content: Json
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class Refusal(Exception):
    """The service accepts nothing, and says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Lost(Exception):
    """The answer never comes: the connection is closed, or a gateway answers 504 in the service's place."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__(status)
        self.status = status


def fields_of(body: bytes, names: frozenset[str], required: tuple[str, ...] = ()) -> dict[str, Json]:
    """A request's fields. Raises Refusal for a field that the documents don't have, and for a required one left out."""
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise Refusal("InvalidParameter", "The body is no JSON object.")
    if unknown := sorted(fields.keys() - names):
        raise Refusal("UnknownParameter", f"The parameter `{unknown[0]}` is not recognized.")
    if missing := [name for name in required if not fields.get(name)]:
        raise Refusal("MissingParameter", f"The parameter `{missing[0]}` is required.")
    return fields


def text_of(fields: Mapping[str, Json], name: str) -> str:
    """A field that is a text; empty if it is left out. Raises Refusal for any other type."""
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise Refusal("InvalidParameter", f"The parameter `{name}` is no string.")
    return value


def table_of(fields: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """A field that is an object; empty if it is left out. Raises Refusal for any other type."""
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise Refusal("InvalidParameter", f"The parameter `{name}` is no object.")
    return value


def first_of(fields: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """The first object in a field that is a list; empty if there is none."""
    value = fields.get(name, [])
    first = value[0] if isinstance(value, list) and value else {}
    return first if isinstance(first, dict) else {}
