"""User names, passwords and queries in URLs of settings are secrets: refused, or sent, and shown nowhere."""

import asyncio
import pickle
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from yarl import URL

from mps_aigc_async import AigcClient, AigcError, Config, ConfigError, ImageRequest, RetryPolicy
from mps_aigc_async.config.sections import Relay, TencentCloud
from mps_aigc_async.network.transport import AiohttpTransport, Timeouts, parse_endpoint
from mps_aigc_async.wire.dialect import HttpRequest

from .listening import listening
from .support import configured

SECRET = "s3cr3t-0123"

URLS = (
    f"https://user:{SECRET}@host.example/",
    f"https://{SECRET}@host.example",
    f"https://user:{SECRET}/x@host.example/",
    f"https://{SECRET}/x@host.example/",
    f"https://host.example/?key={SECRET}",
    f"https://host.example/#{SECRET}",
    f"user:{SECRET}@host.example",
    f"http://user:{SECRET}@127.0.0.1:1/",
    f"ftp://user:{SECRET}@host.example",
)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "use",
    [
        lambda url: Config.parse({"relay": {"baseUrl": url}}),
        lambda url: Config.parse({"tencentCloud": {"endpoint": url}}),
        lambda url: Config.load(None, {"MPS_AIGC_ENDPOINT": url}),
        lambda url: AigcClient(configured(), endpoint=url),
        lambda url: AigcClient(Config.model_validate({"tencentCloud": {"endpoint": url}, "account": "a"})),
        lambda url: AigcClient(
            Config.model_validate({"backend": "relay", "relay": {"baseUrl": url, "apiKey": "relay-key-0123"}})
        ),
    ],
)
def test_a_secret_in_a_service_url_is_refused_without_being_shown(
    use: Callable[[str], object], url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        use(url)
    assert SECRET not in f"{raised.value} {raised.value!r} {vars(raised.value)}"
    assert SECRET.encode() not in pickle.dumps(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("url", URLS)
def test_no_section_shows_one_however_it_was_made(url: str) -> None:
    sections: tuple[Any, ...] = (
        Relay.model_validate({"baseUrl": url}),
        Relay.model_construct(base_url=url),
        Relay.model_construct(query_path=f"/q/{{task_id}}?key={SECRET}"),
        TencentCloud.model_validate({"endpoint": url}),
        Config().model_copy(update={"relay": Relay.model_construct(base_url=url)}),
        Config.parse({"relay": {"queryPath": f"/q/{{task_id}}?key={SECRET}"}}),
    )
    for section in sections:
        assert SECRET not in f"{section!r} {section}"
    assert "host.example" in repr(sections[0]) or "127.0.0.1" in repr(sections[0]) or "?" in url


@pytest.mark.parametrize("url", URLS)
def test_pydantics_own_error_shows_none(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Config.model_validate({"relay": {"baseUrl": url + "\n\x00"}, "pacing": {"jitterMs": url}})
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("told", ["us%C3%A9r:镜", "a:镜头", "a%3Ab:c", "镜:c"])
def test_a_proxys_user_that_cannot_be_sent_is_refused_before_anything_is(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://{told}@proxy.example:3128")
    with pytest.raises(ConfigError, match="https_proxy") as raised:
        AigcClient(configured(), endpoint="https://mps.tencentcloudapi.com")._settings.transport()
    assert "镜" not in str(raised.value)
    assert told not in str(raised.value)


async def test_a_proxys_password_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        quoted = heads[-1].replace("\r\n", " ").encode("latin-1")
        writer.write(b"HTTP/1.1 407 " + quoted + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with listening(refuse) as url:
        monkeypatch.setenv("https_proxy", f"http://us%C3%A9r:{SECRET}%20%0A@127.0.0.1:{url.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        transport = AiohttpTransport(URL("https://mps.tencentcloudapi.com/"), Timeouts(connect=5))

        async def gate() -> None: ...

        with pytest.raises(AigcError) as raised:
            await transport.exchange(HttpRequest("/", {}, b"{}"), gate)
        await transport.close()
    basic = b64encode(f"usér:{SECRET} \n".encode("latin-1")).decode()
    assert f"Proxy-Authorization: Basic {basic}" in heads[0]
    told = f"{raised.value} {raised.value!r} {vars(raised.value)} {transport!r}"
    assert "through the proxy 127.0.0.1" in told
    assert SECRET not in told
    assert basic not in told
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_the_endpoint_alone_is_what_a_client_keeps() -> None:
    assert str(parse_endpoint("https://host.example")) == "https://host.example/"
    client = AigcClient(configured(), retry=RetryPolicy(attempts=1))
    assert repr(client).endswith("at 127.0.0.1:80, closed>")
    client.check(ImageRequest(prompt="a"))
