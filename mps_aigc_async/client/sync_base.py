"""The life of a client without a loop: its opening, its closing, the end of the program, and forks."""

import logging
import os
import threading
import time
from atexit import register
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from weakref import WeakSet

from ..concurrency.loop_thread import LoopThread, require_no_loop_thread
from ..config import Config
from ..credentials.official_sdk import AnyCredentials
from ..model.errors import ClientClosed, ClientError
from ..network.transport import Timeouts, Transport
from ..policy.retries import RetryPolicy
from .client import AigcClient

T = TypeVar("T")

_log: Final = logging.getLogger("mps_aigc_async")

_clients: Final["WeakSet[SyncBase]"] = WeakSet()
"""All clients of the process, for a forked child."""

_open_clients: Final[set["SyncBase"]] = set()
"""The open clients, which the end of the program closes."""


class SyncBase:
    """A client without calls: its thread opens at the first one."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        endpoint: str | None = None,
        ledger: str | Path | None = None,
        credentials: AnyCredentials | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        transport: Callable[[], Transport] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client = AigcClient(
            config,
            endpoint=endpoint,
            ledger=ledger,
            credentials=credentials,
            timeouts=timeouts,
            retry=retry,
            transport=transport,
            wall=wall,
        )
        self._guard = threading.Lock()
        self._thread: LoopThread | None = None
        self._is_closed = False
        _clients.add(self)

    def __repr__(self) -> str:
        return repr(self._client).replace("AigcClient", "SyncClient", 1)

    def __enter__(self) -> Self:
        require_no_loop_thread()
        with self._guard:
            if self._thread is not None:
                raise ClientClosed("the client is open already: one `with` at a time, before the first call")
            self._thread, self._is_closed = self._open(), False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop creating, wait at most 10 s for creates in flight, then close. Tasks at the service run on. Calls of
        other threads that still wait raise ClientClosed."""
        require_no_loop_thread()
        with self._guard:
            thread, self._thread, self._is_closed = self._thread, None, True
            if thread is not None:
                try:
                    thread.call(self._client.aclose)
                finally:
                    thread.end()
                    _open_clients.discard(self)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._opened().call(work)

    def _opened(self) -> LoopThread:
        """The loop of the client, which the first call opens."""
        require_no_loop_thread()
        with self._guard:
            if self._is_closed:
                raise ClientClosed("the client was closed: use it inside `with SyncClient(…) as client:`")
            if self._thread is None:
                self._thread = self._open()
            return self._thread

    def _open(self) -> LoopThread:
        _close_at_exit(self)
        thread = LoopThread("mps-aigc loop")
        try:
            thread.call(self._client.__aenter__)
        except BaseException:
            thread.end()
            _open_clients.discard(self)
            raise
        return thread

    def _leave_to_parent(self) -> None:
        """In a forked child: forget the loop, and the lock that another thread may hold for ever."""
        self._guard = threading.Lock()
        if self._thread is not None:
            self._thread.leave_to_parent()
            self._thread = None


# --- the end of the program, and forks --------------------------------------------------------------------------------


def _close_at_exit(client: SyncBase) -> None:
    """Close the client at the end of the main thread, if nobody closes it before. Raises ClientError after that end."""
    if not _is_ending:
        with suppress(RuntimeError):  # after that end
            _register()
            _open_clients.add(client)
            return
    raise ClientError(
        "the main thread has ended: nothing was sent; let it wait for the threads that use the client (Thread.join)"
    )


@cache
def _register() -> None:
    # The loops' executors take no more work when `atexit` begins. The hook of concurrent.futures is private, and as old
    # as Python 3.9.
    getattr(threading, "_register_atexit", register)(_close_all)


def _close_all() -> None:
    global _is_ending  # noqa: PLW0603 — once in a process
    _is_ending = True
    for client in tuple(_open_clients):
        try:
            client.close()
        except Exception:  # noqa: BLE001 — the other clients must close, too
            _log.exception("%r was not closed", client)


def _begin_anew() -> None:
    """Leave the open clients to the parent, in a forked child."""
    _open_clients.clear()
    for client in tuple(_clients):
        client._leave_to_parent()  # noqa: SLF001 — not for users, whose surface is that of AigcClient


_is_ending = False

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
