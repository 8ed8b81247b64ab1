"""The secret's whole way: through every failure, and into nothing that is kept, shown or logged."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from mps_aigc_async import (
    AigcClient,
    AigcError,
    Config,
    Credentials,
    ImageRequest,
    ImageToVideo,
    RetryPolicy,
    UnexpectedError,
    VideoRequest,
    report,
)
from mps_aigc_async.assembly import BatchItem
from mps_aigc_async.callbacks import ignore
from mps_aigc_async.emulator import Emulator, Service
from mps_aigc_async.events import Event
from mps_aigc_async.testing import FaultProxy, InMemoryTransport, ProxyFault, run, wall
from mps_aigc_async.transport import Gate, Sent, Timeouts
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

KEY, TOKEN, PROMPT = "THE-SECRET-KEY-OF-THE-TEST", "THE-SESSION-TOKEN-OF-THE-TEST", "a prompt that is nobody's business"
SECRETS = (KEY, TOKEN, "Signature=")
"""What must not be found; the last one stands in the Authorization header."""

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
    """One error of every sort that a call can end with."""
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
                errors.append(ValueError(f"{client!r} {client._opened().keys!r} {client._settings!r}"))
        return errors

    errors = run(main())
    assert [type(error).__name__ for error in errors[:2]] == ["AccountError", "AccountError"]
    assert type(errors[3]) is UnexpectedError
    text = "".join(shown(error) for error in errors) + everything_logged.text
    for secret in SECRETS:
        assert secret not in text
