"""A connection to PostgreSQL that waits for a database that cannot be reached, until its ledger closes."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import Final

from ...model.errors import LedgerError
from ...sharing.connection import Connection, Lost, Refused, Row, Step, Value
from ...sharing.outages import Outages
from ..commits import RETRY_FIRST_S, RETRY_MOST_S, WARN_EVERY_S
from ..protocol import CLOSE_GRACE_S

_log: Final = logging.getLogger("mps_aigc_async")


class PatientConnection:
    """Runs transactions, again after each loss of the connection. A transaction may so run twice: its statements must
    not mind."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.url: Final = connection.url
        self._name = f"{connection.url.ledger} in {connection.url}"
        self._give_up_at = inf
        self._hurry = asyncio.Event()
        self._losses = 0
        self._outages = Outages(again_s=WARN_EVERY_S)

    async def run(self, *steps: Step) -> list[list[Row]]:
        """Run the statements as one transaction. Raises LedgerError once the ledger closes and the database still
        cannot be reached, and Refused."""
        while True:
            try:
                rows = await self._connection.run(*steps)
            except Lost as loss:
                await self._pause(loss)
            else:
                self._losses = 0
                if self._outages.ends_told():
                    _log.warning("the ledger %s can be reached again; what waited for it is done", self._name)
                return rows

    async def read(self, statement: str, values: Mapping[str, Value]) -> list[Row]:
        """The rows of one statement. Raises LedgerError."""
        try:
            [rows] = await self.run((statement, values))
        except Refused as refusal:
            raise LedgerError(f"cannot read the ledger {self._name}: {refusal}") from refusal
        return rows

    async def _pause(self, loss: Lost) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._give_up_at:
            raise LedgerError(f"cannot use the ledger {self._name}: {loss}") from loss
        if self._outages.is_news(now):
            _log.warning("the ledger %s waits for its database: %s (retrying)", self._name, loss)
        delay_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(self._losses, 10))
        self._losses += 1
        if self._hurry.is_set():
            await asyncio.sleep(RETRY_FIRST_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._hurry.wait()

    def hurry(self) -> None:
        """Wait for the database only while the client waits for creates in flight: the ledger closes."""
        if self._give_up_at == inf:
            self._give_up_at = asyncio.get_running_loop().time() + CLOSE_GRACE_S
            self._connection.hurry(CLOSE_GRACE_S)
            self._hurry.set()
