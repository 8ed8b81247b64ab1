"""The running loop, its time, and calls into the loops of other threads."""

import asyncio
from collections.abc import Callable
from time import monotonic


def running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def now() -> float:
    """The running loop's time. Without a loop (what is left of a closed one is collected): the system's."""
    loop = running_loop()
    return monotonic() if loop is None else loop.time()


def call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> bool:
    """Call back in a loop, from any thread. Return False if that loop is closed: then nobody waits there."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return False
    return True
