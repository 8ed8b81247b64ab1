"""A service that cannot be reached until somebody corrects the cause: told at once, and nothing paid is lost."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    Config,
    CreateOutcomeUnknown,
    DownloadError,
    ImageRequest,
    JobState,
    Kind,
    Outcome,
    RetryPolicy,
    Unreachable,
    VideoRequest,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model import events
from mps_aigc_async.model.results import Result
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..listening import listening
from ..network.certificates import EXPIRED, GOOD, OF_ANOTHER_HOST, serving, trust
from ..session_services import RelayService
from ..support import Heard, accepted, client_of, configured, in_memory
from .test_sessions import relay_config

CAUSE = "cannot reach mps.example:443: the certificate of mps.example has expired"
SHOTS = [ImageRequest(id=f"shot-{number:02}", prompt="a lake") for number in range(200)]


class Cut(InMemoryTransport):
    """Cannot reach the service for some of its actions at some times (virtual seconds since it was made)."""

    def __init__(self, service: Service, is_cut: Callable[[str, float], bool]) -> None:
        super().__init__(service, wall)
        self._is_cut = is_cut
        self._since = asyncio.get_running_loop().time()
        self.cut: list[str] = []

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        action = request.headers["X-TC-Action"]
        if self._is_cut(action, asyncio.get_running_loop().time() - self._since):
            self.cut.append(action)
            raise Unreachable(CAUSE, ending=Ending.UNREACHABLE)
        return await super().exchange(request, gate, sent)


class CallsInMemory:
    """Calls in memory, and downloads over sockets."""

    def __init__(self, service: Service) -> None:
        transport = InMemoryTransport(service, wall)
        self.exchange, self.close = transport.exchange, transport.close


def of_creates(action: str, _: float) -> bool:
    return action.startswith("Create")


async def outcomes_of(client: AigcClient, told: list[Outcome[BatchItem, Result]]) -> None:
    async for outcome in client.run(SHOTS):
        told.append(outcome)  # noqa: PERF401 — those before the error are looked at


def test_a_batch_stops_once_and_its_jobs_stay_planned(tmp_path: Path) -> None:
    async def main() -> None:
        service, told, made = in_memory(), list[Outcome[BatchItem, Result]](), list[Cut]()

        def cut() -> Cut:
            made.append(Cut(service, of_creates))
            return made[0]

        ledger, began = tmp_path / "jobs.db", asyncio.get_running_loop().time()
        async with client_of(service, configured(images=4), ledger=ledger, transport=cut) as client:
            heard = Heard(client)
            with pytest.raises(Unreachable, match="has expired"):
                await outcomes_of(client, told)
            assert set(await client.counts()) == {JobState.PLANNED}
            assert client.statistics().slots[Kind.IMAGE].taken == 0
        assert 1 <= len(told) < len(SHOTS) / 2  # it has read no further
        assert all(isinstance(outcome.error, Unreachable) for outcome in told)
        assert len(made[0].cut) <= 4  # the creates that were under way
        assert not any(isinstance(event, events.Retried | events.Failed | events.Unknown) for event in heard.events)
        assert asyncio.get_running_loop().time() - began < 2
        # Corrected, the same call makes them all.
        async with client_of(service, configured(images=4), ledger=ledger) as client:
            assert [outcome.ok async for outcome in client.run(SHOTS)] == [True] * len(SHOTS)
        assert accepted(service, "CreateAigcImageTask") == len(SHOTS)

    run(main())


def test_what_was_refused_holds_for_the_next_create_and_not_for_ever() -> None:
    async def main() -> None:
        service, made = in_memory(), list[Cut]()

        def cut() -> Cut:
            made.append(Cut(service, lambda action, at: of_creates(action, at) and at < 30))
            return made[0]

        async with client_of(service, transport=cut) as client:
            for shot in SHOTS[:3]:
                with pytest.raises(Unreachable, match=f"has expired \\[job {shot.id}"):
                    await client.generate(shot)
            assert made[0].cut == ["CreateAigcImageTask"]
            await asyncio.sleep(61)
            assert (await client.generate(SHOTS[0])).urls

    run(main())


@pytest.mark.parametrize("action", ["DescribeAigcImageTask", "CreateAigcImageTask", "DeleteSomething"])
def test_a_call_fails_at_once(action: str) -> None:
    async def main() -> None:
        service, made = in_memory(), list[Cut]()

        def cut() -> Cut:
            made.append(Cut(service, lambda *_: True))
            return made[0]

        async with client_of(service, transport=cut) as client:
            with pytest.raises(Unreachable, match="has expired") as refused:
                await client.call(action, {"TaskId": "4-1"})
            assert refused.value.action == action
            with pytest.raises(Unreachable):
                await client.attach("image", "4-1").status()
        assert len(made[0].cut) == 2

    run(main())


@pytest.mark.parametrize("minutes", [5, 25])
def test_tasks_in_flight_are_polled_on_until_the_cause_is_gone(minutes: int, caplog: pytest.LogCaptureFixture) -> None:
    """As when a certificate is renewed too late: the tasks are paid for."""

    async def main() -> float:
        service = in_memory(image_seconds=(60.0, 60.0), video_seconds=(60.0, 60.0))

        def cut() -> Cut:
            return Cut(service, lambda _, at: 20 < at < 60 * minutes)

        async with client_of(service, configured(images=2, videos=1), transport=cut) as client:
            made = await asyncio.gather(
                client.generate(SHOTS[0]), client.generate(SHOTS[1]), client.generate(VideoRequest(prompt="wind"))
            )
            assert all(one.urls for one in made)
            assert await client.counts() == {JobState.DONE: 3}
            return client.statistics().slots[Kind.IMAGE].taken

    with caplog.at_level(logging.INFO):
        assert run(main()) == 0
    warned = [record for record in caplog.records if record.levelno == logging.WARNING and "expired" in record.message]
    assert len(warned) == 1
    assert "the tasks in flight are polled on" in warned[0].message


class ThenCut:
    """A relay whose address cannot be reached any more after its first create, for two minutes."""

    def __init__(self, service: RelayService) -> None:
        self._service = service
        self._cut_until = 0.0

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        now = asyncio.get_running_loop().time()
        if now < self._cut_until:
            raise Unreachable(CAUSE, ending=Ending.UNREACHABLE)
        if not self._cut_until and request.body:
            self._cut_until = now + 120
        return await self._service.exchange(request, gate, sent)

    async def close(self) -> None: ...


def test_an_unknown_create_stays_unknown_and_is_paid_for_once() -> None:
    """That the second one cannot be sent says nothing of the first."""

    async def main() -> None:
        service = RelayService(fates=["504"])
        client = AigcClient(relay_config("trusted"), transport=lambda: ThenCut(service), wall=wall)
        async with client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(SHOTS[0])
            assert await client.counts() == {JobState.UNKNOWN: 1}
            await asyncio.sleep(130)
            with pytest.raises(CreateOutcomeUnknown) as found:
                await client.generate(SHOTS[0])
            assert found.value.accepted
        assert len(service.tasks) == 1
        assert len(service.bodies) == 2

    run(main())


# --- over real sockets ------------------------------------------------------------------------------------------------


async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Say nothing and close."""


async def with_service(certificate: Path, use: Callable[[AigcClient], Awaitable[None]]) -> int:
    """Use a client of a service that shows this certificate; return the handshakes that it began."""
    context, handshakes = serving(certificate), list[str | None]()

    def count(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        handshakes.append(name)

    context.sni_callback = count
    async with listening(silent, tls=context) as url:
        config = Config.parse(
            {"tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": str(url)}}
        )
        async with AigcClient(config, retry=RetryPolicy(base_s=3600.0, cap_s=3600.0)) as client:
            await use(client)
    return len(handshakes)


async def test_a_batch_meets_an_expired_certificate_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry would wait for an hour here."""
    trust(monkeypatch, EXPIRED)

    async def use(client: AigcClient) -> None:
        heard = Heard(client)
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+: the certificate of 127\.0\.0\.1 has expired"):
            await outcomes_of(client, [])
        assert set(await client.counts()) == {JobState.PLANNED}
        assert not any(isinstance(event, events.Retried) for event in heard.events)
        with pytest.raises(Unreachable, match="has expired"):
            await client.call("DescribeAigcImageTask", {"TaskId": "4-1"})

    assert await with_service(EXPIRED, use) <= 12  # the creates that were under way, and the call


def test_a_bad_certificate_of_a_results_host_fails_that_download_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
        writer.write(head + b"\x89PNG")

    async def main() -> None:
        service = in_memory()
        async with (
            listening(answer, tls=serving(GOOD)) as url,
            client_of(service, transport=lambda: CallsInMemory(service)) as client,
        ):
            service.storage.base_url = str(url.origin())
            trust(monkeypatch, OF_ANOTHER_HOST)
            heard = Heard(client)
            outcomes = [outcome async for outcome in client.run(SHOTS[:3], save_to=tmp_path)]
            assert len(outcomes) == 3
            for outcome in outcomes:
                assert isinstance(outcome.error, DownloadError)
                assert "the certificate of 127.0.0.1 is not trusted" in str(outcome.error)
            assert await client.counts() == {JobState.DONE: 3}
            assert not any(isinstance(event, events.Retried) for event in heard.events)
            trust(monkeypatch, GOOD)
            assert [outcome.ok async for outcome in client.run(SHOTS[:3], save_to=tmp_path)] == [True] * 3
            assert await client.counts() == {JobState.SAVED: 3}
        assert accepted(service, "CreateAigcImageTask") == 3

    run(main())


def test_keys_that_are_refused_while_tasks_run_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """As when they are revoked: the tasks are polled on for hours, and only somebody who is told can end that."""

    async def main() -> None:
        service = in_memory(image_seconds=(60.0, 60.0))
        async with client_of(service, configured(images=2)) as client:
            tasks = [await client.submit(shot) for shot in SHOTS[:2]]
            service.faults.add(
                action="DescribeAigcImageTask", fault="error", code="AuthFailure.SignatureFailure", times=None
            )
            waiting = asyncio.gather(*(task.wait() for task in tasks))
            await asyncio.sleep(300)
            service.faults.clear()
            assert all(one.urls for one in await waiting)

    with caplog.at_level(logging.INFO):
        run(main())
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "AuthFailure.SignatureFailure" in warned[0].message
    assert "the tasks in flight are polled on" in warned[0].message
