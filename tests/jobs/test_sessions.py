"""An unknown create is sent again only where a second one of its session is refused: nothing is paid for twice."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from mps_aigc_async import (
    AigcClient,
    Config,
    CreateAgain,
    CreateOutcomeUnknown,
    ImageRequest,
    ImageResult,
    JobRecord,
    JobState,
    Kind,
    NoTaskId,
    RetryPolicy,
    VideoRequest,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.jobs.sessions import LIST_LAG_S, UNDATED, as_create
from mps_aigc_async.ledger import MemoryLedger
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.contents import beyond, content
from mps_aigc_async.model.errors import AigcError, ServiceError, TransportError
from mps_aigc_async.model.parsing import step_of
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import run, wall
from mps_aigc_async.wire.dialect import Call, HttpAnswer, HttpRequest

from ..session_services import FULL, SESSION_TAKEN, RelayService, Sessioned, VodService, serving
from ..support import KEYS, Heard
from ..wire.oracles import VOD_VIDEO_FIELDS, some_of

DAY_S = 24 * 3600.0
REQUEST = ImageRequest(id="a", prompt="a cat")
UNANSWERED = ("504", "drop", "lost")
QUICK = RetryPolicy(base_s=0.001, cap_s=0.002)


def relay_config(sessions: str | None = None, *, url: str = "http://127.0.0.1:80", model: str = "A") -> Config:
    relay: dict[str, Any] = {"baseUrl": url, "apiKey": "sk-EXAMPLE"}
    image = {"modelName": model, "modelVersion": "1"}
    return Config.parse(
        {
            "backend": "relay",
            "relay": relay if sessions is None else {**relay, "sessions": sessions},
            "mps": {"imageGeneration": image},
            "catalog": "off",
            "concurrency": {"maxImageTasks": 2, "pollIntervalMs": 1000},
        }
    )


def vod_config(*, sub_app_id: int | None = 1, model: str = "A") -> Config:
    return Config.parse(
        {
            "backend": "vod",
            "tencentCloud": KEYS,
            "vod": {"subAppId": sub_app_id},
            "mps": {"imageGeneration": {"modelName": model}},
            "catalog": "off",
            "concurrency": {"maxImageTasks": 2, "pollIntervalMs": 1000},
        }
    )


@asynccontextmanager
async def client_of(
    service: Sessioned,
    config: Config,
    ledger: Path | None = None,
    *,
    clock_step_s: float = 0.0,
    retry: RetryPolicy | None = None,
) -> AsyncIterator[AigcClient]:
    """A client in virtual time, on a machine whose clock may be wrong."""
    client = AigcClient(
        config, ledger=ledger, transport=lambda: service, wall=lambda: wall() + clock_step_s, retry=retry
    )
    async with client:
        yield client


async def unknown_error_of(client: AigcClient, request: ImageRequest = REQUEST) -> CreateOutcomeUnknown:
    with pytest.raises(CreateOutcomeUnknown) as caught:
        await client.generate(request)
    return caught.value


async def only_unknown(client: AigcClient) -> JobRecord:
    (job,) = await client.unknown()
    return job


# --- a relay that nobody trusts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("honours", [False, True])
@pytest.mark.parametrize("fate", ["504", "drop"])
async def test_over_a_socket_a_relays_unknown_create_is_sent_once(fate: str, honours: bool) -> None:
    service = RelayService(fates=[fate] * 9, honours=honours, now=lambda: 0.0)
    async with serving(service) as url, AigcClient(relay_config(url=str(url)), retry=QUICK) as client:
        heard = Heard(client)
        for _ in range(2):
            error = await unknown_error_of(client)
        assert "it is not sent again by itself (this relay has not shown" in error.message
        assert '"sessions": "trusted"' in error.message
        assert heard.names("a/image") == ["Planned", "Paced", "Unknown"]
    assert len(service.bodies) == len(service.tasks) == 1


@pytest.mark.parametrize("wrapped", [False, True])
async def test_over_a_socket_a_relay_that_is_trusted_is_sent_the_session_again(wrapped: bool) -> None:
    service = RelayService(fates=["504", "lost"], wrapped=wrapped, now=lambda: 0.0)
    async with serving(service) as url, AigcClient(relay_config("trusted", url=str(url)), retry=QUICK) as client:
        error = await unknown_error_of(client)
        assert error.accepted
        assert "look for its task in the console" in error.message
    assert len(service.tasks) == 1
    assert len(service.bodies) == 3
    assert len({str(body["session_id"]) for body in service.bodies}) == 1


@pytest.mark.parametrize("fate", ["504", "drop"])
def test_the_next_process_does_not_send_it_either(tmp_path: Path, fate: str) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=[fate], honours=False), tmp_path / "jobs.db"
        for _ in range(3):
            async with client_of(service, relay_config(), ledger) as client:
                await unknown_error_of(client)
                assert (await only_unknown(client)).job_id == "a/image"
        assert len(service.bodies) == len(service.tasks) == 1

    run(main())


@pytest.mark.parametrize(("sessions", "sent"), [("unproven", 1), ("trusted", 2)])
def test_a_crash_between_intent_and_answer(tmp_path: Path, sessions: str, sent: int) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=["answer", "drop"]), tmp_path / "jobs.db"
        async with client_of(service, relay_config(), ledger) as client:
            await client.generate(ImageRequest(id="first", prompt="tells the time"))
            await unknown_error_of(client)
        with closing(sqlite3.connect(ledger)) as rows, rows:  # as a process that was killed leaves it
            rows.execute("UPDATE jobs SET state = 'intent', error = '{}' WHERE job_id = 'a/image'")
        async with client_of(service, relay_config(sessions), ledger) as client:
            error = await unknown_error_of(client)
            assert error.accepted == (sessions == "trusted")
        assert len(service.bodies) == 1 + sent
        assert len(service.tasks) == 2

    run(main())


# --- how a relay is proven --------------------------------------------------------------------------------------------


def test_a_create_that_the_user_makes_again_keeps_its_session_and_proves_the_relay(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=["504"]), tmp_path / "jobs.db"
        async with client_of(service, relay_config(), ledger) as client:
            await unknown_error_of(client)
            await client.settle("a/image", CreateAgain())
            assert (await unknown_error_of(client)).accepted  # the user was wrong, and paid once
            assert len(service.tasks) == 1
        async with client_of(service, relay_config(), ledger) as client:  # and the next process knows
            service.fates = ["504"]
            other = ImageRequest(id="b", prompt="a dog")
            assert (await unknown_error_of(client, other)).accepted
            assert len(service.bodies) == 4
            service.fates = ["504"]  # not of another model, which may have another upstream
            strange = ImageRequest(id="c", prompt="a bird", model_name="B", model_version="1")
            assert not (await unknown_error_of(client, strange)).accepted
            assert len(service.bodies) == 5
        assert service.most_of_a_prompt == 1
        async with client_of(service, relay_config(), tmp_path / "other.db") as client:  # another ledger knows nothing
            service.fates = ["504"]
            assert not (await unknown_error_of(client, ImageRequest(id="d", prompt="a fish"))).accepted

    run(main())


def test_a_proof_is_not_carried_to_another_base_url(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=["504"]), tmp_path / "jobs.db"
        async with client_of(service, relay_config("trusted"), ledger) as client:
            assert (await unknown_error_of(client)).accepted
        with closing(sqlite3.connect(ledger)) as rows, rows:  # by whatever means it came to this endpoint
            rows.execute("UPDATE belongs_to SET is_for = 'http://127.0.0.1:81/' WHERE what = 'endpoint'")
        service.fates = ["504"]
        async with client_of(service, relay_config(url="http://127.0.0.1:81"), ledger) as client:
            assert not (await unknown_error_of(client, ImageRequest(id="b", prompt="a dog"))).accepted
        assert service.most_of_a_prompt == 1

    run(main())


def test_a_session_refused_at_its_first_create_proves_nothing(tmp_path: Path) -> None:
    """A relay may refuse the form of a session by the same code."""

    async def main() -> None:
        service = RelayService(honours=False)
        service.refuses_first = True
        async with client_of(service, relay_config(), tmp_path / "jobs.db") as client:
            assert (await unknown_error_of(client)).accepted
            service.fates = ["504"]
            await unknown_error_of(client, ImageRequest(id="b", prompt="a dog"))
        assert len(service.bodies) == 2

    run(main())


def test_a_known_task_that_the_user_wants_again_gets_a_session_of_its_own() -> None:
    async def main() -> None:
        service = RelayService(fates=["504"])
        async with client_of(service, relay_config("trusted")) as client:
            assert (await unknown_error_of(client)).accepted
            await client.settle("a/image", CreateAgain())
            assert (await client.generate(REQUEST)).urls
        assert len(service.by_session) == len(service.tasks) == 2

    run(main())


def test_a_create_made_again_that_is_refused_for_now_keeps_its_session() -> None:
    async def main() -> None:
        service = RelayService(fates=["504"])
        async with client_of(service, relay_config()) as client:
            await unknown_error_of(client)
            await client.settle("a/image", CreateAgain())
            service.fates = ["RequestLimitExceeded", "RequestLimitExceeded"]
            assert (await unknown_error_of(client)).accepted
        assert len(service.tasks) == 1

    run(main())


# --- an answer without a TaskId ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["no id", "page"])
def test_nothing_is_sent_again_after_an_answer_without_a_task_id(tmp_path: Path, fate: str) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=[fate], honours=False), tmp_path / "jobs.db"
        for _ in range(2):
            async with client_of(service, relay_config("trusted"), ledger) as client:
                heard = Heard(client)
                error = await unknown_error_of(client)
                assert "Retried" not in heard.names("a/image")
                assert not error.repeatable
                assert not error.accepted
                assert "it is not sent again: look for its task in the console" in error.message
        assert len(service.bodies) == 1

    run(main())


@pytest.mark.parametrize("fate", ["no id", "page"])
def test_on_vod_its_task_is_found_by_its_session(fate: str) -> None:
    async def main() -> None:
        service = VodService(fates=[fate])
        async with client_of(service, vod_config()) as client:
            assert (await client.generate(REQUEST)).task_id == "task-0"
        assert len(service.bodies) == 1

    run(main())


def raising(error: AigcError, *, signs_time: bool, status: int = 200) -> AigcError:
    def decode(_answer: HttpAnswer) -> None:
        raise error

    call = as_create(Call("CreateX", b"", decode), signs_time=signs_time)
    with pytest.raises(AigcError) as caught:
        call.decode(HttpAnswer(status, {}, b""))
    return caught.value


def test_what_an_answer_leaves_open_is_typed() -> None:
    unclear = TransportError("no envelope", ending=Ending.UNKNOWN)
    broken = ServiceError("InternalError", "broken", ending=Ending.UNKNOWN)
    refused = ServiceError("Some.Code", "no", ending=Ending.REFUSED)
    for signs_time in (True, False):
        assert isinstance(raising(unclear, signs_time=signs_time), NoTaskId)
        assert raising(unclear, signs_time=signs_time, status=504) is unclear
        assert raising(refused, signs_time=signs_time) is refused
    assert raising(broken, signs_time=True) is broken  # VOD answers its own errors with 200
    assert isinstance(raising(broken, signs_time=False), NoTaskId)


# --- which application ------------------------------------------------------------------------------------------------


def written_before(ledger: Path) -> None:
    """Make the ledger one of an earlier version."""
    with closing(sqlite3.connect(ledger)) as rows, rows:
        rows.execute("DELETE FROM belongs_to WHERE what = 'subAppId'")


def test_a_ledger_of_one_application_is_not_opened_for_another(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = VodService(fates=["drop"] + ["lost"] * 5), tmp_path / "jobs.db"
        async with client_of(service, vod_config(sub_app_id=1), ledger) as client:
            await unknown_error_of(client)
        for other in (2, None):
            with pytest.raises(
                Exception, match=f"belongs to subAppId '1', and this client is of subAppId '{other or 'none'}'"
            ):
                async with client_of(service, vod_config(sub_app_id=other), ledger):
                    pass
        assert len(service.bodies) == 6

    run(main())


@pytest.mark.parametrize(
    ("config", "scope"),
    [
        (vod_config(sub_app_id=7), {"subAppId": "7"}),
        (vod_config(sub_app_id=None), {"subAppId": "none"}),
        (relay_config(), {}),
    ],
    ids=["vod", "vod-none", "relay"],
)
def test_only_vods_ledgers_belong_to_an_application(tmp_path: Path, config: Config, scope: dict[str, str]) -> None:
    async def main() -> None:
        async with client_of(VodService(), config, tmp_path / "jobs.db"):
            pass
        with open_snapshot(tmp_path / "jobs.db") as ledger:
            owner = dict(ledger.owner())
        assert {name: owner.pop(name) for name in scope} == scope
        assert set(owner) == {"account", "backend", "endpoint"}

    run(main())


@pytest.mark.parametrize("backend", ["vod", "relay"])
def test_a_task_is_asked_about_and_attached_to_in_any_application(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        service = VodService() if backend == "vod" else RelayService()
        config = vod_config() if backend == "vod" else relay_config()
        async with client_of(service, config, tmp_path / "jobs.db") as client:
            made = await client.generate(REQUEST)
        other = vod_config(sub_app_id=2) if backend == "vod" else relay_config("trusted")
        async with client_of(service, other) as client:
            assert (await client.status(Kind.IMAGE, made.task_id)).urls == made.urls
            assert (await client.attach(Kind.IMAGE, made.task_id).wait()).urls == made.urls

    run(main())


def test_an_older_ledger_becomes_the_configs_and_its_unknown_jobs_are_not_sent_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service, ledger = (
            VodService(fates=["answer", "lost", "lost", "lost", "lost", "lost", "lost"]),
            tmp_path / "jobs.db",
        )
        async with client_of(service, vod_config(sub_app_id=1), ledger) as client:
            await client.generate(ImageRequest(id="paid", prompt="a dog"))
            await unknown_error_of(client)
        written_before(ledger)
        caplog.clear()
        for warned in (True, False):
            async with client_of(service, vod_config(sub_app_id=2), ledger) as client:
                assert not (await unknown_error_of(client)).repeatable
                await client.generate(ImageRequest(id="new", prompt="a bird"))
            told = [record.getMessage() for record in caplog.records if "does not name its subAppId" in record.message]
            assert bool(told) == warned
            assert all("the config's is assumed, 2" in text and "1 of its jobs are unknown" in text for text in told)
            caplog.clear()
        assert len(service.bodies) == 8
        with pytest.raises(Exception, match="belongs to subAppId '2'"):
            async with client_of(service, vod_config(sub_app_id=1), ledger):
                pass

    run(main())


def test_an_older_ledger_that_was_opened_with_a_wrong_config_is_opened_with_the_corrected_one(tmp_path: Path) -> None:
    """As its warning asks for: nothing was created meanwhile, so that nothing of it is the other application's."""

    async def main() -> None:
        service, ledger = VodService(), tmp_path / "jobs.db"
        async with client_of(service, vod_config(sub_app_id=1), ledger) as client:
            made = await client.generate(REQUEST)
        written_before(ledger)
        async with client_of(service, vod_config(sub_app_id=2), ledger) as client:
            assert (await client.generate(REQUEST)).task_id == made.task_id
        async with client_of(service, vod_config(sub_app_id=1), ledger) as client:
            await client.generate(ImageRequest(id="new", prompt="a bird"))
        for other in (2, None):
            with pytest.raises(Exception, match="belongs to subAppId '1'"):
                async with client_of(service, vod_config(sub_app_id=other), ledger):
                    pass

    run(main())


def test_an_older_ledger_without_unknown_jobs_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        service, ledger = VodService(), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            await client.generate(REQUEST)
        written_before(ledger)
        async with client_of(service, vod_config(), ledger) as client:
            assert (await client.generate(REQUEST)).task_id == "task-0"
        assert "0 of its jobs are unknown" in caplog.text

    run(main())


# --- how old a session is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window_s", [300.0, 1e9])
@pytest.mark.parametrize("behind_s", [0.0, 2 * DAY_S, 10 * DAY_S])
def test_a_session_that_vod_has_forgotten_is_not_sent_again_whatever_the_machines_clock_says(
    tmp_path: Path, behind_s: float, window_s: float
) -> None:
    async def main() -> None:
        service, ledger = VodService(fates=["drop"] + ["lost"] * 5, window_s=window_s), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            await unknown_error_of(client)
        await asyncio.sleep(4 * DAY_S)
        async with client_of(service, vod_config(), ledger, clock_step_s=-behind_s) as client:
            service.lag_s = 1e9  # the list has only 3 days
            await unknown_error_of(client)
        assert len(service.tasks) == 1
        assert len(service.bodies) == 6

    run(main())


def test_a_session_that_seems_to_begin_in_the_future_is_not_sent_again(tmp_path: Path) -> None:
    """The machine's clock was set back by more than has passed, and no answer tells the time: the age is unknown."""

    async def main() -> None:
        fates = ["drop"] + ["lost"] * 5
        service, ledger = VodService(fates=fates, window_s=1e9, dated=False), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            await unknown_error_of(client)
        await asyncio.sleep(4 * DAY_S)
        service.lag_s = 1e9  # the list has only 3 days
        async with client_of(service, vod_config(), ledger, clock_step_s=-4.5 * DAY_S) as client:
            assert not (await unknown_error_of(client)).accepted
        assert len(service.tasks) == 1
        assert len(service.bodies) == 6

    run(main())


def test_the_time_is_judged_anew_when_a_signature_was_refused_for_it(tmp_path: Path) -> None:
    """Nothing but the refused create tells the time: VOD's reads fail."""

    class Mute(VodService):
        def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:  # noqa: ANN401
            is_read = headers["X-TC-Action"].startswith("Describe")
            return None if is_read and self.lag_s else super().handle(method, path, headers, body)

    async def main() -> None:
        service, ledger = Mute(fates=["drop"] + ["lost"] * 5), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            await unknown_error_of(client)
        service.lag_s = 1e9
        await asyncio.sleep(4 * DAY_S)
        async with client_of(service, vod_config(), ledger, clock_step_s=-2 * DAY_S) as client:
            await unknown_error_of(client)
        assert len(service.tasks) == 1

    run(main())


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("behind_s", [0.0, 2 * DAY_S, 10 * DAY_S])
def test_a_session_that_a_relay_has_forgotten_is_not_sent_again(tmp_path: Path, behind_s: float, dated: bool) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=["answer", "drop"] + ["lost"] * 5), tmp_path / "jobs.db"
        async with client_of(service, relay_config("trusted"), ledger) as client:
            await client.generate(ImageRequest(id="first", prompt="tells the time"))
            await unknown_error_of(client)
        await asyncio.sleep(4 * DAY_S)
        service.dated = dated
        async with client_of(service, relay_config("trusted"), ledger, clock_step_s=-behind_s) as client:
            await unknown_error_of(client)
        assert service.most_of_a_prompt == 1

    run(main())


@pytest.mark.parametrize(("dated", "sent"), [(True, 2), (False, 0)])
@pytest.mark.parametrize("step_s", [0.0, -DAY_S, DAY_S])
def test_a_young_one_is_sent_again_by_the_next_process_if_the_relay_tells_the_time(
    tmp_path: Path, step_s: float, dated: bool, sent: int
) -> None:
    async def main() -> None:
        service, ledger = RelayService(fates=["answer", "drop"] + ["lost"] * 5), tmp_path / "jobs.db"
        async with client_of(service, relay_config("trusted"), ledger) as client:
            await client.generate(ImageRequest(id="first", prompt="tells the time"))
            await unknown_error_of(client)
        before = len(service.bodies)
        await asyncio.sleep(2 * DAY_S)
        service.dated, service.fates = dated, ["lost"]
        async with client_of(service, relay_config("trusted"), ledger, clock_step_s=step_s) as client:
            assert (await unknown_error_of(client)).accepted == dated
        assert len(service.bodies) == before + sent
        assert service.most_of_a_prompt == 1

    run(main())


def test_a_trusted_relay_is_asked_for_its_time_before_the_first_session(tmp_path: Path) -> None:
    """Nothing else may be answered before the process ends."""

    async def main() -> None:
        service, ledger = RelayService(fates=["drop"] + ["lost"] * 5), tmp_path / "jobs.db"
        async with client_of(service, relay_config("trusted"), ledger, clock_step_s=2 * DAY_S) as client:
            await unknown_error_of(client)
            assert service.reads == 1
        await asyncio.sleep(2 * DAY_S)
        async with client_of(service, relay_config("trusted"), ledger) as client:
            assert (await unknown_error_of(client)).accepted
        assert len(service.tasks) == 1

    run(main())


def test_an_age_by_a_clock_that_nothing_confirmed_is_not_believed(tmp_path: Path) -> None:
    """The machine was 2 days ahead when the session began: it seems young when the relay has forgotten it."""

    async def main() -> None:
        service, ledger = RelayService(fates=["drop"] + ["lost"] * 5, dated=False), tmp_path / "jobs.db"
        async with client_of(service, relay_config("trusted"), ledger, clock_step_s=2 * DAY_S) as client:
            await unknown_error_of(client)
            assert (await only_unknown(client)).session_id.startswith(UNDATED)
            assert len(service.bodies) == 6  # this process knows how long ago it was
        await asyncio.sleep(3.5 * DAY_S)
        service.dated = True
        async with client_of(service, relay_config("trusted"), ledger) as client:
            await unknown_error_of(client)
        assert len(service.tasks) == 1

    run(main())


def test_a_machine_that_slept_does_not_take_a_session_for_young(tmp_path: Path) -> None:
    """The monotonic clock stands still while it sleeps, and so does the service's time as it knows it."""
    slept = 0.0

    async def main() -> None:
        nonlocal slept
        service = RelayService(fates=["answer", "drop"] + ["lost"] * 5, now=lambda: wall() + slept)
        client = AigcClient(
            relay_config("trusted"), ledger=tmp_path / "jobs.db", transport=lambda: service, wall=lambda: wall() + slept
        )
        async with client:
            await client.generate(ImageRequest(id="first", prompt="tells the time"))
            await unknown_error_of(client)
            slept = 4 * DAY_S
            await unknown_error_of(client)
        assert service.most_of_a_prompt == 1

    run(main())


# --- its task in the list ---------------------------------------------------------------------------------------------


def test_the_list_is_looked_at_again_while_it_may_lag_and_holds_up_nobody() -> None:
    async def main() -> None:
        service = VodService(fates=["drop"], lag_s=20.0)
        async with client_of(service, vod_config()) as client:
            found = asyncio.create_task(client.generate(REQUEST))
            await asyncio.sleep(5)
            began = wall()
            await client.generate(ImageRequest(id="b", prompt="a dog"))
            assert wall() - began < 5
            assert not found.done()
            assert (await found).task_id == "task-0"
        assert len(service.tasks) == 2

    run(main())


def test_the_looks_are_bounded_and_later_runs_look_again(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = VodService(fates=["drop"], lag_s=600.0), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            began = wall()
            assert (await unknown_error_of(client)).accepted
            assert LIST_LAG_S - 5 < wall() - began < LIST_LAG_S + 5
            assert service.looks == 3 * 7
            await unknown_error_of(client)  # the list no longer lags behind it, as far as anyone knows: one look
            assert service.looks == 3 * 8
        await asyncio.sleep(600)
        async with client_of(service, vod_config(), ledger) as client:
            assert (await client.generate(REQUEST)).task_id == "task-0"
        assert len(service.bodies) == 2

    run(main())


def test_cancelled_or_closed_while_the_list_is_looked_at_the_proof_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = VodService(fates=["drop"], lag_s=20.0), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            caller = asyncio.create_task(client.generate(REQUEST))
            await asyncio.sleep(5)
            caller.cancel()
            await asyncio.wait({caller})
            assert (await only_unknown(client)).recorded_error().accepted  # type: ignore[attr-defined] # of its class
            again = asyncio.create_task(client.generate(REQUEST))
            await asyncio.sleep(1)
            began = wall()
        assert wall() - began < 1
        assert isinstance((await asyncio.gather(again, return_exceptions=True))[0], Exception)
        await asyncio.sleep(20)
        async with client_of(service, vod_config(), ledger) as client:
            assert (await client.generate(REQUEST)).task_id == "task-0"
        assert len(service.tasks) == 1

    run(main())


def test_two_tasks_of_one_session_end_the_trust_in_sessions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        service, ledger = VodService(fates=["drop", "no id"], honours=False), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            await client.generate(REQUEST)
            assert "two tasks of one session of a/image, task-0 and task-1" in caplog.text
        async with client_of(service, vod_config(), ledger) as client:
            service.fates, service.lag_s = ["504"], 1e9
            error = await unknown_error_of(client, ImageRequest(id="b", prompt="a dog"))
            assert "the service has made two tasks of one session" in error.message
        assert [body["Prompt"] for body in service.bodies].count("a dog") == 1

    run(main())


# --- what is sent again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "config_of", "name"),
    [
        (VodService, lambda model: vod_config(model=model), "ModelName"),
        (RelayService, lambda model: relay_config("trusted", model=model), "model_name"),
    ],
)
def test_a_session_carries_the_request_that_was_first_sent_in_it(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    service: Callable[..., Sessioned],
    config_of: Callable[[str], Config],
    name: str,
) -> None:
    async def main() -> None:
        server, ledger = service(fates=["answer"] + ["lost"] * 6), tmp_path / "jobs.db"
        async with client_of(server, config_of("A"), ledger) as client:
            await client.generate(ImageRequest(id="first", prompt="tells the time"))
            await unknown_error_of(client)
        async with client_of(server, config_of("B"), ledger) as client:
            made: ImageResult = await client.generate(REQUEST)
            assert made.task_id == "task-1"
            assert (await client.generate(ImageRequest(id="new", prompt="a dog"))).urls
        bodies = [body for body in server.bodies if "a cat" in body.values()]
        assert {str(body[name]) for body in bodies} == {"A"}
        assert all(body == bodies[0] for body in bodies)
        assert server.bodies[-1][name] == "B"
        assert "a/image is sent again as it was sent first, since it may have been accepted" in caplog.text
        assert "model_name 'A', now 'B'" in caplog.text

    run(main())


@given(asked=some_of(VOD_VIDEO_FIELDS), filled_in=some_of(VOD_VIDEO_FIELDS))
def test_the_row_of_a_job_tells_the_request_that_was_sent(asked: dict[str, Any], filled_in: dict[str, Any]) -> None:
    """Whatever was filled in, also in place of what the user wrote."""
    written, sent = VideoRequest(prompt="x", **asked), VideoRequest(**{"prompt": "x", **asked, **filled_in})
    row = json.loads(json.dumps({**json.loads(content(written)), **beyond(sent, content(written))}))
    restored = step_of(Kind.VIDEO, row)
    assert content(restored) == content(sent)


async def slow_to_end() -> None:
    """Work that takes a second to end after it was cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(1.0)


def test_a_create_that_was_never_sent_is_sent_as_the_config_says_now(tmp_path: Path) -> None:
    """The client is closed while its create waits for its send time, which comes while the client still closes: the
    session has gone nowhere."""

    async def main() -> None:
        service, ledger = VodService(), tmp_path / "jobs.db"
        async with client_of(service, vod_config(model="A"), ledger) as client:
            paced = asyncio.Event()
            client.on_event(
                lambda event: paced.set() if type(event).__name__ == "Paced" and event.job_id == "a/image" else None
            )
            first = asyncio.create_task(client.generate(ImageRequest(id="first", prompt="a dog")))
            second = asyncio.create_task(client.generate(REQUEST))
            await paced.wait()
            assert client._engine is not None
            client._engine.work.start(slow_to_end(), "work that a close waits for")
            await asyncio.sleep(0)
        await asyncio.gather(first, second, return_exceptions=True)
        with closing(sqlite3.connect(ledger)) as rows:
            found = rows.execute("SELECT state, session_id FROM jobs WHERE job_id = 'a/image'").fetchall()
        assert found == [("planned", "")]
        async with client_of(service, vod_config(model="B"), ledger) as client:
            await client.generate(REQUEST)
        assert [body["ModelName"] for body in service.bodies if body["Prompt"] == "a cat"] == ["B"]

    run(main())


def test_an_unknown_create_that_cannot_be_read_is_not_sent_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service, ledger = VodService(fates=["lost"] * 6), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            await unknown_error_of(client)
        with closing(sqlite3.connect(ledger)) as rows, rows:
            rows.execute("""UPDATE jobs SET filled_in = '{"a_field_of_another_version": 1}'""")
        async with client_of(service, vod_config(), ledger) as client:
            await unknown_error_of(client)
        assert "a/image cannot be sent again as it was sent first" in caplog.text
        assert len(service.bodies) == 6

    run(main())


# --- the error of an unknown create -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trusted", [False, True])
def test_the_error_says_whether_it_is_sent_again(trusted: bool) -> None:
    async def main() -> None:
        service = RelayService(fates=["lost"] * 6)
        async with client_of(service, relay_config("trusted" if trusted else "unproven")) as client:
            heard = Heard(client)
            error = await unknown_error_of(client)
            assert ("for 3 days the same request sends the create again" in error.message) == trusted
            assert ("it is not sent again by itself" in error.message) != trusted
            assert heard.names("a/image").count("Unknown") == 1
            assert heard.names("a/image")[-1] == "Unknown"
        assert len(service.bodies) == (6 if trusted else 1)

    run(main())


def test_an_unknown_job_for_which_there_is_no_room_stays_unknown() -> None:
    async def main() -> None:
        service = VodService(fates=["lost"] + ["LimitExceeded.CreateTask"] * 200)
        async with client_of(service, vod_config(), retry=RetryPolicy(busy_seconds=60)) as client:
            heard = Heard(client)
            await unknown_error_of(client)
            assert heard.names("a/image")[-1] == "Unknown"

    run(main())


@pytest.mark.parametrize(
    "refusals", [["FailedOperation.UserArrears"], ["LimitExceeded.CreateTask"] * 9], ids=["account", "for now"]
)
def test_a_repeat_that_is_refused_leaves_the_first_its_slot(refusals: list[str]) -> None:
    """The task of the first create may be running, whatever became of the second one."""

    async def main() -> None:
        service = VodService(fates=["lost", *refusals])
        async with client_of(service, vod_config()) as client:
            await unknown_error_of(client)
            assert client.statistics().slots[Kind.IMAGE].taken == 1
        assert len(service.bodies) >= 2

    run(main())


def test_an_unknown_create_that_waits_for_room_keeps_its_slot_and_needs_no_second() -> None:
    async def main() -> None:
        service = VodService(fates=["lost"] + [FULL] * 4)
        async with client_of(service, vod_config()) as client:
            heard, taken = Heard(client), list[int]()
            client.on_event(lambda _: taken.append(client.statistics().slots[Kind.IMAGE].taken))
            began = wall()
            await client.generate(REQUEST)
            assert heard.names("a/image").count("Retried") == 5
            assert taken[taken.index(1) : -2] == [1] * (len(taken) - 2 - taken.index(1))
            assert wall() - began < 120  # a probe of the model's cap every 20 s
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_a_repeat_that_was_under_way_at_a_kill_has_its_slot_in_the_next_process(tmp_path: Path) -> None:
    """Its task may be running, however old the first create is."""

    async def main() -> None:
        service, ledger = VodService(fates=["lost"] * 6), tmp_path / "jobs.db"
        async with client_of(service, vod_config(), ledger) as client:
            await unknown_error_of(client)
            await asyncio.sleep(3600)
            client.on_event(lambda event: killed(ledger) if type(event).__name__ == "Paced" else None)
            await client.generate(REQUEST)
        async with client_of(service, vod_config(), tmp_path / "killed" / "jobs.db") as client:
            assert (await only_unknown(client)).job_id == "a/image"
            assert client.statistics().slots[Kind.IMAGE].taken == 1

    run(main())


def killed(ledger: Path) -> None:
    """Keep the ledger as a process leaves it that is killed now."""
    (ledger.parent / "killed").mkdir()
    for file in ledger.parent.glob(f"{ledger.name}*"):
        shutil.copy(file, ledger.parent / "killed")


@pytest.mark.parametrize("fate", ["drop", "lost"], ids=["found in the list", "sent again"])
def test_a_task_whose_create_was_unknown_has_not_ended_while_it_runs(tmp_path: Path, fate: str) -> None:
    async def main() -> None:
        rows, ledger = list[JobRecord](), tmp_path / "jobs.db"
        async with client_of(VodService(fates=[fate]), vod_config(), ledger) as client:
            client.on_event(lambda event: rows.extend(rows_of(ledger)) if type(event).__name__ == "Submitted" else None)
            await client.generate(REQUEST)
        assert [(job.state, job.ended_at) for job in rows] == [(JobState.SUBMITTED, None)]

    run(main())


def rows_of(ledger: Path) -> list[JobRecord]:
    with open_snapshot(ledger) as moment:
        return [job for _, jobs in moment.requests() for job in jobs]


def test_a_caller_that_left_does_not_keep_the_unknown_create_from_listeners() -> None:
    async def main() -> None:
        service = RelayService(fates=["lost"] * 6)
        async with client_of(service, relay_config("trusted")) as client:
            heard, sent, told = Heard(client), asyncio.Event(), asyncio.Event()
            events = {"Paced": sent, "Unknown": told}
            client.on_event(lambda event: events.get(type(event).__name__, asyncio.Event()).set())
            caller = asyncio.create_task(client.generate(REQUEST))
            await sent.wait()
            caller.cancel()
            await asyncio.wait_for(told.wait(), 60)
            assert heard.names("a/image") == ["Planned", "Paced", "Unknown"]
        assert len(service.bodies) == 1

    run(main())


def test_a_caller_that_leaves_while_there_is_no_room_does_not_keep_the_unknown_create_from_listeners() -> None:
    async def main() -> None:
        service = VodService(fates=["lost"] + [FULL] * 9)
        async with client_of(service, vod_config()) as client:
            heard, refused = Heard(client), asyncio.Event()
            client.on_event(lambda _: refused.set() if heard.names("a/image").count("Retried") == 2 else None)
            caller = asyncio.create_task(client.generate(REQUEST))
            await refused.wait()
            caller.cancel()
            await asyncio.wait({caller})
            assert heard.names("a/image") == ["Planned", "Paced", "Retried", "Paced", "Retried", "Unknown"]
            assert client.statistics().slots[Kind.IMAGE].taken == 1

    run(main())


def test_a_caller_that_leaves_while_the_doubt_is_written_does_not_keep_it_from_listeners(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, writes = MemoryLedger.put, asyncio.Event()

    async def slow(ledger: MemoryLedger, job: JobRecord) -> None:
        if job.state is JobState.UNKNOWN:
            writes.set()
            await asyncio.sleep(1)
        await put(ledger, job)

    monkeypatch.setattr(MemoryLedger, "put", slow)

    async def main() -> None:
        async with client_of(VodService(fates=["lost"]), vod_config()) as client:
            heard = Heard(client)
            caller = asyncio.create_task(client.generate(REQUEST))
            await writes.wait()
            caller.cancel()
            await asyncio.sleep(2)
            assert heard.names("a/image") == ["Planned", "Paced", "Unknown"]

    run(main())


class SlowVod(VodService):
    """Its answers are on their way for half a second."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        await asyncio.sleep(0.5)
        return answer


@pytest.mark.parametrize("service", [VodService, SlowVod])
@pytest.mark.parametrize(("fate", "last"), [(FULL, "Unknown"), ("answer", "Submitted")])
def test_a_caller_that_leaves_the_second_create_does_not_keep_the_doubt_from_listeners(
    fate: str, last: str, service: type[VodService]
) -> None:
    async def main() -> None:
        async with client_of(service(fates=["lost", fate]), vod_config()) as client:
            heard, again = Heard(client), asyncio.Event()
            client.on_event(lambda _: again.set() if heard.names("a/image").count("Paced") == 2 else None)
            caller = asyncio.create_task(client.generate(REQUEST))
            await again.wait()
            caller.cancel()
            await asyncio.sleep(2)
            names = heard.names("a/image")
            assert names[:5] == ["Planned", "Paced", "Retried", "Paced", last]
            assert names.count("Unknown") == (last == "Unknown")

    run(main())


def test_a_session_taken_is_the_code_of_the_documents() -> None:
    assert SESSION_TAKEN == "InvalidParameterValue.SessionId"
