"""Notices of PostgreSQL (LISTEN), on a connection of their own.

Behind a pooler that hands each transaction to another connection, no notice arrives, and a lost connection loses some.
So a notice is only a good moment to look: callers look from time to time as well.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from .connection import CONNECT_S, driver
from .database_url import DatabaseUrl

AGAIN_S: Final = 2.0
"""Seconds until a lost connection is opened again."""


async def listen(url: DatabaseUrl, channel: str, on_notice: Callable[[str], None]) -> None:
    """Call `on_notice` with each notice of a channel, until the task is cancelled."""
    psycopg = driver()
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(
                url.dsn, autocommit=True, connect_timeout=int(CONNECT_S), application_name="mps-aigc-async"
            )
            async with connection:
                await connection.execute(f"LISTEN {channel}")
                async for notice in connection.notifies():
                    on_notice(notice.payload)
        except psycopg.Error:
            await asyncio.sleep(AGAIN_S)
