"""Our share of a limit: all of it, until the service refuses calls for their rate.

Our own pace keeps to the limit, so such a refusal means that another process uses the account. The part of the other
process is learned from the refusals. Each of them costs a call, so we spend most of the time just below the refused
share. The curve is that of TCP CUBIC (RFC 9438). A refusal cuts the share. The share then comes back fast at first,
stays flat where it was refused, and grows beyond in larger and larger steps, in case the other process has gone:

    share  refused
      |   \\                          .
      |    \\          _.------'''         flat a little below the refused share, for half a minute;
      |     \\   .-'                       then it takes 20 s to double
      |      \\/
      +---------------------------------- time

Two things differ from CUBIC. The first cut is small, since most refusals come from probing a little too far. Each cut
that was not enough is followed by one twice as deep, since a newcomer may want half of the limit.
"""

from dataclasses import dataclass
from typing import Final

SLOWEST: Final = 0.1
"""The share never falls below this: refusals at a tenth of the limit are not about the rate."""

# In windows of the limit: a second each, for limits of at least one call per second.
FLAT: Final = 30.0
"""Windows until the share passes the refused one. Each probe beyond costs a refusal or two, and one call in 20 s is 1%
of the calls at half of 10 calls per second."""
DOUBLES: Final = 20.0
"""Windows that the share then takes to double, if nothing is refused."""
_SOON: Final = 5.0
"""Windows after a cut within which another refusal says that the cut was not enough."""

_CUT: Final = 0.06
_DEEPEST: Final = 0.25
_BELOW: Final = 0.02
"""After a refusal that did not follow soon on a cut, the curve is flat this far below the refused share, which was only
a little too much."""


@dataclass(frozen=True, slots=True)
class ShareState:
    """The numbers from which the share of any later moment follows."""

    flat_at: float = 1.0
    """The share at which the curve is flat."""
    cut: float = 0.0
    """The latest cut, as a part of `flat_at`."""
    cut_at: float = float("-inf")


class RateShare:
    """Arithmetic only, the time is an argument.

    >>> share = RateShare(window=1.0)
    >>> share.note_refusal(sent_at=99.9, now=100.0)
    True
    >>> [round(share.at(time), 2) for time in (100.0, 115.0, 130.0, 140.0)]
    [0.92, 0.97, 0.98, 1.0]
    """

    def __init__(self, window: float, state: ShareState = ShareState()) -> None:
        self._window = window
        self.state = state

    def at(self, now: float) -> float:
        """The share in force."""
        windows = max(0.0, now - self.state.cut_at) / self._window
        if windows < FLAT:
            curve = 1 - self.state.cut * (1 - windows / FLAT) ** 3
        else:
            curve = 1 + ((windows - FLAT) / DOUBLES) ** 3
        return min(1.0, max(SLOWEST, self.state.flat_at * curve))

    def note_refusal(self, sent_at: float, now: float) -> bool:
        """Cut the share after the refusal of a call that was sent at `sent_at`; return whether it was cut.

        Refusals come in flocks: a call that was sent less than a window after a cut met a window that was filled before
        the cut.
        """
        windows = (sent_at - self.state.cut_at) / self._window
        if windows < 1:
            return False
        not_enough, in_force = windows < _SOON, self.at(now)  # by the curve of the cut before
        self.state = ShareState(
            flat_at=max(SLOWEST, in_force * (1.0 if not_enough else 1 - _BELOW)),
            cut=min(_DEEPEST, 2 * self.state.cut) if not_enough else _CUT,
            cut_at=now,
        )
        return True
