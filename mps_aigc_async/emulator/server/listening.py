"""Stop a server so that every connection it has accepted can be closed."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Final

ACCEPT_TURNS: Final = 4
"""Turns of the loop after which an accepted connection has its protocol (asyncio of Python 3.11 to 3.13: 3)."""


async def stop_accepting(sockets: Iterable[socket.socket]) -> None:
    """Accept no more connections on these listening sockets, and wait until all accepted ones have a protocol.

    Await this before closing an asyncio server. If a server is closed in the turn of the loop in which it accepts a
    connection, that connection's socket stays open (an AssertionError inside asyncio, Python 3.11 to 3.13).
    """
    loop = asyncio.get_running_loop()
    for listening in sockets:
        try:
            loop.remove_reader(listening.fileno())
        except NotImplementedError:  # Windows' proactor loop has no readers
            return
    for _ in range(ACCEPT_TURNS):
        await asyncio.sleep(0)
