"""What the account's limits allow now: calls per second by action, tasks running by kind and model."""

from .account import AccountLimits, LimitsKey, forget
from .caps import PROBE_S
from .judging import judged, learn_cap
from .pace import DEFAULT_JITTER_S, LEAD_S, HeldBack, Pace, SendTime, Stream
from .paces import Rates
from .slots import Slot, Slots

__all__ = [
    "DEFAULT_JITTER_S", "LEAD_S", "PROBE_S",
    "AccountLimits", "HeldBack", "LimitsKey", "Pace", "Rates", "SendTime", "Slot", "Slots", "Stream",
    "forget", "judged", "learn_cap",
]  # fmt: skip
