"""The parts that the jobs of one ledger share, and the waits that the user has set."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from ..catalog.prices import PriceList
from ..concurrency.owner import TaskOwner
from ..ledger import JobRecord, Ledger
from ..limits import Limits
from ..model.requests import CosStore
from ..model.states import JobState, Kind
from ..network.buckets import Buckets
from ..network.calls import Calls
from ..network.clock import ServiceClock
from ..network.downloads import Downloads
from ..policy.deadlines import TASK_DEADLINE_S, Patience
from ..wire.dialect import Dialect
from .announcer import Announcer
from .poller import Poller
from .registry import JobRegistry
from .sessions import Sessions


@dataclass(frozen=True, slots=True)
class Waits:
    """The longest waits, in seconds: the config's `timeouts`."""

    running_s: Mapping[Kind, float] = field(default_factory=lambda: TASK_DEADLINE_S)
    """From the first poll that finds a task running to its end."""
    queue_s: float | None = None
    """In the service's queue; None for the default of `policy.deadlines`."""
    save_s: float = inf
    """For the results of one job."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """The parts of an open client that its jobs in one ledger use."""

    ledger: Ledger
    registry: JobRegistry
    """Shared by the clients of the ledger."""
    sessions: Sessions
    calls: Calls
    dialect: Dialect
    limits: Limits
    poller: Poller
    downloads: Downloads
    clock: ServiceClock
    announcer: Announcer
    exchanges: TaskOwner
    """Owns the creates under way: closing waits for their answers."""
    work: TaskOwner
    """Owns the tasks that closing cancels at once."""
    buckets: Buckets
    prices: PriceList
    store: CosStore | None = None
    """The user's bucket, by the config."""
    waits: Waits = field(default_factory=Waits)

    def is_elsewhere(self, job: JobRecord) -> bool:
        """Whether another member of a shared ledger drives the job: its create is under way there, or its task is
        polled there."""
        return job.driver not in ("", self.ledger.member) and job.state in (JobState.INTENT, JobState.SUBMITTED)

    def patience(self, job: JobRecord) -> Patience:
        """The wait for the job's task from now on: a resumed job gets the full time again."""
        off_peak = bool(job.sent_fields().get("off_peak"))
        return Patience.of(self.waits.running_s[job.kind], self.waits.queue_s, off_peak=off_peak)

    def bucket(self, job: JobRecord) -> str:
        """The user's bucket for the job's results: the request's, else the config's; empty for none. The URLs show
        whether the results are there."""
        store = self.store_of(job)
        return store.bucket if store is not None else ""

    def store_of(self, job: JobRecord) -> CosStore | None:
        """The place in COS for the job's results: where its create said, or would say now; None for none."""
        # The row of a refused create has the place that was refused, and the config may name another one by now.
        own = (replace(job, filled_in={}) if job.state is JobState.PLANNED else job).sent_fields().get("store")
        return CosStore.model_validate(own) if isinstance(own, dict) else self.store

    async def require_room_for_results(self, job: JobRecord) -> None:
        """Raise an error if the job's results would go into a bucket where they could not be read."""
        if (store := self.store_of(job)) is not None:
            await self.buckets.require_readable(store)
