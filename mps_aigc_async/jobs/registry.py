"""The division of an opened ledger's jobs among its clients.

The clients of a process share a ledger, and one of them drives a job at a time: the second caller of a job waits for
the first. A task has one poller. When its client closes, another client goes on with the task: one that has the ledger
open, or else the next client that opens it.

The clients may be in several loops. A registry is values under a lock of threads; work for a client is carried into the
client's own loop:

    a task is handed to a client that closes meanwhile    the client is asked in its own loop, and hands the task on
    a task is handed to a client whose loop is closed     that client is passed over
    a client's loop is closed with tasks and creates      asyncio does not report the end: clients of several loops look
                                                          out for each other (`Resuming.look_out`), and the first to see
                                                          it takes the work over
    a client's loop stands still                          nobody can tell for how long: a caller in another loop who
                                                          waits for its task polls the task itself (`Tasks`), and the
                                                          first client no longer keeps an end of it (`Poller.forget`)
"""

import asyncio
import threading
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..concurrency.across_loops import Lock, Turn
from ..concurrency.loops import call_in
from ..ledger import AccountLedger, Ledger, SharedLedger
from ..model.errors import JobCancelled
from .exchanges import Exchanges
from .session_holders import Holders
from .session_trust import Evidence
from .watch import Watch


class Driver(Protocol):
    """A client that drives some of a ledger's jobs, in its own loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def account(self) -> str:
        """The account whose tasks this client polls, where a client has several."""
        ...

    def watch_of(self, task_id: str) -> Watch | None:
        """The watch that this client has of a task whose job is in the ledger. From any thread."""
        ...

    def take_over(self, job_id: str) -> None:
        """Poll a job's task from now on, if the job still waits for it and nobody else polls it. In the own loop."""
        ...

    def look_out(self) -> None:
        """Look out for loops that are closed, while clients of other loops have the ledger open. In the own loop."""
        ...

    def abandon(self) -> None:
        """Poll nothing any more: the own loop is closed. From any thread."""
        ...


class JobRegistry:
    """The work that the clients of an opened ledger share."""

    def __init__(self) -> None:
        self.exchanges = Exchanges()
        self.evidence = Evidence()
        self.session_holders = Holders()
        self.opening = Lock()
        """Held while a client takes over the tasks of an earlier process: the other clients wait."""
        self.resumed_accounts: set[str] = set()
        """The accounts whose tasks of an earlier process have been taken over."""
        self.cancellations: set[str] = set()
        """The ids of jobs that a user has cancelled while another caller may drive them: nobody creates them."""
        self._guard = threading.RLock()
        """Held for a few steps. It can be taken again by the same thread, in which the garbage collector may end tasks
        that a closed loop has left."""
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._drivers: dict[Driver, None] = {}
        self._left: dict[str, str] = {}
        """The ids of jobs whose tasks run and are polled by nobody, because all their clients were closing, each with
        its account."""

    def __repr__(self) -> str:
        return f"<JobRegistry of {len(self._drivers)} clients>"

    def lock(self, job_id: str) -> Turn:
        """Two callers of one id do its work once, one after the other. Use the turn for one `async with`."""
        with self._guard:
            return self._locks.setdefault(job_id, Lock()).turn()

    def require_wanted(self, job_id: str) -> None:
        """Raise JobCancelled for a job that the user has cancelled."""
        if job_id in self.cancellations:
            raise JobCancelled("cancelled before it was created: nothing was sent for it", job_id=job_id)

    def enter(self, driver: Driver) -> None:
        """A client is open: it may be handed tasks. Call this in the client's loop."""
        with self._guard:
            self._drivers[driver] = None
            left = [job_id for job_id, account in self._left.items() if account == driver.account]
            for job_id in left:
                del self._left[job_id]
            drivers = tuple(self._drivers)
        for job_id in left:
            driver.take_over(job_id)
        if any(other.loop is not driver.loop for other in drivers):
            for one in drivers:
                call_in(one.loop, one.look_out)

    def leave(self, driver: Driver) -> None:
        """A client closes: its tasks are handed over once its creates have ended."""
        with self._guard:
            self._drivers.pop(driver, None)

    def drop_gone(self, account: str) -> list[Driver]:
        """The clients of an account whose loops are closed. They are in the registry no longer: the caller takes their
        work over, or else calls `put_back`."""
        with self._guard:
            gone = [one for one in self._drivers if one.account == account and one.loop.is_closed()]
            for driver in gone:
                del self._drivers[driver]
        return gone

    def put_back(self, gone: Iterable[Driver]) -> None:
        """Leave the work of clients whose loops are closed to the next client that looks."""
        with self._guard:
            self._drivers.update(dict.fromkeys(gone))

    def has_others(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether clients of other loops have the ledger open."""
        with self._guard:
            return any(driver.loop is not loop for driver in self._drivers)

    def hand_over(self, job_id: str, account: str) -> None:
        """Have another client of the account poll a job's task: the one that has been open for longest, or the next to
        open. A client whose loop stands still is the last choice."""
        here = asyncio.get_running_loop()
        with self._guard:
            drivers = [driver for driver in self._drivers if driver.account == account]
            for driver in sorted(drivers, key=lambda driver: not driver.loop.is_running()):
                if driver.loop is here:
                    driver.take_over(job_id)
                    return
                if call_in(driver.loop, self._hand_to, driver, job_id):
                    return
            self._left[job_id] = account

    def _hand_to(self, driver: Driver, job_id: str) -> None:
        """Hand a task to a client, in its loop, unless it has left meanwhile."""
        if driver in self._drivers:
            driver.take_over(job_id)
        else:
            self.hand_over(job_id, driver.account)

    def watch_of(self, task_id: str) -> Watch | None:
        """The watch that a client has of a task whose job is in the ledger. A loop that stands still polls nothing."""
        with self._guard:
            drivers = [driver for driver in self._drivers if driver.loop.is_running()]
        watches = (driver.watch_of(task_id) for driver in drivers)
        return next((watch for watch in watches if watch is not None), None)


_guard = threading.RLock()
_registries: WeakKeyDictionary[object, JobRegistry] = WeakKeyDictionary()


def registry_of(ledger: Ledger) -> JobRegistry:
    """The registry of an opened ledger, for as long as that is open."""
    if isinstance(ledger, AccountLedger):
        ledger = ledger.common.ledger
    file = ledger.sqlite if isinstance(ledger, SharedLedger) else ledger
    with _guard:
        return _registries.setdefault(file, JobRegistry())
