"""One job's life: planned → intent → submitted → done → saved, each step in the ledger before the next is taken.

`Jobs.finish` is idempotent by the ledger's state: called for a job in any state, in this process or a later one, it
does what is left to do and never creates what could exist already.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from . import events
from .calls import Calls
from .downloads import Downloads, all_exist
from .errors import (
    AigcError,
    CreateOutcomeUnknown,
    DownloadError,
    InvalidRequest,
    JobDropped,
    ResultExpired,
    TaskFailed,
    Throttled,
    TooManyTasks,
    to_record,
)
from .ledger import JobRecord, Ledger
from .limits import PROBE_S, AccountLimits, SendTime, Slot
from .ownership import Owner
from .policy import AFTER, clock_is_off
from .poller import Ended, Poller, Watch
from .requests import CosStore, beyond, content
from .settlement import Attach, CreateAgain, Drop, Settlement
from .states import Ending, JobState, Kind, TaskState
from .wire.dialect import Call, Created, Dialect, TaskRequest, TaskStatus

_log: Final = logging.getLogger("mps_aigc_async")

TASK_DEADLINE_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 1800.0, Kind.VIDEO: 1800.0, Kind.AUDIO: 1800.0}
"""Seconds from acceptance until a task is given up: the guide of 2026-05-29 waits 30 minutes for an image or a video.
No document names a time for audio: as long."""

OFF_PEAK_S: Final = 48 * 3600.0
"""The same for a video that may wait for off-peak hours (Vidu's OffPeak, MPS API documents of 2026-10)."""

NEAR_END_S: Final = 3600.0
"""Seconds before its URL's end from which on a result that is not saved yet is warned of."""

UNKNOWN_SLOT_S: Final[Mapping[Kind, float]] = {Kind.IMAGE: 180.0, Kind.VIDEO: 300.0, Kind.AUDIO: 300.0}
"""Seconds that a create of unknown outcome keeps its slot: the task may be running, and nobody can ask. The longest
that the guide of 2026-05-29 calls usual: images 1 to 3 minutes, videos 3 to 5; audio, of which it is silent,
as a video."""

Resolve = Callable[[], TaskRequest]
"""Makes the request to send. Called when the job has its slot, so that it sees what is true then (a URL's age)."""


class _NoRoom(Exception):
    """The service has no room for the task: its create was refused for that (`refusal`), or need not be sent."""

    def __init__(self, refusal: TooManyTasks | None = None) -> None:
        self.refusal = refusal


class Jobs:
    """Drives jobs in one ledger, for one account."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        calls: Calls,
        dialect: Dialect,
        limits: AccountLimits,
        poller: Poller,
        downloads: Downloads,
        owner: Owner,
        listeners: events.Events,
        wall: Callable[[], float],
        store: CosStore | None = None,
        deadlines_s: Mapping[Kind, float] = TASK_DEADLINE_S,
        save_s: float = inf,
    ) -> None:
        self.ledger = ledger
        self._calls = calls
        self._dialect = dialect
        self._limits = limits
        self._poller = poller
        self._downloads = downloads
        self._owner = owner
        self._listeners = listeners
        self._wall = wall
        self._store = store
        self._deadlines_s = deadlines_s
        self._save_s = save_s
        self._exchanges: dict[str, asyncio.Task[JobRecord]] = {}
        self._to_send: dict[asyncio.Task[JobRecord], SendTime] = {}
        self._alone: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def resume(self) -> None:
        """Take the slots of what an earlier process left running, before anything new takes them: every task that is
        known is polled to its end, asked for again or not, and a young create in doubt may be running too."""
        for job in await self.ledger.in_state(JobState.SUBMITTED):
            self._watch(job)
        for job in await self.ledger.in_state(JobState.UNKNOWN):
            left = (job.ended_at or 0.0) + UNKNOWN_SLOT_S[job.kind] - self._wall()
            if left > 0:
                self._limits.slots[job.kind].occupy_for(left)

    def stop_creating(self) -> None:
        """End the creates that are prepared and not sent: their jobs are *planned* again. What is sent goes on."""
        for exchange, send_time in self._to_send.items():
            if not send_time.has_come:
                exchange.cancel()

    async def has_begun(self, job_id: str) -> bool:
        """Whether the ledger has the job beyond *planned*: it is then gone on with as it is, and not judged again."""
        job = await self.ledger.get(job_id)
        return job is not None and job.state is not JobState.PLANNED

    async def exists(self, job_id: str) -> bool:
        return await self.ledger.get(job_id) is not None

    async def plan(self, job_id: str, kind: Kind, request: TaskRequest) -> JobRecord:
        """The job of this id, new or as the ledger has it. Raises InvalidRequest if that has other content."""
        new = JobRecord(job_id=job_id, kind=kind, content=content(request), planned_at=self._wall())
        async with self._lock(job_id):
            job = await self.ledger.plan(new)
        if job is new:
            self._emit(events.Planned, job)
        return job

    async def submit(self, job: JobRecord, resolve: Resolve) -> JobRecord:
        """Bring the job to where the service has accepted it, or further if it was there already.

        Raises the error that ended it, CreateOutcomeUnknown among them.
        """
        async with self._lock(job.job_id):
            return await self._submit(job, resolve)

    async def finish(self, job: JobRecord, resolve: Resolve) -> JobRecord:
        """Bring the job to where its task has ended well. Raises the error that ended it otherwise."""
        async with self._lock(job.job_id):
            job = await self._submit(job, resolve)
            if job.state is JobState.SUBMITTED:
                job = await self._wait(job)
            if job.state is JobState.FAILED:
                raise job.recorded_error()
            return job

    async def save(self, job: JobRecord, folder: Path, stem: str) -> JobRecord:
        """Save a done job's results as `folder/stem.*`; files that are there already are left as they are.

        Raises ResultExpired or DownloadError.
        """
        async with self._lock(job.job_id):  # two callers of one id must not write one file
            return await self._save(await self.ledger.get(job.job_id) or job, folder, stem)

    async def _save(self, job: JobRecord, folder: Path, stem: str) -> JobRecord:
        saved_before = await asyncio.to_thread(all_exist, job.files)
        if saved_before:
            return job
        left_s = self._dialect.url_life_s if job.expires_at is None else job.expires_at - self._wall()
        if left_s <= 0:
            raise ResultExpired(
                "the result's URLs have outlived their 12 hours before it was saved",
                job_id=job.job_id,
                task_id=job.task_id,
            )
        until = asyncio.get_running_loop().time() + min(left_s, self._save_s)
        files: list[Path] = []
        try:
            # A plus, which no stem holds: a chain's video has the stem itself.
            for urls, name, kind in ((job.urls, stem, job.kind), (job.videos, f"{stem}+sound", Kind.VIDEO)):
                files += await self._downloads.save(
                    urls,
                    folder,
                    name,
                    kind,
                    within_s=until - asyncio.get_running_loop().time(),
                    on_retry=lambda error, delay_s: self._fetched_again(job, error, delay_s),
                )
        except AigcError as error:
            error.about(job_id=job.job_id, task_id=job.task_id)
            raise
        saved = job.moved(JobState.SAVED, files=tuple(str(file) for file in files), saved_at=self._wall())
        await self.ledger.put(saved)
        self._emit(events.Saved, saved, task_id=saved.task_id or "", files=saved.files)
        return saved

    def _fetched_again(self, job: JobRecord, error: DownloadError, delay_s: float) -> None:
        """A result could not be fetched, and will be tried again; near its end that is a warning."""
        error.about(job_id=job.job_id, task_id=job.task_id)
        left_s = inf if job.expires_at is None else job.expires_at - self._wall()
        if left_s < NEAR_END_S:
            _log.warning("%s; its URL ends in %.0f minutes", error, left_s / 60)
        self._emit(events.Retried, job, error=error, delay_s=delay_s)

    async def attach(self, kind: Kind, task_id: str) -> JobRecord:
        """Wait for a task that was created elsewhere. It gets a slot here and no row: its own ledger has one."""
        job = JobRecord(
            job_id=task_id,
            kind=kind,
            content="{}",
            planned_at=self._wall(),
            state=JobState.SUBMITTED,
            task_id=task_id,
            slot_until=self._wall() + self._deadlines_s[kind],
        )
        job = self._finished(job, await asyncio.shield(self._watch(job).ended))
        if job.state is JobState.FAILED:
            raise job.recorded_error()
        return job

    async def settle(self, job_id: str, how: Settlement) -> JobRecord:
        """Carry out the user's word on a job of unknown outcome; return it as it is then.

        Raises InvalidRequest for any other job and for a task that is another job's, and what its poll raises for a
        task that the service does not know: nothing is changed then.
        """
        async with self._lock(job_id):
            job = await self.ledger.get(job_id)
            if job is None or job.state is not JobState.UNKNOWN:
                state = "is not in the ledger" if job is None else f"is {job.state}"
                raise InvalidRequest(f"the job {state}: only one of unknown outcome can be settled", job_id=job_id)
            match how:
                case CreateAgain():
                    settled = job.anew()
                case Attach(task_id):
                    settled = await self._attached(job, task_id)
                case Drop():
                    dropped = JobDropped("given up: its create was sent, and nothing told whether it was accepted")
                    settled = job.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(dropped))
            await self.ledger.put(settled)
        if settled.state is JobState.SUBMITTED:
            self._watch(settled)
            self._emit(events.Submitted, settled, task_id=settled.task_id or "")
        elif settled.state is JobState.FAILED:
            self._emit(events.Failed, settled, error=settled.recorded_error())
        return settled

    async def _attached(self, job: JobRecord, task_id: str) -> JobRecord:
        """The job with the task that its create made, once the service has told that there is one."""
        other = await self.ledger.of_task(task_id)
        if other is not None:
            raise InvalidRequest(f"task {task_id} is {other.job_id}'s already", job_id=job.job_id, task_id=task_id)
        try:
            await self._calls.call(self._dialect.describe(job.kind, task_id))
        except AigcError as error:
            error.about(job_id=job.job_id, task_id=task_id)
            raise
        return job.moved(
            JobState.SUBMITTED,
            task_id=task_id,
            # The URLs' life is counted from here if the task has ended already: never later than the truth.
            submitted_at=job.sent_at or job.intent_at or job.planned_at,
            slot_until=self._wall() + self._deadline_s(job),
            error={},
        )

    async def retry_failed(self) -> list[JobRecord]:
        """Plan the failed jobs again, by the user's word; return them as they are then.

        Not those that the user dropped: what became of their creates is unknown, and they may have been paid for.
        """
        failed = [job.job_id for job in await self.ledger.in_state(JobState.FAILED)]
        planned = await asyncio.gather(*(self._retry(job_id) for job_id in failed))  # they share their commits
        return [job for job in planned if job is not None]

    async def _retry(self, job_id: str) -> JobRecord | None:
        async with self._lock(job_id):
            job = await self.ledger.get(job_id)
            if job is None or job.state is not JobState.FAILED or isinstance(job.recorded_error(), JobDropped):
                return None
            planned = job.anew()
            await self.ledger.put(planned)
        self._emit(events.Planned, planned)
        return planned

    # --- planned → submitted ------------------------------------------------------------------------------------------

    async def _submit(self, job: JobRecord, resolve: Resolve) -> JobRecord:
        job = await self.ledger.get(job.job_id) or job
        if job.state is JobState.INTENT:
            job = await self._left_behind(job)
        if job.state is JobState.PLANNED:
            job = await self._create(job, resolve)
        if job.state in (JobState.FAILED, JobState.UNKNOWN):
            raise job.recorded_error()
        return job

    async def _left_behind(self, job: JobRecord) -> JobRecord:
        """A job found in *intent*: a cancelled caller left its exchange behind, whose answer is ours as well."""
        exchange = self._exchanges.get(job.job_id)
        if exchange is None:  # it ended, and the ledger could not keep how
            raise await self._unknown(job, "the ledger could not keep the answer", None)
        await asyncio.wait({exchange})
        job = await self.ledger.get(job.job_id) or job
        if job.state is JobState.INTENT:
            exchange.result()  # raises: the ledger could not keep how it ended, and the error knows
        return job

    async def _create(self, job: JobRecord, resolve: Resolve) -> JobRecord:
        """Create the job's task in a slot; refused for want of room at the service, wait for another one."""
        self._calls.check_account(self._dialect.create_action(job.kind))
        slots, sends = self._limits.slots[job.kind], count(job.attempts + 1)
        slot, give_up_at = await slots.acquire(), inf
        while True:
            try:
                return await self._create_in(slot, job, resolve, sends)
            except _NoRoom as no_room:
                if no_room.refusal is not None:
                    now = asyncio.get_running_loop().time()
                    give_up_at = min(give_up_at, now + self._calls.policy.busy_seconds)
                    if now >= give_up_at:
                        raise no_room.refusal.about(job_id=job.job_id) from None
                    self._retried(job, no_room.refusal, PROBE_S)
            slot = await slots.acquire(again=slot)

    async def _create_in(self, slot: Slot, job: JobRecord, resolve: Resolve, sends: Iterator[int]) -> JobRecord:
        try:
            request = resolve()
            job = replace(job, filled_in=beyond(request, job.content))
            call = self._dialect.create(request, self._store)
            return await self._calls.repeat(
                call,
                lambda send_time: self._attempt(job, call, slot, send_time, sends),
                lambda error, delay: self._retried(job, error, delay),
            )
        except BaseException as error:
            self._give_back(slot, job.job_id)
            if isinstance(error, AigcError):
                error.about(job_id=job.job_id)
            raise

    async def _attempt(
        self, job: JobRecord, call: Call[Created], slot: Slot, send_time: SendTime, sends: Iterator[int]
    ) -> JobRecord:
        """The exchange belongs to the client: a caller that is cancelled leaves it, and its answer is still kept."""
        self._calls.check_account(self._dialect.create_action(job.kind))
        if slot.is_too_many:
            raise _NoRoom
        exchange = self._owner.start(self._exchange(job, call, slot, send_time, sends), f"create of {job.job_id}")
        self._exchanges[job.job_id] = exchange
        self._to_send[exchange] = send_time
        exchange.add_done_callback(lambda _: self._exchanges.pop(job.job_id, None))
        exchange.add_done_callback(self._to_send.pop)
        try:
            return await asyncio.shield(exchange)
        except TooManyTasks as error:
            raise _NoRoom(error) from None

    async def _exchange(
        self, job: JobRecord, call: Call[Created], slot: Slot, send_time: SendTime, sends: Iterator[int]
    ) -> JobRecord:
        intent = replace(job, sent_at=None).moved(JobState.INTENT, intent_at=self._wall())
        try:
            await self.ledger.put(intent)
        except asyncio.CancelledError:  # closed meanwhile; the intent reaches the disk all the same
            await self.ledger.put(intent.moved(JobState.PLANNED))
            raise
        self._emit(events.Paced, intent)
        try:
            created = await self._calls.once(call, send_time)
        except AigcError as error:
            kept = await self._refused(self._sent(intent, send_time, sends), error, slot)
            if kept is error:
                raise
            raise kept from error
        except asyncio.CancelledError:
            if send_time.has_come:
                sent = self._sent(intent, send_time, sends)
                await self._unknown(sent, "the client was closed before the create was answered", slot)
            else:
                await self.ledger.put(intent.moved(JobState.PLANNED))
            raise
        accepted_at = self._wall()
        submitted = self._sent(intent, send_time, sends).moved(
            JobState.SUBMITTED,
            task_id=created.task_id,
            request_id=created.request_id,
            submitted_at=accepted_at,
            slot_until=accepted_at + self._deadline_s(intent),
        )
        slot.name(created.task_id)
        try:
            await self.ledger.put(submitted)
        except AigcError as error:
            _log.error(
                "the service accepted %s as task %s, which the ledger could not keep", job.job_id, created.task_id
            )
            error.about(job_id=job.job_id, task_id=created.task_id)
            raise
        finally:
            self._watch(submitted)
        self._emit(events.Submitted, submitted, task_id=created.task_id)
        return submitted

    def _sent(self, intent: JobRecord, send_time: SendTime, sends: Iterator[int]) -> JobRecord:
        """The intent with the time its create went out, and counted, if it did."""
        age_s = send_time.age_s
        return intent if age_s is None else replace(intent, sent_at=self._wall() - age_s, attempts=next(sends))

    async def _refused(self, intent: JobRecord, error: AigcError, slot: Slot) -> AigcError:
        """Keep what an unsuccessful exchange means for the job, by `policy.AFTER`; return the error to raise."""
        after = AFTER[error.ending or Ending.REFUSED]
        if isinstance(error, TooManyTasks):
            self._limits.slots[intent.kind].refused()
        if after.create_again or after.stops_creating or clock_is_off(error):
            await self.ledger.put(intent.moved(JobState.PLANNED))
            return error
        if error.ending is Ending.UNKNOWN:
            return await self._unknown(intent, str(error), slot)
        await self.ledger.put(intent.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(error)))
        self._emit(events.Failed, intent, error=error)
        return error

    async def _unknown(self, intent: JobRecord, reason: str, slot: Slot | None) -> CreateOutcomeUnknown:
        if slot is not None:
            slot.keep_for(UNKNOWN_SLOT_S[intent.kind])
        error = CreateOutcomeUnknown(
            f"the create was sent and nothing told whether it was accepted ({reason}); it is not sent again by itself",
            job_id=intent.job_id,
        )
        await self.ledger.put(intent.moved(JobState.UNKNOWN, ended_at=self._wall(), error=to_record(error)))
        self._emit(events.Unknown, intent, error=error)
        return error

    def _give_back(self, slot: Slot, job_id: str) -> None:
        """The create did not succeed, or its caller left: nobody is in the slot, once that is certain."""
        exchange = self._exchanges.get(job_id)
        if exchange is not None:
            exchange.add_done_callback(lambda _: self._give_back(slot, job_id))
        elif not slot.handed_on:
            slot.release()

    # --- submitted → done ---------------------------------------------------------------------------------------------

    def _watch(self, job: JobRecord) -> Watch:
        """Have the poller watch a submitted job's task, in the slot it runs in."""
        assert job.task_id is not None  # noqa: S101 — submitted means that it has one

        async def on_end(how: Ended | AigcError) -> None:
            if job.submitted_at is not None:
                await self._keep_end(job, how)

        def on_poll(status: TaskStatus) -> None:
            self._emit(events.Polled, job, task_id=job.task_id or "", status=status.word)

        return self._poller.watch(
            Watch(
                kind=job.kind,
                task_id=job.task_id,
                slots=self._limits.slots[job.kind],
                unfinished_at=job.submitted_at,
                # A job resumed past its deadline is looked at once more before it is given up again.
                deadline=job.slot_until or self._wall() + self._deadline_s(job),
                on_end=on_end,
                on_poll=on_poll,
            )
        )

    async def _wait(self, job: JobRecord) -> JobRecord:
        ended = await asyncio.shield(self._watch(job).ended)
        kept = await self.ledger.get(job.job_id)
        if kept is not None and kept.state is JobState.SUBMITTED:
            # The task was watched already, by somebody who attached to it and keeps no row.
            await self._keep_end(job, ended)
        return self._finished(job, ended)

    async def _keep_end(self, job: JobRecord, how: Ended | AigcError) -> None:
        if isinstance(how, Ended):
            finished = self._finished(job, how)
        else:
            finished = job.moved(JobState.FAILED, ended_at=self._wall(), error=to_record(how))
        await self.ledger.put(finished)
        if finished.state is JobState.DONE:
            self._emit(events.Done, finished, task_id=finished.task_id or "")
        else:
            self._emit(events.Failed, finished, error=finished.recorded_error())

    def _finished(self, job: JobRecord, ended: Ended) -> JobRecord:
        """The job as its task's end leaves it: the same value for the ledger and for whoever waits."""
        status = ended.status
        if status.state is TaskState.DONE:
            return job.moved(
                JobState.DONE,
                urls=status.urls,
                resolution=status.resolution,
                duration=status.duration,
                videos=status.videos,
                request_id=status.request_id,
                running_at=ended.running_at,
                unfinished_at=ended.unfinished_at,
                ended_at=ended.seen_at,
                expires_at=None if ended.unfinished_at is None else ended.unfinished_at + self._dialect.url_life_s,
            )
        failure = TaskFailed(
            status.message or "the service gives no reason",
            request_id=status.request_id,
            action=self._dialect.describe_action(job.kind),
        )
        return job.moved(
            JobState.FAILED,
            request_id=status.request_id,
            running_at=ended.running_at,
            unfinished_at=ended.unfinished_at,
            ended_at=ended.seen_at,
            error=to_record(failure),
        )

    # --- small parts --------------------------------------------------------------------------------------------------

    def _deadline_s(self, job: JobRecord) -> float:
        """Seconds from the job's acceptance until its task is given up."""
        return max(self._deadlines_s[job.kind], OFF_PEAK_S if job.sent().get("off_peak") else 0.0)

    def _lock(self, job_id: str) -> asyncio.Lock:
        """Two callers of one id do its work once, one after the other."""
        return self._alone.setdefault(job_id, asyncio.Lock())

    def _retried(self, job: JobRecord, error: AigcError, delay_s: float) -> None:
        self._emit(events.Retried, job, error=error, delay_s=delay_s)
        if isinstance(error, Throttled):
            self._emit(events.Throttled, job, action=error.action or "")

    def _emit(self, event: type[events.Event], job: JobRecord, **details: Any) -> None:  # noqa: ANN401 — each class has its own fields
        if self._listeners.heard:
            self._listeners.emit(event(at=self._wall(), job_id=job.job_id, kind=job.kind, **details))
