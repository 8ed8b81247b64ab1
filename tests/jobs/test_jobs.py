"""One job's life: each way a create can end, cancellation at each of its awaits, and what the ledger then holds."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from mps_aigc_async import (
    AccountError,
    AigcClient,
    Attach,
    ClientClosed,
    ContentViolation,
    CreateAgain,
    CreateOutcomeUnknown,
    DownloadError,
    Drop,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobDropped,
    JobRecord,
    JobState,
    Kind,
    Outcome,
    RetryPolicy,
    ServiceError,
    TaskFailed,
    TaskTimeout,
    TransportError,
    VideoRequest,
)
from mps_aigc_async.client import READ_AHEAD
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.ledger import MemoryLedger
from mps_aigc_async.limits import LEAD_S, PROBE_S
from mps_aigc_async.model import events
from mps_aigc_async.model.errors import AigcError
from mps_aigc_async.model.requests import content
from mps_aigc_async.model.settlement import Settlement
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.network.trials import Fault
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..support import Heard, accepted, client_of, configured, in_memory

CAT = ImageRequest(id="cat", prompt="a cat")


def test_a_job_goes_through_its_states_and_says_so() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            heard = Heard(client)
            result = await client.generate(CAT)
            assert heard.names("cat/image") == ["Planned", "Paced", "Submitted", "Done"]
            assert result.urls
            assert result.expires_at is not None
            # Never later than the truth: the URL lives 12 h from the task's end, which a poll saw at most 5 s later.
            left = result.expires_at.timestamp() - wall()
            assert 12 * 3600 - 11 < left <= 12 * 3600
            assert await client.counts() == {JobState.DONE: 1}
        assert service.statistics(wall()).created == {"image": 1, "video": 0, "audio": 0}

    run(main())


async def row_of(client: AigcClient, job_id: str) -> JobRecord:
    parts = client._usable_engine()
    job = await (await parts.open_ledger(None)).get(job_id)
    assert job is not None
    return job


def test_the_ledger_knows_what_was_sent_and_where_the_time_went() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        service.faults.add(fault="error", code="RequestLimitExceeded", times=2)
        config = configured(mps={"imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"}})
        async with client_of(service, config, latency_s=0.1) as client:
            await client.generate(CAT)
            job = await row_of(client, "cat/image")
        created = [arrival.at for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
        assert job.attempts == len(created) == 3
        assert job.filled_in == {"model_name": "Hunyuan", "model_version": "3.0"}
        # 50 ms on the way there, 50 ms back.
        assert job.sent_at == pytest.approx(created[-1] - 0.05, abs=0.01)
        assert job.submitted_at == pytest.approx(created[-1] + 0.05, abs=0.01)
        # A tenth of the 60 s in the queue; polled every 5 s.
        assert job.running_at == pytest.approx(created[-1] + 10, abs=1)
        assert job.unfinished_at == pytest.approx(created[-1] + 57.5, abs=3)
        assert job.ended_at == pytest.approx((job.unfinished_at or 0) + 5, abs=0.3)

    run(main())


def test_a_chains_first_frame_is_among_what_was_filled_in() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            chain = ImageToVideo(id="a", image=ImageRequest(prompt="a"), video=VideoRequest(prompt="b"))
            both = await client.generate(chain)
            assert (await row_of(client, "a/video")).filled_in == {"first_frame": both.image.urls[0]}
            assert (await row_of(client, "a/image")).filled_in == {}

    run(main())


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


def test_a_task_that_fails_at_the_service_tells_why_and_stays_failed() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            request = ImageRequest(id="x", prompt="fail-later")
            with pytest.raises(TaskFailed, match="could not generate") as caught:
                await client.generate(request)
            assert caught.value.task_id is not None
            with pytest.raises(TaskFailed, match="could not generate"):
                await client.generate(request)  # the ledger knows: nothing is created again
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


@pytest.mark.parametrize("on_disk", [False, True])
def test_few_requests_are_read_before_the_first_create_whatever_the_caps(tmp_path: Path, on_disk: bool) -> None:
    async def main() -> None:
        service, read, read_at_creates, enough = in_memory(), list[int](), list[int](), asyncio.Event()

        def requests() -> Iterator[ImageRequest]:
            for number in range(100_000):
                read.append(number)
                yield ImageRequest(prompt=f"picture {number}")

        def note(event: events.Event) -> None:
            if isinstance(event, events.Submitted):
                read_at_creates.append(len(read))
                if len(read_at_creates) == 100:
                    enough.set()

        ledger = tmp_path / "jobs.db" if on_disk else None
        async with client_of(service, configured(images=10_000, videos=10_000), ledger=ledger) as client:
            client.on_event(note)
            begun_at = wall()
            async with client.run(requests()):
                await enough.wait()
            first = next(arrival.at for arrival in service.arrivals if arrival.action == "CreateAigcImageTask")
        assert first - begun_at < 0.3
        on_the_way = int(20 * LEAD_S) + 2  # creates that have their send time, and those that are sent and not answered
        assert all(
            number <= created + on_the_way + READ_AHEAD for created, number in enumerate(read_at_creates, start=1)
        )

    run(main())


def test_requests_of_one_id_do_not_stop_the_reading_while_one_of_them_is_made() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60), video_seconds=(600, 600))
        same = [VideoRequest(id="same", prompt="a film")] * (2 * READ_AHEAD)
        others = [ImageRequest(prompt=str(number)) for number in range(2)]
        async with client_of(service) as client:
            outcomes = [outcome async for outcome in client.run([*same, *others])]
            assert all(outcome.error is None for outcome in outcomes)
            assert {type(outcome.request) for outcome in outcomes[: len(others)]} == {ImageRequest}
        assert accepted(service, "CreateAigcVideoTask") == 1

    run(main())


def test_tasks_of_an_earlier_run_do_not_stop_the_reading_while_they_run(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(60, 60), video_seconds=(1500, 1500)), tmp_path / "jobs.db"
        begun = [VideoRequest(id=f"film-{number}", prompt="a film") for number in range(2 * READ_AHEAD)]
        config = configured(videos=len(begun), poll_ms=60_000)
        async with client_of(service, config, ledger=ledger) as client:
            await asyncio.gather(*(client.submit(film) for film in begun))
        async with client_of(service, config, ledger=ledger) as client, client.run([*begun, CAT]) as outcomes:
            assert (await anext(outcomes)).job_id == "cat"

    run(main())


def test_an_account_refused_stops_creation_and_goes_on_polling() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=3)) as client:
            paid = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(1)
            service.faults.add(
                action="CreateAigcImageTask", fault="error", code="FailedOperation.UserArrears", times=99
            )
            outcomes: list[Outcome[BatchItem]] = []

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


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.3, 1.0, 30.0, 58.0])
def test_a_caller_that_leaves_leaks_nothing_and_loses_nothing(after_s: float) -> None:
    """Cancelled at any time; the same id again finishes the same task, and exactly one was ever created."""

    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1), latency_s=0.5) as client:
            caller = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(after_s)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            assert (await client.generate(CAT)).urls
            await asyncio.sleep(400)
            assert client.statistics().slots[Kind.IMAGE].taken == 0
            assert client.statistics().polling == 0
        assert accepted(service, "CreateAigcImageTask") == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

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


def test_who_still_waits_when_the_client_closes_is_told_so() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(images=1)) as client:
            callers = [asyncio.create_task(client.generate(ImageRequest(prompt=f"{number}"))) for number in range(3)]
            await asyncio.sleep(5)
        errors = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(error) for error in errors] == [ClientClosed] * 3
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(ClientClosed, match="async with"):
            await client.generate(CAT)

    run(main())


def test_closing_says_what_was_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mps_aigc_async")

    async def main(ledger: Path | None) -> tuple[list[str], list[str]]:
        caplog.clear()
        service = in_memory()
        service.faults.add(action="CreateAigcVideoTask", fault="hang")
        async with client_of(service, ledger=ledger) as client:
            batch = asyncio.create_task(
                _all(client, [*(ImageRequest(prompt=f"{number}") for number in range(3)), VideoRequest(prompt="x")])
            )
            await asyncio.sleep(5)
        with pytest.raises(ClientClosed):
            await batch
        tasks = [arrival.task_id for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
        logged = [(record.levelname, record.message) for record in caplog.records]
        said = [f"{level} {text}" for level, text in logged if text.startswith("closed")]
        return said, [task_id for task_id in tasks if task_id]

    (left, forgotten), tasks = run(main(None))
    assert left.startswith(
        "INFO closed with work left: 2 tasks run on at the service; opening a ledger file again resumes 0 of them"
    )
    assert left.endswith("1 calls that may cost something got no reply")
    assert forgotten.startswith("WARNING closed while tasks run that are in no ledger file")
    assert all(task_id in forgotten for task_id in tasks)
    (left,), _ = run(main(tmp_path / "ledger.db"))
    assert "resumes 2 of them" in left


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


def test_closing_gives_a_create_that_hangs_ten_seconds_and_calls_it_unknown() -> None:
    async def main() -> None:
        service = in_memory()
        loop = asyncio.get_running_loop()
        async with client_of(service, latency_s=60.0) as client:
            heard = Heard(client)
            caller = asyncio.create_task(client.generate(CAT))
            await asyncio.sleep(1)
            before = loop.time()
        assert loop.time() - before == pytest.approx(10, abs=0.1)
        assert heard.names("cat/image")[-1] == "Unknown"
        await asyncio.wait({caller})

    run(main())


def test_a_timeout_ends_the_waiting_and_not_the_task() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            with pytest.raises(TaskTimeout) as caught:
                await client.generate(CAT, timeout=30)
            assert isinstance(caught.value, TimeoutError)
            assert await client.counts() == {JobState.SUBMITTED: 1}
            assert (await client.generate(CAT)).urls
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_task_past_its_deadline_gives_its_slot_back_and_can_be_resumed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(3000, 3000))  # of which it waits 300
        async with client_of(service, configured(images=1)) as client:
            loop = asyncio.get_running_loop()
            before = loop.time()
            with caplog.at_level(logging.WARNING), pytest.raises(TaskTimeout):
                await client.generate(CAT)
            assert loop.time() - before == pytest.approx(300 + 1800, abs=10)
            assert "deadline" in caplog.text
            assert client.statistics().slots[Kind.IMAGE].taken == 0
            assert await client.counts() == {JobState.SUBMITTED: 1}
            assert (await client.generate(CAT)).urls  # with all of the patience again
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_an_off_peak_video_is_waited_for_two_days() -> None:
    async def main() -> None:
        service = in_memory(video_seconds=(47 * 3600, 47 * 3600))
        async with client_of(service, configured(poll_ms=600_000)) as client:
            with pytest.raises(TaskTimeout):
                await client.generate(VideoRequest(prompt="soon"))
            assert (await client.generate(VideoRequest(prompt="some time", off_peak=True))).urls
        assert accepted(service, "CreateAigcVideoTask") == 2

    run(main())


class Unfetchable(Downloads):
    """Every attempt fails after a second; `times` of them, then there is a file."""

    times = 10**6

    async def _attempt(self, url: str, part: object, target: Path, *_: object) -> Path:  # noqa: ARG002 — as overridden
        await asyncio.sleep(1)
        self.times -= 1
        if self.times >= 0:
            raise Fault(f"cannot fetch {url.partition('?')[0]}: HTTP 503")
        target.touch()
        return target


def test_a_result_is_tried_to_be_saved_as_long_as_its_url_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Unfetchable)

    async def main() -> None:
        async with client_of(in_memory()) as client:
            heard = Heard(client)
            with pytest.raises(DownloadError, match=r"HTTP 503 \[job cat/image, task 4-Aigc"):
                await client.generate(CAT, save_to=tmp_path)
            done = next(event.at for event in heard.events if isinstance(event, events.Done))
            assert wall() - done == pytest.approx(12 * 3600, abs=70)
            assert heard.names("cat/image").count("Retried") > 600  # at most a minute apart
            assert "its URL expires in 58 minutes" in caplog.text  # in good time, and not before
            assert "its URL expires in 62 minutes" not in caplog.text

    run(main())


def test_the_time_to_save_can_be_shorter_and_ends_nothing_but_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Unfetchable)
    monkeypatch.setattr(Unfetchable, "times", 8)

    async def main() -> None:
        service = in_memory()
        async with client_of(service, configured(timeouts={"saveSeconds": 20})) as client:
            with pytest.raises(DownloadError):
                await client.generate(CAT, save_to=tmp_path)
            assert await client.counts() == {JobState.DONE: 1}
            monkeypatch.setattr(Unfetchable, "times", 0)
            assert client._engine is not None
            client._engine.downloads.times = 0  # type: ignore[attr-defined] # as patched
            assert (await client.generate(CAT, save_to=tmp_path)).files == (tmp_path / "cat",)
        assert accepted(service, "CreateAigcImageTask") == 1

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


async def lost(client: AigcClient, service: Service, name: str = "cat") -> None:
    """A create whose answer never came, though the service accepted it."""
    service.faults.add(fault="reset_after")
    with pytest.raises(CreateOutcomeUnknown, match=f"job {name}/image"):
        await client.generate(ImageRequest(id=name, prompt="a cat"))


def test_an_unknown_job_is_created_again_at_the_users_word_alone() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await lost(client, service)
            with pytest.raises(CreateOutcomeUnknown):  # asked for again it is not sent again
                await client.generate(CAT)
            assert accepted(service, "CreateAigcImageTask") == 1
            assert (await client.settle("cat/image", CreateAgain())).state is JobState.PLANNED
            assert await client.unknown() == []
            assert (await client.generate(CAT)).urls
            assert (await row_of(client, "cat/image")).error == {}
        assert accepted(service, "CreateAigcImageTask") == 2

    run(main())


def test_the_task_of_an_unknown_job_is_attached_and_polled_to_its_end() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            heard = Heard(client)
            await lost(client, service)
            (task_id,) = [arrival.task_id for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
            assert task_id is not None
            settled = await client.settle("cat/image", Attach(task_id))
            assert (settled.state, settled.task_id) == (JobState.SUBMITTED, task_id)
            result = await client.generate(CAT)
            assert result.task_id == task_id
            assert result.expires_at is not None
            assert result.expires_at.timestamp() <= wall() + 12 * 3600
            assert heard.names("cat/image") == ["Planned", "Paced", "Unknown", "Submitted", "Done"]
            await asyncio.sleep(400)  # the slot of the create in doubt is back as well
            assert client.statistics().slots[Kind.IMAGE].taken == 0
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_a_task_that_is_waited_for_already_leaks_no_slot_when_its_job_gets_it() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(100, 100))
        async with client_of(service) as client:
            await lost(client, service)
            (task_id,) = [arrival.task_id for arrival in service.arrivals if arrival.action == "CreateAigcImageTask"]
            assert task_id is not None
            waiting = asyncio.create_task(client.attach("image", task_id).wait())
            await asyncio.sleep(1)
            await client.settle("cat/image", Attach(task_id))
            assert client.statistics().slots[Kind.IMAGE].taken == 1
            assert (await client.generate(CAT)).urls == (await waiting).urls
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_a_dropped_job_has_failed_and_stays_so() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await lost(client, service)
            assert (await client.settle("cat/image", Drop())).state is JobState.FAILED
            with pytest.raises(JobDropped, match="given up"):
                await client.generate(CAT)
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_what_failed_is_tried_again_at_the_users_word_alone() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            service.faults.add(fault="error", code="InvalidParameterValue.ModelName")
            dog = ImageRequest(id="dog", prompt="a dog")
            for _ in range(2):
                with pytest.raises(ServiceError, match="ModelName"):
                    await client.generate(dog)
            assert accepted(service, "CreateAigcImageTask") == 1
            assert [job.job_id for job in await client.retry_failed()] == ["dog/image"]
            assert await client.counts() == {JobState.DONE: 1, JobState.PLANNED: 1}
            assert (await client.generate(dog)).urls
            assert (await row_of(client, "dog/image")).attempts == 2
            assert await client.retry_failed() == []
        assert accepted(service, "CreateAigcImageTask") == 2

    run(main())


def test_of_a_chain_only_the_failed_step_is_tried_again() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            chain = ImageToVideo(id="a", image=ImageRequest(prompt="a"), video=VideoRequest(prompt="fail-later"))
            with pytest.raises(TaskFailed) as failed:
                await client.generate(chain)
            await client.retry_failed()
            with pytest.raises(TaskFailed) as again:
                await client.generate(chain)
            assert again.value.task_id != failed.value.task_id
            assert again.value.partial == failed.value.partial
        assert service.statistics(wall()).created == {"image": 1, "video": 2, "audio": 0}

    run(main())


def test_a_task_that_was_not_found_is_asked_about_again_and_not_paid_for_twice() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcImageTask", fault="error", code="FailedOperation.TaskNotFound", times=3)
        async with client_of(service) as client:
            task = await client.submit(CAT)
            with pytest.raises(ServiceError, match="TaskNotFound"):
                await task.wait()
            (tried,) = await client.retry_failed()
            assert (tried.state, tried.task_id) == (JobState.SUBMITTED, task.task_id)
            assert (await client.generate(CAT)).task_id == task.task_id
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


@pytest.mark.parametrize("code", ["InvalidParameter", "UnsupportedOperation", "MissingParameter"])
def test_a_paid_task_whose_poll_is_refused_is_polled_on(code: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcImageTask", fault="error", code=code, times=3)
        service.faults.add(action="DescribeAigcImageTask", fault="reset_before", times=2)
        service.faults.add(action="DescribeAigcImageTask", fault="error", code="FailedOperation.TaskNotFound", times=2)
        async with client_of(service) as client:
            assert (await client.generate(CAT)).urls

    run(main())


def test_a_task_planned_again_says_so_to_who_waits_for_the_old_one() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            task = await client.submit(ImageRequest(id="x", prompt="fail-later"))
            with pytest.raises(TaskFailed):
                await task.wait()
            await client.retry_failed()
            with pytest.raises(InvalidRequest, match="planned again meanwhile"):
                await task.wait()
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_a_place_is_waited_for_as_long_as_one_of_ours_runs() -> None:
    async def main() -> None:
        service = in_memory(video_seconds=(10_000, 10_000), max_running={"video": 1})
        videos = [VideoRequest(prompt=f"{number}", off_peak=True) for number in range(4)]
        async with client_of(service, configured(videos=3, poll_ms=60_000)) as client:
            assert all(outcome.ok for outcome in await _all(client, videos))
        assert accepted(service, "CreateAigcVideoTask") == 4

    run(main())


def test_a_create_in_doubt_has_one_slot_whoever_opens_the_ledger_and_gives_it_to_its_task(tmp_path: Path) -> None:
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


def test_a_poll_that_hangs_holds_no_slot_beyond_the_deadline() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(300, 300))
        async with client_of(service, configured(timeouts={"imageSeconds": 100})) as client:
            task = await client.submit(CAT)
            began = wall()
            await asyncio.sleep(90)
            service.faults.add(action="DescribeAigcImageTask", fault="hang", times=None)
            with pytest.raises(TaskTimeout, match="latest status: RUN"):
                await task.wait()
            # Seen running after 30 to 35 s; asked once more at the deadline, for as long as the transport waits.
            assert 130 < wall() - began < 135 + 1 + 31
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_a_saved_file_is_found_again_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.Downloads", Unfetchable)
    monkeypatch.setattr(Unfetchable, "times", 0)
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with client_of(in_memory()) as client:
            saved = await client.generate(CAT, save_to="out")
            assert saved.files == (tmp_path / "out" / "cat",)
            monkeypatch.chdir("/")
            await asyncio.sleep(13 * 3600)
            assert await client.generate(CAT, save_to=tmp_path / "out") == saved

    run(main())


def test_a_dropped_job_is_not_tried_again_with_what_failed() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await lost(client, service)
            await client.settle("cat/image", Drop())
            assert await client.retry_failed() == []
            with pytest.raises(JobDropped):
                await client.generate(CAT)
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


@pytest.mark.parametrize("how", [CreateAgain(), Attach("4-AigcImage-x"), Drop()], ids=lambda how: type(how).__name__)
def test_only_an_unknown_job_can_be_settled(how: Settlement) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            before = await row_of(client, "cat/image")
            with pytest.raises(InvalidRequest, match="the job is done: only one of unknown outcome"):
                await client.settle("cat/image", how)
            with pytest.raises(InvalidRequest, match=r"is not in the ledger.*job dog/image"):
                await client.settle("dog/image", how)
            assert await row_of(client, "cat/image") == before

    run(main())


def test_a_task_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            known = await client.generate(ImageRequest(id="dog", prompt="a dog"))
            await lost(client, service)
            with pytest.raises(InvalidRequest, match="is dog/image's already"):
                await client.settle("cat/image", Attach(known.task_id))
            with pytest.raises(ServiceError, match="job cat/image"):
                await client.settle("cat/image", Attach("4-AigcImage-nobody"))
            assert [job.job_id for job in await client.unknown()] == ["cat/image"]

    run(main())


def test_two_callers_of_one_id_share_one_task() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            one, other = await asyncio.gather(client.generate(CAT), client.generate(CAT))
            assert one == other
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_one_id_with_other_content_is_refused_by_name() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.generate(CAT)
            with pytest.raises(InvalidRequest, match=r"id is taken.*a cat.*a dog"):
                await client.generate(ImageRequest(id="cat", prompt="a dog"))
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_two_requests_of_the_same_words_are_two_tasks() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await asyncio.gather(*(client.generate(ImageRequest(prompt="a cat")) for _ in range(3)))
        assert accepted(service, "CreateAigcImageTask") == 3

    run(main())


def test_submit_returns_when_accepted_and_the_task_can_be_waited_for() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            task = await client.submit(VideoRequest(prompt="waves"))
            assert (task.kind, task.task_id[:12]) == (Kind.VIDEO, "4-AigcVideo-")
            assert (await task.status()).word in ("WAIT", "RUN")
            with pytest.raises(TaskTimeout):
                await task.wait(timeout=10)
            result = await task.wait()
            assert result.task_id == task.task_id
            assert result.resolution

            attached = client.attach("video", task.task_id)
            again = await attached.wait()
            assert (again.urls, again.expires_at) == (result.urls, None)  # nobody here knows when it ended

    run(main())


def test_a_task_attached_while_it_runs_knows_when_its_urls_end() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            task = await client.submit(ImageRequest(prompt="x"))
            async with client_of(service) as other:
                result = await other.attach("image", task.task_id).wait()
                assert result.expires_at is not None

    run(main())


class SlowLedger(MemoryLedger):
    """Each row takes 50 ms to be kept."""

    async def put(self, job: JobRecord) -> None:
        await asyncio.sleep(0.05)
        await super().put(job)


def test_attaching_at_any_moment_of_a_tasks_end_leaks_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.engine.assembly.MemoryLedger", SlowLedger)

    async def main() -> None:
        service = in_memory(video_seconds=(20, 20))
        async with client_of(service) as client:
            task = await client.submit(VideoRequest(id="x", prompt="x"))
            while client.statistics().polling:
                with suppress(TaskTimeout):
                    await client.attach("video", task.task_id).wait(timeout=0.01)
            await client.attach("video", task.task_id).wait()
            assert client.statistics().slots[Kind.VIDEO].taken == 0
            assert (await client.generate(VideoRequest(id="x", prompt="x"))).urls

    run(main())


def test_a_task_attached_to_before_its_job_is_resumed_is_still_written_down() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client, client_of(service) as other:
            task = await other.submit(ImageRequest(prompt="x"))
            attached = asyncio.create_task(client.attach("image", task.task_id).wait())
            await asyncio.sleep(1)
            job = JobRecord(
                job_id="x/image",
                kind=Kind.IMAGE,
                content=content(ImageRequest(prompt="x")),
                planned_at=0.0,
                state=JobState.SUBMITTED,
                task_id=task.task_id,
                submitted_at=wall(),
            )
            assert client._engine is not None
            await (await client._engine.open_ledger(None)).put(job)
            assert (await client.generate(ImageRequest(id="x", prompt="x"))).urls
            assert await client.counts() == {JobState.DONE: 1}
            await attached

    run(main())


def test_a_task_the_services_readers_have_not_heard_of_yet_is_asked_about_again() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcImageTask", fault="error", code="FailedOperation.TaskNotFound", times=2)
        async with client_of(service) as client:
            assert (await client.generate(CAT)).urls

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


class NeverConnected(InMemoryTransport):
    """No connection is ever opened: the gate is not reached."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await asyncio.Event().wait()
        return await super().exchange(request, gate, sent)


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


async def _all(client: AigcClient, batch: Sequence[BatchItem]) -> list[Outcome[BatchItem]]:
    return [outcome async for outcome in client.run(batch)]


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
