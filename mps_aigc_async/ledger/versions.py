"""The versions of a request: each is one making of it, with rows and files of its own.

The first version has the request's name, and the N-th one `NAME@N`. A version has rows for the steps that it makes
anew; the steps before them are the former version's: a chain of which only the video has changed keeps its image.

The content decides which version a request means: the latest one that has it. Content that no version has replaces the
content of the latest one, if that has cost nothing; otherwise the user decides (`changed_request`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..model.contents import content
from ..model.errors import InvalidRequest
from ..model.parsing import parse
from ..model.requests import VERSION, Request, steps_of
from ..model.states import JobState, Kind
from .protocol import Ledger
from .record import DROPPED, JobRecord

Contents = Mapping[Kind, str]
"""The contents of a request's steps, in the order of making."""

MOST_SHOWN: Final = 60
"""Characters of a value that a message shows."""


@dataclass(frozen=True, slots=True)
class Version:
    """One making of a request."""

    number: int
    name: str
    jobs: Mapping[Kind, JobRecord]
    """Its jobs in the ledger, those that it has from former versions included."""

    def id_of(self, kind: Kind) -> str:
        """The id of its job of a kind, which the ledger may lack yet."""
        return self.jobs[kind].job_id if kind in self.jobs else f"{self.name}/{kind}"

    def has(self, contents: Contents) -> bool:
        """Whether this is a making of these contents, perhaps without the last steps yet."""
        return all(job.content == contents.get(kind) for kind, job in self.jobs.items())

    def costs_nothing(self, contents: Contents) -> bool:
        """Whether its jobs that differ from these contents may have them instead."""
        differing = [job for kind, job in self.jobs.items() if job.content != contents.get(kind)]
        return all(map(is_free, differing))


def name_of(base: str, number: int) -> str:
    """
    >>> name_of("shot-001", 1), name_of("shot-001", 2)
    ('shot-001', 'shot-001@2')
    """
    return base if number == 1 else f"{base}@{number}"


def parted(name: str) -> tuple[str, int]:
    """A request's own name, and the number of the version.

    >>> parted("shot-001@2"), parted("shot-001")
    (('shot-001', 2), ('shot-001', 1))
    """
    match = VERSION.search(name)
    return (name, 1) if match is None else (name[: match.start()], int(match[1]))


def next_name(name: str) -> str:
    """
    >>> next_name("shot-001"), next_name("shot-001@2")
    ('shot-001@2', 'shot-001@3')
    """
    base, number = parted(name)
    return name_of(base, number + 1)


def is_free(job: JobRecord) -> bool:
    """Whether a job cannot have been paid for, so that its content may be replaced: no create was sent, or each was
    refused for certain."""
    if job.state is JobState.PLANNED:
        return not job.has_sent_session  # a create that is made again (`settle`) may have been accepted before
    return job.state is JobState.FAILED and job.task_id is None and job.error.get("type") != DROPPED


def contents_of(request: Request) -> Contents:
    return {step.kind: content(step) for step in steps_of(request)}


def version_of(versions: Sequence[Version], contents: Contents) -> Version | None:
    """The version that a request of these contents means; None if it may have been paid for with others."""
    latest = versions[-1]
    of_content = (version for version in reversed(versions) if version.has(contents))
    return next(of_content, latest if latest.costs_nothing(contents) else None)


def changed_request(before: Version, contents: Contents) -> InvalidRequest:
    """The error for a request whose contents differ from those that are, or may be, paid for."""
    return InvalidRequest(
        f"the id is taken: the ledger has it with other content ({'; '.join(changes_of(before, contents))}); make a "
        "new version (--redo-changed, client.new_version), keep the former one, or give the new request another id",
        job_id=before.name,
    )


def steps_in(own: Mapping[Kind, JobRecord]) -> Mapping[Kind, JobRecord]:
    """A version's own jobs without the steps that an edit has left out (`is_left_out`)."""
    return {kind: job for kind, job in own.items() if not is_left_out(job)}


def is_left_out(job: JobRecord) -> bool:
    """Whether nobody asks for the job any more: it has cost nothing, and its request has other steps by now."""
    return bool(job.steps) and job.kind not in job.steps and is_free(job)


def jobs_of_version(former: Mapping[Kind, JobRecord], own: Mapping[Kind, JobRecord]) -> Mapping[Kind, JobRecord]:
    """The jobs of a version: its own, and the former version's before them. A step after its own ones is never the
    former version's: the planning was interrupted, and the step is planned when the version is made."""
    first = min((list(Kind).index(kind) for kind in own), default=len(Kind))
    return {kind: job for kind, job in former.items() if list(Kind).index(kind) < first} | dict(own)


async def versions_in(ledger: Ledger, name: str) -> Sequence[Version]:
    """The versions of a request, the first one first. There is always one: perhaps without jobs."""
    rows: list[Mapping[Kind, JobRecord]] = []
    while own := await ledger.of_request(name_of(name, len(rows) + 1)):
        rows.append(own)
    return versions_of(name, rows)


def versions_of(name: str, rows: Sequence[Mapping[Kind, JobRecord]]) -> Sequence[Version]:
    """The versions of a request, from the rows that each has of its own. The first version is there without rows."""
    versions: list[Version] = []
    jobs: Mapping[Kind, JobRecord] = {}
    for number, own in enumerate(rows or [{}], start=1):
        jobs = jobs_of_version(jobs, steps_in(own))
        versions.append(Version(number, name_of(name, number), jobs))
    return versions


async def version_for(ledger: Ledger, request: Request, name: str) -> Version:
    """The version that a request means; `name` may name it. Raises InvalidRequest if the ledger has the request with
    other content."""
    base, number = parted(name)
    versions, contents = await versions_in(ledger, base), contents_of(request)
    if name != base:
        versions = versions[number - 1 : number]
    version = version_of(versions, contents)
    if version is None:
        raise changed_request(versions[-1], contents)
    return version


def request_in(version: Version) -> Request:
    """The request of a version, as the ledger has it. Raises InvalidRequest for damaged rows."""
    steps = {kind.value: _fields(version.jobs[kind].content) for kind in Kind if kind in version.jobs}
    return parse({"id": parted(version.name)[0], **steps})


# --- changes in words -------------------------------------------------------------------------------------------------


def changes_of(version: Version, contents: Contents) -> list[str]:
    """The fields in which a version's jobs and new contents differ."""
    changes = []
    for kind in Kind:
        before, now = version.jobs.get(kind), contents.get(kind)
        if before is None or before.content == now:
            continue
        if now is None:
            changes.append(f"{kind}: left out now")
            continue
        old, new = _fields(before.content), _fields(now)
        changes += [
            f"{kind}.{name}: {_shown(old, name)} → {_shown(new, name)}"
            for name in dict.fromkeys((*old, *new))
            if old.get(name) != new.get(name)
        ]
    return changes


def _fields(written: str) -> Mapping[str, object]:
    try:
        fields = json.loads(written)
    except (ValueError, RecursionError):  # a damaged row
        return {}
    return fields if isinstance(fields, dict) else {}


def _shown(fields: Mapping[str, object], name: str) -> str:
    if name not in fields:
        return "none"
    text = json.dumps(fields[name], ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
