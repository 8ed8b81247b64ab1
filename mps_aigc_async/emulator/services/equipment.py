"""The parts of an emulator that its three desks share."""

from dataclasses import dataclass
from random import Random

from ..tasks.buckets import Buckets
from ..tasks.storage import Storage
from ..tasks.window import Rates
from .exchange import Envelopes
from .settings import Settings
from .workshop import Workshop


@dataclass(frozen=True, slots=True)
class Equipment:
    settings: Settings
    workshop: Workshop
    storage: Storage
    buckets: Buckets
    rates: Rates
    envelopes: Envelopes
    ids: Random
    """The stream of draws for new TaskIds, in the order of all services' creates."""
