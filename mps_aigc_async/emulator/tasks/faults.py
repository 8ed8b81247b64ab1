"""Planned faults: their kinds, their frequency, and whether the task is accepted before the fault.

    fault         accepted  the client's view
    error         no        HTTP 200, the error envelope with `code`
    http_status   no        HTTP `status` with an HTML page, as a gateway answers
    not_json      no        HTTP 200 with an HTML page, as a captive portal answers
    reset_before  no        the connection is reset, no answer
    reset_after   yes       the connection is reset, no answer
    hang          yes       the answer never comes
    delay         yes       the answer, late
    fail_later    yes       the answer; the new task fails later, with `code`

With `seconds`, each fault comes that many seconds late.
On the relay, an `error` with `status` has that HTTP status and the relay's own body instead of VOD's envelope.
From COS, an `error` has COS's body and the HTTP `status`, by default 503.
With `retry_after`, the first three have a `Retry-After` header.
With `accepted=True` the first three lie: the task exists, and the answer says otherwise. InternalError and a gateway's
502 can mean the same, so a client must not send such a create again by itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, Generic, Literal, TypeAlias, TypeVar, get_args

from .action import Action

FaultName: TypeAlias = Literal[
    "error", "http_status", "not_json", "reset_before", "reset_after", "hang", "delay", "fail_later"
]

MEDIA = "Media"
"""The action name of downloads. The `reset_after` of a download comes in the middle of the body."""

COS = "Cos"
"""The action name of requests for objects in buckets, as MEDIA is for the service's own storage."""

_DOWNLOADS: Final = (MEDIA, COS)

_ACCEPTED: Final[Mapping[FaultName, bool]] = {
    "error": False,
    "http_status": False,
    "not_json": False,
    "reset_before": False,
    "reset_after": True,
    "hang": True,
    "delay": True,
    "fail_later": True,
}

GATEWAY_STATUS = 502
"""Default status of `http_status`."""


@dataclass(slots=True)
class Rule:
    """The calls that a fault befalls, its frequency and its probability. Each kind of rule adds the fault itself."""

    action: str | None
    """The action's full name; for None, any action but "Media" and "Cos"."""
    times: int | None
    """Calls that the fault still befalls, counted down; None for ever."""
    probability: float
    after: int = field(default=0, kw_only=True)
    """Calls that come first, counted down. Other faults may befall them."""

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError(f"a fault must happen at least once, or for ever (None): times={self.times}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"the probability must be between 0 and 1: {self.probability}")
        if self.after < 0:
            raise ValueError(f"the number of calls that come first must not be negative: after={self.after}")

    def concerns(self, action: str) -> bool:
        return self.action == action if self.action is not None else action not in _DOWNLOADS


RuleT = TypeVar("RuleT", bound=Rule)


@dataclass(slots=True)
class Rules(Generic[RuleT]):
    """Rules in the order of their addition. The first rule that matches and wins its draw befalls the call."""

    random: Random = field(repr=False)
    rules: list[RuleT] = field(default_factory=list)

    def clear(self) -> None:
        self.rules.clear()

    def draw(self, action: str) -> RuleT | None:
        """Use up the rule that befalls this call, and return it. The call counts for all rules that wait."""
        matching = [rule for rule in self.rules if rule.concerns(action)]
        ready = [rule for rule in matching if rule.after == 0]
        for rule in matching:
            rule.after = max(0, rule.after - 1)
        for rule in ready:
            if rule.probability < 1 and self.random.random() >= rule.probability:
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times <= 0:
                    self.rules.remove(rule)
            return rule
        return None


@dataclass(slots=True)
class Fault(Rule):
    fault: FaultName
    accepts: bool
    """Whether the service accepts the call before the fault."""
    code: str
    status: int | None
    seconds: float
    retry_after: str


class Faults(Rules[Fault]):
    """The planned faults of one emulator."""

    __slots__ = ("_actions", "_creates")

    def __init__(self, random: Random, actions: Mapping[str, Action]) -> None:
        super().__init__(random)
        self._actions = tuple(actions)
        self._creates = frozenset(name for name, action in actions.items() if action.verb == "create")

    def add(
        self,
        *,
        action: str | None = None,
        fault: FaultName,
        times: int | None = 1,
        probability: float = 1.0,
        accepted: bool | None = None,
        code: str = "InternalError",
        status: int | None = None,
        seconds: float = 0.0,
        retry_after: str = "",
        after: int = 0,
    ) -> None:
        """Plan `fault` for the next `times` calls of `action` (None: of any action but the downloads, "Media" and
        "Cos").

            faults.add(action="CreateAigcImageTask", fault="error", code="RequestLimitExceeded", times=2)
            faults.add(action="CreateAigcVideoTask", fault="reset_after")  # accepted, and the answer is lost
            faults.add(action="CreateAigcVideoTask", fault="hang")  # accepted, and the answer never comes
            faults.add(action="CreateAigcImageTask", fault="fail_later", code="ModelGenerateFailed")
            faults.add(action="DescribeAigcImageTask", fault="http_status", status=500, after=2)  # the third poll

        `after` is the number of the action's calls that come first. Other faults may befall them.
        With a `probability`, each call draws (seeded) until the fault has happened `times` times; pass `times=None` for
        a rate of failure. `code` belongs to `error` and `fail_later`, `status` to `http_status` (502 by default) and
        to the relay's `error`; `seconds` delays any fault. `retry_after` is the header's text: seconds, or a date.

        Raises ValueError for an unknown fault or action, and for faults that cannot happen: a delay of 0 s, a Describe
        that fails later.
        """
        if fault not in get_args(FaultName):
            raise ValueError(f"no such fault: {fault!r}; there are {', '.join(get_args(FaultName))}")
        names = (*self._actions, *_DOWNLOADS)
        if action is not None and action not in names:
            raise ValueError(f"no such action: {action!r}; there are {', '.join(names)}")
        accepts = _ACCEPTED[fault] if accepted is None else accepted
        if fault == "reset_before" and accepts:
            raise ValueError("reset_before accepts nothing; use reset_after")
        if fault == "fail_later" and not (accepts and action in self._creates):
            raise ValueError("fail_later befalls a create that was accepted: name its action")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"the delay must be a finite number of seconds, not negative: {seconds}")
        if fault == "delay" and seconds == 0:
            raise ValueError("the fault delay needs seconds above 0")
        rule = Fault(action, times, probability, fault, accepts, code, status, seconds, retry_after, after=after)
        self.rules.append(rule)
