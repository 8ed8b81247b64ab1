"""The official SDKs, sync and async, against the emulator: it must understand the requests of Tencent's own client, and
that client must understand the emulator's answers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
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
from tencentcloud.vod.v20180717 import models as vod_models
from tencentcloud.vod.v20180717.vod_client import VodClient
from tencentcloud.vod.v20180717.vod_client_async import VodClient as AsyncVodClient

from mps_aigc_async.emulator import Emulator

from .callers import KEYS

DESCRIBES = ("DescribeAigcImageTask", "DescribeAigcVideoTask", "DescribeAigcAudioTask", "vod:DescribeTaskDetail")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Its tasks last 10 to 30 ms, in which it is asked about them without a pause."""
    async with Emulator(speed=6000, limits=dict.fromkeys(DESCRIBES)) as emulator:
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
        while (status := client.DescribeAigcImageTask(image)).Status != "DONE":
            pass
        video = models.DescribeAigcVideoTaskRequest()
        video.TaskId = client.CreateAigcVideoTask(video_request(status.ImageUrls[0])).TaskId
        while (film := client.DescribeAigcVideoTask(video)).Status != "DONE":
            pass
        return list(status.ImageUrls), list(film.VideoUrls)
    finally:
        client.request.conn._session.close()


async def test_the_sync_client_makes_an_image_and_a_video(emulator: Emulator) -> None:
    await check_results(*await asyncio.to_thread(sync_chain, emulator))


async def test_the_async_client_makes_an_image_and_a_video(emulator: Emulator) -> None:
    async with AsyncMpsClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator)) as client:
        image = models.DescribeAigcImageTaskRequest()
        image.TaskId = (await client.CreateAigcImageTask(image_request("a lake by moonlight"))).TaskId
        while (status := await client.DescribeAigcImageTask(image)).Status != "DONE":
            pass
        video = models.DescribeAigcVideoTaskRequest()
        video.TaskId = (await client.CreateAigcVideoTask(video_request(status.ImageUrls[0]))).TaskId
        while (film := await client.DescribeAigcVideoTask(video)).Status != "DONE":
            pass
    assert film.Resolution == "320x180"
    await check_results(list(status.ImageUrls), list(film.VideoUrls))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (("AKIDSTRANGER", KEYS[1]), "AuthFailure.SecretIdNotFound"),
        ((KEYS[0], "another key"), "AuthFailure.SignatureFailure"),
    ],
)
async def test_the_clients_recognise_a_refusal(emulator: Emulator, keys: tuple[str, str], code: str) -> None:
    async with AsyncMpsClient(Credential(*keys), "", profile_for(emulator)) as client:
        with pytest.raises(TencentCloudSDKException) as refusal:
            await client.CreateAigcImageTask(image_request("x"))
    assert refusal.value.get_code() == code
    assert refusal.value.get_request_id()


async def test_the_async_client_makes_an_audio_and_a_sound_for_a_video(emulator: Emulator) -> None:
    request = models.CreateAigcAudioTaskRequest()
    request.ModelName, request.SceneType, request.Prompt = "Kling", "sfx", "雨打屋檐"
    given = models.AigcAudioReferenceVideoInfo()
    given.VideoUrl = "http://127.0.0.1/a.mp4"
    request.VideoInfos = [given]
    request.ExtraParameters = models.AigcAudioExtraParam()
    request.ExtraParameters.OutputAudioFormat = "mp3"
    async with AsyncMpsClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator)) as client:
        audio = models.DescribeAigcAudioTaskRequest()
        audio.TaskId = (await client.CreateAigcAudioTask(request)).TaskId
        while (status := await client.DescribeAigcAudioTask(audio)).Status != "DONE":
            pass
        task_list = await client.DescribeAigcTaskList(models.DescribeAigcTaskListRequest())
    assert (task_list.Total, task_list.Tasks) == (0, [])
    (sound,), (film,) = status.AudioInfos, status.VideoInfos
    for piece, codecs in (sound, ["mp3float"]), (film, ["h264", "aac"]):
        with av.open(await download(piece.Url), "r") as container:
            assert [stream.codec_context.name for stream in container.streams] == codecs
            assert (container.duration or 0) / 1_000_000 == pytest.approx(piece.Duration, abs=0.2)


def vod_image_request() -> vod_models.CreateAigcImageTaskRequest:
    request = vod_models.CreateAigcImageTaskRequest()
    request.SubAppId, request.ModelName, request.ModelVersion = 1500001234, "Kling", "3.0"
    request.Prompt, request.SessionId = "月光下的湖面", "image-1"
    request.OutputConfig = vod_models.AigcImageOutputConfig()
    request.OutputConfig.OutputImageCount, request.OutputConfig.OutputFormat = 2, "jpeg"
    request.OutputConfig.AspectRatio = "1:1"
    return request


def vod_video_request(first_frame: str) -> vod_models.CreateAigcVideoTaskRequest:
    request = vod_models.CreateAigcVideoTaskRequest()
    request.ModelName, request.ModelVersion, request.Prompt = "Kling", "3.0", "她转过身来"
    frame = vod_models.AigcVideoTaskInputFileInfo()
    frame.Type, frame.Category, frame.Usage, frame.Url = "Url", "Image", "FirstFrame", first_frame
    request.FileInfos = [frame]
    request.OutputConfig = vod_models.AigcVideoOutputConfig()
    request.OutputConfig.Duration, request.OutputConfig.AudioGeneration = 1.0, "Enabled"
    return request


def detail_request(task_id: str) -> vod_models.DescribeTaskDetailRequest:
    request = vod_models.DescribeTaskDetailRequest()
    request.TaskId = task_id
    return request


def sync_vod_chain(emulator: Emulator) -> tuple[list[str], list[str]]:
    client = VodClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator))

    def finished(task_id: str) -> vod_models.DescribeTaskDetailResponse:
        while (status := client.DescribeTaskDetail(detail_request(task_id))).Status != "FINISH":
            pass
        return status

    try:
        image = finished(client.CreateAigcImageTask(vod_image_request()).TaskId)
        urls = [file.FileUrl for file in image.AigcImageTask.Output.FileInfos]
        video = finished(client.CreateAigcVideoTask(vod_video_request(urls[0])).TaskId)
        return urls, [file.FileUrl for file in video.AigcVideoTask.Output.FileInfos]
    finally:
        client.request.conn._session.close()


async def test_vods_sync_client_makes_an_image_and_a_video(emulator: Emulator) -> None:
    await check_results(*await asyncio.to_thread(sync_vod_chain, emulator))


async def test_vods_async_client_makes_an_image_and_a_video(emulator: Emulator) -> None:
    async with AsyncVodClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator)) as client:

        async def finished(task_id: str) -> vod_models.DescribeTaskDetailResponse:
            status = await client.DescribeTaskDetail(detail_request(task_id))
            while status.Status != "FINISH":
                status = await client.DescribeTaskDetail(detail_request(task_id))
            return status

        image = await finished((await client.CreateAigcImageTask(vod_image_request())).TaskId)
        with pytest.raises(TencentCloudSDKException) as refusal:
            await client.CreateAigcImageTask(vod_image_request())
        urls = [file.FileUrl for file in image.AigcImageTask.Output.FileInfos]
        video = await finished((await client.CreateAigcVideoTask(vod_video_request(urls[0]))).TaskId)
        task_list = await client.DescribeTasks(vod_models.DescribeTasksRequest())
    assert refusal.value.get_code() == "InvalidParameterValue.SessionId"
    assert image.TaskType == "AigcImageTask"
    assert image.AigcVideoTask is None
    assert image.AigcImageTask.SessionId == "image-1"
    assert [task.TaskType for task in task_list.TaskSet] == ["AigcVideoTask", "AigcImageTask"]
    (file,) = video.AigcVideoTask.Output.FileInfos
    assert (file.FileType, file.MetaData.Width, file.MetaData.Duration) == ("mp4", 320, 1.0)
    await check_results(urls, [file.FileUrl])


async def test_vods_async_client_makes_an_audio_and_a_sound_for_a_video(emulator: Emulator) -> None:
    request = vod_models.CreateAigcAudioTaskRequest()
    request.ModelName, request.SceneType, request.Prompt = "Kling", "sfx", "雨打屋檐"
    given = vod_models.AigcAudioReferenceVideoInfo()
    given.Type, given.Url = "Url", "http://127.0.0.1/a.mp4"
    request.VideoInfos = [given]
    request.OutputConfig = vod_models.AigcAudioOutputConfig()
    request.OutputConfig.Duration, request.OutputConfig.OutputAudioFormat = 2, "wav"
    async with AsyncVodClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator)) as client:
        task_ids = [(await client.CreateAigcAudioTask(request)).TaskId for _ in range(2)]
        assert len(set(task_ids)) == 2, "no session: the second create is a second task"
        while (status := await client.DescribeTaskDetail(detail_request(task_ids[0]))).Status != "FINISH":
            pass
    assert (status.TaskType, status.AigcVideoTask) == ("AigcAudioTask", None)
    task = status.AigcAudioTask
    assert (task.Status, task.ErrCode, task.ErrCodeExt, task.Progress) == ("FINISH", 0, "", 100)
    (sound,), (film,) = task.Output.AudioInfos, task.Output.VideoInfos
    for piece, codecs in (sound, ["pcm_s16le"]), (film, ["h264", "aac"]):
        assert (piece.StorageMode, piece.Duration) == ("Temporary", 2.0)
        with av.open(await download(piece.FileUrl), "r") as container:
            assert [stream.codec_context.name for stream in container.streams] == codecs
            assert (container.duration or 0) / 1_000_000 == pytest.approx(piece.Duration, abs=0.2)


def span() -> tuple[str, str]:
    """The last two days and the next, which hold every task of a test, also one that runs over midnight."""
    now = datetime.now(UTC)
    return (now - timedelta(days=2)).isoformat(timespec="seconds"), (now + timedelta(days=1)).isoformat(
        timespec="seconds"
    )


def sums(items: list[models.TaskStatDataItem] | list[vod_models.TaskStatDataItem]) -> tuple[int, int]:
    return sum(item.Count for item in items), sum(item.Usage for item in items)


async def test_the_async_client_reads_the_usage_data(emulator: Emulator) -> None:
    async with AsyncMpsClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator)) as client:
        image = models.DescribeAigcImageTaskRequest()
        image.TaskId = (await client.CreateAigcImageTask(image_request("a lake by moonlight"))).TaskId
        while (await client.DescribeAigcImageTask(image)).Status != "DONE":
            pass
        request = models.DescribeUsageDataRequest()
        request.StartTime, request.EndTime = span()
        request.Types = ["AIGCImage", "AIGCVideo"]
        images, videos = (await client.DescribeUsageData(request)).Data
    assert (images.TaskType, sums(images.Summary)) == ("AIGCImage", (1, 2))
    assert [(detail.Specification, sums(detail.Data)) for detail in images.Details] == [("Hunyuan3.0", (1, 2))]
    assert (videos.TaskType, sums(videos.Summary), videos.Details) == ("AIGCVideo", (0, 0), [])
    assert datetime.fromisoformat(images.Summary[0].Time).utcoffset() == timedelta(hours=8)


async def test_vods_async_client_reads_the_usage_data_and_the_quotas() -> None:
    async with (
        Emulator(speed=6000, limits=dict.fromkeys(DESCRIBES), vod_quotas={"Image": 100}) as emulator,
        AsyncVodClient(Credential(*KEYS), "ap-guangzhou", profile_for(emulator)) as client,
    ):
        detail = detail_request((await client.CreateAigcImageTask(vod_image_request())).TaskId)
        while (await client.DescribeTaskDetail(detail)).Status != "FINISH":
            pass
        request = vod_models.DescribeAigcUsageDataRequest()
        (request.StartTime, request.EndTime), request.AigcType = span(), "Image"
        (usage,) = (await client.DescribeAigcUsageData(request)).AigcUsageDataSet
        quotas_request = vod_models.DescribeAigcQuotasRequest()
        quotas_request.SubAppId, quotas_request.QuotaType = 1500001234, "Image"
        quotas = await client.DescribeAigcQuotas(quotas_request)
        quotas_request.QuotaType = "Video"
        none = await client.DescribeAigcQuotas(quotas_request)
    assert (usage.Specification, sums(usage.DataSet)) == ("Kling3.0", (1, 2))
    assert [(quota.QuotaType, quota.QuotaLimit, quota.Usage) for quota in quotas.QuotaSet] == [("Image", 100, 2)]
    assert (quotas.TotalCount, none.TotalCount, none.QuotaSet) == (1, 0, [])
