"""MPS, from its API documents (2019-06-12) and the AIGC guide of 2026-05-29: no field tells two equal creates apart."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

from .book import FORBIDDEN, Book, Manners, Order, Task, stage
from .calls import Call, Json, Lost, Refusal, Reply, fields_of, text_of
from .tc3 import require_signed

LIMITS: Final = {
    "CreateAigcImageTask": 20,
    "DescribeAigcImageTask": 20,
    "CreateAigcVideoTask": 10,
    "DescribeAigcVideoTask": 50,
}
"""Calls in any one second (guide of 2026-05-29)."""

_BOTH: Final = frozenset(
    {
        "ModelName", "ModelVersion", "SceneType", "Prompt", "NegativePrompt", "EnhancePrompt", "ImageInfos",
        "ExtraParameters", "AdditionalParameters", "StoreCosParam", "Operator",
    }
)  # fmt: skip
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "image": _BOTH | {"OutputImageCount"},
    "video": _BOTH | {"ImageUrl", "LastImageUrl", "VideoInfos", "AudioInfos", "SubjectInfos", "Duration"},
}
_WORDS: Final = {"waiting": "WAIT", "running": "RUN", "done": "DONE", "failed": "FAIL"}


class Mps:
    """MPS's tasks and answers."""

    def __init__(self, manners: Manners) -> None:
        self.book = Book(manners, LIMITS)
        self.base_url = ""

    def answer(self, call: Call) -> Reply:
        """The reply to a call. Raises Lost."""
        return refusing(self.book, self._answered, call)

    def _answered(self, call: Call) -> Reply:
        require_signed(call, "mps")
        action = call.headers.get("x-tc-action", "")
        if call.headers.get("x-tc-version") != "2019-06-12" or action not in LIMITS:
            raise Refusal("InvalidAction", f"The action `{action}` is not found.")
        self.book.arrived(action, call.now)
        kind = "image" if "Image" in action else "video"
        return self._create(kind, call) if action.startswith("Create") else self._describe(kind, call)

    def _create(self, kind: str, call: Call) -> Reply:
        fields = fields_of(call.body, FIELDS[kind], ("ModelName", "Prompt"))
        prompt = text_of(fields, "Prompt")
        if FORBIDDEN in prompt:
            raise Refusal("InvalidParameter.ViolationContent", "The content is forbidden.")
        order = Order(kind, prompt, frame=text_of(fields, "ImageUrl"))
        task = self.book.make(order, f"4-Aigc{kind.title()}-{uuid4().hex}", call.now, Lost())
        return sealed({"TaskId": task.task_id}, self.book.manners.answer_s)

    def _describe(self, kind: str, call: Call) -> Reply:
        fields = fields_of(call.body, frozenset({"TaskId"}), ("TaskId",))
        task = self.book.polled(text_of(fields, "TaskId"), call.now)
        if task is None:
            raise Refusal("ResourceNotFound.TaskNotFound", "The task is not found.")
        if task.kind != kind:  # as reported of the live service in 2026-08
            raise Refusal("ResourceNotFound", "The resource is not found.")
        return sealed(self._status(task, call.now))

    def _status(self, task: Task, now: float) -> dict[str, Json]:
        at = stage(task, now)
        urls: list[Json] = [media_url(self.base_url, task)] if at == "done" else []
        return {
            "Status": _WORDS[at],
            f"{task.kind.title()}Urls": urls,
            "Message": {"done": "ok", "failed": "the model failed"}.get(at, ""),
        }


def refusing(book: Book, answer: Callable[[Call], Reply], call: Call) -> Reply:
    """The answer to a call, or the envelope of its refusal, which the book notes. Raises Lost."""
    try:
        return answer(call)
    except Refusal as refusal:
        book.refused(refusal)
        return sealed({"Error": {"Code": refusal.code, "Message": refusal.message}})


def sealed(content: Mapping[str, Json], delay_s: float = 0.0) -> Reply:
    """Put an answer into the envelope of Tencent Cloud's API 3.0, which is HTTP 200 for errors too."""
    return Reply({"Response": {**content, "RequestId": str(uuid4())}}, delay_s=delay_s)


def media_url(base_url: str, task: Task) -> str:
    return f"{base_url}/media/{task.kind}/{task.task_id}?sign=0123456789abcdef"
