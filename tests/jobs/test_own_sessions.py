"""A user's own session id keeps the guarantees: one task a session, and no task of another's is taken for one's own."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mps_aigc_async import (
    AigcClient,
    Attach,
    CreateAgain,
    CreateOutcomeUnknown,
    Drop,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobState,
    VideoRequest,
)
from mps_aigc_async.jobs.own_sessions import has_users_session, next_session, replan, users_session
from mps_aigc_async.jobs.session_holders import SessionHolders
from mps_aigc_async.ledger import JobRecord, SqliteLedger
from mps_aigc_async.ledger.record import SPENT
from mps_aigc_async.model.contents import content
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.errors import AigcError, LedgerError, ServiceError, TaskFailed
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.model.states import Kind
from mps_aigc_async.model.vod_options import SESSION_PREFIX, VodOptions
from mps_aigc_async.testing import run
from mps_aigc_async.wire import mps

from ..session_services import FULL, RelayService, Sessioned, VodService, serving
from .test_sessions import DAY_S, QUICK, client_of, only_unknown, relay_config, unknown_error_of, vod_config

SESSION = "shot-1 of film 7"
MINE = ImageRequest(id="a", prompt="a cat", vod=VodOptions(session_id=SESSION))
OTHER = ImageRequest(id="b", prompt="a dog", vod=VodOptions(session_id=SESSION))
UNANSWERED = ("504", "drop", "lost")


def sessions_sent(service: Sessioned) -> list[str]:
    return [str(body.get("SessionId", body.get("session_id"))) for body in service.bodies]


def taken(service: Sessioned, session: str = SESSION) -> None:
    """A stranger's task in the session."""
    service.create({"Prompt": "a stranger's"}, session)
    service.bodies.clear()


# --- the request ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "x" * 51, " a", "a\n", "a\x00", "mps-aigc-0", SPENT, "\ud83c", 5])
def test_a_session_id_that_no_service_could_keep_is_refused_by_its_field(text: Any) -> None:  # noqa: ANN401 — any
    with pytest.raises(InvalidRequest) as error:
        parse({"image": {"prompt": "x", "vod": {"session_id": text}}})
    assert error.value.where == "image.vod" or error.value.where.startswith("image.vod.session_id")


def test_mps_refuses_a_session_id_by_its_name() -> None:
    with pytest.raises(InvalidRequest, match=r"^vod\.session_id: MPS does not support it"):
        mps.encode(MINE)


def test_a_chain_with_one_session_for_two_steps_is_refused_before_anything_is_paid_for() -> None:
    async def main() -> None:
        service = VodService()
        step = {"prompt": "x", "vod": {"session_id": SESSION}}
        request = ImageToVideo(image=ImageRequest(**step), video=VideoRequest(**step))
        async with client_of(service, vod_config()) as client:
            with pytest.raises(InvalidRequest, match=r"video\.vod\.session_id is the image's session id too"):
                client.check(request)
            with pytest.raises(InvalidRequest, match="session id too"):
                await client.generate(request)
        assert service.bodies == []

    run(main())


def chain_with(session_id: str, request_id: str = "chain") -> ImageToVideo:
    video = VideoRequest(prompt="waves", model_name="A", vod=VodOptions(session_id=session_id))
    return ImageToVideo(id=request_id, image=ImageRequest(prompt="a lake"), video=video)


def test_a_chain_whose_video_has_anothers_session_is_refused_before_its_image_is_paid_for(tmp_path: Path) -> None:
    """In the same run as the other, after it, and in the next process."""

    async def main() -> None:
        service, ledger = VodService(), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            outcomes = {one.job_id: one async for one in client.run([MINE, chain_with(SESSION)])}
            assert outcomes["a"].ok != outcomes["chain"].ok
        loser = chain_with(SESSION) if outcomes["a"].ok else MINE
        paid = len(service.tasks)
        assert paid == (1 if outcomes["a"].ok else 2)
        for _ in range(2):
            async with client_of(service, vod_config(), ledger) as client:
                with pytest.raises(InvalidRequest, match="is the session of") as refused:
                    await client.generate(loser)
                assert refused.value.job_id
        assert len(service.bodies) == paid

    run(main())


def test_two_chains_with_one_session_pay_for_one_image() -> None:
    async def main() -> None:
        service = VodService()
        async with client_of(service, vod_config()) as client:
            outcomes = [one async for one in client.run([chain_with(SESSION, "a"), chain_with(SESSION, "b")])]
        assert sorted(one.ok for one in outcomes) == [False, True]
        assert len(service.bodies) == 2

    run(main())


def test_a_chain_that_ended_before_its_video_leaves_the_session_to_the_corrected_chain() -> None:
    async def main() -> None:
        service = VodService(fates=["InvalidParameter.VoilationContent"])
        async with client_of(service, vod_config()) as client:
            with pytest.raises(AigcError):
                await client.generate(chain_with(SESSION, "bad"))
            result = await client.generate(chain_with(SESSION, "good"))
            assert result.video.urls
            with pytest.raises(InvalidRequest, match="is the session of good/video"):
                await client.generate(chain_with(SESSION, "third"))
        assert [session for session in sessions_sent(service) if session == SESSION] == [SESSION]
        assert len(service.tasks) == 2

    run(main())


def test_a_session_that_the_ledger_could_not_keep_is_kept_at_the_next_try(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await SqliteLedger.open(tmp_path / "jobs.db", {})
        holders = SessionHolders(ledger)
        keep, calls = ledger.keep_fact, 0

        async def failing(name: str, value: str) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise LedgerError("the disk is full")
            await keep(name, value)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "keep_fact", failing)
            with pytest.raises(LedgerError):
                await holders.claim(job())
            holders.release(job())
            assert await holders.claim(job()) == SESSION
        holders.release(job())
        with pytest.raises(InvalidRequest, match="is the session of a/image"):
            await holders.claim(job(job_id="b/image"))
        assert list((await ledger.facts()).values()) == ["a/image"]
        await ledger.close()

    asyncio.run(main())


# --- one job ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", UNANSWERED)
async def test_over_a_socket_an_unanswered_create_is_sent_again_in_the_users_session(fate: str) -> None:
    service = VodService(fates=[fate], now=time.time)
    async with serving(service) as url, AigcClient(vod_config(), endpoint=str(url), retry=QUICK) as client:
        if fate == "lost":
            assert (await client.generate(MINE)).task_id == "task-0"
        else:
            error = await unknown_error_of(client, MINE)
            assert not error.accepted
            assert not error.repeatable
            assert "of this job or of another request" in error.message
            settled = await client.settle("a/image", Attach("task-0"))
            assert settled.state is JobState.SUBMITTED
            assert (await client.generate(MINE)).task_id == "task-0"
    assert sessions_sent(service) == [SESSION, SESSION]
    assert len(service.tasks) == 1


def test_a_create_refused_for_now_is_sent_again_in_the_users_session() -> None:
    async def main() -> None:
        service = VodService(fates=["RequestLimitExceeded", FULL, "ResourceUnavailable"])
        async with client_of(service, vod_config()) as client:
            assert (await client.generate(MINE)).task_id == "task-0"
        assert sessions_sent(service) == [SESSION] * 4

    run(main())


def test_a_service_that_remembers_the_session_of_a_refused_create_costs_nothing(tmp_path: Path) -> None:
    class Remembering(VodService):
        def is_taken(self, session: str) -> bool:
            return session == SESSION and len(self.bodies) > 1

    async def main() -> None:
        service = Remembering(fates=["RequestLimitExceeded"])
        async with client_of(service, vod_config(), tmp_path / "jobs.db") as client:
            assert not (await unknown_error_of(client, MINE)).accepted
            await unknown_error_of(client, MINE)
        async with client_of(service, vod_config(), tmp_path / "jobs.db") as client:
            await unknown_error_of(client, MINE)
        assert service.tasks == []
        assert sessions_sent(service) == [SESSION] * 2

    run(main())


def test_a_failed_tasks_retry_has_a_session_of_the_clients(tmp_path: Path) -> None:
    """The user's session names the failed task: the service would refuse it."""

    class Failing(VodService):
        def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:  # noqa: ANN401
            reply = super().handle(method, path, headers, body)
            if headers["X-TC-Action"] != "DescribeTaskDetail" or len(self.tasks) > 1:
                return reply
            inner = {"TaskId": "task-0", "Status": "FINISH", "ErrCode": 70000, "Message": "broken", "Output": {}}
            return 200, {"Response": {"TaskType": "AigcImageTask", "Status": "FINISH", "AigcImageTask": inner}}

    async def main() -> None:
        service, ledger = Failing(), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            with pytest.raises(TaskFailed):
                await client.generate(MINE)
            (planned,) = await client.retry_failed()
            assert planned.session_id == SPENT
        async with client_of(service, vod_config(), ledger) as client:
            service.fates = ["RequestLimitExceeded", "answer"]
            assert (await client.generate(MINE)).task_id == "task-1"
        first, *later = sessions_sent(service)
        assert first == SESSION
        assert all(session.startswith(SESSION_PREFIX) and session != SPENT for session in later)
        assert len(set(later)) == len(later) == 2

    run(main())


def test_a_create_that_failed_for_good_is_retried_in_the_users_session() -> None:
    async def main() -> None:
        service = VodService(fates=["InvalidParameterValue"])
        async with client_of(service, vod_config()) as client:
            with pytest.raises(ServiceError):
                await client.generate(MINE)
            await client.retry_failed()
            assert (await client.generate(MINE)).urls
        assert sessions_sent(service) == [SESSION] * 2

    run(main())


def test_what_the_user_makes_again_is_one_task_until_the_session_is_refused() -> None:
    async def main() -> None:
        service = VodService(fates=["no id"])
        async with client_of(service, vod_config()) as client:
            await unknown_error_of(client, MINE)  # answered without a TaskId: never sent again by itself
            assert len(service.bodies) == 1
            await client.settle("a/image", CreateAgain())
            assert (await client.generate(MINE)).task_id == "task-1"  # the user's word: a second task
        assert sessions_sent(service)[0] == SESSION
        assert sessions_sent(service)[1].startswith(SESSION_PREFIX)

    run(main())


def test_on_a_relay_the_users_word_keeps_the_session_and_proves_nothing() -> None:
    async def main() -> None:
        service = RelayService(fates=["504"])
        async with client_of(service, relay_config()) as client:
            assert "it is not sent again by itself" in (await unknown_error_of(client, MINE)).message
            await client.settle("a/image", CreateAgain())
            assert not (await unknown_error_of(client, MINE)).accepted  # it may have been a stranger's
            service.fates = ["504"]
            await unknown_error_of(client, ImageRequest(id="c", prompt="a bird"))
        assert sessions_sent(service)[:2] == [SESSION] * 2
        assert len(service.bodies) == 3, "no proof: the third request is not sent again"
        assert service.most_of_a_prompt == 1

    run(main())


@pytest.mark.parametrize("dated", [True, False])
def test_a_later_process_does_not_trust_the_age_of_a_users_session_on_a_relay(tmp_path: Path, dated: bool) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=["drop"] + ["lost"] * 5, dated=dated), tmp_path / "jobs.db"
        async with client_of(service, relay_config("trusted"), ledger, clock_step_s=2 * DAY_S) as client:
            await unknown_error_of(client, MINE)
        await asyncio.sleep(3.5 * DAY_S)
        service.dated = True
        async with client_of(service, relay_config("trusted"), ledger) as client:
            await unknown_error_of(client, MINE)
        assert len(service.tasks) == 1

    run(main())


# --- two jobs, and strangers ------------------------------------------------------------------------------------------


def test_the_second_job_of_a_session_is_refused_and_names_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = VodService(), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            outcomes = {one.job_id: one async for one in client.run([MINE, OTHER])}
            (failed,) = [one for one in outcomes.values() if not one.ok]
            held = next(one.job_id for one in outcomes.values() if one.ok)
            assert f"is the session of {held}/image" in str(failed.error)
        async with client_of(service, vod_config(), ledger) as client:  # also in the next process
            with pytest.raises(InvalidRequest, match=f"is the session of {held}/image"):
                await client.generate(MINE if held == "b" else OTHER)
        assert len(service.bodies) == len(service.tasks) == 1

    run(main())


def test_a_job_that_certainly_made_no_task_leaves_its_session_to_the_corrected_request(tmp_path: Path) -> None:
    async def main() -> None:
        service = VodService(fates=["InvalidParameter.VoilationContent"])
        async with client_of(service, vod_config(), tmp_path / "jobs.db") as client:
            with pytest.raises(AigcError):
                await client.generate(MINE)
            assert (await client.generate(OTHER)).urls
            await client.retry_failed(only=lambda _: True)
            with pytest.raises(InvalidRequest, match="is the session of b/image"):
                await client.generate(MINE)
        assert len(service.tasks) == 1

    run(main())


@pytest.mark.parametrize("give_up", [False, True])
def test_an_unknown_or_dropped_job_keeps_its_session(give_up: bool) -> None:
    async def main() -> None:
        service = VodService(fates=["no id"])
        async with client_of(service, vod_config()) as client:
            await unknown_error_of(client, MINE)
            if give_up:
                await client.settle("a/image", Drop())
            with pytest.raises(InvalidRequest, match="is the session of a/image"):
                await client.generate(OTHER)
        assert len(service.bodies) == 1

    run(main())


def test_a_strangers_task_in_the_session_is_never_taken_for_the_jobs_own(tmp_path: Path) -> None:
    """The list has the stranger's task under the same session."""

    async def main() -> None:
        service, ledger = VodService(), tmp_path / "jobs.db"
        taken(service)
        async with client_of(service, vod_config(), ledger) as client:
            error = await unknown_error_of(client, MINE)
            assert not error.accepted
            assert not error.repeatable
            job = await only_unknown(client)
            assert job.task_id is None
        for _ in range(2):
            async with client_of(service, vod_config(), ledger) as client:
                await unknown_error_of(client, MINE)
                assert (await client.generate(ImageRequest(id="c", prompt="a bird"))).urls
        assert service.looks == 0
        assert sessions_sent(service).count(SESSION) == 1

    run(main())


FATES = st.lists(
    st.sampled_from(["answer", "504", "drop", "lost", "no id", "RequestLimitExceeded", "InvalidParameterValue"]),
    max_size=6,
)
STEPS = st.lists(st.sampled_from(["again", "retry", "next process", "a day"]), max_size=4)


@settings(max_examples=60, deadline=None)
@given(fates=FATES, steps=STEPS, is_taken=st.booleans())
def test_no_history_makes_two_tasks_without_the_users_word(fates: list[str], steps: list[str], is_taken: bool) -> None:
    """In every history the session has one task at most, and a second task of the job has the user's word."""

    async def main(ledger: Path) -> None:
        service = VodService(fates=list(fates))
        if is_taken:
            taken(service)
        words = 0
        for step in ["begin", *steps]:
            async with client_of(service, vod_config(), ledger, retry=QUICK) as client:
                if step == "again" and await client.unknown():
                    await client.settle("a/image", CreateAgain())
                    words += 1
                if step == "retry":
                    words += len(await client.retry_failed())
                if step == "a day":
                    await asyncio.sleep(DAY_S)
                try:
                    result = await client.generate(MINE)
                except AigcError:
                    continue
                own = [task for task in service.tasks if task.task_id == result.task_id]
                assert [task.body["Prompt"] for task in own] == ["a cat"]
        assert service.by_session[SESSION] <= 1
        assert len(service.tasks) - is_taken <= 1 + words

    with tempfile.TemporaryDirectory() as folder:
        run(main(Path(folder, "jobs.db")))


# --- the table --------------------------------------------------------------------------------------------------------


def job(**changes: Any) -> JobRecord:  # noqa: ANN401 — any field
    values: dict[str, Any] = {"job_id": "a/image", "kind": Kind.IMAGE, "content": content(MINE), "planned_at": 1.0}
    return JobRecord(**{**values, **changes})


def test_the_next_session_after_a_certain_refusal() -> None:
    assert next_session(job(session_id=SESSION)) == ""
    assert next_session(job(session_id=f"{SESSION_PREFIX}0a")) == SPENT
    assert next_session(job(content=content(ImageRequest(prompt="x")), session_id=f"{SESSION_PREFIX}0a")) == ""


@pytest.mark.parametrize(
    ("changes", "session_id"),
    [
        ({"state": JobState.FAILED, "session_id": SESSION}, ""),
        ({"state": JobState.FAILED, "session_id": SESSION, "task_id": "t"}, SPENT),
        ({"state": JobState.FAILED, "session_id": f"{SESSION_PREFIX}0a"}, SPENT),
        ({"state": JobState.UNKNOWN, "session_id": SESSION, "error": to_record(CreateOutcomeUnknown("?"))}, ""),
        (
            {
                "state": JobState.UNKNOWN,
                "session_id": SESSION,
                "error": to_record(CreateOutcomeUnknown("?").as_not_repeatable()),
            },
            SPENT,
        ),
    ],
)
def test_the_session_of_a_job_that_is_planned_again(changes: dict[str, Any], session_id: str) -> None:
    assert replan(job(**changes)).session_id == session_id
    without = content(ImageRequest(prompt="x"))
    assert replan(job(**{**changes, "content": without})).session_id == ""


def test_a_damaged_row_has_no_users_session() -> None:
    assert users_session(job(content="{")) == ""
    assert users_session(job(content='{"vod": {"session_id": 5}}')) == ""
    assert not has_users_session(job(content="{", session_id="x"))


def test_a_job_of_a_ledger_goes_on_with_its_row(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = VodService(), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            made = await client.generate(MINE)
        async with client_of(service, vod_config(), ledger) as client:
            assert (await client.generate(MINE)).task_id == made.task_id
        assert len(service.bodies) == 1

    run(main())


def test_a_new_version_has_a_session_of_the_clients_own(tmp_path: Path) -> None:
    """The service would refuse a second create of the user's session, or call the first task its own."""

    async def main() -> None:
        service = VodService()
        async with client_of(service, vod_config(), tmp_path / "jobs.db") as client:
            first = await client.generate(MINE)
            again = await client.redo("a")
            changed = await client.redo("a", MINE.model_copy(update={"prompt": "a dog"}))
        own, *others = sessions_sent(service)
        assert own == SESSION
        assert all(session.startswith(SESSION_PREFIX) for session in others)
        assert len(service.tasks) == len({str(result) for result in (first, again, changed)}) == 3

    run(main())
