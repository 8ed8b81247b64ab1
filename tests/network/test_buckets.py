"""The user's own buckets: which URLs are signed, with which keys, and what a probe of a bucket shows."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from pydantic import SecretStr

from mps_aigc_async import (
    AccountError,
    CosStore,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    ImageToVideoResult,
    InvalidRequest,
    VideoRequest,
    VideoResult,
)
from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.credentials import cos_sdk
from mps_aigc_async.credentials.credentials import Credentials, CredentialSource
from mps_aigc_async.credentials.keyring import KeyRing
from mps_aigc_async.model.contents import content
from mps_aigc_async.network.addresses import sendable
from mps_aigc_async.network.buckets import BucketAccess, Buckets, BucketSettings
from mps_aigc_async.network.downloads import Downloads

from ..listening import AppServer, listening

NOW = 1_790_000_000.0
HOST = "shots-1250000000.cos.ap-guangzhou.myqcloud.com"
STORE = CosStore(bucket="shots-1250000000", region="ap-guangzhou", path="/out/")
BARE = f"https://{HOST}/out/a.png"
KEYS = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))


async def nothing_to_learn() -> None:
    """The service's time is known."""


@asynccontextmanager
async def buckets_of(
    settings: BucketSettings,
    credentials: Credentials | CredentialSource = KEYS,
    learn_time: Callable[[], Coroutine[Any, Any, None]] = nothing_to_learn,
) -> AsyncIterator[Buckets]:
    downloads, owner, keys = Downloads(), TaskOwner(), KeyRing(credentials, lambda: NOW)
    try:
        yield Buckets(settings, keys, downloads, owner, lambda: NOW, learn_time)
    finally:
        await owner.close()
        await keys.close()
        await downloads.close()


def private(endpoint: str = "") -> BucketSettings:
    return BucketSettings(STORE, BucketAccess.SIGNED, endpoint)


def signature_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def result(url: str = BARE, *, never_expires: bool = True) -> ImageResult:
    return ImageResult(task_id="4-1", request_id="r", urls=(url,), expires_at=None, never_expires=never_expires)


CHAINS_RESULT = ImageToVideoResult(
    image=result(), video=VideoResult(task_id="4-2", request_id="r", urls=(BARE,), expires_at=None)
)

# --- URLs -------------------------------------------------------------------------------------------------------------


async def test_a_bare_url_into_a_private_bucket_is_signed_for_an_hour() -> None:
    async with buckets_of(private()) as buckets:
        url = await buckets.readable(BARE)
    assert url.startswith(f"{BARE}?")
    assert signature_of(url)["q-sign-time"] == f"{NOW - 60:.0f};{NOW + 3600:.0f}"


@pytest.mark.parametrize(
    "url", [f"{BARE}?q-sign-algorithm=sha1", "https://mps-1.example/a.png", "https://1250.vod2.myqcloud.com/a.png"]
)
async def test_every_other_url_is_left_alone(url: str) -> None:
    async with buckets_of(private()) as buckets:
        assert await buckets.readable(url) == url


async def test_nothing_is_signed_in_a_public_bucket() -> None:
    async with buckets_of(BucketSettings(STORE, BucketAccess.BARE)) as buckets:
        assert await buckets.readable(BARE) == BARE
        request = VideoRequest(first_frame=result())
        assert await buckets.readable_inputs(request) == request
        assert "q-signature=" in await buckets.signed_url(BARE, 60)  # on request


async def test_a_signature_never_crosses_the_network_readable() -> None:
    async with buckets_of(private()) as buckets:
        assert (await buckets.readable(BARE.replace("https", "http"))).startswith(f"{BARE}?")


@pytest.mark.parametrize("scheme", ["http", "HTTP", "HTTPS"])
async def test_a_scheme_in_capitals_is_the_same_scheme(scheme: str) -> None:
    async with buckets_of(private()) as buckets:
        assert (await buckets.readable(BARE.replace("https", scheme))).startswith(f"{BARE}?")


@pytest.mark.parametrize("end", ["?", "#", "?#"])
async def test_a_signature_stands_in_the_query_whatever_ends_the_url(end: str) -> None:
    async with buckets_of(private()) as buckets:
        assert await buckets.readable(BARE + end) == await buckets.readable(BARE)


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("a b.png", "a%20b.png"),
        ("镜头 1.png", "%E9%95%9C%E5%A4%B4%201.png"),
        ("\u3000.png", "%E3%80%80.png"),
        ("a+b%2Fc//d/../e.png", "a+b%2Fc//d/../e.png"),
        ("\ud800.png", "%ED%A0%80.png"),
        ("x" * 900, "x" * 900),
    ],
)
async def test_a_key_of_any_characters_makes_a_url_that_can_be_sent(key: str, sent: str) -> None:
    async with buckets_of(private()) as buckets:
        url = await buckets.readable(f"https://{HOST}/out/{key}")
    assert sendable(url).raw_path == f"/out/{sent}"


async def test_the_services_time_is_learned_once_before_the_first_signature() -> None:
    learned = 0

    async def learn_time() -> None:
        nonlocal learned
        learned += 1

    async with buckets_of(private(), learn_time=learn_time) as buckets:
        await asyncio.gather(*[buckets.readable(BARE) for _ in range(3)])
        assert learned == 1


async def test_temporary_keys_sign_with_the_token_of_the_moment() -> None:
    tokens = iter(("first", "second"))

    async def source() -> Credentials:
        ends = datetime.fromtimestamp(NOW + 1, UTC)  # by then half of their life is over: each call refreshes
        return Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), SecretStr(next(tokens)), ends)

    async with buckets_of(private(), source) as buckets:
        assert signature_of(await buckets.readable(BARE))["x-cos-security-token"] == "first"


async def test_inputs_in_the_users_buckets_are_signed_and_the_request_keeps_its_content() -> None:
    own = CosStore(bucket="other-1250000000", region="ap-guangzhou")
    of_other_bucket = BARE.replace("shots-", "other-")
    request = VideoRequest(
        prompt=BARE, first_frame=result(), last_frame=of_other_bucket, images=("https://a/1.png",), store=own
    )
    before = content(request)
    async with buckets_of(private()) as buckets:
        signed = await buckets.readable_inputs(request)
    assert str(signed.first_frame).startswith(f"{BARE}?q-sign-algorithm=sha1")
    assert str(signed.last_frame).startswith(f"{of_other_bucket}?q-sign-algorithm=sha1")
    assert signature_of(str(signed.first_frame))["q-sign-time"].endswith(f"{NOW + 12 * 3600:.0f}")
    assert (signed.images, signed.prompt) == (request.images, request.prompt)
    assert content(request) == before


@pytest.mark.parametrize(
    "frame",
    [
        result(never_expires=False),  # the service's own storage happens to be COS, too
        "https://strangers-1250000000.cos.ap-guangzhou.myqcloud.com/a.png",
        "https://strangers-1250000000.cos.ap-guangzhou.myqcloud.com/shots-1250000000/a.png",
        replace(result(), file_ids=("5285",)),  # of VOD or a relay, in a bucket of theirs
        "https://a/1.png",
    ],
)
async def test_inputs_elsewhere_are_not_signed(frame: str | ImageResult) -> None:
    request = VideoRequest(first_frame=frame)
    async with buckets_of(private()) as buckets:
        assert await buckets.readable_inputs(request) == request


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("https://a/1.png?secret=1", "https://a/1.png is"),
        (result("https://a/1.png"), "https://a/1.png is"),
        ("", "the result is"),
        (None, "not NoneType"),
        (b"https://a/1.png?secret=1", "not bytes"),
        (ImageToVideo(image=ImageRequest(prompt="x"), video=VideoRequest()), "not ImageToVideo"),
    ],
)
async def test_only_objects_in_buckets_are_signed_on_request(source: Any, named: str) -> None:  # noqa: ANN401 — a mistake
    async with buckets_of(private()) as buckets:
        with pytest.raises(InvalidRequest) as caught:
            await buckets.signed_url(source, 60)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("source", [None, 5, b"https://a/1.png", (BARE,), CHAINS_RESULT])
async def test_anything_but_a_result_or_a_url_is_refused_in_words(source: Any) -> None:  # noqa: ANN401 — a mistake
    async with buckets_of(private()) as buckets:
        with pytest.raises(InvalidRequest, match=f"not {type(source).__name__}: of a chain's result give `.image`"):
            await buckets.signed_url(source, 60)


@pytest.mark.parametrize("life_s", ["60", None, True, timedelta(minutes=1), 1e99, float("nan"), 0])
async def test_a_life_that_is_no_number_is_refused_in_words(life_s: Any) -> None:  # noqa: ANN401 — a mistake
    async with buckets_of(private()) as buckets:
        with pytest.raises(InvalidRequest, match="give seconds, from 1 to"):
            await buckets.signed_url(BARE, life_s)


@pytest.mark.parametrize(
    ("settings", "url", "why"),
    [
        (private(), BARE, "the keys need cos:GetObject"),
        (BucketSettings(STORE, BucketAccess.BARE), BARE, 'set "private"'),
        (private(), "https://cdn.example/a.png", "set `cosOutput.endpoint`"),
    ],
)
async def test_a_refused_result_is_told_with_its_fix(settings: BucketSettings, url: str, why: str) -> None:
    async with buckets_of(settings) as buckets:
        assert why in buckets.why_refused(url)


@pytest.mark.parametrize(("access", "is_refused"), [(BucketAccess.SIGNED, True), (BucketAccess.BARE, False)])
def test_without_the_extra_a_private_bucket_is_an_error(
    monkeypatch: pytest.MonkeyPatch, access: BucketAccess, *, is_refused: bool
) -> None:
    nothing: Callable[[str], None] = lambda _name: None  # noqa: E731 — a stand-in for find_spec
    monkeypatch.setattr(cos_sdk, "find_spec", nothing)
    settings = BucketSettings(STORE, access)
    assert not settings.why_unreadable(None)
    start = "the results in the bucket shots-1250000000 could not be read: signing needs its extra"
    assert settings.why_unreadable(STORE).startswith(start) == is_refused


# --- the probe --------------------------------------------------------------------------------------------------------


class Cos:
    """A COS that answers each GET with one error."""

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self._status = status
        self.paths: list[str] = []
        self.is_signed = False

    async def answer(self, request: web.Request) -> web.Response:
        self.is_signed = "q-signature" in request.query
        self.paths.append(request.path)
        body = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{self.code}</Code><Message>m</Message></Error>"
        return web.Response(status=self._status, text=body, content_type="application/xml")


@asynccontextmanager
async def cos_of(code: str, status: int) -> AsyncIterator[tuple[Cos, str]]:
    cos, application = Cos(code, status), web.Application()
    application.router.add_get("/{path:.*}", cos.answer)
    async with AppServer(application) as server:
        yield cos, str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(
    ("code", "status"),
    [("NoSuchBucket", 404), ("InvalidBucketName", 400), ("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403)],
)
async def test_a_bucket_that_cannot_be_read_is_told_once_asked(code: str, status: int) -> None:
    async with cos_of(code, status) as (cos, endpoint), buckets_of(private(endpoint)) as buckets:
        probes = [buckets.require_readable(STORE) for _ in range(3)]
        errors = await asyncio.gather(*probes, return_exceptions=True)
        assert [type(error) for error in errors] == [AccountError] * 3
        assert len({id(error) for error in errors}) == 3  # each gets the ids of its own job
        assert str(errors[0]).startswith(
            f"Cos.{code}: the results in the bucket shots-1250000000 in ap-guangzhou could"
        )
        assert cos.paths == ["/shots-1250000000/out/.mps-aigc-probe"]
        assert cos.is_signed


async def test_a_requests_own_bucket_concerns_that_request_alone() -> None:
    own = CosStore(bucket="other-1250000000", region="ap-guangzhou")
    async with cos_of("NoSuchBucket", 404) as (cos, endpoint), buckets_of(private(endpoint)) as buckets:
        with pytest.raises(InvalidRequest, match=r"store: .*other-1250000000"):
            await buckets.require_readable(own)
        assert cos.paths == ["/other-1250000000/.mps-aigc-probe"]


@pytest.mark.parametrize(
    ("code", "status"), [("NoSuchKey", 404), ("ServiceUnavailable", 503), ("", 200), ("AccessDenied", 403)]
)
async def test_any_other_answer_lets_creates_go_on(code: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with cos_of(code, status) as (_, endpoint), buckets_of(private(endpoint)) as buckets:
        await buckets.require_readable(STORE)
    assert ("cos:GetObject" in caplog.text) == (code == "AccessDenied")


async def test_a_public_bucket_is_asked_as_everybody_asks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with cos_of("AccessDenied", 403) as (cos, endpoint):
        async with buckets_of(BucketSettings(STORE, BucketAccess.BARE, endpoint)) as buckets:
            await buckets.require_readable(STORE)
        assert (len(cos.paths), cos.is_signed) == (1, False)
    assert '`cosOutput.access` is "public", and the bucket is not: set "private"' in caplog.text
    async with cos_of("NoSuchBucket", 404) as (cos, endpoint):
        bare = BucketSettings(STORE, BucketAccess.BARE, endpoint)
        async with buckets_of(bare) as buckets:
            with pytest.raises(AccountError, match=r"Cos\.NoSuchBucket"):
                await buckets.require_readable(STORE)
        assert not cos.is_signed


async def test_a_cos_that_cannot_be_reached_lets_creates_go_on() -> None:
    async with buckets_of(private("http://127.0.0.1:9")) as buckets:
        await buckets.require_readable(STORE)


async def test_keys_that_cannot_be_had_are_the_creates_own_error() -> None:
    async def source() -> Credentials:
        raise OSError

    async with buckets_of(private(), source) as buckets:
        await buckets.require_readable(STORE)
        with pytest.raises(AccountError, match="refresh failed"):
            await buckets.readable_inputs(VideoRequest(first_frame=result()))


async def test_a_cancelled_caller_leaves_the_probe_to_the_others() -> None:
    async with cos_of("NoSuchBucket", 404) as (cos, endpoint), buckets_of(private(endpoint)) as buckets:
        first = asyncio.create_task(buckets.require_readable(STORE))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(AccountError):
            await buckets.require_readable(STORE)
        assert len(cos.paths) == 1


@pytest.mark.parametrize("region", ["a@b.example/", "evil.example/x", "x.example:80", "a.b.c"])
async def test_a_requests_region_takes_no_signature_to_a_stranger(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with buckets_of(private()) as buckets:
        monkeypatch.setattr(buckets, "sign", None)  # would raise
        await buckets.require_readable(CosStore(bucket="shots-1250000000", region=region))


async def test_a_refused_bucket_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.network.buckets.AGAIN_S", 0.0)
    async with cos_of("NoSuchBucket", 404) as (cos, endpoint), buckets_of(private(endpoint)) as buckets:
        with pytest.raises(AccountError):
            await buckets.require_readable(STORE)
        cos.code = "NoSuchKey"  # the user has created the bucket
        await buckets.require_readable(STORE)
        await buckets.require_readable(STORE)
        assert len(cos.paths) == 2


async def test_a_bucket_is_asked_once_for_all_its_folders() -> None:
    async with cos_of("NoSuchKey", 404) as (cos, endpoint), buckets_of(private(endpoint)) as buckets:
        for number in range(3):
            await buckets.require_readable(STORE.model_copy(update={"path": f"/day-{number}/"}))
        assert len(cos.paths) == 1


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch"])
async def test_temporary_keys_that_end_at_the_probe_are_no_verdict(code: str) -> None:
    asked = 0

    async def source() -> Credentials:
        nonlocal asked
        asked += 1
        return Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), SecretStr(f"token-{asked}"))

    async with cos_of(code, 403) as (_, endpoint), buckets_of(private(endpoint), source) as buckets:
        await buckets.require_readable(STORE)
        await buckets.readable(BARE.replace(f"https://{HOST}", f"{endpoint}/shots-1250000000"))
        await asyncio.sleep(0)
        assert asked == 2


async def test_a_code_that_comes_in_two_pieces_is_read() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n<Error><Code>NoSuch")
        await writer.drain()
        for _ in range(50):  # the client reads the first piece meanwhile
            await asyncio.sleep(0)
        writer.write(b"Bucket</Code></Error>")
        await writer.drain()

    async with listening(talk) as url, buckets_of(private(str(url).rstrip("/"))) as buckets:
        with pytest.raises(AccountError, match="NoSuchBucket"):
            await buckets.require_readable(STORE)


async def test_a_request_without_inputs_is_not_touched() -> None:
    request = ImageRequest(prompt="x")
    async with buckets_of(private()) as buckets:
        assert await buckets.readable_inputs(request) == request
