"""Whether a shared store of the limits can be reached now, for all who need it in a loop."""

import asyncio
import logging

from ...sharing.outages import Outages
from .store import LimitsLost

_log = logging.getLogger("mps_aigc_async")


class Availability:
    """A store is there until a transaction has failed, and again once a heartbeat has been written."""

    def __init__(self) -> None:
        self._back = asyncio.Event()
        self._back.set()
        self._outages = Outages()
        self.losses = 0
        """How often the store was lost."""

    @property
    def is_lost(self) -> bool:
        return not self._back.is_set()

    def note_lost(self, error: LimitsLost) -> None:
        if not self.is_lost:
            self.losses += 1
            self._back.clear()
        if self._outages.is_news(asyncio.get_running_loop().time()):
            _log.warning("%s; no create is sent until the limit store is back, and polls go on more slowly", error)

    def note_back(self) -> None:
        if self.is_lost:
            self._back.set()
            if self._outages.ends_told():
                _log.warning("the limit store is back: creates go on")

    async def until_back(self) -> None:
        await self._back.wait()
