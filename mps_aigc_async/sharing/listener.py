"""Notices of PostgreSQL (LISTEN), on a connection of their own.

Behind a pooler that hands each transaction to another connection, no notice arrives, and a lost connection loses some.
So a notice is only a good moment to look: callers look from time to time as well.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from .connection import connect, driver
from .database_url import DatabaseUrl

AGAIN_S: Final = 1.0
"""Seconds until a lost connection is opened again."""

MISSED: Final = ""
"""The notice for a moment before which notices may have been missed."""


async def listen(url: DatabaseUrl, channel: str, on_notice: Callable[[str], None]) -> None:
    """Call `on_notice` with the text of each notice of a channel, and with MISSED, until the task is cancelled."""
    while True:
        with suppress(driver().Error, OSError):
            async with await connect(url) as connection:
                await connection.execute(f'LISTEN "{channel}"')
                on_notice(MISSED)
                async for notice in connection.notifies():
                    on_notice(notice.payload)
        on_notice(MISSED)
        await asyncio.sleep(AGAIN_S)
