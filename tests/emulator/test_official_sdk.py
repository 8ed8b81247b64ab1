"""The official SDK, sync and async, against the emulator: what Tencent's own client says must be understood, and what
the emulator answers must be understood by Tencent's own client."""

import asyncio
import time
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
import av
import pytest
from PIL import Image
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.mps.v20190612 import models
from tencentcloud.mps.v20190612.mps_client import MpsClient
from tencentcloud.mps.v20190612.mps_client_async import MpsClient as AsyncMpsClient

from mps_aigc_async.emulator import Emulator

from .callers import KEYS


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=6000) as emulator:
        yield emulator


def profile_for(emulator: Emulator) -> ClientProfile:
    endpoint = emulator.url.removeprefix("http://")
    return ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=10))


def image_request(prompt: str) -> models.CreateAigcImageTaskRequest:
    request = models.CreateAigcImageTaskRequest()
    request.ModelName, request.ModelVersion, request.Prompt, request.OutputImageCount = "Hunyuan", "3.0", prompt, 2
    request.ExtraParameters = models.AigcImageExtraParam()
    request.ExtraParameters.AspectRatio, request.ExtraParameters.OutputFormat = "1:1", "jpeg"
    return request


def video_request(first_frame: str) -> models.CreateAigcVideoTaskRequest:
    request = models.CreateAigcVideoTaskRequest()
    request.ModelName, request.Prompt, request.ImageUrl, request.Duration = "Kling", "她转过身来", first_frame, 1
    request.ExtraParameters = models.AigcVideoExtraParam()
    request.ExtraParameters.EnableAudio = True
    return request


async def download(url: str) -> BytesIO:
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as reply:
        return BytesIO(await reply.read())


async def check_results(image_urls: list[str], video_urls: list[str]) -> None:
    assert len(image_urls) == 2
    for url in image_urls:
        picture = Image.open(await download(url))
        assert (picture.format, picture.size) == ("JPEG", (640, 640))
    with av.open(await download(video_urls[0])) as film:
        assert [stream.codec_context.name for stream in film.streams] == ["h264", "aac"]


def sync_chain(emulator: Emulator) -> tuple[list[str], list[str]]:
    client = MpsClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator))
    try:
        image = models.DescribeAigcImageTaskRequest()
        image.TaskId = client.CreateAigcImageTask(image_request("月光下的湖面")).TaskId
        while (described := client.DescribeAigcImageTask(image)).Status != "DONE":
            time.sleep(0.06)
        video = models.DescribeAigcVideoTaskRequest()
        video.TaskId = client.CreateAigcVideoTask(video_request(described.ImageUrls[0])).TaskId
        while (filmed := client.DescribeAigcVideoTask(video)).Status != "DONE":
            time.sleep(0.06)
        return list(described.ImageUrls), list(filmed.VideoUrls)
    finally:
        client.request.conn._session.close()


async def test_the_sync_client_makes_an_image_and_a_video(emulator: Emulator) -> None:
    await check_results(*await asyncio.to_thread(sync_chain, emulator))


async def test_the_async_client_makes_an_image_and_a_video(emulator: Emulator) -> None:
    async with AsyncMpsClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator)) as client:
        image = models.DescribeAigcImageTaskRequest()
        image.TaskId = (await client.CreateAigcImageTask(image_request("a lake by moonlight"))).TaskId
        while (described := await client.DescribeAigcImageTask(image)).Status != "DONE":  # noqa: ASYNC110 - a poll
            await asyncio.sleep(0.06)
        video = models.DescribeAigcVideoTaskRequest()
        video.TaskId = (await client.CreateAigcVideoTask(video_request(described.ImageUrls[0]))).TaskId
        while (filmed := await client.DescribeAigcVideoTask(video)).Status != "DONE":  # noqa: ASYNC110 - a poll
            await asyncio.sleep(0.06)
    assert filmed.Resolution == "320x180"
    await check_results(list(described.ImageUrls), list(filmed.VideoUrls))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (("AKIDSTRANGER", KEYS[1]), "AuthFailure.SecretIdNotFound"),
        ((KEYS[0], "another key"), "AuthFailure.SignatureFailure"),
    ],
)
async def test_the_clients_recognise_a_refusal(emulator: Emulator, keys: tuple[str, str], code: str) -> None:
    async with AsyncMpsClient(Credential(*keys), "", profile_for(emulator)) as client:
        with pytest.raises(TencentCloudSDKException) as refused:
            await client.CreateAigcImageTask(image_request("x"))
    assert refused.value.get_code() == code
    assert refused.value.get_request_id()
