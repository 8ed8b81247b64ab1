"""Encode a request's attributes as fields on the wire, by the rows of a table.

A row has the request's attribute (a dot enters `vod`), the field (a dot enters a nested object) and the function that
writes the value. Lists for one field are joined, and objects are merged. An attribute without a row is rejected by its
name: if it were silently left out, the user would pay for a result without it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from ..model.errors import InvalidRequest
from ..model.inputs import ImageSource, VideoSource
from ..model.results import TaskResult
from ..model.value import Value

FieldRow = tuple[str, str, Callable[..., object]]

UNSET: Final = (None, "", ())


def encode(
    rows: Sequence[FieldRow], request: Value, service: str, defaults: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The request's values under the service's names. Raises InvalidRequest, by the attribute's name.

    `defaults` stand in for attributes that the request leaves unset.
    """
    values = {name: value for name, value in (defaults or {}).items() if value not in UNSET} | _values(request)
    fields: dict[str, object] = {}
    for attribute, name, write in rows:
        if attribute not in values:
            continue
        try:
            _put(fields, name, write(values.pop(attribute)))
        except InvalidRequest as error:
            raise InvalidRequest(f"{attribute}: {error.message}", task_id=error.task_id) from None
    if values:
        raise InvalidRequest(f"{min(values)}: {service} does not support it; leave it out, or use another backend")
    return fields


def _values(request: Value) -> dict[str, object]:
    """The values that the request sets, by the rows' attributes."""
    values = _set_fields(request)
    values.pop("id", None)
    options = values.pop("vod", None)
    if isinstance(options, Value):
        values |= {f"vod.{name}": value for name, value in _set_fields(options).items()}
    return values


def _set_fields(model: Value) -> dict[str, object]:
    fields = {name: getattr(model, name) for name in model.model_fields_set}
    return {name: value for name, value in fields.items() if value not in UNSET}


def _put(fields: dict[str, object], name: str, value: object) -> None:
    outer, _, inner = name.partition(".")
    if inner:
        members = fields.setdefault(outer, {})
        assert isinstance(members, dict)  # noqa: S101 — by the rows
        members[inner] = value
    elif isinstance(value, list) and isinstance(existing := fields.get(outer), list):
        existing.extend(value)
    elif isinstance(value, dict) and isinstance(existing := fields.get(outer), dict):
        existing.update(value)
    else:
        fields[outer] = value


# --- functions that write values ------------------------------------------------------------------------------------


def as_is(value: object) -> object:
    return value


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def each(write: Callable[..., object]) -> Callable[[Iterable[object]], list[object]]:
    return lambda values: [write(value) for value in values]


def only_set(**fields: object) -> dict[str, object]:
    """The fields that have a value: the services answer UnknownParameter or InvalidParameter to stray fields."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


MOST_SHOWN: Final = 80
"""Most characters of an input that a message quotes: a `data:` URL may have millions."""


def shorten(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def url_of(source: ImageSource | VideoSource) -> str:
    """The URL of an input. Raises InvalidRequest for a local file and for a result without one."""
    if isinstance(source, TaskResult):
        if not source.urls:
            raise InvalidRequest(f"the {source.kind} of task {source.task_id} has no URL", task_id=source.task_id)
        return source.urls[0]
    text = str(source)
    if not text.lower().startswith(("https://", "http://")):
        raise InvalidRequest(
            f"{shorten(text)!r} is not a URL: the service fetches its inputs itself, so put the file where it is "
            "publicly reachable"
        )
    return text
