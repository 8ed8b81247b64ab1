"""Faults on request: what goes wrong, how often, and whether the task was accepted before it did.

    fault         accepted  what the client sees
    error         no        HTTP 200, the error envelope with `code`
    http_status   no        HTTP `status` with an HTML page, as a gateway answers
    not_json      no        HTTP 200 with an HTML page, as a captive portal answers
    reset_before  no        the connection is reset, no answer
    reset_after   yes       the connection is reset, no answer
    hang          yes       the answer never comes
    delay         yes       the answer, late
    fail_later    yes       the answer; the task that it created ends badly, with `code`

Each comes `seconds` late, if that is set.
On the relay `error` has HTTP `status`, if that is set, and then the relay's own body and not VOD's envelope.
The first three have a `Retry-After` header, if `retry_after` is set.
`accepted=True` on the first three makes them lie: the task exists, the answer says otherwise. That is what
InternalError and a gateway's 502 can mean, and why a client must not send such a create again by itself.
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
"""The name by which a download is spoken of as an action. Its `reset_after` comes in the middle of the body."""

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
"""Of `http_status`, unless it says otherwise."""


@dataclass(slots=True)
class Rule:
    """Whom something befalls, how often and how likely; the kinds of rule add what it is."""

    action: str | None
    """None: any action but "Media"."""
    times: int | None
    """Counts down; None is for ever."""
    probability: float
    after: int = field(default=0, kw_only=True)
    """Counts down: so many calls come first, whatever befalls them."""

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError(f"a fault happens at least once, or for ever (None): times={self.times}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability is between 0 and 1: {self.probability}")
        if self.after < 0:
            raise ValueError(f"a number of calls is not negative: after={self.after}")

    def concerns(self, action: str) -> bool:
        return self.action == action if self.action is not None else action != MEDIA


RuleT = TypeVar("RuleT", bound=Rule)


@dataclass(slots=True)
class Rules(Generic[RuleT]):
    """The rules in the order added; the first that matches and wins its draw is the one that happens."""

    random: Random = field(repr=False)
    rules: list[RuleT] = field(default_factory=list)

    def clear(self) -> None:
        self.rules.clear()

    def draw(self, action: str) -> RuleT | None:
        """The rule that befalls this call, used up. The call counts for the rules that wait, whichever befalls it."""
        concerned = [rule for rule in self.rules if rule.concerns(action)]
        ready = [rule for rule in concerned if rule.after == 0]
        for rule in concerned:
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
    accepted: bool
    code: str
    status: int | None
    seconds: float
    retry_after: str


class Faults(Rules[Fault]):
    """What befalls the calls of one emulator."""

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
        """Arranges for `fault` to befall the next `times` calls of `action` (None: of any action but "Media").

            faults.add(action="CreateAigcImageTask", fault="error", code="RequestLimitExceeded", times=2)
            faults.add(action="CreateAigcVideoTask", fault="reset_after")  # accepted, and the answer is lost
            faults.add(action="CreateAigcVideoTask", fault="hang")  # accepted, and the answer never comes
            faults.add(action="CreateAigcImageTask", fault="fail_later", code="ModelGenerateFailed")
            faults.add(action="DescribeAigcImageTask", fault="http_status", status=500, after=2)  # the third poll

        `after` is how many calls of the action come first, whatever other faults befall them. Raises ValueError for a
        fault or an action that there is not, and for what could never happen: a delay of 0 s, a Describe that fails
        later.
        With a `probability`, each call draws (seeded) until it has happened `times` times; pass `times=None` to make
        it a rate of failure. `code` belongs to `error` and `fail_later`, `status` to `http_status` (502 by default) and
        to the relay's `error`; `seconds` delays any of them. `retry_after` is the header's
        text: seconds, or a date.
        """
        if fault not in get_args(FaultName):
            raise ValueError(f"no such fault: {fault!r}; there are {', '.join(get_args(FaultName))}")
        if action is not None and action != MEDIA and action not in self._actions:
            raise ValueError(f"no such action: {action!r}; there are {', '.join((*self._actions, MEDIA))}")
        takes_place = _ACCEPTED[fault] if accepted is None else accepted
        if fault == "reset_before" and takes_place:
            raise ValueError("reset_before accepts nothing; use reset_after")
        if fault == "fail_later" and not (takes_place and action in self._creates):
            raise ValueError("fail_later befalls a create that was accepted: name its action")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"an answer is late by a number of seconds: {seconds}")
        if fault == "delay" and seconds == 0:
            raise ValueError("how late? delay needs seconds")
        rule = Fault(action, times, probability, fault, takes_place, code, status, seconds, retry_after, after=after)
        self.rules.append(rule)
