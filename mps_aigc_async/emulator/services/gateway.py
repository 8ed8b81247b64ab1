"""Tencent Cloud's API gateway before MPS and VOD, and the part of a desk that both share.

The gateway checks the signature first, since only a signature tells which account's limit the call counts against. The
rate comes next, and the content of the call last.
"""

from collections.abc import Mapping

from ..tasks.action import Action
from ..tasks.faults import Fault
from ..tasks.fields import Json, decode
from ..tasks.refusal import Refused
from ..tasks.reply import Reply
from ..tasks.window import Rates
from .auth import Judge
from .equipment import Equipment
from .exchange import FAULT_MESSAGE, Answer, ServiceCall

MAX_BODY = 10 * 1024 * 1024
"""Most bytes of a request under TC3: "请求包大小" of "Signature v3"."""


class Gateway:
    """The actions of one service, by the bare names in X-TC-Action; `prefix` makes them full names."""

    def __init__(self, judge: Judge, version: str, actions: Mapping[str, Action], prefix: str, rates: Rates) -> None:
        self._judge = judge
        self._version = version
        self._actions = actions
        self._prefix = prefix
        self._rates = rates

    def name(self, call: ServiceCall) -> str:
        return self._prefix + call.headers.get("x-tc-action", "")

    def admit(self, call: ServiceCall) -> tuple[Action, Mapping[str, Json]]:
        """The action of a call, and its checked fields. Raises Refused."""
        if call.method != "POST" or call.path != "/":
            raise Refused("UnsupportedProtocol", f"The emulator answers POST /, not {call.method} {call.path}.")
        if len(call.body) > MAX_BODY:
            raise Refused("RequestSizeLimitExceeded", f"The request is larger than {MAX_BODY} bytes.")
        self._judge.check(call.headers, call.body, call.now)
        action = self._action(call.headers)
        if not self._rates.admit(self.name(call), call.now):
            raise Refused("RequestLimitExceeded", f"Your requests of {self.name(call)} exceed the limit per second.")
        if not call.headers["content-type"].startswith("application/json"):
            raise Refused("InvalidParameter", "The Content-Type of a request must be application/json.")
        return action, decode(call.body, action.fields)

    def _action(self, headers: Mapping[str, str]) -> Action:
        name = headers.get("x-tc-action", "")
        if not name:
            raise Refused("MissingParameter", "The request is missing the header X-TC-Action.")
        if (version := headers.get("x-tc-version")) != self._version:
            raise Refused("NoSuchVersion", f"The API version {version} does not exist; it is {self._version}.")
        if name not in self._actions:
            raise Refused("InvalidAction", f"The emulator has no action {name}; it has {', '.join(self._actions)}.")
        return self._actions[name]


class GatewayDesk:
    """The part of a desk (`exchange.Desk`) that all services behind the gateway share. `answer` is each service's."""

    def __init__(
        self, equipment: Equipment, *, service: str, version: str, actions: Mapping[str, Action], prefix: str
    ) -> None:
        settings = equipment.settings
        self.judge = Judge(settings.secret_id, settings.secret_key, service)
        self._gateway = Gateway(self.judge, version, actions, prefix, equipment.rates)
        self._envelopes = equipment.envelopes

    def name(self, call: ServiceCall) -> str:
        return self._gateway.name(call)

    def reply(self, answer: Answer) -> Reply:
        return self._envelopes.seal(answer.content)

    def refusal(self, error: Refused) -> Reply:
        return self._envelopes.error(error.code, error.message)

    def error(self, fault: Fault) -> Reply:
        return self._envelopes.error(fault.code, FAULT_MESSAGE)
