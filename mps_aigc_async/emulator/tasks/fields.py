"""The shapes of a request's fields, and the check of a request against a table of shapes.

The tables (`mps_fields`, `vod_fields`, `relay_fields`) are the emulator's own. Their sources are the official SDK's
models and the relay's page, never this package's encoders: a judge that shares the client's tables shares its mistakes.
A field without a row is refused by its full name (`ImageInfos.0.Url`), as the service does.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .refusal import Refused

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
"""The result of `json.loads`. A string is a Sequence as well, so test for `list`."""

Scalar: TypeAlias = Literal["string", "integer", "number", "boolean", "document"]
"""`document` is a string that must itself hold a JSON document, like AdditionalParameters."""


@dataclass(frozen=True, slots=True)
class ListOf:
    of: "Shape"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A string with one of these values. For fields whose documented list of values does not change."""

    values: tuple[str, ...]


Table: TypeAlias = Mapping[str, "Shape"]
Shape: TypeAlias = "Scalar | OneOf | ListOf | Table"


def decode(body: bytes, table: Table) -> Mapping[str, Json]:
    """The request's fields, each with a row in `table` and of that type. Raises Refused."""
    try:
        value: Json = json.loads(body)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise Refused("InvalidParameter", f"The request body is not valid JSON: {error}.") from error
    if not isinstance(value, Mapping):
        raise Refused("InvalidParameter", "The request body must be a JSON object.")
    _check_table("", value, table)
    return value


def _check_table(prefix: str, value: Mapping[str, Json], table: Table) -> None:
    for name, field in value.items():
        shape = table.get(name)
        if shape is None:
            raise Refused("UnknownParameter", f"The parameter `{prefix}{name}` is not recognized.")
        _check(prefix + name, field, shape)


def _check(path: str, value: Json, shape: Shape) -> None:
    if isinstance(shape, str):
        _check_scalar(path, value, shape)
    elif isinstance(shape, OneOf):
        _check_scalar(path, value, "string")
        if value not in shape.values:
            raise Refused("InvalidParameterValue", f"The parameter `{path}` must be one of {', '.join(shape.values)}.")
    elif isinstance(shape, ListOf):
        if not isinstance(value, list):
            raise _wrong_type(path, "array")
        for index, item in enumerate(value):
            _check(f"{path}.{index}", item, shape.of)
    elif isinstance(value, Mapping):
        _check_table(f"{path}.", value, shape)
    else:
        raise _wrong_type(path, "object")


def _check_scalar(path: str, value: Json, scalar: Scalar) -> None:
    """Raise Refused for a value of another type. `type(…) is`, not isinstance: in Python, True is an int."""
    match scalar:
        case "integer":
            right = type(value) is int
        case "number":
            right = type(value) in {int, float}
        case "boolean":
            right = type(value) is bool
        case "string" | "document":
            right = type(value) is str
    if not right:
        raise _wrong_type(path, "string" if scalar == "document" else scalar)
    if scalar == "document":
        try:
            json.loads(str(value))
        except ValueError as error:
            raise Refused("InvalidParameterValue", f"The parameter `{path}` must hold a JSON document.") from error


def _wrong_type(path: str, type_name: str) -> Refused:
    return Refused("InvalidParameterValue", f"The parameter `{path}` must be of type {type_name}.")


def text_of(fields: Mapping[str, Json], name: str) -> str:
    """A checked string field; empty if it is not set."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def integer_of(fields: Mapping[str, Json], name: str, default: int) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) else default


def flag_of(fields: Mapping[str, Json], name: str) -> bool:
    return fields.get(name) is True


def table_of(fields: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """A checked object field; empty if it is not set."""
    value = fields.get(name)
    return value if isinstance(value, Mapping) else {}


def number_of(fields: Mapping[str, Json], name: str, default: float) -> float:
    value = fields.get(name)
    return value if isinstance(value, int | float) else default


def texts_of(fields: Mapping[str, Json], name: str) -> list[str]:
    """A checked list of strings; empty if it is not set."""
    value = fields.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def tables_of(fields: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    """A checked list of objects; empty if it is not set."""
    value = fields.get(name)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
