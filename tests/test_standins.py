"""The stand-ins against the official SDKs, and against plain HTTP: their own faults would make other tests lie."""

import asyncio
from typing import Any

import aiohttp
import pytest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.mps.v20190612 import models as mps_models
from tencentcloud.mps.v20190612.mps_client import MpsClient
from tencentcloud.vod.v20180717 import models as vod_models
from tencentcloud.vod.v20180717.vod_client import VodClient

from .standins.book import Manners, Order, stage
from .standins.calls import Lost, Refusal
from .standins.mps import Mps
from .standins.relay import KEY
from .standins.serving import StandIn, running, serving
from .standins.tc3 import SECRET_ID, SECRET_KEY
from .standins.vod import SUB_APP_ID

AT_ONCE = (0.0, 0.0)
LAKE = {"SubAppId": SUB_APP_ID, "ModelName": "GEM", "ModelVersion": "3.0", "Prompt": "a lake"}
CLIENTS = {"mps": (MpsClient, mps_models), "vod": (VodClient, vod_models)}


async def said(standin: StandIn, name: str, action: str, **fields: Any) -> Any:  # noqa: ANN401 — the SDK is untyped
    """The answer of one call, as the official SDK has it. `key` is another secret key than the stand-in's."""
    client_type, models = CLIENTS[name]
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=standin.url.removeprefix("http://")))
    client = client_type(Credential(SECRET_ID, fields.pop("key", SECRET_KEY)), "", profile)
    request = getattr(models, f"{action}Request")()
    request._deserialize(fields)
    return await asyncio.to_thread(getattr(client, action), request)


async def refused(standin: StandIn, name: str, action: str, **fields: Any) -> str:  # noqa: ANN401 — as above
    """The code of the refusal of one call."""
    with pytest.raises(TencentCloudSDKException) as raised:
        await said(standin, name, action, **fields)
    return str(raised.value.get_code())


async def test_mps_makes_what_the_official_sdk_asks_for() -> None:
    async with serving("mps", Manners(seconds=AT_ONCE)) as mps:
        lake = {"ModelName": "Hunyuan", "ModelVersion": "3.0", "Prompt": "a lake"}
        created = await said(mps, "mps", "CreateAigcImageTask", **lake)
        done = await said(mps, "mps", "DescribeAigcImageTask", TaskId=created.TaskId)
        assert (done.Status, done.Message) == ("DONE", "ok")
        async with aiohttp.ClientSession() as session, session.get(done.ImageUrls[0]) as picture:
            assert (await picture.read()).startswith(b"\x89PNG\r\n\x1a\n")
        video = {"ModelName": "Kling", "Prompt": "it moves, fail-later", "ImageUrl": done.ImageUrls[0]}
        failed = await said(mps, "mps", "CreateAigcVideoTask", **video)
        assert (await said(mps, "mps", "DescribeAigcVideoTask", TaskId=failed.TaskId)).Status == "FAIL"
        # As reported of the live service: the action of another kind does not say that the task is another's.
        wrong = await refused(mps, "mps", "DescribeAigcVideoTask", TaskId=created.TaskId)
        assert wrong == "ResourceNotFound"
        seen = await mps.seen()
        assert [(task.prompt, bool(task.frame)) for task in seen.tasks] == [
            ("a lake", False),
            ("it moves, fail-later", True),
        ]


async def test_a_wrong_signature_is_refused() -> None:
    async with serving("mps") as mps, serving("vod") as vod:
        for name, standin in (("mps", mps), ("vod", vod)):
            code = await refused(standin, name, "CreateAigcImageTask", key="another", Prompt="a lake")
            assert code == "AuthFailure.SignatureFailure"
            assert (await standin.seen()).tasks == []


async def test_vod_takes_a_session_once() -> None:
    async with serving("vod", Manners(seconds=AT_ONCE)) as vod:
        created = await said(vod, "vod", "CreateAigcImageTask", **LAKE, SessionId="s-1")
        again = await refused(vod, "vod", "CreateAigcImageTask", **LAKE, SessionId="s-1")
        assert again == "InvalidParameterValue.SessionId"
        other = await refused(vod, "vod", "CreateAigcImageTask", **LAKE | {"SubAppId": 1})
        assert other == "InvalidParameterValue.SubAppId"
        listed = await said(vod, "vod", "DescribeTasks", SubAppId=SUB_APP_ID, Status="FINISH", Limit=100)
        assert [(row.TaskId, row.SessionId) for row in listed.TaskSet] == [(created.TaskId, "s-1")]


async def test_vod_makes_an_audio_at_each_create_and_knows_no_session_of_it() -> None:
    rain = {"SubAppId": SUB_APP_ID, "Prompt": "rain", "SceneType": "sfx"}
    async with serving("vod", Manners(seconds=AT_ONCE)) as vod:
        first, second = [await said(vod, "vod", "CreateAigcAudioTask", **rain) for _ in range(2)]
        assert first.TaskId != second.TaskId
        detail = await said(vod, "vod", "DescribeTaskDetail", SubAppId=SUB_APP_ID, TaskId=first.TaskId)
        assert (detail.TaskType, detail.Status) == ("AigcAudioTask", "FINISH")
        (file,) = detail.AigcAudioTask.Output.AudioInfos
        assert file.FileUrl.startswith(f"{vod.url}/media/audio/")


async def test_vod_lists_a_task_late() -> None:
    async with serving("vod", Manners(seconds=AT_ONCE, list_lag_s=3600.0)) as vod:
        await said(vod, "vod", "CreateAigcImageTask", **LAKE)
        listed = await said(vod, "vod", "DescribeTasks", SubAppId=SUB_APP_ID, Status="FINISH", Limit=100)
        assert listed.TaskSet == []


async def test_vod_keeps_a_permanent_result_in_its_library() -> None:
    async with serving("vod", Manners(seconds=AT_ONCE)) as vod:
        for mode in ("Temporary", "Permanent"):
            created = await said(vod, "vod", "CreateAigcImageTask", **LAKE, OutputConfig={"StorageMode": mode})
            detail = await said(vod, "vod", "DescribeTaskDetail", SubAppId=SUB_APP_ID, TaskId=created.TaskId)
            assert (detail.TaskType, detail.Status) == ("AigcImageTask", "FINISH")
            file = detail.AigcImageTask.Output.FileInfos[0]
            assert (bool(file.FileUrl), bool(file.FileId)) == (mode == "Temporary", mode == "Permanent")
        found = await said(vod, "vod", "DescribeMediaInfos", SubAppId=SUB_APP_ID, FileIds=[file.FileId])
        assert found.MediaInfoSet[0].BasicInfo.MediaUrl.startswith(f"{vod.url}/media/image/")


async def test_the_relay_speaks_snake_case_in_either_envelope() -> None:
    create = {"model_name": "GEM", "model_version": "3.0", "prompt": "a lake", "session_id": "s-1"}
    manners = Manners(seconds=AT_ONCE, envelopes=("response", "wrapped"), honours_sessions=False)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with serving("relay", manners) as relay, aiohttp.ClientSession(relay.url, headers=headers) as session:

        async def post(**fields: str) -> Any:  # noqa: ANN401 — JSON
            async with session.post("/tencent-vod/v1/aigc-image", json=create | fields) as answer:
                return await answer.json()

        first, second = await post(), await post()  # the same session, two tasks: this relay ignores sessions
        assert first["Response"]["TaskId"] != second["data"]["task_id"]
        async with session.get(f"/tencent-vod/v1/query/{second['data']['task_id']}") as answer:
            assert (await answer.json())["Response"]["AigcImageTask"]["Status"] == "FINISH"
        async with session.get(f"/tencent-vod/v1/query/{first['Response']['TaskId']}") as answer:
            wrapped = (await answer.json())["data"]
            assert (wrapped["status"], wrapped["data"]["Response"]["Status"]) == ("SUCCESS", "FINISH")
        assert (await post(Prompt="in VOD's words"))["Response"]["Error"]["Code"] == "UnknownParameter"
        async with session.get("/tencent-vod/v1/query/another") as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, "task_not_exist")
        async with session.post("/tencent-vod/v1/aigc-image", headers={"Authorization": "Bearer x"}) as answer:
            assert answer.status == 401


async def test_a_create_is_lost_before_or_after_its_task_is_made() -> None:
    create = {"model_name": "GEM", "model_version": "3.0", "prompt": "a lake"}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        running("relay", Manners(lost=1.0)) as relay,
        aiohttp.ClientSession(relay.url, headers=headers) as session,
    ):
        ends = []
        for _ in range(8):
            try:
                async with session.post("/tencent-vod/v1/aigc-image", json=create) as answer:
                    ends.append(str(answer.status))
            except aiohttp.ServerDisconnectedError:
                ends.append("closed")
        seen = await relay.seen()
    assert set(ends) == {"closed", "504"}
    assert len(seen.lost_before) + len(seen.lost_after) == len(ends)
    assert 0 < len(seen.lost_after) == len(seen.tasks) < len(ends)


def test_no_second_may_have_more_calls_than_the_limit() -> None:
    book = Mps(Manners()).book
    for number in range(10):
        book.arrived("CreateAigcVideoTask", 0.05 * number)
    with pytest.raises(Refusal, match="RequestLimitExceeded"):
        book.arrived("CreateAigcVideoTask", 0.999)
    book.arrived("CreateAigcVideoTask", 1.0)


def test_tasks_wait_for_those_before_them() -> None:
    book = Mps(Manners(processing=1, seconds=(10.0, 10.0), running=2)).book
    first, second = (book.make(Order("image", "a lake"), name, 0.0, Lost()) for name in ("first", "second"))
    assert [stage(first, 5.0), stage(second, 5.0)] == ["running", "waiting"]
    assert [stage(first, 15.0), stage(second, 15.0)] == ["done", "running"]
    with pytest.raises(Refusal, match="LimitExceeded"):
        book.make(Order("image", "a lake"), "third", 5.0, Lost())
