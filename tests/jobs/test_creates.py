"""A job's create: sent, refused, sent again, unknown; and its answer belongs to its own job."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mps_aigc_async import (
    AccountError,
    AigcClient,
    Attach,
    ClientClosed,
    ContentViolation,
    CreateOutcomeUnknown,
    ImageRequest,
    JobRecord,
    JobState,
    Kind,
    LedgerError,
    Outcome,
    RetryPolicy,
    ServiceError,
    TransportError,
    VideoRequest,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.batch import READ_AHEAD, BatchItem
from mps_aigc_async.jobs.tasks import Tasks
from mps_aigc_async.ledger import MemoryLedger, SqliteLedger
from mps_aigc_async.ledger.protocol import CLOSE_GRACE_S
from mps_aigc_async.limits import PROBE_S
from mps_aigc_async.model.errors import AigcError
from mps_aigc_async.model.results import Result
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.transport import Gate, Sent, Transport
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..support import Heard, accepted, client_of, configured, in_memory
from .support import CAT, _all, lost


class Unreachable(InMemoryTransport):
    """The first `times` exchanges find nobody there."""

    def __init__(self, service: Service, times: int) -> None:
        super().__init__(service, wall)
        self._left = times

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        if self._left > 0:
            self._left -= 1
            raise TransportError("connection refused", ending=Ending.NEVER_DELIVERED)
        return await super().exchange(request, gate, sent)


class NeverConnected(InMemoryTransport):
    """No connection is ever opened: the gate is not reached."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await asyncio.Event().wait()
        return await super().exchange(request, gate, sent)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"fault": "reset_after"}, CreateOutcomeUnknown),
        ({"fault": "http_status", "status": 502}, CreateOutcomeUnknown),
        ({"fault": "not_json", "accepted": True}, CreateOutcomeUnknown),
        ({"fault": "error", "code": "InternalError", "accepted": True}, CreateOutcomeUnknown),
        ({"fault": "error", "code": "FailedOperation.CreateAIGCTaskFailed"}, CreateOutcomeUnknown),
        ({"fault": "error", "code": "SomethingNew.NobodyKnows"}, ServiceError),
        ({"fault": "error", "code": "InvalidParameterValue"}, ServiceError),
        ({"fault": "error", "code": "InvalidParameter.ViolationContent"}, ContentViolation),
        ({"fault": "error", "code": "FailedOperation.UserArrears"}, AccountError),
    ],
    ids=lambda value: value.get("code") or value["fault"] if isinstance(value, dict) else value.__name__,
)
def test_a_create_that_must_not_be_repeated_is_sent_once(fault: dict[str, str], error: type[AigcError]) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", times=5, **fault)  # type: ignore[arg-type]
        async with client_of(service) as client:
            with pytest.raises(error) as caught:
                await client.generate(CAT)
            assert caught.value.job_id == "cat/image"
            assert service.statistics(wall()).arrivals["CreateAigcImageTask"] == 1
            state = {CreateOutcomeUnknown: JobState.UNKNOWN, AccountError: JobState.PLANNED}.get(error, JobState.FAILED)
            assert await client.counts() == {state: 1}

    run(main())


@pytest.mark.parametrize(
    "code",
    [
        "RequestLimitExceeded",
        "RequestLimitExceeded.UinLimitExceeded",
        "LimitExceeded.CreateTask",
        "ResourceInsufficient",
        "ServiceUnavailable",
    ],
)
def test_a_create_refused_for_now_is_sent_again_until_it_is_accepted(code: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="error", code=code, times=3)
        async with client_of(service) as client:
            heard = Heard(client)
            await client.generate(CAT)
            assert heard.names("cat/image").count("Retried") == 3
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_create_that_was_never_delivered_is_sent_again() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Unreachable(service, 4)) as client:
            await client.generate(CAT)
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_retries_end_and_leave_the_job_planned() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Unreachable(service, 1000)) as client:
            with pytest.raises(TransportError):
                await client.generate(CAT)
            assert await client.counts() == {JobState.PLANNED: 1}

    run(main())


def test_refusals_of_two_sorts_that_take_turns_end_as_well() -> None:
    """Each sort has bounds of its own; what bounds both together is as long as one task is waited for."""

    async def main() -> None:
        service = in_memory()
        for _ in range(2000):
            service.faults.add(action="CreateAigcImageTask", fault="error", code="LimitExceeded.CreateTask")
            service.faults.add(action="CreateAigcImageTask", fault="error", code="RequestLimitExceeded")
        async with client_of(service) as client:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            with pytest.raises(ServiceError, match="LimitExceeded"):
                await client.generate(CAT)
            assert loop.time() - begun == pytest.approx(RetryPolicy().busy_seconds, abs=60)
            assert await client.counts() == {JobState.PLANNED: 1}

    run(main())


def test_an_outage_is_not_amplified_by_its_retries() -> None:
    """100 jobs that all fail: retries of the account are bounded by its budget, not by the number of jobs."""

    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="error", code="ServiceUnavailable", times=10_000)
        config = configured(images=100)
        async with client_of(service, config, retry=RetryPolicy(attempts=100, seconds=60)) as client:
            batch = [ImageRequest(prompt=f"{number}") for number in range(100)]
            outcomes = [outcome async for outcome in client.run(batch)]
        assert not any(outcome.ok for outcome in outcomes)
        # 100 first sends, then 20 at once and 2 a second for as long as the policy goes on.
        assert service.statistics(wall()).arrivals["CreateAigcImageTask"] < 100 + 20 + 2 * 130

    run(main())


def test_the_clock_is_corrected_once_by_the_services_own() -> None:
    """20 minutes off, both ways: the first call is refused and the second one carries the service's time."""

    async def main(offset_s: float) -> int:
        service = in_memory()
        config = configured()
        transport = InMemoryTransport(service, wall)
        async with AigcClient(config, transport=lambda: transport, wall=lambda: wall() + offset_s) as client:
            await client.generate(CAT)
        return service.statistics(wall()).refused.get("AuthFailure.SignatureExpire", 0)

    assert run(main(1200.0)) == 1
    assert run(main(-1200.0)) == 1


def test_an_account_refused_stops_creation_and_goes_on_polling() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=3)) as client:
            paid = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(1)
            service.faults.add(
                action="CreateAigcImageTask", fault="error", code="FailedOperation.UserArrears", times=99
            )
            outcomes: list[Outcome[BatchItem, Result]] = []

            async def batch() -> None:
                async for outcome in client.run([ImageRequest(prompt=f"{number}") for number in range(1000)]):
                    outcomes.append(outcome)  # noqa: PERF401 — kept although the iteration raises

            with pytest.raises(AccountError):
                await batch()
            assert 1 <= len(outcomes) <= 2 * (3 + 1 + 1) + READ_AHEAD
            assert all(isinstance(outcome.error, AccountError) for outcome in outcomes)
            assert service.statistics(wall()).arrivals["CreateAigcImageTask"] <= 1 + 3
            assert (await paid).urls
            assert (await client.counts())[JobState.PLANNED] == len(outcomes)

    run(main())


def test_a_caller_cancelled_during_the_create_detaches_it_and_the_answer_is_kept() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, latency_s=2.0) as client:
            caller = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(1.5)  # accepted at 1.0, answered at 2.0
            caller.cancel()
            await asyncio.wait({caller})
            assert client.statistics().creating == 1
            await asyncio.sleep(1)
            assert await client.counts() == {JobState.SUBMITTED: 1}
            await asyncio.sleep(400)
            assert await client.counts() == {JobState.DONE: 1}  # polled to its end though nobody waited

    run(main())


def test_closing_waits_for_a_create_in_flight() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, latency_s=4.0) as client:
            heard = Heard(client)
            caller = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(3)
        assert "Submitted" in heard.names("cat/image")
        await asyncio.wait({caller})
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_what_is_prepared_and_not_sent_is_not_sent_when_the_client_closes(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        config = configured(images=50)
        async with client_of(service, config, ledger=ledger) as client:
            callers = [asyncio.create_task(client.generate(ImageRequest(prompt=f"{number}"))) for number in range(50)]
            await asyncio.sleep(1)
            assert client.statistics().creating > 1
            sent = service.statistics(wall()).arrivals["CreateAigcImageTask"]
        await asyncio.wait(callers)
        assert service.statistics(wall()).arrivals["CreateAigcImageTask"] - sent <= 1  # on its way just then
        created = accepted(service, "CreateAigcImageTask")
        async with client_of(service, config, ledger=ledger) as client:
            assert await client.counts() == {JobState.SUBMITTED: created, JobState.PLANNED: 50 - created}

    run(main())


def test_closing_gives_a_create_that_hangs_some_seconds_and_calls_it_unknown() -> None:
    async def main() -> None:
        service = in_memory()
        loop = asyncio.get_running_loop()
        async with client_of(service, latency_s=60.0) as client:
            heard = Heard(client)
            caller = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(1)
            before = loop.time()
        assert loop.time() - before == pytest.approx(CLOSE_GRACE_S, abs=0.1)
        assert heard.names("cat/image")[-1] == "Unknown"
        await asyncio.wait({caller})

    run(main())


def test_an_unknown_create_keeps_its_slot_while_its_task_may_be_running() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="reset_after", times=1)
        async with client_of(service, configured(images=1)) as client:
            with pytest.raises(CreateOutcomeUnknown, match="not sent again"):
                await client.generate(CAT)
            await client.generate(ImageRequest(prompt="the next one"))
            (job,) = await client.unknown()
            assert (job.job_id, job.prompt) == ("cat/image", "a cat")
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(CAT)
        assert service.statistics(wall()).most_running["image"] == 1
        assert accepted(service, "CreateAigcImageTask") == 2

    run(main())


def test_a_place_is_waited_for_as_long_as_one_of_ours_runs() -> None:
    async def main() -> None:
        service = in_memory(video_seconds=(10_000, 10_000), max_running={"video": 1})
        videos = [VideoRequest(prompt=f"{number}", off_peak=True) for number in range(4)]
        async with client_of(service, configured(videos=3, poll_ms=60_000)) as client:
            assert all(outcome.ok for outcome in await _all(client, videos))
        assert accepted(service, "CreateAigcVideoTask") == 4

    run(main())


def test_an_unknown_create_has_one_slot_whoever_opens_the_ledger_and_gives_it_to_its_task(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        async with client_of(service, ledger=ledger) as client:
            await lost(client, service)
            assert client.statistics().slots[Kind.IMAGE].taken == 1
        for _ in range(3):
            async with client_of(service, ledger=ledger) as client:
                assert client.statistics().slots[Kind.IMAGE].taken == 1
        (task_id,) = [a.task_id for a in service.arrivals if a.action == "CreateAigcImageTask" and a.task_id]
        async with client_of(service, ledger=ledger) as client:
            await client.settle("cat/image", Attach(task_id))
            assert client.statistics().slots[Kind.IMAGE].taken == 1
            await client.generate(CAT)
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_closing_makes_no_further_attempt_of_a_call_that_may_cost_something() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="error", code="ServiceUnavailable", times=3)
        async with client_of(service) as client:
            call = asyncio.create_task(client.call("CreateAigcImageTask", {"Prompt": "x"}))
            while not service.arrivals:  # noqa: ASYNC110 — a retry comes after any time from 0 s on
                await asyncio.sleep(0)
        with pytest.raises(ClientClosed):
            await call
        assert service.statistics(wall()).arrivals["CreateAigcImageTask"] == 1

    run(main())


def test_a_refusal_of_the_account_holds_a_minute_and_for_its_action_alone() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="error", code="UnauthorizedOperation", times=1)
        async with client_of(service) as client:
            for _ in range(3):
                with pytest.raises(AccountError):
                    await client.generate(CAT)
            assert service.statistics(wall()).arrivals["CreateAigcImageTask"] == 1
            assert (await client.generate(VideoRequest(prompt="x"))).urls  # meanwhile more than a minute goes by
            assert (await client.generate(CAT)).urls

    run(main())


def test_a_create_still_connecting_when_the_client_closes_was_not_sent(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        async with client_of(service, ledger=ledger, transport=lambda: NeverConnected(service, wall)) as client:
            caller = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(1)
        await asyncio.wait({caller})
        async with client_of(service, ledger=ledger) as client:
            assert await client.counts() == {JobState.PLANNED: 1}
            assert (await client.generate(CAT)).urls

    run(main())


def test_a_long_wait_for_a_place_is_not_held_against_a_later_fault() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="error", code="LimitExceeded.CreateTask", times=60)
        service.faults.add(action="CreateAigcImageTask", fault="error", code="ServiceUnavailable", times=3)
        async with client_of(service) as client:
            assert (await client.generate(CAT)).urls
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_the_services_own_cap_is_learnt_from_its_refusals_and_kept() -> None:
    async def main() -> None:
        service = in_memory(max_running={"image": 5})
        async with client_of(service, configured(images=50)) as client:
            assert client.statistics().slots[Kind.IMAGE].learned_cap is None
            batch = asyncio.create_task(_all(client, [ImageRequest(prompt=f"{number}") for number in range(60)]))
            await asyncio.sleep(5)
            assert client.statistics().slots[Kind.IMAGE].learned_cap == 5
            assert client.statistics().slots[Kind.IMAGE].taken == 5
            outcomes = await batch
            assert all(outcome.ok for outcome in outcomes)
            took = wall() - service.arrivals[0].at
        assert accepted(service, "CreateAigcImageTask") == 60
        # One now and then, and those under way when the first one was refused; not one for each job that waits.
        assert service.statistics(wall()).refused["LimitExceeded.CreateTask"] <= took / PROBE_S + 10

    run(main())


def test_clients_of_one_account_share_slots_and_pace() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=2)) as one, client_of(service, configured(images=2)) as other:
            batches = [
                asyncio.create_task(client.generate(ImageRequest(prompt=f"{number}")))
                for number, client in enumerate([one, other] * 5)
            ]
            await asyncio.gather(*batches)
        seen = service.statistics(wall())
        assert seen.most_running["image"] == 2
        assert seen.refused == {}

    run(main())


# --- an answer belongs to its own job ---------------------------------------------------------------------------------


class Repeating(InMemoryTransport):
    """Answers creates of the prompt "stale" with the first create's answer, as a gateway does that repeats it."""

    def __init__(self, service: Service, *, at_once: bool = False) -> None:
        super().__init__(service, wall, latency_s=0.02)
        self._first: HttpAnswer | None = None
        self._repeated = asyncio.Event()
        if not at_once:
            self._repeated.set()

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        if not request.headers["X-TC-Action"].startswith("Create"):
            return answer
        if json.loads(request.body)["Prompt"] == "stale":
            assert self._first is not None
            self._repeated.set()
            for _ in range(3):  # turns of the loop: the first one's answer is on its way to its job
                await asyncio.sleep(0)
            return self._first
        self._first = self._first or answer
        await self._repeated.wait()
        return answer


def repeating(service: Service, *, at_once: bool) -> Callable[[], Transport]:
    return lambda: Repeating(service, at_once=at_once)


async def create_two(client: AigcClient, *, at_once: bool) -> None:
    """A create, and one that is answered with the first one's task."""
    first = asyncio.create_task(client.generate(ImageRequest(id="first", prompt="first")))
    if not at_once:
        await first
    await asyncio.sleep(1)
    with pytest.raises(CreateOutcomeUnknown, match="which belongs to first/image") as caught:
        await client.generate(ImageRequest(id="second", prompt="stale"))
    assert caught.value.job_id == "second/image"
    assert (await first).task_id in str(caught.value)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_create_answered_with_another_jobs_task_is_unknown(tmp_path: Path, on_disk: bool, at_once: bool) -> None:
    async def main() -> None:
        service = in_memory()
        ledger = tmp_path / "jobs.db" if on_disk else None
        async with client_of(service, ledger=ledger, transport=repeating(service, at_once=at_once)) as client:
            await create_two(client, at_once=at_once)
            assert await client.counts() == {JobState.DONE: 1, JobState.UNKNOWN: 1}
            # Its own task is found in the console, and attached.
            own = next(a.task_id for a in reversed(service.arrivals) if a.action.startswith("Create"))
            assert own is not None
            await client.settle("second/image", Attach(own))
            assert (await client.generate(ImageRequest(id="second", prompt="stale"))).task_id == own

    run(main())


def test_a_task_of_an_earlier_process_is_known_too(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        transport = Repeating(service)
        async with client_of(service, ledger=tmp_path / "jobs.db", transport=lambda: transport) as client:
            await client.generate(ImageRequest(id="first", prompt="first"))
        async with client_of(service, ledger=tmp_path / "jobs.db", transport=lambda: transport) as client:
            with pytest.raises(CreateOutcomeUnknown, match="which belongs to first/image"):
                await client.generate(ImageRequest(id="second", prompt="stale"))

    run(main())


def test_a_job_of_the_same_id_in_another_ledger_keeps_its_task(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(100, 100))
        async with client_of(service, transport=repeating(service, at_once=False)) as client:
            first = asyncio.create_task(client.generate(ImageRequest(id="same", prompt="first")))
            await asyncio.sleep(1)
            run_there = client.run([ImageRequest(id="same", prompt="stale")], ledger=tmp_path / "jobs.db")
            (outcome,) = [outcome async for outcome in run_there]
            assert isinstance(outcome.error, CreateOutcomeUnknown)
            assert (await first).task_id in str(outcome.error)

    run(main())


@pytest.mark.parametrize("error", [LedgerError, RuntimeError])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_ledger_that_cannot_be_read_costs_no_task_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: bool, error: type[Exception]
) -> None:
    async def unreadable(_jobs: object, task_id: str, _job_id: str) -> None:
        raise error(f"cannot look for {task_id}")

    monkeypatch.setattr(Tasks, "other_holder", unreadable)

    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db" if on_disk else None) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).task_id

    run(main())


def test_a_doubt_that_the_ledger_cannot_keep_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    put = MemoryLedger.put

    async def full(ledger: MemoryLedger, job: JobRecord) -> None:
        if job.state is JobState.UNKNOWN:
            raise LedgerError("the disk is full")
        await put(ledger, job)

    monkeypatch.setattr(MemoryLedger, "put", full)

    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="reset_after")
        async with client_of(service) as client:
            heard = Heard(client)
            with pytest.raises(CreateOutcomeUnknown) as caught:
                await client.generate(CAT)
            assert isinstance(caught.value.__cause__, LedgerError)
            assert heard.names("cat/image") == ["Planned", "Paced", "Unknown"]

    run(main())


def test_cancelled_while_the_holder_is_looked_for_a_task_id_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = asyncio.Event()

    async def slow(_ledger: object, _task_id: str) -> None:
        looking.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(SqliteLedger, "of_task", slow)

    async def main() -> None:
        service = in_memory()
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            caller = asyncio.create_task(client.generate(ImageRequest(id="x", prompt="x")))
            await looking.wait()
        with pytest.raises(ClientClosed):
            await caller
        async with client_of(service, ledger=tmp_path / "jobs.db") as client:
            assert (await client.counts()) == {JobState.SUBMITTED: 1}
            assert (await client.generate(ImageRequest(id="x", prompt="x"))).task_id

    run(main())
