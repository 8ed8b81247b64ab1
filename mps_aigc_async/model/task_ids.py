"""TaskIds from users: copied from a console or a log, and sent in a body, or in a URL's path by the relay."""

from .errors import InvalidRequest
from .plain_text import visible_line


def require_task_id(task_id: object) -> str:
    """Return the TaskId if it can be one. Raises InvalidRequest that shows an odd character by its escape.

    No service's id has a blank in it. An invisible character, or half a character, came along with the copy: the
    service would not know such a task, and the paid task would seem lost.

    >>> require_task_id("4-AigcImage-0123")
    '4-AigcImage-0123'
    >>> require_task_id("4-Aigc\\u200b-0123")
    Traceback (most recent call last):
        ...
    mps_aigc_async.model.errors.InvalidRequest: '4-Aigc\\u200b-0123' is no TaskId: it has U+200B in it, copy it again
    """
    if not isinstance(task_id, str):  # from an untyped program: a number from a table, or None
        raise InvalidRequest(f"a TaskId is a text, and {type(task_id).__name__} is none")
    odd = next((char for char in task_id if char.isspace() or visible_line(char) != char), "")
    if odd:
        raise InvalidRequest(f"{task_id!r} is no TaskId: it has {_name_of(odd)} in it, copy it again")
    if task_id in ("", ".", ".."):  # in a URL's path, dots lead to another path
        raise InvalidRequest(f"{task_id!r} is no TaskId")
    return task_id


def _name_of(char: str) -> str:
    if char in "\r\n":
        return "a line end"
    return "a blank" if char == " " else f"U+{ord(char):04X}"
