"""New versions of requests, by the user's word: a request is made again, from the same content or from other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..concurrency.at_once import all_at_once
from ..ledger import JobRecord, JobTaken
from ..ledger.record import SPENT
from ..ledger.versions import (
    Contents,
    Version,
    changed_request,
    changes_of,
    contents_of,
    is_free,
    name_of,
    parted,
    versions_in,
)
from ..model.errors import InvalidRequest
from ..model.requests import Request
from ..model.states import JobState, Kind
from .context import JobContext
from .new_steps import IN_DOUBT, is_under_way, steps_to_make
from .own_sessions import replan_as, users_session


class Redoing:
    """Plans new versions in one ledger."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._ledger = context.ledger

    async def new_version(self, name: str, request: Request | None = None) -> str:
        """Plan a new version of a request, from its latest content or from that of `request`; return its name.

        `name` may name the version to replace (`shot-001@1`): repeated, it means the same new version. Without a
        number, a latest version of the same content that has not ended yet is meant. A version that has cost nothing is
        planned again instead. Raises InvalidRequest for an unknown request, or one whose create is in doubt.
        """
        base, number = parted(name)
        if request is not None and request.id not in (None, base):
            raise InvalidRequest(
                f"the request's own id is {request.id}: leave it out to make a version of {base}, or `run` the request",
                job_id=base,
            )
        while True:
            versions = await versions_in(self._ledger, base)
            if not versions[-1].jobs:
                raise InvalidRequest("the ledger has no such request: run it first", job_id=base)
            if name != base and number > len(versions):
                raise InvalidRequest(f"the latest version is {versions[-1].name}", job_id=name)
            contents = contents_of(request) if request is not None else _contents_in(versions[-1])
            if name != base and number < len(versions):
                named = versions[number]
                if request is None or named.has(contents):
                    return named.name
                if number + 1 < len(versions) or not named.costs_nothing(contents):
                    raise InvalidRequest(
                        f"{named.name} has replaced it already, with other content "
                        f"({'; '.join(changes_of(named, contents))}): name the version to replace, {versions[-1].name}",
                        job_id=name,
                    )
            if (version := await self._plan(versions, contents)) is not None:
                return version

    async def _plan(self, versions: Sequence[Version], contents: Contents) -> str | None:
        """Plan the version after the latest one. None if that has changed meanwhile."""
        latest = versions[-1]
        _require_first_step(latest, contents)
        if latest.has(contents) and is_under_way(latest):
            return latest.name
        own = await self._ledger.of_request(latest.name)
        if len(versions) > 1 and own and all(map(is_free, own.values())):
            return await self._plan_over(versions[-2], latest, own, contents)
        new = steps_to_make(latest, contents, self._context.clock.now())
        before = [latest.jobs[kind] for kind in new if kind in latest.jobs]
        for job in before:
            if job.state in IN_DOUBT:
                raise InvalidRequest(
                    f"its create is {job.state}: it may be paid for, so settle it first", job_id=job.job_id
                )
        if all(map(is_free, before)):
            steps = tuple(contents)
            is_planned = all([await self._plan_again(job, contents[job.kind], steps) for job in before])
            return latest.name if is_planned else None
        return await self._plan_new(latest, name_of(parted(latest.name)[0], latest.number + 1), new, contents)

    async def _plan_over(
        self, former: Version, latest: Version, own: Mapping[Kind, JobRecord], contents: Contents
    ) -> str | None:
        """Plan the latest version again, of which nothing was made: with these contents, after the former version."""
        new = steps_to_make(former, contents, self._context.clock.now())
        for kind, job in own.items():
            steps = tuple(contents) if kind in new else tuple(one for one in contents if one is not kind)
            if not await self._plan_again(job, contents.get(kind, job.content), steps):
                return None
        return await self._plan_new(former, latest.name, [kind for kind in new if kind not in own], contents)

    async def _plan_new(self, former: Version, name: str, kinds: Sequence[Kind], contents: Contents) -> str:
        """Plan steps of a version that has no rows for them; return its name."""
        now = self._context.clock.now()
        jobs = [_new_job(former, name, kind, contents, now) for kind in kinds]
        rows = await all_at_once([self._ledger.plan(job) for job in jobs])  # they share a commit
        for job, row in zip(jobs, rows, strict=True):
            if row.content != job.content:
                raise changed_request(Version(parted(name)[1], name, {row.kind: row}), contents)
            self._context.announcer.tell_planned(row)
        return name

    async def _plan_again(self, job: JobRecord, content: str, steps: tuple[Kind, ...]) -> bool:
        """Plan a job that has cost nothing again. False if it has changed meanwhile."""
        if job.state is JobState.PLANNED and (job.content, job.steps) == (content, steps):
            return True
        async with self._context.registry.lock(job.job_id):
            if await self._ledger.get(job.job_id) != job:
                return False
            try:
                await self._ledger.replace(job, replace(replan_as(job, content), steps=steps))
            except JobTaken:
                return False
        return True


def _new_job(latest: Version, name: str, kind: Kind, contents: Contents, now: float) -> JobRecord:
    """The planned job of a new version, at the place of the former one."""
    place = next(iter(latest.jobs.values()))
    job = JobRecord(
        job_id=f"{name}/{kind}",
        kind=kind,
        content=contents[kind],
        planned_at=now,
        position=place.position,
        save_to=place.save_to,
        steps=tuple(contents),
    )
    former = latest.jobs.get(kind)
    # The service refuses a second create of the user's session: the new version has one of the client's.
    is_spent = former is not None and bool(users_session(job)) and users_session(job) == users_session(former)
    return replace(job, session_id=SPENT) if is_spent else job


def _require_first_step(latest: Version, contents: Contents) -> None:
    """Raise InvalidRequest for a request that begins with another step than the former versions."""
    first = next(iter(contents))
    if latest.jobs and first != next(kind for kind in Kind if kind in latest.jobs):
        begins = next(kind for kind in Kind if kind in latest.jobs)
        raise InvalidRequest(
            f"the ledger has it beginning with {begins}, and now it begins with {first}: give the new request another "
            "id",
            job_id=latest.name,
        )


def _contents_in(version: Version) -> Contents:
    return {kind: version.jobs[kind].content for kind in Kind if kind in version.jobs}
