"""The client's calls that concern the jobs of a ledger: unknown and failed ones, and new versions of requests."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

from ..engine.batch import BatchItem, as_request
from ..engine.plan import retry_if_it_may_help
from ..ledger import JobRecord
from ..ledger.versions import parted, request_in, versions_in
from ..model.errors import InvalidRequest
from ..model.plain_text import CUT, is_cut
from ..model.requests import Request
from ..model.results import Result
from ..model.settlement import Settlement
from ..model.states import JobState
from .base import ClientBase


class LedgerCalls(ClientBase, ABC):
    """The calls about jobs of a ledger."""

    @abstractmethod
    async def _make(self, request: Request, name: str, save_to: str | Path | None, timeout: float | None) -> Result:
        """Make the request of this name."""

    async def unknown(self, ledger: str | Path | None = None) -> list[JobRecord]:
        """The jobs whose create got no reply, the oldest first: they may or may not have been accepted."""
        return [job async for job in (await self._open_ledger(ledger)).in_state(JobState.UNKNOWN)]

    async def settle(self, job_id: str, how: Settlement, *, ledger: str | Path | None = None) -> JobRecord:
        """Decide a job of `unknown()` by `CreateAgain()`, `Attach("4-Aigc…")` or `Drop()`. Return the changed job.

        The next run with this ledger goes on from there. Raises InvalidRequest for a job that is not unknown and for
        a task that is another job's, TaskNotFound for a task that the service does not know: the job is unchanged then.
        """
        engine = self._usable_engine()
        if is_cut(job_id):
            raise InvalidRequest(f"{job_id!r} names no job: {CUT}")
        in_use = await engine.resume_ledger(self._place_of(ledger))
        return await engine.work.run_for(in_use.settle(job_id, how), f"settling of {job_id}")

    async def retry_failed(
        self, *, ledger: str | Path | None = None, only: Callable[[JobRecord], bool] | None = None
    ) -> list[JobRecord]:
        """Retry the failed jobs that `only` accepts: return them as *planned*; the next run creates them. By default
        those are left out that were cancelled, or would fail again: blocked by content review, or with an input that
        cannot be fetched.

        A task that the service did not know, or called done without a result, was accepted: the task is polled once
        more before its job is created again.

        Of a chain only the failed step is retried, with its existing image while the image's URL lives. Jobs that were
        dropped (`settle`) stay dropped: they may or may not have been paid for.
        """
        engine = self._usable_engine()
        in_use = await engine.resume_ledger(self._place_of(ledger))
        return await engine.work.run_for(in_use.retry_failed(only or retry_if_it_may_help), "retry of failed jobs")

    async def new_version(
        self, job_id: str, request: BatchItem | None = None, *, ledger: str | Path | None = None
    ) -> str:
        """Plan a request of the ledger to be made again, from its latest content or from that of `request`. Return the
        new version's name, such as `shot-001@2`: the next `generate` or `run` of that content makes it. The former
        version keeps its rows and files.

        `job_id` may name the version to replace (`shot-001@1`): repeated or raced, it means the same new version.
        Without a number, a version of the same content that has not ended yet is meant; it is not planned twice. Of a
        chain the steps before the first changed one are kept, while their results can be used. Jobs that have cost
        nothing are planned again under the same name.

        Raises InvalidRequest for a request that is not in the ledger, or whose create is unknown (`settle`).
        """
        engine, item = self._usable_engine(), None if request is None else as_request(request)
        in_use = await engine.resume_ledger(self._place_of(ledger))
        return await engine.work.run_for(in_use.new_version(job_id, item), f"new version of {job_id}")

    async def redo(
        self,
        job_id: str,
        request: BatchItem | None = None,
        *,
        save_to: str | Path | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Make a request of the client's ledger again, as a new version (`new_version`), and return its result. The
        errors are those of `new_version` and `generate`."""
        name = await self.new_version(job_id, request)
        base, number = parted(name)
        version = (await versions_in(await self._open_ledger(), base))[number - 1]
        return await self._make(as_request(request or request_in(version)), name, save_to, timeout)

    async def counts(self, ledger: str | Path | None = None) -> Mapping[JobState, int]:
        """Jobs by state."""
        return await (await self._open_ledger(ledger)).counts()
