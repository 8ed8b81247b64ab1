"""A batch beside its ledger: the version that each line means, and the lines whose content has changed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..engine.comparison import compare as compared
from ..engine.comparison import versions_in
from ..ledger.snapshot import Snapshot
from ..ledger.versions import (
    Version,
    changes_of,
    contents_of,
    parted,
    request_in,
)
from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from ..model.requests import VERSION, Request
from ..model.states import JobState
from .batch import MOST_FAULTS, Batch
from .batch_jobs import BatchJobs
from .refusals import BadBatch

TOGETHER_S: Final = 60.0
"""Seconds within which one command plans its new versions."""

_ENDED: Final = frozenset({JobState.SAVED, JobState.FAILED})


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A request of the batch whose content differs from all versions in the ledger, which are or may be paid for."""

    request: Request
    latest: Version

    @property
    def in_words(self) -> str:
        states = "/".join(dict.fromkeys(job.state for job in self.latest.jobs.values()))
        return f"{self.latest.name} ({states}): {'; '.join(changes_of(self.latest, contents_of(self.request)))}"


@dataclass(slots=True)
class Comparison:
    """A batch beside its ledger."""

    jobs: BatchJobs = field(default_factory=BatchJobs)
    """The jobs of the batch, in the versions that its lines mean."""
    changes: list[ChangedLine] = field(default_factory=list)

    def refuse_changes(self, verb: str = "sent") -> None:
        """Raise BadBatch that names the changes, if there are any. `verb` as in `edits.follow_edits`."""
        if not self.changes:
            return
        lines = [f"  {visible_line(line.in_words)}" for line in self.changes[:MOST_FAULTS]]
        lines += [f"  and {len(self.changes) - MOST_FAULTS} more"] if len(self.changes) > MOST_FAULTS else []
        one = len(self.changes) == 1
        raise BadBatch(
            f"{'a request has' if one else f'{len(self.changes)} requests have'} other content than what is made, or "
            f"may be, under the same id; nothing was {verb}:\n" + "\n".join(lines) + "\n"
            "to make new versions, and keep the former files: the same command with --redo-changed\n"
            "to keep the former versions: the same command with --keep\n"
            "to make further requests: give them ids of their own"
        )


def compare(batch: Batch, snapshot: Snapshot) -> Comparison:
    """Find the version that each line of a batch means. Reads the file once, and of the ledger the contents."""
    comparison = Comparison()
    for one in compared(batch, snapshot):
        if one.version is None:
            comparison.changes.append(ChangedLine(one.request, one.latest))
        version = one.version or one.latest
        for kind in one.contents:
            comparison.jobs.add(version.id_of(kind), kind)
    return comparison


def keep_former(batch: Batch, changes: Sequence[ChangedLine]) -> Batch:
    """The batch with the latest versions in place of the changed lines."""
    return replace(batch, stand_ins={line.request.id: request_in(line.latest) for line in changes if line.request.id})


def requests_in(snapshot: Snapshot, names: Collection[str]) -> list[Request]:
    """The requests of these names as the ledger has them, in their latest versions. Raises InvalidRequest for names
    that it lacks."""
    latest = {name: versions_in(snapshot, parted(name)[0])[-1] for name in names}
    if lacking := [name for name, version in latest.items() if not version.jobs]:
        ids = ", ".join(lacking)
        raise InvalidRequest(f"the ledger has no request {ids}: `status --all` and the page show the ids")
    return [request_in(version) for version in latest.values()]


def names_to_redo(snapshot: Snapshot, names: Sequence[str]) -> list[str]:
    """The names that need a new version. A command that was interrupted and is given again goes on: a version is
    kept that was planned together with one that has not ended."""
    latest = {name: versions_in(snapshot, parted(name)[0])[-1] for name in names}
    new = {name: version for name, version in latest.items() if version.number > 1}
    times = [_planned_at(version) for version in new.values() if not _has_ended(version)]
    under_way = {
        name
        for name, version in new.items()
        if not VERSION.search(name) and any(abs(_planned_at(version) - at) < TOGETHER_S for at in times)
    }
    return [name for name in names if name not in under_way]


def _planned_at(version: Version) -> float:
    return max(job.planned_at for job in version.jobs.values())


def _has_ended(version: Version) -> bool:
    states = {job.state for job in version.jobs.values()}
    return states <= _ENDED or JobState.FAILED in states
