"""Find the TaskId in a relay's answer to a create, in either of its envelopes.

`{"Response": {"TaskId"}}` is documented; relays of the family also answer `{"code": "success", "data": {"task_id"}}`,
the same without an envelope, and other spellings of the key. A missed TaskId loses a paid task. Another field read as
the TaskId is polled in vain, and the task is paid for again. So any spelling of the key is read, in the known places
only: an id inside `error`, a request's id and a session's id are no TaskIds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from .answers import as_text, entries, task_id
from .dialect import Created

ENVELOPES: Final = ("response", "data", "result", "output", "task")
"""Keys of the objects that an answer may be inside, in lower case, the documented one first."""

NAMED_BY_ID: Final = frozenset({"data", "task"})
"""Envelopes whose plain `id` is the task's, if the answer reports no error."""

MOST_ENVELOPES: Final = 3
"""Most envelopes around a TaskId."""

_OF_VOD: Final = re.compile(r"\d+-\w*Aigc\w*-[\w-]+", re.IGNORECASE)
"""VOD's TaskIds, such as `251000000-AigcImage-0123abcdt`. A bare text counts as a TaskId only in this form."""


def created_task(body: Mapping[str, object], *, reports_error: bool) -> Created | None:
    """The task that a create's answer names. None if the answer names no task, or several in one list.

    The outermost id counts: a relay is polled by its own id, not by the id of the service behind it.
    """
    places = list(_places(body))
    task_ids = next((ids for _, levels in places if (ids := _distinct(map(_by_key, levels)))), set())
    if not task_ids and not reports_error:
        task_ids = next(
            (ids for name, levels in places if (ids := _distinct(_by_id(name, level) for level in levels))), task_ids
        )
    if len(task_ids) != 1:
        return None
    every = (level for _, levels in places for level in levels)
    return Created(task_ids.pop(), next((request for level in every if (request := _request_id(level))), ""))


def _distinct(ids: Iterable[str]) -> set[str]:
    return {text for text in ids if text}


def _places(body: Mapping[str, object], name: str = "", depth: int = 0) -> Iterator[tuple[str, list[object]]]:
    """The answer and the envelopes inside it, each with its key; a list is one place with several levels."""
    yield name, [body]
    if depth == MOST_ENVELOPES:
        return
    for key in sorted((key for key in body if key.lower() in ENVELOPES), key=lambda key: ENVELOPES.index(key.lower())):
        levels = entries(body[key])
        yield key.lower(), levels
        if len(levels) == 1 and isinstance(levels[0], dict):
            yield from _places(levels[0], key.lower(), depth + 1)


def _by_key(level: object) -> str:
    """The value of `TaskId`, in any spelling of the key."""
    if not isinstance(level, dict):
        return ""
    ids = (task_id(value) for key, value in level.items() if key.replace("_", "").lower() == "taskid")
    return next(filter(None, ids), "")


def _by_id(name: str, level: object) -> str:
    if name not in NAMED_BY_ID:
        return ""
    if isinstance(level, dict):
        return task_id(level.get("id"))
    bare = as_text(level)
    return bare if _OF_VOD.fullmatch(bare) else ""


def _request_id(level: object) -> str:
    return (as_text(level.get("RequestId")) or as_text(level.get("request_id"))) if isinstance(level, dict) else ""
