"""The progress bar of a run in a notebook, drawn by tqdm where it is installed.

The bar counts the outcomes that the cell has taken, and not those that have ended: the bar then agrees with the rows
that the cell has shown, and never looks complete while a slow cell still works. The thread that iterates draws the bar,
because a notebook puts output below the cell that runs there.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Final, Protocol

from ..concurrency.fan_out import Observer
from ..concurrency.loop_thread import LoopThread
from ..model.outcomes import Outcome
from ..model.results import Result

_log: Final = logging.getLogger("mps_aigc_async")

DRAWINGS: Final = 1000
"""A run of at most so many requests draws each outcome: the next may come minutes later. A widget takes 0.3 ms
for it (measured 2026-11-28)."""

INTERVAL_S: Final = 0.1
"""Seconds between two drawings of a longer run: tqdm's own default."""


class _Bar(Protocol):
    """The part of a `tqdm` that is used here: tqdm has no types."""

    def set_postfix(self, *, refresh: bool, failed: int) -> None: ...
    def update(self, n: int) -> object: ...
    def close(self) -> None: ...


def bar_of(requests: object) -> "NotebookBar | None":
    """The bar for a run of these requests; None outside a notebook, and where `TQDM_DISABLE` is set."""
    # tqdm's widget ignores its own switch. As in tqdm, every text but the empty one switches bars off.
    if not in_notebook() or os.environ.get("TQDM_DISABLE"):
        return None
    return NotebookBar(_length(requests))


def in_notebook() -> bool:
    """Whether the code of an IPython kernel's cell runs here. Imports nothing.

    The loop of a SyncClient runs beside the cells: there the thread of the caller draws.
    """
    if isinstance(threading.current_thread(), LoopThread):
        return False
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_shell is not None and "IPKernelApp" in getattr(get_shell(), "config", ())


def _length(requests: object) -> int | None:
    """The length of the input, if it has one that can be told: a lazy table may refuse to count its rows."""
    with suppress(Exception):
        return len(requests) if isinstance(requests, Sized) else None
    return None


class NotebookBar(Observer[Outcome[Any, Result]]):
    """A bar that appears with the first wait. `total` is the number of requests, if the input has a length."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._failures = 0
        self._has_begun = False
        self._bar: _Bar | None = None
        self._guard = threading.Lock()

    def begin(self) -> None:
        with self._drawing():
            if not self._has_begun:
                self._has_begun = True
                self._bar = _tqdm(self._total)

    def take(self, outcome: Outcome[Any, Result]) -> None:
        with self._drawing():
            if self._bar is not None:
                self._failures += not outcome.ok
                self._bar.set_postfix(refresh=False, failed=self._failures)
                self._bar.update(1)

    def end(self) -> None:
        with self._drawing():
            bar, self._bar, self._has_begun = self._bar, None, True
            if bar is not None:
                bar.close()

    def __del__(self) -> None:
        self.end()  # after a `break`; a widget's cycle of references would keep the bar open

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Draw in one thread at a time. A bar that fails is dropped: no outcome may be lost for it."""
        with self._guard:
            try:
                yield
            except Exception as error:  # noqa: BLE001 — whatever a frontend raises
                self._bar = None
                _log.warning("the progress bar has failed, and the run goes on without it: %s", error)


def _tqdm(total: int | None) -> _Bar | None:
    """A bar that fits this frontend; None if tqdm is not installed."""
    with warnings.catch_warnings():
        # Without ipywidgets tqdm advises to install them, and draws with text: the bar is whole.
        warnings.filterwarnings("ignore", "IProgress not found")
        try:
            tqdm: Callable[..., _Bar] = import_module("tqdm.auto").tqdm
        except ImportError:
            return None
    interval = 0.0 if total is not None and total <= DRAWINGS else INTERVAL_S
    return tqdm(total=total, unit="request", postfix={"failed": 0}, miniters=1, mininterval=interval)
