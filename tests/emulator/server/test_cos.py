"""COS over a socket: the official COS SDK's own client reads the bucket; ranges, frames, faults."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import unquote

import aiohttp
import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError
from yarl import URL

from mps_aigc_async.emulator import Bucket, BucketStatistics, Emulator
from mps_aigc_async.emulator.tasks.faults import COS

from ..callers import KEYS, Fields
from .test_server import made

BUCKET = "shots-1250000000"
STORE: Fields = {"CosBucketName": BUCKET, "CosBucketRegion": "ap-guangzhou", "CosBucketPath": "五月/day 1"}
TEMPORARY = ("AKIDTEMP", "secret", "token+/=")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=6000) as emulator:
        yield emulator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def image_url(session: aiohttp.ClientSession, emulator: Emulator) -> str:
    fields: Fields = {"Prompt": "a lake", "StoreCosParam": STORE}
    urls = (await made(session, emulator.url, "Image", fields))["ImageUrls"]
    assert isinstance(urls, list)
    return str(urls[0])


@contextmanager
def cos_client(emulator: Emulator, *keys: str) -> Iterator[CosS3Client]:
    """The official client, without retries. The client signs its path, and the host without its port."""
    secret_id, secret_key, token = keys if len(keys) == 3 else (*(keys or KEYS), None)
    domain = emulator.cos_url.removeprefix("http://")
    config = CosConfig(
        Region="ap-guangzhou", SecretId=secret_id, SecretKey=secret_key, Token=token, Scheme="http", Domain=domain
    )
    client = CosS3Client(config, retry=0)
    try:
        yield client
    finally:
        client._session.close()


def key_of(emulator: Emulator, url: str) -> str:
    """The key for the official client: without its virtual hosts, the bucket is the first part."""
    return unquote(url.removeprefix(f"{emulator.cos_url}/"))


def bytes_of(emulator: Emulator, url: str, *keys: str, **headers: str) -> bytes:
    with cos_client(emulator, *keys) as client:
        body: bytes = client.get_object(BUCKET, key_of(emulator, url), **headers)["Body"].get_raw_stream().read()
        return body


async def refusal(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(CosServiceError) as failure:
        await asyncio.to_thread(call)
    assert failure.value.get_request_id()
    assert failure.value.get_resource_location().startswith("/")
    return failure.value.get_status_code(), failure.value.get_error_code()


async def test_the_official_client_gets_and_heads_an_object(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator)
    assert url.startswith(f"{emulator.cos_url}/{BUCKET}/%E4%BA%94%E6%9C%88/day%201/4-AigcImage-")
    emulator.issue(*TEMPORARY, emulator.now() + 3600)
    for keys in (KEYS, TEMPORARY):
        whole = await asyncio.to_thread(bytes_of, emulator, url, *keys)
        assert whole.startswith(b"\x89PNG")
        part = await asyncio.to_thread(partial(bytes_of, emulator, url, *keys, Range="bytes=2-9"))
        assert part == whole[2:10]
        with cos_client(emulator, *keys) as client:
            head = await asyncio.to_thread(client.head_object, BUCKET, key_of(emulator, url))
        assert (head["Content-Length"], head["Content-Type"]) == (str(len(whole)), "image/png")
        assert head["x-cos-request-id"]
    assert emulator.statistics().buckets == {BUCKET: BucketStatistics(objects=1, answers=6, refusals={})}
    async with session.get(f"{emulator.url}/_emulator/statistics") as reply:
        assert json.loads(await reply.text())["buckets"][BUCKET]["answers"] == 6


async def test_the_official_clients_presigned_urls(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator)
    key = key_of(emulator, url)
    emulator.issue(*TEMPORARY, emulator.now() + 3600)
    with cos_client(emulator) as client, cos_client(emulator, *TEMPORARY) as temporary:
        with_token = {"x-cos-security-token": TEMPORARY[2]}
        signed = {
            "GET": client.get_presigned_url(BUCKET, key, "GET"),
            "HEAD": client.get_presigned_url(BUCKET, key, "HEAD"),
            "token": temporary.get_presigned_url(BUCKET, key, "GET", Params=with_token),
            "no token": temporary.get_presigned_url(BUCKET, key, "GET"),
            "no host": client.get_presigned_url(BUCKET, key, "GET", SignHost=False),
            "stranger": client.get_presigned_url(BUCKET, key, "GET").replace(KEYS[0], "AKIDSTRANGER"),
            "ended": client.get_presigned_url(BUCKET, key, "GET", Expired=-1),
        }
    statuses = {}
    for name, address in {**signed, "bare": url, "HEAD by GET": signed["HEAD"]}.items():
        async with session.request("HEAD" if name == "HEAD" else "GET", URL(address, encoded=True)) as reply:
            statuses[name] = reply.status
            assert reply.headers["x-cos-request-id"]
    refused = {"no token": 403, "stranger": 403, "ended": 403, "bare": 403, "HEAD by GET": 403}
    assert statuses == {"GET": 200, "HEAD": 200, "token": 200, "no host": 200, **refused}
    assert emulator.statistics().buckets[BUCKET].refusals == {
        "InvalidAccessKeyId": 2,
        "AccessDenied": 2,
        "SignatureDoesNotMatch": 1,
    }


async def test_the_official_client_understands_the_refusals(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator)
    emulator.issue(*TEMPORARY, emulator.now() - 1)
    assert await refusal(lambda: bytes_of(emulator, url, KEYS[0], "another")) == (403, "SignatureDoesNotMatch")
    assert await refusal(lambda: bytes_of(emulator, url, "AKIDSTRANGER", KEYS[1])) == (403, "InvalidAccessKeyId")
    assert await refusal(lambda: bytes_of(emulator, url, *TEMPORARY)) == (400, "ExpiredToken")
    assert await refusal(lambda: bytes_of(emulator, url + "2")) == (404, "NoSuchKey")
    emulator.faults.add(action=COS, fault="error", code="SlowDown")
    assert await refusal(lambda: bytes_of(emulator, url)) == (503, "SlowDown")


async def test_a_clock_that_is_wrong(
    emulator: Emulator, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await image_url(session, emulator)
    seconds = time.time
    monkeypatch.setattr("qcloud_cos.cos_auth.time.time", lambda: seconds() + 3600)
    assert await refusal(lambda: bytes_of(emulator, url)) == (403, "RequestTimeTooSkewed")
    monkeypatch.setattr("qcloud_cos.cos_auth.time.time", lambda: seconds() - 24 * 3600)
    assert await refusal(lambda: bytes_of(emulator, url)) == (403, "AccessDenied")


async def test_buckets_by_their_access(session: aiohttp.ClientSession) -> None:
    buckets = {BUCKET: Bucket("public-read", "ap-guangzhou"), "gone-1250000000": Bucket("missing")}
    async with Emulator(speed=6000, buckets=buckets) as emulator:
        url = await image_url(session, emulator)
        async with session.get(url) as reply:
            assert (reply.status, reply.content_type) == (200, "image/png")
        gone = url.replace(BUCKET, "gone-1250000000")
        assert await refusal(lambda: bytes_of(emulator, gone)) == (404, "NoSuchBucket")


async def test_a_first_frame_in_a_bucket_needs_a_valid_signature(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    url = await image_url(session, emulator)
    with cos_client(emulator) as client:
        key = key_of(emulator, url)
        frames = {
            "DONE": [client.get_presigned_url(BUCKET, key, "GET")],
            "FAIL": [url, client.get_presigned_url(BUCKET, key, "GET", Expired=-1)],
        }
    for status, urls in frames.items():
        for frame in urls:
            fields: Fields = {"Prompt": "wind", "ImageUrl": frame, "Duration": 1, "StoreCosParam": STORE}
            video = await made(session, emulator.url, "Video", fields)
            assert video["Status"] == status, video["Message"]
            assert ("HTTP 403" in str(video["Message"])) == (status == "FAIL")
    assert emulator.statistics().buckets[BUCKET] == BucketStatistics(2, 1, {"AccessDenied": 2})


async def test_an_object_broken_off_in_the_middle(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await image_url(session, emulator)
    emulator.faults.add(action=COS, fault="reset_after")
    with cos_client(emulator) as client:
        signed = client.get_presigned_url(BUCKET, key_of(emulator, url), "GET")
    with pytest.raises(aiohttp.ClientError):
        async with session.get(signed) as reply:
            await reply.read()


async def test_a_port_of_cos_that_is_taken_leaves_nothing(emulator: Emulator) -> None:
    port = int(emulator.cos_url.rpartition(":")[2])
    other = Emulator(cos_port=port)
    with pytest.raises(OSError, match="address"):
        async with other:
            pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(other.url.rpartition(":")[2]))
