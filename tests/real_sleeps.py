"""No test sleeps on real time: a sleep that a test module begins outside virtual time fails its test.

The guard looks at who calls `time.sleep` and `asyncio.sleep`, and not at the source: the same helper may run in virtual
time and outside it. The package's own sleeps pass.
"""

import asyncio
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from mps_aigc_async.testing import VirtualTimeLoop

ALLOWED: Final[Mapping[str, str]] = {
    "tests.chaos": "trouble comes at moments of its own",
    "tests.crashes": "processes are killed at moments of their own",
    "tests.emulator.callers": "a task of a served emulator is polled on real time, within the rate limit",
    "tests.real_sleeps": "the guard hands each sleep on",
    "tests.sharing_crashes": "as in tests.crashes",
    "tests.standins": "a stand-in answers as late as it is told to",
}
"""Packages and modules that may sleep, with the reason."""


class RealSleep(AssertionError):
    """A test has slept on real time."""


def sleeper(frame_name: str, seconds: float, *, virtual: bool) -> str | None:
    """The test module that sleeps on real time, if one does. A sleep of 0 s only gives way."""
    allowed = any(frame_name == name or frame_name.startswith(f"{name}.") for name in ALLOWED)
    if virtual or seconds <= 0 or allowed or not frame_name.startswith("tests."):
        return None
    return frame_name


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The modules that sleep meanwhile, in their order."""
    sleepers: list[str] = []
    sleep, async_sleep = time.sleep, asyncio.sleep

    def note(seconds: float, *, virtual: bool) -> None:
        frame = sys._getframe(2)
        if found := sleeper(frame.f_globals.get("__name__", ""), seconds, virtual=virtual):
            sleepers.append(f"{found}:{frame.f_lineno}")

    def noted_sleep(seconds: float, /) -> None:
        note(seconds, virtual=False)
        sleep(seconds)

    def noted_async_sleep(delay: float, *result: object) -> Coroutine[Any, Any, Any]:
        # A loop that runs a coroutine made outside of it is a test's own, and no virtual one.
        note(delay, virtual=isinstance(asyncio._get_running_loop(), VirtualTimeLoop))
        return async_sleep(delay, *result)

    with patch.object(time, "sleep", noted_sleep), patch.object(asyncio, "sleep", noted_async_sleep):
        yield sleepers
