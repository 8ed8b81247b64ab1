"""The relay (quickrouter.ai): VOD's creates in snake case, over a bearer token, and a query.

The relay's own errors report faults of the request. The family has two bodies for them: the door's,
`{"error": {"message", "type", "code"}}`, for a bad key and for calls that come too fast, and the routes',
`{"code", "message", "data": null}`. VOD's refusals come through in VOD's envelope, with HTTP 200.

No page of quickrouter.ai documents the query: its form is that of other relays of the family.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from ..tasks.action import Action
from ..tasks.faults import Fault
from ..tasks.fields import Json, decode, text_of
from ..tasks.refusal import Refused
from ..tasks.reply import Reply
from ..tasks.tasks import ServiceTask
from . import actions
from .equipment import Equipment
from .exchange import FAULT_MESSAGE, Answer, ServiceCall, json_reply
from .gateway import MAX_BODY
from .relay_fields import REQUIRED, with_vods_names
from .vod_account import VodAccount, progress

PREFIX: Final = "/tencent-vod/v1/"

RecordStatus: TypeAlias = Literal["SUBMITTED", "QUEUED", "IN_PROGRESS", "SUCCESS", "FAILURE"]
"""The statuses in a task record, which is the wrapped envelope. The family's NOT_START is not used here."""


class _Rejected(Refused):
    """A refusal by the relay itself, with an HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = status


class Relay:
    """The relay's desk (`exchange.Desk`)."""

    def __init__(self, equipment: Equipment) -> None:
        settings = equipment.settings
        self._key = settings.relay_key
        self._wraps = settings.relay_envelope == "wrapped"
        self._wraps_creates = settings.relay_create_envelope == "wrapped"
        self._rates = equipment.rates
        self._envelopes = equipment.envelopes
        self._account = VodAccount("relay", equipment)
        before, after = map(re.escape, settings.relay_query.split("{task_id}"))
        self._query = re.compile(f"{before}(?P<task>[^/]+){after}")

    def serves(self, path: str) -> bool:
        return path.startswith(PREFIX) or self._query.fullmatch(path) is not None

    def name(self, call: ServiceCall) -> str:
        if self._query.fullmatch(call.path):
            return "relay:query"
        return f"relay:{call.path.removeprefix(PREFIX)}"

    def answer(self, call: ServiceCall) -> Answer:
        name = self.name(call)
        bearer = call.headers.get("authorization", "")
        if not hmac.compare_digest(bearer.encode(errors="replace"), f"Bearer {self._key}".encode()):
            raise _Rejected(401, "invalid_api_key", "The API key is not valid.")
        action = actions.ACTIONS.get(name)
        if action is None or call.method != ("POST" if action.verb == "create" else "GET"):
            raise _Rejected(404, "not_found", f"There is no {call.method} {call.path}.")
        if not self._rates.admit(name, call.now):
            raise _Rejected(429, "rate_limit_exceeded", f"Too many requests of {name}.")
        if action.kind is None:
            return self._query_answer(call)
        answer = self._account.create(action.kind, self._fields(call, action), call)
        return replace(answer, content=_create_record(answer)) if self._wraps_creates else answer

    def _fields(self, call: ServiceCall, action: Action) -> Mapping[str, Json]:
        """The request's fields under VOD's names."""
        if len(call.body) > MAX_BODY:
            raise _Rejected(413, "request_too_large", f"The request is larger than {MAX_BODY} bytes.")
        try:
            fields = decode(call.body, action.fields)
        except Refused as error:
            raise _Rejected(400, "invalid_request", error.message) from error
        if absent := [name for name in REQUIRED if not text_of(fields, name)]:
            raise _Rejected(400, "invalid_request", f"The request is missing {', '.join(absent)}.")
        return with_vods_names(fields)

    def _query_answer(self, call: ServiceCall) -> Answer:
        match = self._query.fullmatch(call.path)
        task = self._account.find(match["task"], call.now) if match else None
        if task is None:
            raise _Rejected(400, "task_not_exist", "task_not_exist")
        detail = self._account.detail(task, call.now)
        return Answer(self._record(task, detail, call.now) if self._wraps else detail, task.task_id)

    def _record(self, task: ServiceTask, detail: Mapping[str, Json], now: float) -> Mapping[str, Json]:
        """The task record for a query. Its `data.data` is VOD's answer, unchanged."""
        status = _record_status(task, now)
        data: Mapping[str, Json] = {
            "task_id": task.task_id,
            "status": status,
            "progress": f"{progress(task, now)}%",
            "fail_reason": task.failure.message if status == "FAILURE" and task.failure else "",
            "data": self._envelopes.envelope(detail),
        }
        return {"code": "success", "message": "", "data": data}

    # Answers

    def reply(self, answer: Answer) -> Reply:
        if "code" in answer.content:  # a task record has no further envelope
            return json_reply(200, answer.content)
        return self._envelopes.seal(answer.content)

    def refusal(self, error: Refused) -> Reply:
        if isinstance(error, _Rejected):
            return _own_error(error.status, error.code, error.message)
        return self._envelopes.error(error.code, error.message)

    def error(self, fault: Fault) -> Reply:
        if fault.status is None:
            return self._envelopes.error(fault.code, FAULT_MESSAGE)
        return _own_error(fault.status, fault.code, FAULT_MESSAGE)


def _create_record(answer: Answer) -> Mapping[str, Json]:
    return {"code": "success", "message": "", "data": {"task_id": answer.task_id, "status": "SUBMITTED"}}


def _own_error(status: int, code: str, message: str) -> Reply:
    if status in {401, 429}:
        door: Mapping[str, Json] = {"error": {"message": message, "type": "relay_error", "code": code}}
        return json_reply(status, door, {"Retry-After": "1"} if status == 429 else None)
    return json_reply(status, {"code": code, "message": message, "data": None})


def _record_status(task: ServiceTask, now: float) -> RecordStatus:
    match task.status(now):
        case "WAIT":
            return "QUEUED" if task.stands_in_line else "SUBMITTED"
        case "RUN":
            return "IN_PROGRESS"
        case "DONE":
            return "SUCCESS"
        case "FAIL":
            return "FAILURE"
