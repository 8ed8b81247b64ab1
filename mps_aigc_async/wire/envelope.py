"""Tencent Cloud API 3.0's envelope, which its services share: sign and encode calls, decode answers."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from pydantic_core import from_json, to_json

from ..credentials.credentials import Credentials
from ..model.errors import InvalidRequest, ServiceError, TaskNotFound
from ..model.plain_text import CUT
from ..model.states import Ending
from .answers import as_text, task_id, text
from .code_words import Meaning, says_that_something_broke, words
from .concurrency import by_concurrency
from .dialect import Call, HttpAnswer, HttpRequest, is_read
from .statuses import Verdict, redirect, uncertain, unreadable, verdict_of
from .tc3 import Signer

ErrorRow = tuple[str, type[ServiceError], Ending]
"""A code, or a family of codes (their first part or parts), and its meaning. The longest match wins."""
ErrorTable = Mapping[str, Meaning]


def by_code(rows: Sequence[ErrorRow]) -> ErrorTable:
    return {code: (cls, ending) for code, cls, ending in rows}


def row_of(code: str, errors: ErrorTable) -> Meaning | None:
    """The meaning of a code by its own row, else by its family's; None for a code of no documented family."""
    family = code
    while family and family not in errors:
        family = family.rpartition(".")[0]
    return errors.get(family)


def service_error(code: str, message: str, request_id: str | None, errors: ErrorTable, action: str) -> ServiceError:
    """The error of a call that the service answered with this code.

    A code of no documented family is a refusal too, unless its words report a fault on the service's side. After an
    error without a code the outcome is unknown.
    """
    row = row_of(code, errors)
    cls, ending = row or (ServiceError, _unfamiliar(code))
    vague = row is None or code.partition(".")[0] == "FailedOperation"
    if vague and is_read(action) and (cls, ending) == (ServiceError, Ending.REFUSED):
        ending = Ending.UNKNOWN  # the fault may pass (DBError, NetWorkError), and a second read costs nothing
    if code == "ResourceNotFound" and is_read(action) and action.endswith(("Task", "TaskDetail")):
        cls = TaskNotFound  # MPS's answer to a poll of another kind's task (reported as tested, 2026-08)
    return by_concurrency(cls(code, message, ending=ending, request_id=request_id), action)


def _unfamiliar(code: str) -> Ending:
    return Ending.REFUSED if words(code) and not says_that_something_broke(code) else Ending.UNKNOWN


CONFIG_KEY: Final = "tencentCloud.endpoint"
"""The config's key for the address of the service."""


def unwrap(answer: HttpAnswer, action: str, errors: ErrorTable) -> dict[str, object]:
    """The inside of the `Response` envelope. Raises ServiceError, or TransportError for anything else.

    The service answers 200 to every call that it processed, a failed signature included, so any other status comes from
    a gateway. A 4xx with the envelope is judged by its code. The outcome of a 4xx without the envelope is unknown: the
    documents name no status by which a gateway says that the service has not seen the request.

    A TaskId proves that the task exists, even beside an error or a status of 5xx. The task can be polled, and its end
    decides.
    """
    response = inside(decode(answer.body))
    if response is not None and not is_read(action) and task_id(response.get("TaskId")):
        return response
    verdict = verdict_of(answer.status)
    if verdict is Verdict.REDIRECTED:
        raise redirect(answer, action, CONFIG_KEY)
    error = response.get("Error") if response else None
    if isinstance(error, dict):
        code, message = text(error.get("Code")).strip(), as_text(error.get("Message"))
        if verdict is Verdict.UNCERTAIN:
            raise uncertain(answer, action, f"{code}: {message}")
        request_id = text(response.get("RequestId")) or None if response else None
        raise service_error(code, message, request_id, errors, action).with_context(action=action)
    if response is None or error is not None or verdict is not Verdict.GOOD:
        message = f"HTTP {answer.status} with {len(answer.body)} bytes that are not the service's envelope"
        raise unreadable(message, answer, action)
    return response


def decode(body: bytes) -> dict[str, object]:
    """The JSON object in a body; empty for anything else."""
    # pydantic's parser is eight times as fast, but rejects half an emoji.
    for load in (from_json, json.loads):
        with suppress(ValueError, RecursionError):  # RecursionError: nested a thousand levels deep
            value = load(body)
            return value if isinstance(value, dict) else {}
    return {}


def inside(envelope: Mapping[str, object]) -> dict[str, object] | None:
    response = envelope.get("Response")
    return response if isinstance(response, dict) else None


def parameters(params: Mapping[str, object]) -> Mapping[str, object]:
    """The parameters of a call, which is the user's own. Raises InvalidRequest for anything but an object."""
    if not isinstance(params, Mapping):
        raise InvalidRequest(f"the parameters are an object, such as {{'TaskId': '4-…'}}, not {type(params).__name__}")
    return params


def body(params: Mapping[str, object]) -> bytes:
    """The parameters of a call as JSON. Raises InvalidRequest for half a character, for a value that JSON lacks, and
    for anything but an object."""
    checked = parameters(params)
    try:
        return to_json(checked)
    except ValueError as error:
        fault = CUT if "surrogates" in str(error) else "a value among them has no form in JSON"
    raise InvalidRequest(f"the parameters cannot be sent: {fault}")


EARLIEST_S: Final = 946_684_800.0
LATEST_S: Final = 4_102_444_800.0
"""Unix seconds of 2000 and 2100. A clock outside them was never set (1970), or shows a time from which no signature and
no result's end can be computed (9999)."""


def server_time(answer: HttpAnswer) -> float | None:
    """The answer's `Date` in Unix seconds. None if the date is missing or impossible, or if the answer comes from a
    cache."""
    if "age" in answer.headers:  # RFC 9111: only a cache adds the header, and leaves the `Date` of the first answer
        return None
    return unix_time(answer.headers.get("date", ""))


@lru_cache(maxsize=4)  # all answers of one second have the same `Date`
def unix_time(header: str) -> float | None:
    """An HTTP date in Unix seconds; None for anything else, and for an impossible one."""
    try:
        date = parsedate_to_datetime(header)
        # A missing zone, and `-0000`, means UTC in an HTTP date; `timestamp` would take it for the local zone.
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):  # the last two: faults of the parser itself
        return None
    return seconds if EARLIEST_S <= seconds < LATEST_S else None


class Tc3:
    """The signer of one service's calls. Its only state is the signing key derived for the day."""

    def __init__(self, service: str, version: str, *, host: str, region: str | None, language: str) -> None:
        self._version = version
        self._host = host
        self._region = region
        self._language = language
        self._signer = Signer(service)

    def sign(self, call: Call[object], credentials: Credentials, timestamp: int) -> HttpRequest:
        signed_headers = {
            "content-type": "application/json; charset=utf-8",
            "host": self._host,
            "x-tc-action": call.action,
        }
        headers = {
            "Authorization": self._signer.authorization(
                credentials.secret_id, credentials.secret_key.get_secret_value(), timestamp, signed_headers, call.body
            ),
            "Content-Type": signed_headers["content-type"],
            "Host": self._host,
            "X-TC-Action": call.action,
            "X-TC-Version": self._version,
            "X-TC-Timestamp": str(timestamp),
            "X-TC-Language": self._language,
        }
        if self._region:
            headers["X-TC-Region"] = self._region
        if credentials.token:
            headers["X-TC-Token"] = credentials.token.get_secret_value()
        return HttpRequest("/", headers, call.body)
