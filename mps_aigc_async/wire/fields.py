"""How a request's attributes become fields on the wire: rows of a table, and what they share.

A row names the request's attribute (a dot enters `vod`), the field (a dot enters a nested object) and how the value is
written. Lists that go to one field are put together, objects as well. An attribute that no row knows cannot be
expressed to that service, and is refused by its name: silently left out, it would be paid for and missed.
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
    """What is set, under the service's names. Raises InvalidRequest, by the attribute's name.

    `defaults` stand in for attributes that the request leaves unset.
    """
    given = {name: value for name, value in (defaults or {}).items() if value not in UNSET} | _given(request)
    fields: dict[str, object] = {}
    for attribute, name, write in rows:
        if attribute not in given:
            continue
        try:
            _put(fields, name, write(given.pop(attribute)))
        except InvalidRequest as error:
            raise InvalidRequest(f"{attribute}: {error.message}", task_id=error.task_id) from None
    if given:
        raise InvalidRequest(f"{min(given)}: {service} cannot be asked for it; leave it out, or use another backend")
    return fields


def _given(request: Value) -> dict[str, object]:
    """What the request sets, by the rows' attributes."""
    given = _set(request)
    given.pop("id", None)
    options = given.pop("vod", None)
    if isinstance(options, Value):
        given |= {f"vod.{name}": value for name, value in _set(options).items()}
    return given


def _set(values: Value) -> dict[str, object]:
    named = {name: getattr(values, name) for name in values.model_fields_set}
    return {name: value for name, value in named.items() if value not in UNSET}


def _put(fields: dict[str, object], name: str, value: object) -> None:
    outer, _, inner = name.partition(".")
    if inner:
        nested = fields.setdefault(outer, {})
        assert isinstance(nested, dict)  # noqa: S101 — by the rows
        nested[inner] = value
    elif isinstance(value, list) and isinstance(known := fields.get(outer), list):
        known.extend(value)
    elif isinstance(value, dict) and isinstance(known := fields.get(outer), dict):
        known.update(value)
    else:
        fields[outer] = value


# --- how values are written -----------------------------------------------------------------------------------------


def as_is(value: object) -> object:
    return value


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def each(write: Callable[..., object]) -> Callable[[Iterable[object]], list[object]]:
    return lambda values: [write(value) for value in values]


def only_set(**fields: object) -> dict[str, object]:
    """Only what is set: the services answer UnknownParameter or InvalidParameter to stray fields."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


MOST_SHOWN: Final = 80
"""Most characters of an input that a message quotes: a `data:` URL may have millions."""


def shortened(text: str) -> str:
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
            f"{shortened(text)!r} is not a URL: the service fetches its inputs itself, so put the file where it is "
            "publicly reachable"
        )
    return text
