"""The secret's whole way: through every failure, and into nothing that is kept, shown or logged."""

import asyncio
import html
import logging
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from mps_aigc_async import (
    AigcClient,
    AigcError,
    Config,
    CreateOutcomeUnknown,
    Credentials,
    ImageRequest,
    ImageToVideo,
    JobState,
    Kind,
    RetryPolicy,
    TransportError,
    UnexpectedError,
    VideoRequest,
    report,
)
from mps_aigc_async.cli import app
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Emulator, Service
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.ledger.snapshot import LEDGER_FILE, open_snapshot
from mps_aigc_async.model.events import Event
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.transport import Gate, Sent, Timeouts
from mps_aigc_async.testing import FaultProxy, InMemoryTransport, ProxyFault, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from . import echoing
from .echoing import Echo

KEY, TOKEN, PROMPT = "THE-SECRET-KEY-OF-THE-TEST", "THE-SESSION-TOKEN-OF-THE-TEST", "a prompt that is nobody's business"
SECRETS = (KEY, TOKEN, "Signature=")
"""The secrets that must not be found; the last one stands in the Authorization header."""

FAULTS: tuple[ProxyFault, ...] = (
    "reset_after",
    "hang",
    "cut_short",
    "html",
    "bad_gateway",
    "duplicate_length",
    "oversized",
    "null_fields",
)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def shown(error: BaseException) -> str:
    """As the most talkative tool shows it: the chain, and every frame's variables."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


async def failures(client: AigcClient, proxy: FaultProxy, folder: Path) -> list[BaseException]:
    """Collect an error of every sort that a call can end with."""
    errors: list[BaseException] = []

    async def failing(request: ImageRequest | VideoRequest, timeout: float | None = None) -> None:
        try:
            await client.generate(request, save_to=folder, timeout=timeout)
        except (AigcError, asyncio.CancelledError) as error:
            errors.append(error)

    for fault in FAULTS:
        proxy.add(fault, action="CreateAigcImageTask")
        await failing(ImageRequest(prompt=PROMPT))
    proxy.add("html", action="Media", times=None)
    await failing(ImageRequest(prompt=PROMPT))
    await failing(ImageRequest(prompt=f"{PROMPT} forbidden-content"))
    await failing(ImageRequest(prompt=f"{PROMPT} fail-later"))
    await failing(VideoRequest(prompt=PROMPT), timeout=0.01)
    await proxy.refuse()
    await failing(ImageRequest(prompt=PROMPT))
    await proxy.accept()
    task = asyncio.create_task(failing(ImageRequest(prompt=PROMPT)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    return errors


async def test_no_secret_is_in_anything_that_is_kept_shown_or_logged(
    tmp_path: Path, everything_logged: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    async with Emulator(speed=1000, secret_key=KEY) as emulator, FaultProxy(emulator) as proxy:
        config = Config.parse(
            {
                "tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": KEY, "token": TOKEN, "endpoint": proxy.url},
                "concurrency": {"maxImageTasks": 20, "maxVideoTasks": 20, "pollIntervalMs": 100},
                "timeouts": {"saveSeconds": 0.5},
            }
        )
        client = AigcClient(
            config,
            ledger=tmp_path / "ledger.db",
            timeouts=Timeouts(connect=0.3, read=0.3, total=0.5),
            retry=RetryPolicy(attempts=2),
        )
        client.on_event(heard.append)
        async with client:
            errors = await failures(client, proxy, tmp_path)
            proxy.clear()
            chain: BatchItem = ImageToVideo(image=ImageRequest(prompt=PROMPT), video=VideoRequest(prompt=PROMPT))
            outcomes = [outcome async for outcome in client.run([chain], save_to=tmp_path)]
            told = f"{config!r} {config} {client!r} {client.statistics()!r}"
    await asyncio.to_thread(report.write, tmp_path)

    assert len(errors) >= len(FAULTS) + 6
    assert len({type(error) for error in errors}) >= 7
    told += "".join(shown(error) for error in errors)
    told += "".join(f"{thing!r} {thing}" for thing in (*heard, *outcomes))
    logged = "\n".join(record.getMessage() for record in everything_logged.records)
    kept = b"\n".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file()).decode(errors="replace")
    for secret in SECRETS:
        assert secret not in told
        assert secret not in logged
        assert secret not in kept
    assert PROMPT not in logged  # nor any body


class Buggy(InMemoryTransport):
    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:  # noqa: ARG002 — as overridden
        raise RuntimeError("a bug")


def test_a_bugs_traceback_shows_no_key_among_the_variables() -> None:
    """Many a tool shows them."""
    config = Config.parse({"tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": KEY, "token": TOKEN}})
    service = Service()

    async def main() -> None:
        async with AigcClient(config, transport=lambda: Buggy(service, wall), wall=wall) as client:
            await client.generate(ImageRequest(prompt=PROMPT))

    with pytest.raises(UnexpectedError) as raised:
        run(main())
    text = shown(raised.value)
    assert "request = HttpRequest(" in text  # variables are shown, this one with its signed headers
    for secret in SECRETS:
        assert secret not in text


def test_keys_that_are_refreshed_leave_no_trace_either(everything_logged: pytest.LogCaptureFixture) -> None:
    """Through a refresh that fails with the secret in its text, keys that are refused, and a bug as they are used."""
    service, tries = Service(), 0

    async def refresh() -> Credentials:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError(f"the vault said {KEY} {TOKEN}")
        return Credentials("AKIDTEMP", SecretStr(KEY), SecretStr(TOKEN), datetime(2026, 1, 2, tzinfo=UTC))

    async def main() -> list[BaseException]:
        errors: list[BaseException] = []
        config = Config.parse({"account": "team"})
        for transport in (InMemoryTransport, Buggy):
            client = AigcClient(config, credentials=refresh, transport=partial(transport, service, wall), wall=wall)
            async with client:
                for _ in range(2):
                    try:
                        await client.generate(ImageRequest(prompt=PROMPT))
                    except Exception as error:  # noqa: BLE001 — what is shown of each is looked at
                        errors.append(error)
                    await asyncio.sleep(3)
                errors.append(ValueError(f"{client!r} {client._usable_engine().account().keys!r} {client._settings!r}"))
        return errors

    errors = run(main())
    assert [type(error).__name__ for error in errors[:2]] == ["AccountError", "AccountError"]
    assert type(errors[3]) is UnexpectedError
    text = "".join(shown(error) for error in errors) + everything_logged.text
    for secret in SECRETS:
        assert secret not in text


# --- a service that quotes its requests back --------------------------------------------------------------------------


def echo_config(backend: str, url: str) -> Config:
    sections: dict[str, Any] = {
        "backend": backend,
        "tencentCloud": {"secretId": echoing.SECRET_ID, "secretKey": echoing.KEY, "token": TOKEN, "endpoint": url},
        "relay": {"baseUrl": url, "apiKey": echoing.KEY},
        "concurrency": {"pollIntervalMs": 100},
    }
    return Config.parse(sections)


async def told_of(echo: Echo, folder: Path, logs: pytest.LogCaptureFixture) -> tuple[str, str]:
    """All that a user can see of one request to a service that quotes it back, and all that is kept of it."""
    heard: list[Event] = []
    request = ImageRequest(id="cat", prompt=PROMPT, model_name="Hunyuan", model_version="3.0")
    async with echoing.serving(echo) as url:
        client = AigcClient(
            echo_config(echo.backend, url),
            ledger=folder / LEDGER_FILE,
            retry=RetryPolicy(attempts=2, base_s=0.001),
        )
        client.on_event(heard.append)
        async with client:
            errors: list[BaseException] = []
            outcomes = []
            try:
                outcomes = [outcome async for outcome in client.run([request], save_to=folder)]
                errors += [outcome.error for outcome in outcomes if outcome.error is not None]
            except AigcError as error:
                errors.append(error)
            try:
                status = await client.status(Kind.IMAGE, "4-1")
                heard_status = f"{status} {status!r}"
            except AigcError as error:
                errors.append(error)
                heard_status = ""
    assert errors
    await asyncio.to_thread(report.write, folder)
    told = [heard_status, *(f"{error!r} {error} {vars(error)}" for error in errors), *map(repr, outcomes)]
    told += [shown(error) for error in errors] + [f"{event!r}" for event in heard]
    told += [shown(told_error) for event in heard if isinstance(told_error := getattr(event, "error", None), AigcError)]
    told += [record.getMessage() for record in logs.records]
    for command in (["status", str(folder)], ["settle", str(folder)]):
        told.append((await asyncio.to_thread(CliRunner().invoke, app, command)).output)
    kept = [path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()]
    return "\n".join(told), "\n".join(kept)


def require_no_secret(told: str, kept: str, echo: Echo) -> None:
    """Require that a text has no secret in it, nor any 12 characters of one, in any letter case, escape or Base64."""
    plain = unquote(html.unescape(told + kept)).lower()
    encoded = {b64encode(bytes(at) + echoing.KEY.encode()).decode()[4:-4] for at in range(3)}
    secrets = {echoing.KEY, *encoded, *echo.signatures} | ({TOKEN} if echo.backend != "relay" else set())
    for secret in secrets:
        for at in range(len(secret) - 11):
            piece = secret[at : at + 12].lower()
            assert piece not in plain, plain[plain.index(piece) - 300 :][:400]
    assert "signature=" not in plain
    assert not set("\x1b\u202e\u200b\x00") & set(told)
    assert "\u202e" not in kept


@pytest.mark.usefixtures("list_is_looked_at_once")
@pytest.mark.parametrize("place", echoing.PLACES)
@pytest.mark.parametrize("backend", echoing.BACKENDS)
async def test_a_service_that_quotes_its_requests_back_puts_no_secret_anywhere(
    backend: str, place: str, tmp_path: Path, everything_logged: pytest.LogCaptureFixture
) -> None:
    echo = Echo(backend, place)
    require_no_secret(*await told_of(echo, tmp_path, everything_logged), echo)


@pytest.mark.parametrize("quotation", echoing.QUOTATIONS)
@pytest.mark.parametrize("backend", ["mps", "relay"])
async def test_a_quotation_is_found_in_each_form(
    backend: str, quotation: str, tmp_path: Path, everything_logged: pytest.LogCaptureFixture
) -> None:
    for place in ("message", "reason"):
        folder = tmp_path / place
        folder.mkdir()
        echo = Echo(backend, place, quotation)
        require_no_secret(*await told_of(echo, folder, everything_logged), echo)


@pytest.mark.usefixtures("list_is_looked_at_once")
async def test_a_task_that_is_named_by_a_quotation_is_unknown_and_is_not_made_again(
    tmp_path: Path, everything_logged: pytest.LogCaptureFixture
) -> None:
    """The service has accepted it, so that a second create would be paid for."""
    for backend in echoing.BACKENDS:
        folder = tmp_path / backend
        folder.mkdir()
        echo = Echo(backend, "task id")
        await told_of(echo, folder, everything_logged)
        assert (backend, echo.creates) == (backend, 1)
        with open_snapshot(folder / LEDGER_FILE) as snapshot:
            assert [(state, count) for (_, state), count in snapshot.census().items()] == [(JobState.UNKNOWN, 1)]


async def test_a_raw_answer_is_the_users_and_comes_as_it_is() -> None:
    echo = Echo("mps", "reason")
    async with echoing.serving(echo) as url, AigcClient(echo_config("mps", url)) as client:
        answer = await client.call("DescribeTasks", {})
    assert echoing.TOKEN in str(answer["Message"])


class Quoting(InMemoryTransport):
    """A user's own transport, whose error quotes the request, as does the one that it comes from."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        quoted = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        error = TransportError(f"no answer to {quoted}", ending=Ending.UNKNOWN)
        error.add_note(quoted)
        raise error from OSError(quoted)


def test_a_transport_of_the_users_own_that_quotes_the_request_shows_no_secret(
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    config = Config.parse({"tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": KEY, "token": TOKEN}})
    service = Service()

    async def main() -> list[BaseException]:
        errors: list[BaseException] = []
        async with AigcClient(config, transport=lambda: Quoting(service, wall), wall=wall) as client:
            for work in (client.generate(ImageRequest(prompt=PROMPT)), client.status(Kind.IMAGE, "4-1")):
                try:
                    await work
                except AigcError as error:
                    errors.append(error)
        return errors

    errors = run(main())
    assert [type(error) for error in errors] == [CreateOutcomeUnknown, TransportError]
    text = "".join(shown(error) for error in errors) + everything_logged.text
    assert "no answer to Authorization: ***" in text
    for secret in SECRETS:
        assert secret not in text
