"""Credentials that change: refreshed before they end, one refresh at a time, and no call lost to it."""

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from mps_aigc_async import (
    AccountError,
    AigcClient,
    ClientClosed,
    ConfigError,
    Credentials,
    ImageRequest,
    JobState,
    Kind,
    RetryPolicy,
    VideoRequest,
)
from mps_aigc_async.credentials import keyring
from mps_aigc_async.credentials.keyring import CODE, KeyRing
from mps_aigc_async.emulator import Service
from mps_aigc_async.testing import run, wall

from ..support import Heard, accepted, client_of, configured, in_memory

T = TypeVar("T")
LIFE_S = 900.0
SECRET = "THE-SECRET-OF-THE-SOURCE"
Do = Callable[[], Awaitable[None]]


async def at_once() -> None:
    """The default of what a refresh does before it answers."""


class Sts:
    """Issues keys that live 15 minutes, as STS does: new ones at each call, beside the old ones while they live."""

    def __init__(self, service: Service | None = None, life_s: float = LIFE_S, *, tells_end: bool = True) -> None:
        self.service = service
        self.life_s = life_s
        self.tells_end = tells_end
        self.asked_at: list[float] = []
        self.running, self.most_running = 0, 0
        self.do: Do = at_once

    async def __call__(self) -> Credentials:
        self.asked_at.append(now())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.do()
        finally:
            self.running -= 1
        number, until = len(self.asked_at), wall() + self.life_s
        keys = (f"AKID-{number}", f"{SECRET}-{number}", f"token-{number}")
        if self.service is not None:
            self.service.issue(*keys, until)
        ends = datetime.fromtimestamp(until, UTC) if self.tells_end else None
        return Credentials(keys[0], SecretStr(keys[1]), SecretStr(keys[2]), ends)


def now() -> float:
    return asyncio.get_running_loop().time()


def ended(error: AccountError) -> str:
    assert error.code == CODE
    assert SECRET not in "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return error.message


async def failing() -> None:
    raise ConnectionError(SECRET)


async def hanging() -> None:
    await asyncio.sleep(1e9)


async def slow() -> None:
    await asyncio.sleep(20)


# --- a batch --------------------------------------------------------------------------------------------------------


async def images(client: AigcClient, number: int) -> list[BaseException | None]:
    requests = (ImageRequest(prompt=f"scene {n}") for n in range(number))
    return [outcome.error async for outcome in client.run(requests)]


@pytest.mark.parametrize("do", [at_once, slow], ids=["at once", "slow"])
def test_a_batch_of_hours_loses_no_call_to_its_refreshes(do: Do) -> None:
    async def main() -> None:
        service = in_memory(max_running={"image": 3})
        sts = Sts(service)
        sts.do = do
        config = configured(images=3, account="team")
        async with client_of(service, config, credentials=sts) as client:
            assert await images(client, 200) == [None] * 200
            assert client.statistics().slots[Kind.IMAGE].most_taken == 3
            assert all(pace.rate == 20 for pace in client.statistics().paces.values())
        seen = service.statistics(wall())
        assert accepted(service, "CreateAigcImageTask") == seen.created["image"] == 200
        assert seen.refused == {}
        assert seen.most_running["image"] == 3
        assert now() > 6000
        # Each 600 s: 300 s before the end of the present ones.
        assert [round(later - sooner, -1) for sooner, later in zip(sts.asked_at, sts.asked_at[1:], strict=False)] == [
            600 if do is at_once else 620
        ] * (len(sts.asked_at) - 1)
        assert len(sts.asked_at) == 1 + int(now() / (600 if do is at_once else 620))
        assert sts.most_running == 1

    run(main())


def test_keys_that_die_unannounced_are_refreshed_when_the_service_refuses_them() -> None:
    async def main() -> None:
        service = in_memory(max_running={"image": 20})
        sts = Sts(service, life_s=100, tells_end=False)
        async with client_of(service, configured(images=20, poll_ms=15_000, account="team"), credentials=sts) as client:
            assert await images(client, 200) == [None] * 200
        seen = service.statistics(wall())
        assert accepted(service, "CreateAigcImageTask") == seen.created["image"] == 200
        assert set(seen.refused) == {"AuthFailure.TokenFailure"}
        assert sts.most_running == 1
        assert 3 < len(sts.asked_at) <= 1 + now() / 100

    run(main())


def test_the_pace_is_kept_through_a_refresh_that_calls_have_to_wait_for() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(1, 1))
        sts = Sts(service, life_s=10)
        async with client_of(service, configured(images=100, poll_ms=1000, account="team"), credentials=sts) as client:
            sts.do = slow  # longer than the keys live: all calls stop, and go on together
            assert await images(client, 300) == [None] * 300
        seen = service.statistics(wall())
        assert seen.refused == {}
        assert max(seen.most_per_second.values()) <= 20

    run(main())


def test_clients_of_one_account_share_its_limits_whatever_their_keys() -> None:
    async def main() -> None:
        service = in_memory()
        config = configured(account="team")
        async with (
            client_of(service, config, credentials=Sts(service)) as one,
            client_of(service, config, credentials=Sts(service)) as other,
        ):
            before = one._usable_engine().account().limits.slots
            await one.generate(ImageRequest(prompt="a lake"))
            assert (
                before is one._usable_engine().account().limits.slots is other._usable_engine().account().limits.slots
            )

    run(main())


# --- a refresh that fails or hangs ------------------------------------------------------------------------------------


def test_a_refresh_that_fails_while_the_keys_live_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        service = in_memory()
        sts = Sts(service)
        async with client_of(service, configured(account="team"), credentials=sts) as client:
            await client.call("DescribeAigcImageTask", {"TaskId": await submitted(client)})
            sts.do = failing
            await asyncio.sleep(605)
            assert await images(client, 4) == [None] * 4
            failed = len(sts.asked_at) - 1
            assert 3 <= failed <= 8  # backed off
            sts.do = at_once
            await asyncio.sleep(200)
            assert await images(client, 1) == [None]
        assert service.statistics(wall()).refused == {}

    with caplog.at_level(logging.WARNING, "mps_aigc_async"):
        run(main())
    said = [record.getMessage() for record in caplog.records if "could not be refreshed" in record.getMessage()]
    assert "(ConnectionError); the credentials expire at 2026-01-01T00:15:00+00:00; retried in 2 s" in said[0]
    assert SECRET not in caplog.text


async def submitted(client: AigcClient) -> str:
    return (await client.submit(ImageRequest(prompt="a hill"))).task_id


@pytest.mark.parametrize(("do", "fault"), [(failing, "ConnectionError"), (hanging, "it took more than 60 s")])
def test_keys_that_ended_and_could_not_be_refreshed_stop_creating_and_lose_nothing(
    tmp_path: Path, do: Do, fault: str
) -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(1200, 1200))
        sts = Sts(service)
        ledger = tmp_path / "ledger.db"
        async with client_of(service, configured(images=4, account="team"), ledger=ledger, credentials=sts) as client:
            paid = await client.submit(ImageRequest(id="paid", prompt="a hill"))
            sts.do = do
            await asyncio.sleep(901)
            with pytest.raises(AccountError) as raised:
                await client.generate(ImageRequest(id="not paid", prompt="a lake"))
            assert "the credentials expired at 2026-01-01T00:15:00+00:00, and the refresh failed" in ended(raised.value)
            assert fault in raised.value.message
            assert raised.value.ids["action"] == "CreateAigcImageTask"
            assert await client.counts() == {JobState.SUBMITTED: 1, JobState.PLANNED: 1}
            with pytest.raises(AccountError):
                await images(client, 5)
            assert accepted(service, "CreateAigcImageTask") == 1
            sts.do = at_once
            assert (await paid.wait()).urls  # its polls went on
            await asyncio.sleep(60)
            assert (await client.generate(ImageRequest(id="not paid", prompt="a lake"))).urls
        assert accepted(service, "CreateAigcImageTask") == 2

    run(main())


@pytest.mark.parametrize(
    ("gives", "fault"),
    [
        (None, "it gave a NoneType, not Credentials"),
        (Credentials("", SecretStr("")), "it gave no keys"),
        (
            Credentials("AKID", SecretStr(SECRET), None, datetime(2025, 1, 1, tzinfo=UTC)),
            r"it gave keys that expired at 2025-01-01T00:00:00\+00:00 \(is this machine's clock right\?\)",
        ),
    ],
)
def test_a_refresh_that_gives_no_usable_keys_has_failed(gives: object, fault: str) -> None:
    async def source() -> Any:  # noqa: ANN401 — what is tested
        return gives

    async def main() -> None:
        ring = KeyRing(source, wall)
        with pytest.raises(
            AccountError, match=f"there are no credentials yet, and the refresh failed: {fault}"
        ) as error:
            await ring.current()
        ended(error.value)
        await ring.close()

    run(main())


def test_a_source_that_is_cancelled_inside_has_failed_and_cancels_no_caller() -> None:
    async def source() -> Credentials:
        raise asyncio.CancelledError

    async def main() -> None:
        ring = KeyRing(source, wall)
        with pytest.raises(AccountError, match="the refresh failed: CancelledError"):
            await ring.current()
        await ring.close()

    run(main())


def test_after_a_failure_the_source_is_left_alone_for_a_while() -> None:
    async def main() -> None:
        sts = Sts()
        sts.do = failing
        ring = KeyRing(sts, wall)
        for _ in range(2000):
            with pytest.raises(AccountError):
                await ring.current()
            await asyncio.sleep(0.1)
        assert [round(at) for at in sts.asked_at] == [0, 2, 6, 14, 30, 62, 122, 182]
        await ring.close()

    run(main())


def test_near_their_end_failed_refreshes_are_counted_and_the_keys_are_used_until_they_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        sts = Sts()
        ring = KeyRing(sts, wall)
        await ring.current()
        sts.do = failing
        while now() < LIFE_S - keyring.EARLY_S - 0.5:
            assert (await ring.current()).secret_id == "AKID-1"
            await asyncio.sleep(0.25)
        due = LIFE_S - keyring.MARGIN_S
        after = [round(at - due) for at in sts.asked_at[1:]]
        assert after == [0, 2, 6, 14, 30, 62, 122, 182, 242]
        await asyncio.sleep(1)
        with pytest.raises(AccountError):
            await ring.current()
        await ring.close()

    with caplog.at_level(logging.WARNING, "mps_aigc_async"):
        run(main())
    waits = [re.findall(r"retried in (\d+) s", record.getMessage())[0] for record in caplog.records]
    assert waits == ["2", "4", "8", "16", "32", "60", "60", "60", "60"]


def test_after_a_refresh_that_succeeds_a_failure_is_the_first_again() -> None:
    async def main() -> None:
        sts = Sts(life_s=100.0)
        ring = KeyRing(sts, wall)
        await ring.current()
        sts.do = failing
        for _ in range(400):
            with suppress(AccountError):
                await ring.current()
            await asyncio.sleep(0.5)
        failed = len(sts.asked_at) - 1
        assert failed == 7
        sts.do = at_once
        await asyncio.sleep(60)
        assert (await ring.current()).secret_id == f"AKID-{failed + 2}"
        sts.do = failing
        since, again = now(), len(sts.asked_at)
        for _ in range(200):
            with suppress(AccountError):
                await ring.current()
            await asyncio.sleep(0.5)
        assert [round(at - since) for at in sts.asked_at[again:]] == [50, 52, 56, 64, 80]
        with pytest.raises(AccountError, match=r"expired at .*failed: ConnectionError"):
            await ring.current()
        sts.do = at_once
        await asyncio.sleep(60)
        await ring.current()
        sts.do = hanging
        await asyncio.sleep(101)
        with pytest.raises(AccountError, match="it took more than 60 s"):  # and nothing of the fault before
            await ring.current()
        await ring.close()

    run(main())


def test_a_refresh_that_is_ended_is_not_told_by_an_earlier_fault() -> None:
    async def main() -> None:
        sts = Sts(life_s=100.0)
        sts.do = failing
        ring = KeyRing(sts, wall)
        with pytest.raises(AccountError, match="the refresh failed: ConnectionError"):
            await ring.current()
        sts.do = at_once
        await asyncio.sleep(keyring.AGAIN_S)
        await ring.current()
        sts.do = hanging
        await asyncio.sleep(101)
        waiting = asyncio.create_task(ring.current())
        await asyncio.sleep(1)
        await ring.close()
        with pytest.raises(AccountError, match="the refresh failed: the refresh was cancelled"):
            await waiting

    run(main())


@pytest.mark.parametrize(
    ("life_s", "due_s", "last_s"),
    [(900.0, 600.0, 895.0), (600.0, 300.0, 595.0), (400.0, 200.0, 395.0), (20.0, 10.0, 18.0)],
)
def test_keys_are_refreshed_before_their_end_and_sign_until_shortly_before_it(
    life_s: float, due_s: float, last_s: float
) -> None:
    """Of those that live less than ten minutes, half is left when they are due; a tenth, or 5 s, is never used."""

    async def main() -> None:
        sts = Sts(life_s=life_s)
        ring = KeyRing(sts, wall)
        await ring.current()
        await asyncio.sleep(due_s - 0.01)
        await ring.current()
        assert len(sts.asked_at) == 1
        sts.do = hanging
        await asyncio.sleep(0.02)
        await ring.current()
        await asyncio.sleep(0)
        assert len(sts.asked_at) == 2
        await asyncio.sleep(last_s - due_s - 0.05)
        sts.do = failing
        assert (await ring.current()).secret_id == "AKID-1"
        await asyncio.sleep(0.1)
        with pytest.raises(AccountError):
            await ring.current()
        await ring.close()

    run(main())


def test_keys_without_an_end_are_asked_for_again_whatever_the_time_is_put_right_to() -> None:
    async def main() -> None:
        step_s = 86_400.0
        sts = Sts(tells_end=False)
        ring = KeyRing(sts, lambda: wall() + step_s)
        await ring.current()
        step_s = 0.0  # the service has told its time
        await asyncio.sleep(keyring.UNKNOWN_END_S + 1)
        await ring.current()
        await asyncio.sleep(1)
        assert len(sts.asked_at) == 2
        await ring.close()

    run(main())


# --- a refused signature ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "AuthFailure.TokenFailure",
        "AuthFailure.SecretIdNotFound",
        "AuthFailure.SignatureFailure",
        "AuthFailure.InvalidSecretId",
    ],
)
def test_keys_that_are_refused_are_refreshed_once_before_the_account_counts_as_refused(code: str) -> None:
    async def main() -> None:
        service = in_memory()
        sts = Sts(service)
        async with client_of(service, configured(account="team"), credentials=sts) as client:
            heard = Heard(client)
            service.faults.add(action="CreateAigcImageTask", fault="error", code=code)
            assert (await client.generate(ImageRequest(id="a", prompt="a lake"))).urls
            assert heard.names("a/image") == ["Planned", "Paced", "Retried", "Paced", "Submitted", "Done"]
            assert len(sts.asked_at) == 2

            service.faults.add(action="CreateAigcImageTask", fault="error", code=code, times=None)
            await asyncio.sleep(keyring.REFUSED_AGAIN_S)
            with pytest.raises(AccountError, match=code):
                await client.generate(ImageRequest(id="b", prompt="a hill"))
            assert len(sts.asked_at) == 3
            assert (await client.counts())[JobState.PLANNED] == 1
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


def test_calls_that_were_refused_together_share_one_refresh() -> None:
    async def main() -> None:
        service = in_memory()
        sts = Sts(service)
        async with client_of(service, configured(account="team", images=10), credentials=sts) as client:
            service.faults.add(
                action="CreateAigcImageTask", fault="error", code="AuthFailure.TokenFailure", times=5
            )  # in flight together: 20 ms apart in arrivals, 20 ms on the way
            assert await images(client, 10) == [None] * 10
        assert len(sts.asked_at) == 2

    run(main())


def test_fixed_keys_that_are_refused_are_refused() -> None:
    async def main() -> None:
        keys = Credentials("AKIDOTHER", SecretStr("k"))
        async with client_of(in_memory(), credentials=keys) as client:
            with pytest.raises(AccountError, match="SecretIdNotFound"):
                await client.generate(ImageRequest(prompt="a lake"))

    run(main())


def test_a_poll_that_is_refused_for_its_keys_gets_fresh_ones() -> None:
    async def main() -> None:
        service = in_memory()
        sts = Sts(service)
        async with client_of(service, configured(account="team"), credentials=sts) as client:
            service.faults.add(action="DescribeAigcVideoTask", fault="error", code="AuthFailure.TokenFailure", times=2)
            assert (await client.generate(VideoRequest(prompt="ripples", duration=5))).urls
        assert len(sts.asked_at) == 2

    run(main())


# --- callers ----------------------------------------------------------------------------------------------------------


def test_any_number_of_callers_wait_for_one_refresh_and_those_cancelled_leave_it_alone() -> None:
    async def main() -> None:
        sts = Sts()
        sts.do = slow
        ring = KeyRing(sts, wall)
        waiting = [asyncio.create_task(ring.current()) for _ in range(1000)]
        await asyncio.sleep(1)
        for task in waiting[:999]:
            task.cancel()
        keys = await waiting[999]
        assert (keys.secret_id, len(sts.asked_at)) == ("AKID-1", 1)
        assert all(task.cancelled() for task in waiting[:999])
        await ring.close()

    run(main())


def test_while_a_refresh_is_under_way_calls_go_on_with_keys_that_live() -> None:
    async def main() -> None:
        sts = Sts()
        ring = KeyRing(sts, wall)
        await ring.current()
        sts.do = slow
        await asyncio.sleep(601)
        since = now()
        for _ in range(100):
            assert (await ring.current()).secret_id == "AKID-1"
        assert now() - since < 0.1
        await asyncio.sleep(21)
        assert (await ring.current()).secret_id == "AKID-2"
        await ring.close()

    run(main())


def test_a_create_that_waits_for_keys_when_its_client_is_closed_stays_planned(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        sts = Sts(service)
        sts.do = hanging
        ledger = tmp_path / "ledger.db"
        async with client_of(service, configured(account="team"), ledger=ledger, credentials=sts) as client:
            made = asyncio.create_task(client.generate(ImageRequest(id="a", prompt="a lake")))
            await asyncio.sleep(5)
        assert now() < 6
        with pytest.raises(ClientClosed):
            await made
        assert sts.running == 0
        async with client_of(service, configured(account="team"), ledger=ledger) as client:
            assert await client.counts() == {JobState.PLANNED: 1}

    run(main())


def test_a_create_that_finds_its_keys_ended_after_its_intent_is_planned_again() -> None:
    """The intent is written while the keys live, and they end before they can sign."""

    async def main() -> None:
        service = in_memory()
        sts = Sts(service, life_s=0.2)
        async with client_of(
            service, configured(account="team"), credentials=sts, retry=RetryPolicy(attempts=1)
        ) as client:
            ledger = await client._usable_engine().open_ledger(None)
            put = ledger.put

            async def late(job: Any) -> None:  # noqa: ANN401 — handed through
                await put(job)
                if job.state is JobState.INTENT:
                    sts.do = failing
                    await asyncio.sleep(1)

            ledger.put = late  # type: ignore[method-assign] # a slow disk
            with pytest.raises(AccountError) as raised:
                await client.generate(ImageRequest(id="a", prompt="a lake"))
            assert "the credentials expired" in ended(raised.value)
            assert await client.counts() == {JobState.PLANNED: 1}
            assert client.statistics().slots[Kind.IMAGE].taken == 0
        assert service.arrivals == ()

    run(main())


# --- sources without an end, and the account --------------------------------------------------------------------------


def test_keys_of_unknown_end_are_asked_for_again_and_used_meanwhile() -> None:
    async def main() -> None:
        sts = Sts(tells_end=False)
        ring = KeyRing(sts, wall)
        await ring.current()
        sts.do = failing
        await asyncio.sleep(keyring.UNKNOWN_END_S + 1)
        assert (await ring.current()).secret_id == "AKID-1"
        await asyncio.sleep(10_000)
        assert (await ring.current()).secret_id == "AKID-1"  # the service judges
        assert len(sts.asked_at) == 2
        await ring.close()

    run(main())


def test_credentials_that_change_need_an_account() -> None:
    with pytest.raises(ConfigError, match=r"account is missing from the config: credentials that change .*refresh"):
        AigcClient(configured(), credentials=Sts())
    assert "team" in repr(AigcClient(configured(account="team"), credentials=Sts()))


def test_given_credentials_come_before_the_configs() -> None:
    keys = Credentials("AKIDGIVEN0000", SecretStr("k"))
    assert keys.account in repr(AigcClient(configured(), credentials=keys))


def test_a_key_rings_repr_tells_their_end_and_no_key() -> None:
    async def main() -> None:
        ring = KeyRing(Sts(), wall)
        assert repr(ring) == "<KeyRing: there are no credentials yet>"
        keys = await ring.current()
        assert repr(ring) == "<KeyRing: the credentials expire at 2026-01-01T00:15:00+00:00>"
        ring.report_refusal(keys)
        assert repr(ring) == "<KeyRing: the service refused the credentials>"
        await ring.close()

    run(main())


def test_former_keys_are_masked_while_calls_signed_with_them_may_be_answered() -> None:
    async def main() -> None:
        async def source() -> Credentials:
            number = f"{len(issued) + 1:08}"
            end = datetime.fromtimestamp(wall() + 60, UTC)
            return Credentials(f"AKID{number}", SecretStr(f"{number}KEY"), SecretStr(f"{number}token"), end)

        ring = KeyRing(source, wall)
        issued: list[Credentials] = []
        for _ in range(keyring.MASKED):
            issued.append(await ring.current())
            told = [ring.mask.text(" ".join(credentials.secrets)) for credentials in issued]
            assert told == ["*** *** ***"] * len(issued)
            await asyncio.sleep(60.0)
        await ring.close()
        assert len({credentials.secret_id for credentials in issued}) == keyring.MASKED

    run(main())


def test_a_sources_own_words_are_masked_too(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    async def source() -> Credentials:
        nonlocal tries
        tries += 1
        if tries == 1:
            return Credentials("AKIDTEMPORARY", SecretStr(SECRET), expires_at=datetime.fromtimestamp(wall() + 10, UTC))
        raise ConfigError(f"the vault at https://vault.example/keys?sig=abc\nrefused {SECRET}")

    async def main() -> None:
        ring = KeyRing(source, wall)
        await ring.current()
        await asyncio.sleep(11)
        with pytest.raises(AccountError) as caught:
            await ring.current()
        await ring.close()
        assert "the vault at https://vault.example/keys?*** refused ***" in str(caught.value)
        assert SECRET not in caplog.text

    run(main())


def test_a_source_whose_key_no_header_can_carry_is_told_by_the_keys_name(caplog: pytest.LogCaptureFixture) -> None:
    async def source() -> Credentials:
        return Credentials("AKIDTEMPORARY", SecretStr(f"{SECRET}\nhalf"))

    async def main() -> None:
        ring = KeyRing(source, wall)
        with pytest.raises(AccountError, match="secret_key has a line end in it") as caught:
            await ring.current()
        await ring.close()
        assert SECRET not in ended(caught.value) + caplog.text

    run(main())


def test_who_signs_for_others_waits_for_the_keys_that_are_due() -> None:
    """A signature that is handed on ends with its keys, and the client cannot sign it again."""
    sts = Sts()

    async def main() -> None:
        ring = KeyRing(sts, wall)
        first = await ring.current()
        assert await ring.renewed() == first
        await asyncio.sleep(LIFE_S - keyring.MARGIN_S + 1)
        second = await ring.renewed()
        assert second != first
        assert await ring.current() == second
        await ring.close()

    run(main())


def test_keys_that_storage_refused_are_fetched_anew_and_used_meanwhile() -> None:
    sts = Sts(tells_end=False)

    async def main() -> None:
        ring = KeyRing(sts, wall)
        first = await ring.current()
        sts.do = slow
        for _ in range(3):
            ring.doubt()
        assert await ring.current() == first
        await asyncio.sleep(30)
        assert await ring.current() != first
        ring.doubt()  # within a minute: whatever the reason is, it is not the keys
        await asyncio.sleep(20)
        assert len(sts.asked_at) == 2
        await ring.close()

    run(main())


def test_fixed_keys_are_never_doubted() -> None:
    async def main() -> None:
        ring = KeyRing(Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE")), wall)
        ring.doubt()
        assert await ring.renewed() == await ring.current()

    run(main())
