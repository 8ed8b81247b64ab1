"""The facts of one send, as `protocol.SendTime` tells them: the same in every home of the limits."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ..concurrency.callbacks import ignore
from .stream import Send


class Windowed(Protocol):
    """A stream of send times."""

    @property
    def window(self) -> float:
        """The seconds of the limit's window."""
        ...


SendT = TypeVar("SendT", bound=Send)
StreamT = TypeVar("StreamT", bound=Windowed)


class SendFacts(Generic[SendT, StreamT]):
    """The part of a send time that only tells of it. Each home adds the wait for it (`reach`)."""

    __slots__ = ("_confirm", "_send", "_stream")

    def __init__(self, stream: StreamT, send: SendT) -> None:
        self._stream = stream
        self._send = send
        self._confirm: Callable[[], None] = ignore

    def confirm_with(self, confirm: Callable[[], None]) -> None:
        self._confirm = confirm

    @property
    def due(self) -> float:
        return self._send.due

    @property
    def has_come(self) -> bool:
        return self._send.sent_at is not None

    @property
    def age_s(self) -> float | None:
        sent_at = self._send.sent_at
        return None if sent_at is None else asyncio.get_running_loop().time() - sent_at

    @property
    def out_at(self) -> float:
        return self._send.out_at

    @property
    def had_room(self) -> bool:
        return self._send.had_room

    def windows_since(self, time: float) -> float:
        return (self._send.out_at - time) / self._stream.window

    def note_sent(self) -> None:
        self._send.sent_at = asyncio.get_running_loop().time()
