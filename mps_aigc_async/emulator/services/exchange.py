"""What passes between the core and a service of it: the call as it came, and what the service makes of it."""

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
    """By lower-case name."""
    body: bytes
    now: float
    fails_with: str = ""
    """The code with which a task created by this call is to end: a fault that was asked for. Empty for none."""


@dataclass(frozen=True, slots=True)
class Answer:
    content: Mapping[str, Json]
    task_id: str | None = None
    """The task created or asked about, where there is one."""
    frames: Frames | None = None


class Desk(Protocol):
    """One of the services behind the port."""

    def name(self, call: ServiceCall) -> str:
        """The action's full name, for the log and the faults; whatever was asked for, if there is no such action."""
        ...

    def answer(self, call: ServiceCall) -> Answer:
        """Raises Refused."""
        ...

    def reply(self, answer: Answer) -> Reply: ...

    def refusal(self, refused: Refused) -> Reply: ...

    def error(self, fault: Fault) -> Reply:
        """The service's own error, with the fault's code."""
        ...


class Envelopes:
    """`{"Response": {…, "RequestId"}}`, with HTTP 200 whatever it holds."""

    __slots__ = ("_ids",)

    def __init__(self, ids: Random) -> None:
        self._ids = ids

    def seal(self, content: Mapping[str, Json]) -> Reply:
        return json_reply(200, self.sealed(content))

    def error(self, code: str, message: str) -> Reply:
        return self.seal({"Error": {"Code": code, "Message": message}})

    def sealed(self, content: Mapping[str, Json]) -> Mapping[str, Json]:
        return {"Response": {**content, "RequestId": _uuid(self._ids.getrandbits(128))}}


def json_reply(status: int, content: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> Reply:
    # Exactly `application/json`: the official SDK compares, and overlooks the error beside any other spelling.
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(content).encode())


def _uuid(bits: int) -> str:
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
