"""The limits of an account: calls per second by action, running tasks by kind and model.

`protocol` is all that the code above sees. Only the engine knows which home of the limits it opens: `process`, or one
of `shared`. The modules beside them are arithmetic that the homes have in common.
"""

from .protocol import (
    LEAD_S,
    PROBE_S,
    HeldBack,
    Limits,
    Pace,
    PaceFigures,
    SendTime,
    Slot,
    SlotFigures,
    SlotLost,
    Slots,
    Stray,
)
from .settings import DEFAULT_JITTER_S, LimitsKey, Rates

__all__ = [
    "DEFAULT_JITTER_S", "LEAD_S", "PROBE_S",
    "HeldBack", "Limits", "LimitsKey", "Pace", "PaceFigures", "Rates", "SendTime", "Slot", "SlotFigures", "SlotLost",
    "Slots", "Stray",
]  # fmt: skip
