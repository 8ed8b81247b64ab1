"""Read values from a decoded answer, in each JSON form that services use.

The documents name one field and one type for each value. A service may send another letter case, key or type, and no
such difference may lose a paid task. Any other form reads as empty.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from ..model.errors import NoTaskId
from ..model.states import Ending, TaskState

MOST_DIGITS: Final = 64
"""Most digits of a number to read as text: no id or code has as many, and Python refuses to print more than 4300."""

NO_IDS: Final = frozenset({"", "0", "null", "none", "nil", "undefined", "-"})
"""Texts that programs write in place of a missing id or URL."""

EXACT_BELOW: Final = 2**53
"""Whole floats from here on may have lost digits (IEEE 754), so none is read as a task's id."""

MOST_QUOTED: Final = 200
"""Most characters of an unreadable value that an error quotes: a TaskId has about 40."""

URL_KEYS: Final = ("FileUrl", "Url", "url", "ImageUrl", "VideoUrl", "AudioUrl")
"""Keys of the URL in an entry of a list of results: those of VOD's FileInfos, of MPS's audio and video infos, and of
both services' inputs (official SDK 3.1.194, 2026-10)."""

REASON_KEYS: Final = (
    "Message", "ErrMsg", "ErrorMessage", "ErrorMsg", "Msg", "TaskResultMsg", "FailReason", "Reason",
    "message", "err_msg", "error_message", "error_msg", "msg", "fail_reason", "reason",
)  # fmt: skip
"""Keys of a failed task's reason, the documented key first: `Message` to `TaskResultMsg` are those of the two services'
other actions (official SDK 3.1.194, 2026-10); relays write snake_case."""

CODE_KEYS: Final = ("ErrCodeExt", "ErrCode", "ErrorCode", "TaskResultCode")
"""Keys of a failed task's error code (same source), used if there is no reason."""

NO_REASON: Final = frozenset(
    {"", "0", "200", "ok", "success", "succeed", "succeeded", "successful", "done", "finish", "finished", "complete",
     "completed", "none", "null", "nil", "-"}
)  # fmt: skip
"""Messages that report no fault: MPS writes `ok` and `success` on good tasks (guide of 2026-05-29)."""


def text(value: object) -> str:
    """The value if it is text, else empty."""
    return value if isinstance(value, str) else ""


def as_text(value: object) -> str:
    """Text or a number, as text without surrounding blanks.

    >>> as_text(" 4-1 "), as_text(404), as_text(True), as_text(None)
    ('4-1', '404', '', '')
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(value) if abs(value) < 10**MOST_DIGITS else ""  # neither infinity nor NaN is


def task_id(value: object) -> str:
    """The id of a task or a file, which may be a number. Empty for a value that cannot be an id: zero, a fraction, true
    or "null".

    >>> task_id("4-1\\n"), task_id(123456789), task_id(123456789.0), task_id(1.5), task_id(True), task_id(0)
    ('4-1', '123456789', '123456789', '', '', '')
    """
    if isinstance(value, bool):
        return ""
    if isinstance(value, float):
        value = int(value) if abs(value) < EXACT_BELOW and value.is_integer() else 0
    if isinstance(value, int) and value <= 0:
        return ""
    text_of_id = as_text(value)
    return "" if text_of_id.lower() in NO_IDS else text_of_id


def new_task_id(response: Mapping[str, object], action: str) -> str:
    """The TaskId in a create's answer. Raises NoTaskId that quotes an unreadable value: the task is paid for, and the
    reader may recognise its id."""
    readable = task_id(response.get("TaskId"))
    if not readable:
        lack = "no readable TaskId" if "TaskId" in response else "no TaskId"
        content = f"{lack}, but {quotation(response.get('TaskId', response))}"
        raise NoTaskId(f"the answer to the create has {content}", ending=Ending.UNKNOWN, action=action)
    return readable


def quotation(value: object) -> str:
    """An untrusted value for one line of a message: bounded, without control characters."""
    try:
        line = repr(value)
    except (ValueError, RecursionError):  # a number of more than 4300 digits; nested too deep
        return f"a {type(value).__name__}"
    line = "".join(char for char in line if char.isprintable())
    return line if len(line) <= MOST_QUOTED else f"{line[:MOST_QUOTED]}…"


def state_of(words: Mapping[str, TaskState], word: str) -> tuple[TaskState, bool]:
    """The state of a status word, ignoring case and surrounding blanks, and whether the word is documented.

    An undocumented word counts as RUNNING: the deadline bounds the polling, and a wrong guess could lose a result.
    """
    state = words.get(word.strip().upper())
    return (TaskState.RUNNING, False) if state is None else (state, True)


def urls(value: object) -> tuple[str, ...]:
    """The URLs in a list of texts or of objects; a single text or object is a list of one.

    >>> urls([{"ImageUrl": "https://a/1.png"}, "https://a/2.png"]), urls("https://a/3.png"), urls("in preparation")
    (('https://a/1.png', 'https://a/2.png'), ('https://a/3.png',), ())
    """
    if isinstance(value, str):  # a single text may be something other than a URL
        return (value.strip(),) if "://" in value else ()
    return tuple(url for entry in entries(value) if (url := _url(entry)))


ENDLESS: Final = 1e9
"""Seconds that no audio lasts: a longer duration, and infinity (JSON can hold it), is ignored."""


def durations(value: object) -> tuple[float | None, ...]:
    """The seconds of each of `urls(value)`; empty if no entry has any.

    >>> durations([{"Url": "https://a/1.mp3", "Duration": 30}, {"Url": "", "Duration": 9}, {"Url": "https://a/2.mp3"}])
    (30, None)
    """
    lengths = tuple(_length(entry) for entry in entries(value) if urls([entry]))
    return lengths if any(lengths) else ()


def _length(entry: object) -> float | None:
    """An entry's `Duration`, or that of its `MetaData`; None if it has no time in either."""
    for holder in (entry, entry.get("MetaData") if isinstance(entry, dict) else None):
        length = holder.get("Duration") if isinstance(holder, dict) else None
        if isinstance(length, int | float) and not isinstance(length, bool) and 0 < length < ENDLESS:
            return length
    return None


def entries(value: object) -> list[object]:
    """A list unchanged; a single object or text becomes a list of one."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict | str) else []


def _url(entry: object) -> str:
    if isinstance(entry, dict):
        return next((url for key in URL_KEYS if (url := _url(text(entry.get(key))))), "")
    url = text(entry).strip()
    return "" if url.lower() in NO_IDS else url


def reason(response: Mapping[str, object], keys: Sequence[str] = (*REASON_KEYS, *CODE_KEYS)) -> str:
    """The reason why a task failed: the value of the first key that reports a fault; else empty."""
    messages = (as_text(response.get(key)) for key in keys)
    return next((message for message in messages if not is_no_reason(message)), "")


def is_no_reason(message: str) -> bool:
    """Whether a message reports no fault.

    >>> is_no_reason("OK."), is_no_reason("Success"), is_no_reason("the prompt was blocked")
    (True, True, False)
    """
    return message.strip().rstrip(".!。").casefold() in NO_REASON
