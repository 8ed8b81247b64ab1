"""The seconds that have passed for the rest of the world: also while this process or its machine stood still.

CLOCK_MONOTONIC stops while a laptop or a virtual machine is suspended, and the wall clock can be set back. A claim that
others may have taken over meanwhile is judged by the clock that has advanced most.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

Clock = Callable[[], float]


def _clocks() -> tuple[Clock, ...]:
    clocks: list[Clock] = [time.monotonic, time.time]
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux: it goes on during a suspend
        clocks.append(lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    return tuple(clocks)


CLOCKS: Final = _clocks()


class Stopwatch:
    """Measures the seconds since `restart`, by the clock that has advanced most."""

    def __init__(self, clocks: Sequence[Clock] = CLOCKS) -> None:
        self._clocks = clocks
        self.restart()

    def restart(self) -> None:
        self._began = [clock() for clock in self._clocks]

    @property
    def seconds(self) -> float:
        return max(clock() - began for clock, began in zip(self._clocks, self._began, strict=True))
