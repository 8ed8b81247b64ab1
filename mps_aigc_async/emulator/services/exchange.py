"""The values between the core and its desks: a call, and a desk's answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from ..tasks.faults import Fault
from ..tasks.fields import Json
from ..tasks.refusal import Refused
from ..tasks.reply import Frames, Reply

FAULT_MESSAGE: Final = "A fault that was asked for."
"""The message of an error or a failure that a test planned (`Faults.add`)."""


@dataclass(frozen=True, slots=True)
class ServiceCall:
    method: str
    path: str
    headers: Mapping[str, str]
    """Header values by lower-case name."""
    body: bytes
    now: float
    fails_with: str = ""
    """The code with which the task of this create fails: a planned fault. Empty for none."""


@dataclass(frozen=True, slots=True)
class Answer:
    content: Mapping[str, Json]
    task_id: str | None = None
    """The created or queried task, if any."""
    frames: Frames | None = None


class Desk(Protocol):
    """A service behind the port: it answers its calls in its own envelope."""

    def name(self, call: ServiceCall) -> str:
        """The action's full name, for the log and the faults. For an unknown action, the name in the call."""
        ...

    def answer(self, call: ServiceCall) -> Answer:
        """The answer to a call. Raises Refused."""
        ...

    def reply(self, answer: Answer) -> Reply: ...

    def refusal(self, error: Refused) -> Reply: ...

    def error(self, fault: Fault) -> Reply:
        """The service's own error, with the fault's code."""
        ...


class Envelopes:
    """Envelopes of the form `{"Response": {…, "RequestId"}}`. The HTTP status is 200, also for errors."""

    __slots__ = ("_ids",)

    def __init__(self, ids: Random) -> None:
        self._ids = ids

    def seal(self, content: Mapping[str, Json]) -> Reply:
        return json_reply(200, self.envelope(content))

    def error(self, code: str, message: str) -> Reply:
        return self.seal({"Error": {"Code": code, "Message": message}})

    def envelope(self, content: Mapping[str, Json]) -> Mapping[str, Json]:
        return {"Response": {**content, "RequestId": _uuid(self._ids.getrandbits(128))}}


def json_reply(status: int, content: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> Reply:
    # Exactly `application/json`: with any other spelling the official SDK overlooks the error in the body.
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(content).encode())


def _uuid(bits: int) -> str:
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
