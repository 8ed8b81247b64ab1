"""Waiting for something to reach an emulator that another thread serves, without looking again and again."""

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import pytest

from mps_aigc_async.emulator import Emulator

P = ParamSpec("P")
T = TypeVar("T")


class Calls:
    """The calls and downloads that reach the emulator, which another thread serves."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answered = threading.Condition()
        for door in ("handle", "media"):
            monkeypatch.setattr(emulator.service, door, self._telling(getattr(emulator.service, door)))

    def _telling(self, door: Callable[P, T]) -> Callable[P, T]:
        def told(*args: P.args, **kwargs: P.kwargs) -> T:
            with self._answered:
                answer = door(*args, **kwargs)
                self._answered.notify_all()
            return answer

        return told

    def until(self, happened: Callable[[], object]) -> None:
        """Wait until a call has made it true."""
        with self._answered:
            assert self._answered.wait_for(happened, timeout=30)
