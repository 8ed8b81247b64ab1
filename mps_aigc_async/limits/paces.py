"""The paces of one account in one region: a pace an action, in common to all clients there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .pace import DEFAULT_JITTER_S, Pace, Stream


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """The limits that one client knows: calls per second."""

    default: float
    by_action: Mapping[str, float] = field(default_factory=dict)
    jitter_s: float = DEFAULT_JITTER_S

    def of(self, action: str) -> float:
        return self.by_action.get(action, self.default)


class Paces:
    """The paces, under the lowest of the rates that the open clients know: the service counts the clients together, and
    the one with the lower limit may know better."""

    def __init__(self) -> None:
        self.by_action: dict[str, Pace] = {}
        self._rates: list[Rates] = []
        """The rates of the open clients; of the client that was closed last while none is open."""
        self._open = 0

    def join(self, rates: Rates) -> Callable[[], None]:
        """Have a client's rates count; the function returned ends it."""
        if not self._open:
            self._rates = []
        self._open += 1
        self._rates.append(rates)
        self._agree()

        def leave() -> None:
            self._open -= 1
            if self._open:
                self._rates.remove(rates)
                self._agree()

        return leave

    def pace(self, action: str) -> Pace:
        if action not in self.by_action:
            self.by_action[action] = Pace(Stream(self._rate(action), self._jitter_s))
        return self.by_action[action]

    def _rate(self, action: str) -> float:
        return min(rates.of(action) for rates in self._rates)

    @property
    def _jitter_s(self) -> float:
        return max(rates.jitter_s for rates in self._rates)

    def _agree(self) -> None:
        for action, pace in self.by_action.items():
            pace.limit_to(self._rate(action), self._jitter_s)
