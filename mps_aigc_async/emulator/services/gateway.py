"""Tencent Cloud's API gateway, which MPS and VOD stand behind: the signature first, for only it says whose limit the
call counts against; then the rate; then what the call says.
"""

from collections.abc import Mapping

from ..tasks.action import Action
from ..tasks.fields import Json, decode
from ..tasks.refusal import Refused
from ..tasks.window import Rates
from .auth import Judge
from .exchange import ServiceCall

MAX_BODY = 10 * 1024 * 1024
"""Bytes of a request under TC3: "请求包大小" of "Signature v3"."""


class Gateway:
    """The actions of one service, by the bare names that X-TC-Action has; `prefix` makes them full ones."""

    def __init__(self, judge: Judge, version: str, actions: Mapping[str, Action], prefix: str, rates: Rates) -> None:
        self._judge = judge
        self._version = version
        self._actions = actions
        self._prefix = prefix
        self._rates = rates

    def name(self, call: ServiceCall) -> str:
        return self._prefix + call.headers.get("x-tc-action", "")

    def admit(self, call: ServiceCall) -> tuple[Action, Mapping[str, Json]]:
        """What is called, and its checked fields. Raises Refused."""
        if call.method != "POST" or call.path != "/":
            raise Refused("UnsupportedProtocol", f"The emulator answers POST /, not {call.method} {call.path}.")
        if len(call.body) > MAX_BODY:
            raise Refused("RequestSizeLimitExceeded", f"The request is larger than {MAX_BODY} bytes.")
        self._judge.check(call.headers, call.body, call.now)
        action = self._called(call.headers)
        if not self._rates.admit(self.name(call), call.now):
            raise Refused("RequestLimitExceeded", f"Your requests of {self.name(call)} exceed the limit per second.")
        if not call.headers["content-type"].startswith("application/json"):
            raise Refused("InvalidParameter", "The Content-Type of a request must be application/json.")
        return action, decode(call.body, action.fields)

    def _called(self, headers: Mapping[str, str]) -> Action:
        name = headers.get("x-tc-action", "")
        if not name:
            raise Refused("MissingParameter", "The request is missing the header X-TC-Action.")
        if (version := headers.get("x-tc-version")) != self._version:
            raise Refused("NoSuchVersion", f"The API version {version} does not exist; it is {self._version}.")
        if name not in self._actions:
            raise Refused("InvalidAction", f"The emulator has no action {name}; it has {', '.join(self._actions)}.")
        return self._actions[name]
