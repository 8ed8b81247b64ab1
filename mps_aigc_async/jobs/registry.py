"""The division of an opened ledger's jobs among its clients.

The clients of a loop share a ledger, and one of them drives a job at a time: the second caller of a job waits for the
first. A task has one poller. When its client closes, another client goes on with the task: one that has the ledger
open, or else the next client that opens it.
"""

import asyncio
from typing import Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..ledger import Ledger, SharedLedger
from .exchanges import Exchanges
from .session_holders import Holders
from .session_trust import Evidence
from .watch import Watch


class Driver(Protocol):
    """A client that drives some of a ledger's jobs."""

    def watch_of(self, task_id: str) -> Watch | None:
        """The watch that this client has of a task whose job is in the ledger."""
        ...

    def take_over(self, job_id: str) -> None:
        """Poll a job's task from now on, if the job still waits for it and nobody else polls it."""
        ...


class JobRegistry:
    """The work that the clients of an opened ledger share."""

    def __init__(self) -> None:
        self.exchanges = Exchanges()
        self.evidence = Evidence()
        self.session_holders = Holders()
        self.opening = asyncio.Lock()
        """Held while a client takes over the tasks of an earlier process: the other clients wait."""
        self.is_resumed = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._drivers: dict[Driver, None] = {}
        self._left: dict[str, None] = {}
        """The ids of jobs whose tasks run and are polled by nobody, because all their clients were closing."""

    def __repr__(self) -> str:
        return f"<JobRegistry of {len(self._drivers)} clients>"

    def lock(self, job_id: str) -> asyncio.Lock:
        """Two callers of one id do its work once, one after the other."""
        return self._locks.setdefault(job_id, asyncio.Lock())

    def enter(self, driver: Driver) -> None:
        """A client is open: it may be handed tasks."""
        self._drivers[driver] = None
        left, self._left = self._left, {}
        for job_id in left:
            driver.take_over(job_id)

    def leave(self, driver: Driver) -> None:
        """A client closes: its tasks are handed over once its creates have ended."""
        self._drivers.pop(driver, None)

    def hand_over(self, job_id: str) -> None:
        """Have another client poll a job's task: the one that has been open for longest, or the next to open."""
        taker = next(iter(self._drivers), None)
        if taker is None:
            self._left[job_id] = None
        else:
            taker.take_over(job_id)

    def watch_of(self, task_id: str) -> Watch | None:
        """The watch that a client has of a task whose job is in the ledger."""
        watches = (driver.watch_of(task_id) for driver in self._drivers)
        return next((watch for watch in watches if watch is not None), None)


_registries: WeakKeyDictionary[object, JobRegistry] = WeakKeyDictionary()


def registry_of(ledger: Ledger) -> JobRegistry:
    """The registry of an opened ledger, for as long as that is open."""
    file = ledger.sqlite if isinstance(ledger, SharedLedger) else ledger
    return _registries.setdefault(file, JobRegistry())
