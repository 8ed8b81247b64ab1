"""A task has ended without a result: its error, and whether its job is created again."""

import asyncio
import sqlite3
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import (
    AigcClient,
    ContentViolation,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobState,
    Kind,
    RetryPolicy,
    TaskBlocked,
    TaskFailed,
    TaskFault,
    TaskState,
    VideoRequest,
)
from mps_aigc_async.jobs.task_ends import MOST_CREATES, delay_s, failure_of, is_planned_again
from mps_aigc_async.model import events
from mps_aigc_async.model.events import Retried
from mps_aigc_async.testing import run, wall
from mps_aigc_async.wire.dialect import TaskStatus

from ..queues import Full, Made
from ..support import Heard

REFUSED = TaskStatus(
    TaskState.FAILED, "FINISH", "r", fault_code="X", fault=TaskFault.CONCURRENCY, made_nothing=True, message="X: why"
)


# --- the rule ---------------------------------------------------------------------------------------------------------


@given(
    state=st.sampled_from(TaskState),
    fault=st.none() | st.sampled_from(TaskFault),
    made_nothing=st.booleans(),
    creates=st.integers(0, 100),
    most=st.integers(1, 10),
    others_run=st.booleans(),
)
def test_a_job_is_created_again_by_all_of_the_evidence_and_within_its_budget(
    state: TaskState, fault: TaskFault | None, made_nothing: bool, creates: int, most: int, others_run: bool
) -> None:
    status = replace(REFUSED, state=state, fault=fault, made_nothing=made_nothing)
    if is_planned_again(status, creates, most, others_run=others_run):
        assert state is TaskState.FAILED
        assert fault in (TaskFault.CONCURRENCY, TaskFault.BUSY)
        assert made_nothing
        assert creates < (MOST_CREATES if others_run else most)
        assert most > 1 or creates == 0
    elif state is TaskState.FAILED and made_nothing and fault is TaskFault.BUSY:
        assert creates >= most


def test_delays_grow_and_are_bounded() -> None:
    delays = [delay_s(creates) for creates in range(MOST_CREATES)]
    assert delays == sorted(delays)
    assert 8 * 3600 < sum(delays) < 12 * 3600


def test_a_block_by_review_is_a_content_violation_and_a_failed_task() -> None:
    status = replace(
        REFUSED, fault=TaskFault.REVIEW, fault_code="ContentModerationFailed", message="ContentModerationFailed: no"
    )
    error = failure_of(status, "DescribeTaskDetail", is_confirmed=False)
    assert isinstance(error, TaskBlocked)
    assert isinstance(error, ContentViolation)
    assert isinstance(error, TaskFailed)
    assert (error.code, error.message, error.may_have_result) == ("ContentModerationFailed", "no", False)
    assert str(error).startswith("ContentModerationFailed: no [")


@pytest.mark.parametrize("fault", [fault for fault in TaskFault if fault is not TaskFault.REVIEW])
def test_any_other_fault_is_a_failed_task_with_its_code(fault: TaskFault) -> None:
    error = failure_of(replace(REFUSED, fault=fault), "DescribeTaskDetail", is_confirmed=False)
    assert (type(error), error.code, error.message, error.may_have_result) == (TaskFailed, "X", "X: why", False)


def test_only_a_task_that_was_not_said_to_have_failed_may_still_have_a_result() -> None:
    done = replace(REFUSED, state=TaskState.DONE, fault=None)
    assert failure_of(done, "x", is_confirmed=False).may_have_result
    assert not failure_of(done, "x", is_confirmed=True).may_have_result


# --- in a batch -------------------------------------------------------------------------------------------------------


def opened(service: Full, ledger: Path | None = None, videos: int = 10, retry: RetryPolicy | None = None) -> AigcClient:
    """A client of the stand-in."""
    return AigcClient(
        service.config(videos, 15000),
        endpoint="http://127.0.0.1:80",
        ledger=ledger,
        transport=lambda: service,
        wall=wall,
        retry=retry,
    )


def video(number: int = 0) -> VideoRequest:
    return VideoRequest(id=f"{number}", prompt=f"{number}", model_name="Kling", model_version="3.0")


def sessions(service: Full) -> list[str]:
    return [task.asked["SessionId"] for task in service.tasks.values()]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestLimitExceeded", "reached the maximum concurrency"),
        ("ResourceInsufficient", ""),
        ("FailedOperation", "too many tasks waiting at the model"),
    ],
)
def test_forty_videos_of_a_model_that_takes_three_at_once_are_all_made_once(code: str, message: str) -> None:
    async def main() -> None:
        service = Full(at_once=3, code=code, message=message)
        async with opened(service) as client:
            outcomes = [outcome async for outcome in client.run([video(number) for number in range(40)])]
        assert [outcome.error for outcome in outcomes if not outcome.ok] == []
        assert (len(service.good), service.most_at_once) == (40, 3)
        assert len(set(sessions(service))) == len(service.tasks)

    run(main())


def test_a_concurrency_refusal_teaches_the_slots_and_few_more_tasks_are_refused() -> None:
    async def main() -> None:
        service = Full(at_once=3)
        async with opened(service) as client:
            made = client.run([video(number) for number in range(40)])
            assert (await anext(made)).ok
            assert client.statistics().slots[Kind.VIDEO].learned_model_caps["Kling 3.0"] in (3, 4)
            assert all([outcome.ok async for outcome in made])
        # Seven of the first ten, and one for each try of another after five minutes.
        tries = (wall() - next(iter(service.tasks.values())).at) / 300
        assert 7 <= len(service.refused) <= 7 + 2 * tries

    run(main())


def test_another_code_that_says_the_model_is_full_teaches_no_cap() -> None:
    async def main() -> None:
        service = Full(at_once=3, code="ResourceInsufficient")
        async with opened(service) as client:
            made = client.run([video(number) for number in range(10)])
            assert (await anext(made)).ok
            assert client.statistics().slots[Kind.VIDEO].learned_cap is None
            assert all([outcome.ok async for outcome in made])

    run(main())


def test_a_model_that_refuses_for_good_ends_within_the_retry_budget() -> None:
    async def main() -> None:
        service, began = Full(at_once=0), wall()
        async with opened(service, retry=RetryPolicy(attempts=4)) as client:
            with pytest.raises(TaskFailed, match="RequestLimitExceeded: reached the maximum") as caught:
                await client.generate(video())
            assert caught.value.code == "RequestLimitExceeded"
            assert caught.value.task_id == list(service.tasks)[-1]
            assert await client.counts() == {JobState.FAILED: 1}
            assert client.statistics().slots[Kind.VIDEO].taken == 0
        assert len(service.tasks) == 4
        times = [task.at for task in service.tasks.values()]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps == sorted(gaps)
        assert gaps[0] >= 20
        assert wall() - began < 600

    run(main())


def test_with_a_budget_of_one_send_nothing_is_sent_again() -> None:
    async def main() -> None:
        service = Full(at_once=1)
        async with opened(service, retry=RetryPolicy(attempts=1)) as client:
            outcomes = [outcome async for outcome in client.run([video(number) for number in range(3)])]
        assert sorted(outcome.ok for outcome in outcomes) == [False, False, True]
        assert len(service.tasks) == 3

    run(main())


FILES = {"FileInfos": [{"FileUrl": "http://127.0.0.1/1", "FileId": "5"}]}


@pytest.mark.parametrize(
    "output",
    [FILES, {"FileInfos": [{"FileId": "5"}]}, {"FileInfos": [], "Usage": {"Duration": 5}}, {"FileInfos": [{}]}],
)
def test_a_refusal_beside_anything_that_was_made_sends_nothing_again(output: object) -> None:
    async def main() -> None:
        service = Full(at_once=0)
        service.fault |= {"Output": output}
        async with opened(service) as client:
            with pytest.raises(TaskFailed, match="RequestLimitExceeded"):
                await client.generate(video())
        assert len(service.tasks) == 1

    run(main())


@pytest.mark.parametrize("wrapped", [True, False])
def test_on_a_relay_nothing_is_sent_again_and_the_slots_learn(wrapped: bool) -> None:
    async def main() -> None:
        service = Full("relay", at_once=1)
        service.wrapped = wrapped
        async with opened(service, videos=2) as client:
            outcomes = [outcome async for outcome in client.run([video(number) for number in range(2)])]
            assert sorted(outcome.ok for outcome in outcomes) == [False, True]
        assert len(service.tasks) == 2
        (error,) = [outcome.error for outcome in outcomes if outcome.error is not None]
        assert isinstance(error, TaskFailed)
        assert "RequestLimitExceeded" in str(error)

    run(main())


@pytest.mark.parametrize(
    "code",
    ["InvalidParameterValue", "InvalidParameter", "InvalidParameter.MediaFormat", "ResourceNotFound", "InternalError",
     "ModelGenerateFailed", "OperationCanceled", "TaskTimeout", "New.Code"],
)  # fmt: skip
def test_any_other_code_fails_this_job_alone_and_is_told(code: str) -> None:
    async def main() -> None:
        service = Full(at_once=0, code=code, message="why")
        async with opened(service) as client:
            with pytest.raises(TaskFailed, match=f"{code}: why") as caught:
                await client.generate(video())
            assert (type(caught.value), caught.value.code) == (TaskFailed, code)
        assert len(service.tasks) == 1

    run(main())


@pytest.mark.parametrize("backend", ["vod", "relay"])
@pytest.mark.parametrize("code", ["InvalidParameter.VoilationContent", "ContentModerationFailed"])
def test_moderation_is_a_content_violation_also_from_the_ledger(backend: str, code: str, tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = Full(backend, at_once=0, code=code, message="blocked"), tmp_path / "jobs.db"
        for _ in range(2):
            async with opened(service, ledger) as client:
                with pytest.raises(ContentViolation, match=f"^{code}: blocked ") as caught:
                    await client.generate(video())
                assert isinstance(caught.value, TaskFailed)
                assert caught.value.code == code
        assert len(service.tasks) == 1

    run(main())


def test_the_old_task_is_told_by_an_event_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Once(Full):
        def accept(self, task_id: str, kind: str, asked: object) -> Made:
            self.at_once = len(self.tasks)
            return super().accept(task_id, kind, asked)  # type: ignore[arg-type]

    async def main() -> None:
        service = Once()
        async with opened(service) as client:
            heard = Heard(client)
            result = await client.generate(video())
            first, second = service.tasks
            assert result.task_id == second
            assert heard.names("0/video") == ["Planned", "Paced", "Submitted", "Retried", "Paced", "Submitted", "Done"]
            (retried,) = [event for event in heard.events if isinstance(event, Retried)]
            assert (retried.error.task_id, retried.delay_s) == (first, 20.0)
            assert isinstance(retried.error, TaskFailed)
            assert first in caplog.text

    run(main())


def rows(ledger: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(ledger) as found:
        read = found.execute("SELECT state, attempts, task_id FROM jobs").fetchall()
    found.close()
    return read


def test_the_budget_goes_on_after_a_restart_and_a_planned_job_is_created_by_the_next_run(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = Full(at_once=0), tmp_path / "jobs.db"
        for creates in (1, 2):
            async with opened(service, ledger, retry=RetryPolicy(attempts=3)) as client:
                waits = asyncio.create_task(client.generate(video()))
                heard = asyncio.Event()
                client.on_event(lambda event, heard=heard: heard.set() if isinstance(event, Retried) else None)  # type: ignore[misc]
                await heard.wait()
                waits.cancel()
            assert rows(ledger) == [("planned", creates, None)]
        async with opened(service, ledger, retry=RetryPolicy(attempts=3)) as client:
            with pytest.raises(TaskFailed, match="RequestLimitExceeded"):
                await client.generate(video())
            assert len(service.tasks) == 3
            service.at_once = 1
            (job,) = await client.retry_failed()
            assert job.state is JobState.PLANNED
            assert (await client.generate(video())).urls
        assert len(service.good) == 1

    run(main())


def test_a_crash_before_the_row_is_written_asks_about_the_task_again(tmp_path: Path) -> None:
    """The task stays *submitted*: the next process polls it, hears of the refusal, and plans its job again then."""

    async def main() -> None:
        service, ledger = Full(at_once=0), tmp_path / "jobs.db"
        async with opened(service, ledger) as client:
            task = await client.submit(video())
        assert rows(ledger) == [("submitted", 1, task.task_id)]
        service.at_once = 1
        async with opened(service, ledger) as client:
            assert (await client.generate(video())).urls
        assert (len(service.tasks), len(service.good)) == (2, 1)

    run(main())


def test_a_chain_goes_on_with_its_image_and_creates_its_video_again() -> None:
    class FullOfVideos(Full):
        def accept(self, task_id: str, kind: str, asked: object) -> Made:
            self.at_once = 9 if kind == "image" or len(self.tasks) > 2 else 0
            return super().accept(task_id, kind, asked)  # type: ignore[arg-type]

    async def main() -> None:
        service = FullOfVideos()
        chain = ImageToVideo(
            id="a",
            image=ImageRequest(prompt="x", model_name="Hunyuan", model_version="3.0"),
            video=VideoRequest(prompt="x", model_name="Kling", model_version="3.0"),
        )
        async with opened(service) as client:
            made = await client.generate(chain)
        assert [task.kind for task in service.tasks.values()] == ["image", "video", "video", "video"]
        assert made.video.task_id == list(service.tasks)[-1]
        assert len({str(task.asked["FileInfos"]) for task in service.tasks.values() if task.kind == "video"}) == 1

    run(main())


def test_a_task_handed_out_by_submit_is_waited_for_through_a_refusal() -> None:
    async def main() -> None:
        service = Full(at_once=0)
        async with opened(service) as client:
            task = await client.submit(video())
            service.at_once = 1
            result = await task.wait()
            assert result.task_id == list(service.tasks)[-1] != task.task_id
            other = await client.submit(video(1))
            service.at_once = 2
            await asyncio.sleep(600)  # nobody waited when it was planned again
            assert (await other.wait()).urls

    run(main())


def test_an_attached_task_has_no_row_and_just_fails() -> None:
    async def main() -> None:
        service = Full(at_once=0)
        async with opened(service) as client:
            task = await client.submit(video())
        async with opened(service) as client:
            with pytest.raises(TaskFailed, match="RequestLimitExceeded"):
                await client.attach("video", task.task_id).wait()
            assert client.statistics().slots[Kind.VIDEO].taken == 0
        assert len(service.tasks) == 1

    run(main())


def test_two_who_wait_for_one_job_get_the_one_result_of_its_second_task() -> None:
    async def main() -> None:
        service = Full(at_once=0)
        async with opened(service) as client:
            both = [asyncio.create_task(client.generate(video())) for _ in range(2)]
            await asyncio.sleep(10)
            service.at_once = 1
            first, second = await asyncio.gather(*both)
            assert first.task_id == second.task_id
        assert len(service.good) == 1

    run(main())


def test_closing_while_a_job_waits_to_be_created_again_leaves_it_planned(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = Full(at_once=0), tmp_path / "jobs.db"
        async with opened(service, ledger) as client:
            waits = asyncio.create_task(client.generate(video()))
            retried = asyncio.Event()
            client.on_event(lambda event: retried.set() if isinstance(event, events.Retried) else None)
            await retried.wait()
            assert client.statistics().slots[Kind.VIDEO].taken == 0
        await asyncio.gather(waits, return_exceptions=True)
        assert rows(ledger) == [("planned", 1, None)]
        assert len(service.tasks) == 1

    run(main())


# --- done without a result --------------------------------------------------------------------------------------------


class Late(Full):
    """Its tasks are FINISH without a file and with a reason, until `comes`."""

    comes = False

    def _vod(self, task: Made, now: float) -> dict[str, object]:
        told = super()._vod(task, now)
        empty = {"Output": {"FileInfos": []}, "Message": "uploading"}
        if told["Status"] == "FINISH" and not self.comes:
            told["AigcVideoTask"] = {**told["AigcVideoTask"], **empty}
        return told


def test_a_task_called_done_without_a_result_is_asked_about_again_before_it_is_paid_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = Late(at_once=1), tmp_path / "jobs.db"
        async with opened(service, ledger) as client:
            with pytest.raises(TaskFailed, match="uploading"):
                await client.generate(video())
        service.comes = True
        async with opened(service, ledger) as client:
            (job,) = await client.retry_failed()
            assert job.state is JobState.SUBMITTED
            assert (await client.generate(video())).task_id == job.task_id
        assert len(service.tasks) == 1
        with sqlite3.connect(ledger) as found:
            assert found.execute("SELECT state, error FROM jobs").fetchall() == [("done", "{}")]
        found.close()

    run(main())


def test_a_result_that_never_comes_is_created_again_at_the_users_second_word(tmp_path: Path) -> None:
    async def main() -> None:
        service = Late(at_once=1)
        async with opened(service, tmp_path / "jobs.db") as client:
            for state, made in ((JobState.SUBMITTED, 1), (JobState.PLANNED, 1)):
                with pytest.raises(TaskFailed, match="uploading"):
                    await client.generate(video())
                (job,) = await client.retry_failed()
                assert (job.state, len(service.tasks)) == (state, made)
            service.comes = True
            assert (await client.generate(video())).urls
        assert len(service.tasks) == 2

    run(main())


def test_a_job_planned_again_by_the_users_word_is_not_created_by_who_waited_for_its_old_task() -> None:
    async def main() -> None:
        service = Full(at_once=0, code="ModelGenerateFailed")
        async with opened(service) as client:
            task = await client.submit(video())
            with pytest.raises(TaskFailed):
                await task.wait()
            await client.retry_failed()
            with pytest.raises(InvalidRequest, match="planned again meanwhile"):
                await task.wait()
        assert len(service.tasks) == 1

    run(main())
