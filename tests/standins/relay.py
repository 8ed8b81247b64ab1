"""The relay: VOD's creates in snake_case behind a bearer token, from quickrouter.ai and its siblings (2026-10)."""

from collections.abc import Mapping
from itertools import cycle
from typing import Final
from uuid import uuid4

from .book import Manners, Task, stage
from .calls import Call, Json, Lost, Refusal, Reply, fields_of
from .vod import FIELDS, VodAccount

KEY: Final = "relay-key-0123456789"
_CREATES: Final = {"/tencent-vod/v1/aigc-image": "image", "/tencent-vod/v1/aigc-video": "video"}
_QUERY: Final = "/tencent-vod/v1/query/"
_REQUIRED: Final = ("model_name", "model_version", "prompt")
_WORDS: Final = {"waiting": "QUEUED", "running": "IN_PROGRESS", "done": "SUCCESS", "failed": "FAILURE"}


class Relay:
    """The relay's routes."""

    def __init__(self, manners: Manners) -> None:
        self._account = VodAccount(manners)
        self.book = self._account.book
        self._envelopes = cycle(manners.envelopes)
        # A create that was accepted is lost in two ways: a broken connection and a gateway that lost its patience.
        self._lost_after = cycle((None, 504))

    @property
    def base_url(self) -> str:
        return self._account.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self._account.base_url = url

    def answer(self, call: Call) -> Reply:
        """The reply to a call. Raises Lost."""
        if call.headers.get("authorization") != f"Bearer {KEY}":
            return Reply({"error": {"message": "invalid token", "type": "auth", "code": "invalid_api_key"}}, 401)
        if call.method == "GET" and call.path.startswith(_QUERY):
            return self._query(call.path.removeprefix(_QUERY), call.now)
        kind = _CREATES.get(call.path) if call.method == "POST" else None
        if kind is None:
            return Reply({"error": {"message": "no such route", "type": "invalid_request", "code": "not_found"}}, 404)
        try:
            return self._create(kind, call)
        except Refusal as refusal:
            self.book.refused(refusal)
            return _refused(refusal)

    def _create(self, kind: str, call: Call) -> Reply:
        self.book.arrived(f"CreateAigc{kind.title()}Task", call.now)
        names = frozenset(in_snake_case(name) for name in FIELDS[kind])
        fields = _in_vods_words(fields_of(call.body, names, _REQUIRED))
        task = self._account.create(kind, fields, call.now, Lost(next(self._lost_after)))
        return Reply(self._created(task), delay_s=self.book.manners.answer_s)

    def _created(self, task: Task) -> Json:
        if next(self._envelopes) == "wrapped":
            return {"code": "success", "message": "", "data": {"task_id": task.task_id, "status": "SUBMITTED"}}
        return {"Response": {"TaskId": task.task_id, "RequestId": str(uuid4())}}

    def _query(self, task_id: str, now: float) -> Reply:
        task = self.book.polled(task_id, now)
        if task is None:
            return Reply({"code": "task_not_exist", "message": "the task does not exist", "data": None}, 400)
        response: Json = {"Response": {**self._account.detail(task, now), "RequestId": str(uuid4())}}
        if next(self._envelopes) == "response":
            return Reply(response)
        at = stage(task, now)
        wrapped: dict[str, Json] = {
            "task_id": task_id,
            "status": _WORDS[at],
            "progress": "100%" if at in ("done", "failed") else "50%",
            "fail_reason": "the model failed" if at == "failed" else "",
            "data": response,
        }
        return Reply({"code": "success", "message": "", "data": wrapped})


def _refused(refusal: Refusal) -> Reply:
    if refusal.code == "RequestLimitExceeded":
        body: Json = {"error": {"message": refusal.message, "type": "rate_limit", "code": "rate_limited"}}
        return Reply(body, 429, {"Retry-After": "1"})
    error: Json = {"Code": refusal.code, "Message": refusal.message}
    return Reply({"Response": {"Error": error, "RequestId": str(uuid4())}})


def in_snake_case(name: str) -> str:
    """
    >>> in_snake_case("SessionId"), in_snake_case("FileInfos")
    ('session_id', 'file_infos')
    """
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def _in_vods_words(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {"".join(part.title() for part in name.split("_")): _inner(value) for name, value in fields.items()}


def _inner(value: Json) -> Json:
    if isinstance(value, Mapping):
        return _in_vods_words(value)
    return [_inner(item) for item in value] if isinstance(value, list) else value
