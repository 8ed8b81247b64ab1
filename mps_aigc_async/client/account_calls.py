"""The client's calls that concern no job: any action, tasks of other scenes, signed URLs, the bill and the quotas."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from ..model.errors import InvalidRequest
from ..model.results import Result, StepResult
from ..model.usage import Days, Quota, UsageReport
from ..network.buckets import SIGNED_S
from ..network.result_files import save_files
from ..wire.scenes import TaskDetails, TaskFilter, TaskList, list_params, task_details, task_list
from .base import ClientBase


class AccountCalls(ClientBase):
    """The calls that concern no job."""

    async def call(self, action: str, params: Mapping[str, object], *, account: str | None = None) -> dict[str, object]:
        """Send any action of the service, signed and paced (its documented limit, else 20/s). Return its `Response`.

        A failed read is retried. Any other action is retried only if the service cannot have accepted it. Where the
        config has several accounts, `account` names the one that is meant, here and below.
        """
        engine, parts = self._usable_engine(), self._usable_engine().account(account)
        if not (action.isidentifier() and action.isascii()):  # the action goes into a header
            raise InvalidRequest(f"{action!r} is no action's name: write it as in the API's documents")
        call = parts.dialect.call(action, params)
        # Closing waits for calls that may cost something, and ends reads at once.
        return await (engine.work if call.reads else engine.exchanges).run_for(parts.calls.send(call), action)

    async def task_list(
        self, page: int = 1, page_size: int = 20, *, only: TaskFilter | None = None, account: str | None = None
    ) -> TaskList:
        """List one page of the account's tasks of other AIGC scenes (redraw, drama, documents to videos), on MPS.

        The tasks of `generate`, `run` and `submit` are not among them: the service lists those nowhere. Raises
        InvalidRequest on another backend.
        """
        params = list_params(page, page_size, only)
        return task_list(await self.call("DescribeAigcTaskList", params, account=account))

    async def task_details(self, task_id: str, *, account: str | None = None) -> TaskDetails:
        """Poll one task of such a scene. Images, videos and audios are polled with `status`."""
        return task_details(await self.call("DescribeAigcTaskStatus", {"TaskId": task_id}, account=account))

    async def signed_url(
        self, result: StepResult | str, *, expires: float = SIGNED_S, account: str | None = None
    ) -> str:
        """A URL by which everybody can GET a result in your own bucket for `expires` seconds: its first URL, or the
        `result.urls[n]` that is given. Needs the extra `cos`.

        Signed with temporary keys, the URL ends with them. Raises InvalidRequest for a URL of any other place.
        """
        engine = self._usable_engine()
        signing = engine.account(account).buckets.signed_url(result, expires)
        return await engine.work.run_for(signing, "signing of a URL")

    async def save(self, result: Result, path: str | Path, *, account: str | None = None) -> tuple[Path, ...]:
        """Save a result as files at `path`, as `result.save` does; a result in your own bucket is read with a signed
        URL. Raises ConfigError, ResultExpired and DownloadError."""
        engine = self._usable_engine()
        readable = engine.account(account).buckets.readable
        return await engine.work.run_for(save_files(result, path, engine.downloads, readable), "saving of a result")

    async def usage(
        self,
        since: date,
        until: date | None = None,
        *,
        ledger: str | Path | None = None,
        account: str | None = None,
    ) -> UsageReport:
        """The service's count for its bill beside the ledger's (MPS, VOD), in days of UTC+8, until now by default."""
        engine = self._usable_engine()
        days = Days.between(since, until, now := engine.clock.now())
        parts = engine.account(account)
        report = parts.usage.report(engine.view_of(parts, await self._open_ledger(ledger)), days, now)
        return await engine.work.run_for(report, "usage")

    async def quotas(self, *, account: str | None = None) -> tuple[Quota, ...]:
        """The quotas for images and videos that the account has at VOD. Raises InvalidRequest on another backend."""
        engine = self._usable_engine()
        return await engine.work.run_for(engine.account(account).usage.quotas(), "quotas")
