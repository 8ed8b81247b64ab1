"""The user's own buckets: which URLs are signed, with which keys, and what a probe of a bucket shows."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from pydantic import SecretStr

from mps_aigc_async import (
    AccountError,
    CosStore,
    ImageRequest,
    ImageResult,
    InvalidRequest,
    VideoRequest,
)
from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.credentials import cos_sdk
from mps_aigc_async.credentials.credentials import Credentials, CredentialSource
from mps_aigc_async.credentials.keyring import KeyRing
from mps_aigc_async.model.contents import content
from mps_aigc_async.network import buckets as buckets_module
from mps_aigc_async.network.buckets import BucketAccess, Buckets, BucketSettings
from mps_aigc_async.network.downloads import Downloads

from ..listening import AppServer

NOW = 1_790_000_000.0
HOST = "shots-1250000000.cos.ap-guangzhou.myqcloud.com"
STORE = CosStore(bucket="shots-1250000000", region="ap-guangzhou", path="/out/")
BARE = f"https://{HOST}/out/a.png"
KEYS = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))


@asynccontextmanager
async def buckets_of(
    settings: BucketSettings, credentials: Credentials | CredentialSource = KEYS
) -> AsyncIterator[Buckets]:
    downloads, owner, keys = Downloads(), TaskOwner(), KeyRing(credentials, lambda: NOW)
    try:
        yield Buckets(settings, keys, downloads, owner, lambda: NOW)
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
        await buckets.require_readable(STORE)  # asks nobody
        assert "q-signature=" in await buckets.signed_url(BARE, 60)  # on request


async def test_a_signature_never_crosses_the_network_readable() -> None:
    async with buckets_of(private()) as buckets:
        assert (await buckets.readable(BARE.replace("https", "http"))).startswith(f"{BARE}?")


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
    ],
)
async def test_only_objects_in_buckets_are_signed_on_request(source: str | ImageResult, named: str) -> None:
    async with buckets_of(private()) as buckets:
        with pytest.raises(InvalidRequest) as caught:
            await buckets.signed_url(source, 60)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


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
        self.body = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code><Message>m</Message></Error>"
        self._status = status
        self.paths: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        assert "q-signature" in request.query
        self.paths.append(request.path)
        return web.Response(status=self._status, text=self.body, content_type="application/xml")


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


async def test_a_bucket_that_has_been_made_meanwhile_is_used_by_the_same_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with cos_of("NoSuchBucket", 404) as (cos, endpoint), buckets_of(private(endpoint)) as buckets:
        with pytest.raises(AccountError, match="NoSuchBucket"):
            await buckets.require_readable(STORE)
        cos.body = cos.body.replace("NoSuchBucket", "NoSuchKey")
        with pytest.raises(AccountError, match="NoSuchBucket"):
            await buckets.require_readable(STORE)  # a moment later: not asked again
        monkeypatch.setattr(buckets_module, "PROBE_AGAIN_S", 0.0)
        for _ in range(3):
            await buckets.require_readable(STORE)
        assert len(cos.paths) == 2, "a bucket that can be read is probed once"


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


async def test_a_request_without_inputs_is_not_touched() -> None:
    request = ImageRequest(prompt="x")
    async with buckets_of(private()) as buckets:
        assert await buckets.readable_inputs(request) == request
