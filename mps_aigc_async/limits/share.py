"""The share of a limit that is ours: all of it, until the service refuses calls for their rate.

Within our own pace only somebody else can bring that about: another process on the same account. How much it leaves is
learnt from the refusals, and each costs a call, so the share is spent mostly just under where it was refused. The
curve is TCP CUBIC's (RFC 9438): after a refusal down by a cut, back fast at first, flat where it was refused, and then
beyond in growing steps, in case that the other has gone:

    share  refused
      |   \\                          .
      |    \\          _.------'''         flat a little below the refused share, for half a minute;
      |     \\   .-'                       then it takes 20 s to double
      |      \\/
      +---------------------------------- time

What differs from CUBIC: the first cut is small, since most refusals come from probing a little too far, and each cut
that did not suffice is followed by one twice as deep, since a newcomer may want half of it all.
"""

from typing import Final

_SLOWEST: Final = 0.1
"""The share never falls below this: refusals at a tenth of the limit are not about the rate."""

# In windows of the limit, a second for all that allow at least one call a second.
_FLAT: Final = 30.0
"""How long it goes without more than was refused: each probe beyond costs a refusal or two, and at 10 calls a second of
which half are left, 1% of the calls is one in 20 s."""
_DOUBLES: Final = 20.0
"""How long it then takes to double, if nothing is refused."""
_SOON: Final = 5.0
"""A refusal so soon after a cut says that it did not suffice."""

_CUT: Final = 0.06
_DEEPEST: Final = 0.25
_BELOW: Final = 0.02
"""How far below a share that was refused after a while the curve is flat: a little too much was a little too much."""


class RateShare:
    """Arithmetic only, the time is an argument.

    >>> share = RateShare(window=1.0)
    >>> share.refused(sent=99.9, now=100.0)
    True
    >>> [round(share.at(time), 2) for time in (100.0, 115.0, 130.0, 140.0)]
    [0.92, 0.97, 0.98, 1.0]
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._flat_at = 1.0
        self._cut = 0.0
        self._cut_at = float("-inf")

    def at(self, now: float) -> float:
        """The share in force."""
        windows = (now - self._cut_at) / self._window
        if windows < _FLAT:
            curve = 1 - self._cut * (1 - windows / _FLAT) ** 3
        else:
            curve = 1 + ((windows - _FLAT) / _DOUBLES) ** 3
        return min(1.0, max(_SLOWEST, self._flat_at * curve))

    def refused(self, sent: float, now: float) -> bool:
        """A call sent at `sent` was refused. Whether the share was cut: refusals come in flocks, and what was sent less
        than a window after a cut met a window that was filled before it."""
        windows = (sent - self._cut_at) / self._window
        if windows < 1:
            return False
        not_enough, in_force = windows < _SOON, self.at(now)  # by the curve of the cut before
        self._cut = min(_DEEPEST, 2 * self._cut) if not_enough else _CUT
        self._flat_at = max(_SLOWEST, in_force * (1.0 if not_enough else 1 - _BELOW))
        self._cut_at = now
        return True
