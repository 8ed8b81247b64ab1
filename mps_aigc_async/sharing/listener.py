"""Notices of PostgreSQL (LISTEN), on a connection of their own.

A lost connection loses notices, and behind a pooler nobody listens: one that hands each transaction to another
connection would leave the LISTEN to the connections of its pool, and log each notice as a packet for nobody. So a
notice is only a good moment to look: callers look from time to time as well.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from .connection import connect, driver
from .database_url import DatabaseUrl

AGAIN_S: Final = 1.0
"""Seconds until a lost connection is opened again."""

MISSED: Final = ""
"""The notice for a moment before which notices may have been missed."""


async def listen(url: DatabaseUrl, channel: str, on_notice: Callable[[str], None]) -> None:
    """Call `on_notice` with the text of each notice of a channel, and with MISSED, until the task is cancelled. Behind
    a pooler, only wait for that."""
    while True:
        with suppress(driver().Error, OSError):
            async with await connect(url) as connection:
                if await _is_pooled(connection):
                    break
                await connection.execute(f'LISTEN "{channel}"')
                on_notice(MISSED)
                async for notice in connection.notifies():
                    on_notice(notice.payload)
        on_notice(MISSED)
        await asyncio.sleep(AGAIN_S)
    await asyncio.Event().wait()


async def _is_pooled(connection: Any) -> bool:  # noqa: ANN401 — psycopg is imported only where it is used
    """Whether another program answers for the server: its connections have numbers of its own."""
    cursor = await connection.execute("SELECT pg_backend_pid()")
    [pid] = await cursor.fetchone()
    return bool(pid != connection.info.backend_pid)
