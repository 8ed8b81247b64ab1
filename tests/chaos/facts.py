"""The facts at the end, as values: events, requests that the service saw, and rows of the ledgers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mps_aigc_async import JobRecord, JobState, Kind
from mps_aigc_async.emulator.tasks.tasks import ServiceTask

from .batch import Listed, Stopped, Told, chains
from .deck import Ending
from .door import Arrival, Taken, Unasked

PICTURE_BYTES: Final = 30_000
_MAGIC: Final = {"image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "video/mp4": b"\x00\x00\x00\x18ftypmp42"}


def picture(prompt: str, content_type: str) -> bytes:
    """The service's result for a prompt, unique to it, so that a file shows which prompt it belongs to."""
    return _MAGIC[content_type] + (f"|{prompt}|".encode() * (PICTURE_BYTES // (len(prompt) + 2) + 1))[:PICTURE_BYTES]


def job_of(task: ServiceTask) -> str:
    return task.order.prompt.split(" ")[0]


@dataclass(frozen=True, slots=True)
class Run:
    """A process of a batch, from "begun" to its end. Times are the emulator's Unix seconds."""

    batch: str
    begun_at: float
    ended_at: float
    code: int
    """Its exit code; below 0 the signal that ended it."""
    may_end_with: frozenset[int]
    """Exit codes that its trouble explains."""
    told: Sequence[Told]
    listed: Sequence[Listed]
    stopped: Stopped | None
    log: str
    hung: bool = False
    """Whether the process did not end in time and had to be killed."""

    @property
    def outcomes_are_whole(self) -> bool:
        """Whether it ended by itself with an outcome for each request."""
        return self.code == 0 and self.stopped is None


@dataclass(frozen=True, slots=True)
class Loss:
    """A ledger taken from a batch that ran on."""

    batch: str
    how: Ending
    at: float
    run: Run
    running: frozenset[str]
    """The TaskIds of its tasks that ran at the service when its process had ended."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch after its last run, a calm one."""

    name: str
    chains: int
    runs: Sequence[Run]
    rows: Sequence[JobRecord]
    """The ledger's."""
    damage: str
    """The damage that SQLite finds, or why the file can't be read; empty if all is well."""
    files: Mapping[str, bytes]
    """Saved files by path."""

    @property
    def last(self) -> Run:
        return self.runs[-1]

    @property
    def prompts(self) -> Mapping[str, str]:
        """The prompt of every job that is asked for, by its id."""
        return {
            f"{chain.id}/{step}": prompt
            for chain in chains(self.name, self.chains)
            for step, prompt in ((Kind.IMAGE, chain.image.prompt or ""), (Kind.VIDEO, chain.video.prompt or ""))
        }

    @property
    def unknown(self) -> frozenset[str]:
        return frozenset(job.job_id for job in self.rows if job.state is JobState.UNKNOWN)


@dataclass(slots=True)
class Happened:
    """How much of each trouble there really was."""

    troubles: Counter[str] = field(default_factory=Counter)
    let_in: list[str] = field(default_factory=list)
    """Second processes that opened a ledger which another was writing."""
    second_logs: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    opening: Counter[str] = field(default_factory=Counter)
    """The state of the ledger file when a kill came during its opening."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it."""

    batches: Sequence[Batch]
    happened: Happened
    tasks: Mapping[str, ServiceTask]
    """The service's, by TaskId: the truth that no client may see."""
    arrivals: Sequence[Arrival]
    rates: Mapping[str, int]
    """By action, the documented calls per second."""
    caps: Mapping[str, int]
    """By kind, the tasks that may run at once."""
    unasked: Counter[Unasked]
    taken: Sequence[Taken]
    spoilt: Counter[tuple[str, str]]
    """The fault proxy's faults, by action and fault."""
    refused: Counter[str]
    """The service's refusals by code, the invented ones too."""
    blind_s: float
    """The longest that the door did not look at its sockets."""
    took_s: float

    @property
    def rows(self) -> Sequence[JobRecord]:
        return [job for batch in self.batches for job in batch.rows]

    @property
    def runs(self) -> Sequence[Run]:
        return [run for batch in self.batches for run in batch.runs]
