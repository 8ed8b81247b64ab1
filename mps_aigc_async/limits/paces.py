"""The paces of one account in one region: one for each action, shared by all clients there."""

from collections.abc import Callable

from .pace import ProcessPace
from .settings import Rates
from .stream import Stream


class Paces:
    """The paces, each under the lowest rate that an open client knows: the service counts the clients together, and the
    client with the lower limit may know better."""

    def __init__(self) -> None:
        self.by_action: dict[str, ProcessPace] = {}
        self._rates: list[Rates] = []
        """The rates of the open clients. While none is open: those of the client that was closed last."""
        self._open = 0

    def join(self, rates: Rates) -> Callable[[], None]:
        """Count a client's rates from now on. Return the function that ends this."""
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

    def pace(self, action: str) -> ProcessPace:
        if action not in self.by_action:
            self.by_action[action] = ProcessPace(Stream(self._rate(action), self._jitter_s))
        return self.by_action[action]

    def _rate(self, action: str) -> float:
        return min(rates.of(action) for rates in self._rates)

    @property
    def _jitter_s(self) -> float:
        return max(rates.jitter_s for rates in self._rates)

    def _agree(self) -> None:
        for action, pace in self.by_action.items():
            pace.limit_to(self._rate(action), self._jitter_s)
