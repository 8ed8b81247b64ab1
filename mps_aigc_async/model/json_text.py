"""JSON written as text: an object inside a field, and rules that Python's own decoder lacks."""

import json
from collections import Counter
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, JsonValue

KEY_LENGTH: Final = 40
"""Most characters of a key that a message shows."""

EXAMPLE: Final = '{"size": "1024x1024"}'
"""An object for messages: the guide's own example of AdditionalParameters (2026-05-29)."""

DEEPEST: Final = 200
"""Most levels of objects and lists in a field. The documented parameters have three; pydantic and the JSON encoders
give up after 250, each with an error of its own."""


def no_constant(word: str) -> float:
    """Refuse NaN and Infinity, which JSON lacks."""
    raise ValueError(f"{word} is no JSON value")


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that has a key twice: Python would keep the last one, and drop a prompt without a word."""
    value = dict(pairs)
    if len(value) < len(pairs):
        double = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {double[:KEY_LENGTH]!r} is there twice")
    return value


def is_too_deep(value: object) -> bool:
    """Whether a value has more levels of objects and lists than DEEPEST."""
    level = [value]
    for _ in range(DEEPEST + 1):
        containers = list({id(item): item for item in level if isinstance(item, dict | list)}.values())
        level = [inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)]
        if not containers:
            return False
    return True


def _as_object(value: object) -> object:
    """The object in a JSON text. Any other value is unchanged, so that an object of Python is validated as it is."""
    if isinstance(value, str):
        value = _decoded(value)
    if is_too_deep(value):
        raise ValueError(f"is nested too deep: at most {DEEPEST} levels of objects and lists")
    return value


def _decoded(text: str) -> dict[str, Any]:
    fault = ""
    try:
        value = json.loads(text, parse_constant=no_constant, object_pairs_hook=no_key_twice)
    except json.JSONDecodeError as error:
        fault = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except RecursionError:
        fault = "it is nested too deep"
    except ValueError as error:  # also a number of more digits than Python reads
        fault = "a number has too many digits" if "digits" in str(error) else str(error)
    else:
        if isinstance(value, dict):
            return value
        fault = f"it holds {_TYPES.get(type(value), 'a number or a boolean')}"
    raise ValueError(f"is text that holds no JSON object ({fault}): write an object such as {EXAMPLE}, or its JSON")


_TYPES: Final = {list: "a list", str: "a string", type(None): "null"}

JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(_as_object)]
"""An object, or the JSON text of one: both are the same value, and so the same request."""
