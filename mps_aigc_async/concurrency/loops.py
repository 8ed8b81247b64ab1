"""Event loops: the running one, their clocks, and calls into the loops of other threads."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TypeVarTuple

Arguments = TypeVarTuple("Arguments")


def running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def now() -> float:
    """The running loop's time. Without a loop (the garbage collector ends work of a closed one): the system's."""
    loop = running_loop()
    return monotonic() if loop is None else loop.time()


def own_clock(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop | None:
    """The loop, if its times mean nothing to other loops, as in virtual time; None for asyncio's own loops and
    uvloop's, whose time is the system's monotonic clock."""
    owner = next(kind for kind in type(loop).__mro__ if "time" in vars(kind))
    is_system = owner is asyncio.BaseEventLoop or owner.__module__.partition(".")[0] == "uvloop"
    return None if is_system else loop


def call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[*Arguments], object], *arguments: *Arguments) -> bool:
    """Call a function soon in a loop, from any thread. Returns False if the loop is closed: nothing is called then."""
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        return False
    return True
