"""The clock of a loop: asyncio's loops share the system's, and a loop in virtual time has one of its own."""

import asyncio


def own_clock(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop | None:
    """The loop, if its times mean nothing to other loops; None for asyncio's own loops and uvloop's, whose time is the
    system's monotonic clock."""
    owner = next(kind for kind in type(loop).__mro__ if "time" in vars(kind))
    is_system = owner is asyncio.BaseEventLoop or owner.__module__.partition(".")[0] == "uvloop"
    return None if is_system else loop
