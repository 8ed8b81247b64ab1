"""The streams of one account in one region: one for each action, for all clients there."""

import asyncio
from collections.abc import Callable
from threading import Lock

from ..settings import Rates
from ..stream import Stream


class Streams:
    """The streams, each under the lowest rate that an open client knows: the service counts the clients together, and
    the client with the lower limit may know better."""

    def __init__(self) -> None:
        self._by_action: dict[str, Stream] = {}
        self._rates: list[Rates] = []
        """The rates of the open clients. While none is open: those of the client that was closed last."""
        self._open: list[tuple[asyncio.AbstractEventLoop, Rates]] = []
        """The open clients: their loops and rates. A closed loop has none."""
        self._lock = Lock()

    def join(self, rates: Rates) -> Callable[[], None]:
        """Count a client's rates from now on. Return the function that ends this."""
        client = asyncio.get_running_loop(), rates
        with self._lock:
            self._open = [(loop, rates) for loop, rates in self._open if not loop.is_closed()]
            self._open.append(client)
            self._agree()

        def leave() -> None:
            with self._lock:
                if client in self._open:
                    self._open.remove(client)
                if self._open:
                    self._agree()

        return leave

    def stream(self, action: str) -> Stream:
        with self._lock:
            if action not in self._by_action:
                self._by_action[action] = Stream(self._rate(action), self._jitter_s)
            return self._by_action[action]

    def _rate(self, action: str) -> float:
        return min(rates.of(action) for rates in self._rates)

    @property
    def _jitter_s(self) -> float:
        return max(rates.jitter_s for rates in self._rates)

    def _agree(self) -> None:
        self._rates = [rates for _, rates in self._open]
        for action, stream in self._by_action.items():
            with stream.lock:
                stream.limit_to(self._rate(action), self._jitter_s)
