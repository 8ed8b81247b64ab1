"""The content of a request: the fields that the user wrote, and the names derived from them."""

import hashlib
import json

from pydantic import JsonValue

from .requests import Request, Step, steps_of
from .value import Value


def content(request: Value) -> str:
    """Write the request's fields as the user set them, as canonical JSON: no defaults, and not its id."""
    return json.dumps(_fields_of(request), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def line_of(name: str, request: Request) -> str:
    """A request as a line of a batch file, with its id.

    >>> from mps_aigc_async.model.requests import ImageRequest
    >>> line_of("cat", ImageRequest(prompt="a cat"))
    '{"id":"cat","image":{"prompt":"a cat"}}'
    """
    steps = {step.kind.value: json.loads(content(step)) for step in steps_of(request)}
    return json.dumps({"id": name, **steps}, ensure_ascii=False, separators=(",", ":"))


def beyond(request: Value, written_content: str) -> dict[str, JsonValue]:
    """Return the fields of `request` that differ from the user's content: defaults and chains have filled them in.

    >>> from mps_aigc_async.model.requests import ImageRequest
    >>> original = ImageRequest(prompt="a cat")
    >>> beyond(original.model_copy(update={"model_name": "Hunyuan"}), content(original))
    {'model_name': 'Hunyuan'}
    """
    before = json.loads(written_content)
    return {name: value for name, value in _fields_of(request).items() if name not in before or before[name] != value}


def digest(request: Request) -> str:
    """Return a short name for a request's content, the same in every run and on every machine.

    The name depends on the user's fields alone: not on other requests, not on the config's defaults.

    >>> from mps_aigc_async.model.requests import ImageRequest
    >>> digest(ImageRequest(prompt="a cat"))
    'image-de4d7d1a2f60'
    """
    kind = request.kind if isinstance(request, Step) else "chain"
    return f"{kind}-{hashlib.sha256(f'{kind}:{content(request)}'.encode()).hexdigest()[:12]}"


def _fields_of(request: Value) -> dict[str, JsonValue]:
    return request.model_dump(mode="json", exclude_unset=True, exclude={"id"})
