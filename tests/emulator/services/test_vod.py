"""Tencent VOD by its models: its refusals, its answers, and the SessionId."""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from mps_aigc_async.emulator import Service, Settings
from mps_aigc_async.emulator.services.vod_orders import MAX_BASE64
from mps_aigc_async.emulator.tasks.storage import Piece

from ..callers import NOW, Fields, InMemory, Json, code_of, response_of, signed

MODEL: Fields = {"ModelName": "Kling", "ModelVersion": "3.0"}
IMAGE: Fields = {**MODEL, "Prompt": "a lake"}
URL: Fields = {"Type": "Url", "Url": "http://127.0.0.1/a.png"}
DAY = 86_400.0


@pytest.fixture
def caller() -> InMemory:
    return at_vod()


def at_vod(speed: float = 1, sub_app_id: int | None = None) -> InMemory:
    chosen = Settings(image_seconds=(100, 100), video_seconds=(200, 200), speed=speed, sub_app_id=sub_app_id)
    return InMemory(Service(chosen), api="vod")


def detail(caller: InMemory, task_id: str) -> dict[str, Json]:
    return caller.call("DescribeTaskDetail", {"TaskId": task_id})


def member(response: Mapping[str, Json]) -> Mapping[str, Json]:
    inner = response[str(response["TaskType"])]
    assert isinstance(inner, Mapping)
    return inner


def files(response: Mapping[str, Json], name: str = "FileInfos") -> list[dict[str, Json]]:
    output = member(response)["Output"]
    assert isinstance(output, Mapping)
    infos = output[name]
    assert isinstance(infos, list)
    return [dict(info) for info in infos if isinstance(info, Mapping)]


# A task's life


def test_an_image_from_create_to_url(caller: InMemory) -> None:
    task_id = caller.create({**IMAGE, "SessionContext": "mine", "OutputConfig": {"OutputImageCount": 2}})
    assert re.fullmatch(r"251007502-AigcImage-[0-9a-f]{32}t", task_id)
    waiting = detail(caller, task_id)
    assert (waiting["Status"], waiting["CreateTime"]) == ("WAITING", "2023-11-14T22:13:20Z")
    assert (waiting["BeginProcessTime"], waiting["FinishTime"]) == ("", "")
    assert (member(waiting)["Status"], member(waiting)["Progress"]) == ("PROCESSING", 0)
    caller.now = NOW + 55
    running = detail(caller, task_id)
    assert (running["Status"], running["BeginProcessTime"]) == ("PROCESSING", "2023-11-14T22:13:30Z")
    assert (member(running)["Progress"], files(running)) == (50, [])
    caller.now = NOW + 100
    done = detail(caller, task_id)
    assert done["AigcVideoTask"] is None
    assert (done["TaskType"], done["Status"], done["FinishTime"]) == ("AigcImageTask", "FINISH", "2023-11-14T22:15:00Z")
    task = member(done)
    assert (task["TaskId"], task["Status"], task["Progress"]) == (task_id, "FINISH", 100)
    assert (task["ErrCode"], task["ErrCodeExt"], task["Message"], task["SessionContext"]) == (0, "", "", "mine")
    one, other = files(done)
    assert one["FileUrl"] != other["FileUrl"]
    assert (one["FileType"], one["StorageMode"], one["ExpireTime"]) == ("png", "Temporary", "2023-11-21T22:15:00Z")
    assert one["MetaData"] == {"Container": "png", "Width": 640, "Height": 360}
    assert "FileId" not in one


def test_a_video_has_its_own_member(caller: InMemory) -> None:
    task_id = caller.create({**IMAGE, "OutputConfig": {"Duration": 6.0, "AspectRatio": "1:1"}}, "Video")
    assert re.fullmatch(r"251007502-AigcVideo-[0-9a-f]{32}t", task_id)
    caller.now += 200
    done = detail(caller, task_id)
    assert done["AigcImageTask"] is None
    (file,) = files(done)
    assert file["FileType"] == "mp4"
    assert file["MetaData"] == {"Container": "mp4", "Width": 320, "Height": 320, "Duration": 6.0}


def test_a_size_may_come_in_the_ext_info(caller: InMemory) -> None:
    task_id = caller.create({**IMAGE, "ExtInfo": '{"AdditionalParameters": "{\\"size\\":\\"512x1024\\"}"}'})
    caller.now += 100
    (file,) = files(detail(caller, task_id))
    assert file["MetaData"] == {"Container": "png", "Width": 320, "Height": 640}


def test_a_permanent_result_has_a_file_id_and_no_end(caller: InMemory) -> None:
    task_id = caller.create({**IMAGE, "OutputConfig": {"StorageMode": "Permanent"}})
    caller.now += 100
    (file,) = files(detail(caller, task_id))
    assert str(file["FileId"]).isdecimal()
    assert (file["StorageMode"], file["ExpireTime"]) == ("Permanent", "9999-12-31T23:59:59Z")
    assert isinstance(media(caller, file, after=400 * DAY), Piece)


def media(caller: InMemory, file: Mapping[str, Json], after: float) -> object:
    path, _, query = str(file["FileUrl"]).removeprefix("http://emulator.invalid").partition("?")
    return caller.service.media(path, query, caller.now + after)


def test_temporary_results_live_seven_days_divided_by_speed() -> None:
    caller = at_vod(speed=10)
    task_id = caller.create(IMAGE)
    caller.now += 10
    (file,) = files(detail(caller, task_id))
    assert isinstance(media(caller, file, after=0.7 * DAY - 1), Piece)
    assert not isinstance(media(caller, file, after=0.7 * DAY), Piece)


def test_a_failure_hides_in_a_finish(caller: InMemory) -> None:
    task_id = caller.create({**IMAGE, "Prompt": "fail-later"})
    caller.now += 100
    failed = detail(caller, task_id)
    assert failed["Status"] == "FINISH"
    assert (member(failed)["Status"], member(failed)["ErrCodeExt"]) == ("FINISH", "ModelGenerateFailed")
    assert member(failed)["ErrCode"] != 0
    assert member(failed)["Message"]
    assert files(failed) == []


def test_a_refusal_for_too_many_at_once_can_come_in_a_finish(caller: InMemory) -> None:
    caller.service.faults.add(action="vod:CreateAigcImageTask", fault="fail_later", code="RequestLimitExceeded")
    refused, accepted = caller.create(IMAGE), caller.create(IMAGE)
    caller.now += 100
    failure = member(detail(caller, refused))
    assert (failure["ErrCode"], failure["ErrCodeExt"]) == (0, "RequestLimitExceeded"), "told by the second alone"
    assert files(detail(caller, accepted))


def test_tasks_of_the_last_three_days_are_found(caller: InMemory) -> None:
    task_id = caller.create(IMAGE)
    caller.now = NOW + 3 * DAY
    assert detail(caller, task_id)["Status"] == "FINISH"
    caller.now += 1
    assert code_of(detail(caller, task_id)) == "InvalidParameterValue.TaskId"
    assert caller.call("DescribeTasks", {})["TaskSet"] == []


def test_tasks_of_mps_are_none_of_vods_and_the_reverse(caller: InMemory) -> None:
    vods = caller.create(IMAGE)
    caller.api = "mps"
    mps = caller.create()
    assert code_of(caller.describe(vods)) == "FailedOperation.TaskNotFound"
    caller.api = "vod"
    assert code_of(detail(caller, mps)) == "InvalidParameterValue.TaskId"
    assert code_of(caller.call("DescribeTaskDetail", {})) == "MissingParameter"


# Creates


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"ModelName": ""}, "MissingParameter"),
        ({"ModelVersion": ""}, "MissingParameter"),
        ({"Prompt": ""}, "MissingParameter"),
        ({"Prompt": "", "FileInfos": [URL]}, None),
        ({"Prompt": "forbidden-content"}, "InvalidParameter.VoilationContent"),
        ({"EnhancePrompt": True}, "InvalidParameterValue"),
        ({"EnhancePrompt": "enabled"}, "InvalidParameterValue"),
        ({"EnhancePrompt": "Enabled"}, None),
        ({"OutputConfig": {"StorageMode": "Forever"}}, "InvalidParameterValue"),
        ({"OutputConfig": {"OutputImageCount": 0}}, "InvalidParameterValue"),
        ({"OutputConfig": {"MediaName": "x" * 65}}, "InvalidParameterValue"),
        ({"OutputConfig": {"Duration": 5}}, "UnknownParameter"),
        ({"TasksPriority": 11}, "InvalidParameterValue"),
        ({"TasksPriority": -10}, None),
        ({"ExtInfo": "myextinfo"}, "InvalidParameterValue"),
        ({"ExtInfo": '{"AdditionalParameters": "{\\"size\\":\\"728x1024\\"}"}'}, None),
        ({"SessionId": "x" * 51}, "InvalidParameterValue.SessionIdTooLong"),
        ({"SessionId": "x" * 50}, None),
        ({"SessionContext": "x" * 1001}, "InvalidParameterValue.SessionContextTooLong"),
        ({"FileInfos": [{"Type": "Url", "FileId": "1"}]}, "MissingParameter"),
        ({"FileInfos": [{"Type": "url", "Url": "u"}]}, "InvalidParameterValue"),
        ({"FileInfos": [{**URL, "Category": "Image"}]}, "UnknownParameter"),
        ({"FileInfos": [{**URL, "Usage": "Reference"}]}, "UnknownParameter"),
        ({"FileInfos": [{"Type": "Base64", "Base64": "data:image/jpeg;base64,AAAA"}]}, "InvalidParameterValue"),
        ({"FileInfos": [{"Type": "Base64", "Base64": "AAAA"}]}, None),
        ({"ImageInfos": []}, "UnknownParameter"),
    ],
)
def test_what_an_image_create_is_refused_for(caller: InMemory, changes: Fields, code: str | None) -> None:
    assert code_of(caller.call("CreateAigcImageTask", {**IMAGE, **changes})) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"OutputConfig": {"Duration": 5, "AudioGeneration": "Enabled", "EnableBGM": "Disabled"}}, None),
        ({"OutputConfig": {"Duration": "5"}}, "InvalidParameterValue"),
        ({"OutputConfig": {"Duration": 0.5}}, "InvalidParameterValue"),
        ({"OutputConfig": {"OutputImageCount": 1}}, "UnknownParameter"),
        ({"FileInfos": [URL, {**URL, "Usage": "LastFrame"}]}, None),
        ({"FileInfos": [URL, URL]}, "InvalidParameterValue"),
        ({"FileInfos": [{**URL, "Usage": "Reference"}, {**URL, "Usage": "Reference"}]}, None),
        ({"FileInfos": [{**URL, "Usage": "LastFrame"}]}, "InvalidParameterValue"),
        ({"LastFrameUrl": "u"}, "InvalidParameterValue"),
        ({"LastFrameUrl": "u", "FileInfos": [URL]}, None),
        ({"FileInfos": [{**URL, "Category": "Video"}, URL]}, None),
        ({"SubjectInfos": [{"Id": "1", "ImageUrls": ["u"]}]}, None),
    ],
)
def test_what_a_video_create_is_refused_for(caller: InMemory, changes: Fields, code: str | None) -> None:
    assert code_of(caller.call("CreateAigcVideoTask", {**IMAGE, **changes})) == code


def test_the_images_a_video_begins_and_ends_with_are_to_be_fetched(caller: InMemory) -> None:
    last: Fields = {"Type": "Base64", "Base64": "AAAA", "Usage": "LastFrame"}
    frames = caller.send("CreateAigcVideoTask", {**IMAGE, "FileInfos": [URL, last]}).frames
    assert frames is not None
    assert (frames.order.first_url, frames.order.last_url) == (URL["Url"], "data:;base64,AAAA")
    caller.service.frames_ready(frames.task_id, NOW)
    assert "AAAA" not in repr(caller.service._tasks[frames.task_id]), "megabytes are not kept"
    from_library: Fields = {**IMAGE, "FileInfos": [{"Type": "File", "FileId": "387702299774574677"}]}
    assert caller.send("CreateAigcVideoTask", from_library).frames is None


def test_files_that_came_along_are_seven_megabytes_together(caller: InMemory) -> None:
    half = b64encode(bytes(MAX_BASE64 // 2)).decode()
    within: list[Json] = [{"Type": "Base64", "Base64": half}] * 2
    assert code_of(caller.call("CreateAigcImageTask", {**IMAGE, "FileInfos": within})) is None
    beyond: list[Json] = [*within, {"Type": "Base64", "Base64": "AAAA"}]
    assert code_of(caller.call("CreateAigcImageTask", {**IMAGE, "FileInfos": beyond})) == "InvalidParameterValue"


RAIN: Fields = {"Prompt": "rain", "SceneType": "sfx"}
FILM: Fields = {"Type": "Url", "Url": "http://127.0.0.1/a.mp4"}


def test_an_audio_has_a_member_of_its_own_without_a_session(caller: InMemory) -> None:
    task_id = caller.create({**RAIN, "VideoInfos": [FILM], "OutputConfig": {"Duration": 9}}, "Audio")
    assert re.fullmatch(r"251007502-AigcAudio-[0-9a-f]{32}t", task_id)
    caller.now += 2000
    done = detail(caller, task_id)
    assert (done["TaskType"], done["AigcImageTask"], done["AigcVideoTask"]) == ("AigcAudioTask", None, None)
    task = member(done)
    assert (task["Status"], task["ErrCode"], task["ErrCodeExt"]) == ("FINISH", 0, "")
    assert not {"SessionId", "SessionContext"} & task.keys()
    (sound,), (film,) = (files(done, member_name) for member_name in ("AudioInfos", "VideoInfos"))
    assert [(file["FileType"], file["Duration"], file["StorageMode"]) for file in (sound, film)] == [
        ("mp3", 9.0, "Temporary"), ("mp4", 9.0, "Temporary"),
    ]  # fmt: skip
    image = detail(caller, caller.create(IMAGE))
    assert image["AigcAudioTask"] is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"SceneType": "sfx"}, "MissingParameter"),
        ({"Prompt": "x"}, None),  # no model, no version, no scene: all optional
        ({"VideoInfos": [FILM]}, None),
        ({"VideoInfos": [{"Type": "File", "FileId": "5"}]}, None),
        ({"VideoInfos": [{"Type": "File", "Url": "u"}]}, "MissingParameter"),
        ({"AudioInfos": [{"Type": "Base64", "Url": "u"}]}, "InvalidParameterValue"),
        ({"Prompt": "x", "SessionId": "s"}, "UnknownParameter"),
        ({"Prompt": "x", "ExtInfo": "{}"}, "UnknownParameter"),
        ({"Prompt": "x", "AdditionalParameters": "lyrics"}, "InvalidParameterValue"),
        ({"Prompt": "x", "OutputConfig": {"Duration": 0}}, None),
        ({"Prompt": "x", "OutputConfig": {"Duration": 60}}, None),
        ({"Prompt": "x", "OutputConfig": {"Duration": 61}}, "InvalidParameterValue"),
        ({"Prompt": "x", "OutputConfig": {"Duration": 2.5}}, "InvalidParameterValue"),
        ({"Prompt": "x", "OutputConfig": {"OutputAudioFormat": "ogg"}}, "InvalidParameterValue"),
        ({"Prompt": "x", "OutputConfig": {"MediaName": "x" * 65}}, "InvalidParameterValue"),
        ({"Prompt": "forbidden-content"}, "InvalidParameter.VoilationContent"),
    ],
)
def test_what_an_audio_create_is_refused_for(caller: InMemory, fields: Fields, code: str | None) -> None:
    assert code_of(caller.call("CreateAigcAudioTask", fields)) == code


# SessionId


def test_a_session_id_is_taken_for_three_days_and_the_refusal_names_no_task(caller: InMemory) -> None:
    fields: Fields = {**IMAGE, "SessionId": "job-1"}
    task_id = caller.create(fields)
    again = caller.call("CreateAigcVideoTask", fields)
    assert code_of(again) == "InvalidParameterValue.SessionId"
    assert task_id not in str(again)
    assert caller.service.arrivals[-1].task_id is None
    caller.now = NOW + 3 * DAY - 1
    assert code_of(caller.call("CreateAigcImageTask", fields)) == "InvalidParameterValue.SessionId"
    caller.now = NOW + 3 * DAY
    assert caller.create(fields) != task_id
    assert caller.service.statistics(caller.now).created["image"] == 2


def test_a_refused_create_takes_no_session_id_and_a_lost_answer_does(caller: InMemory) -> None:
    fields: Fields = {**IMAGE, "SessionId": "job-1"}
    caller.call("CreateAigcImageTask", {**fields, "Prompt": "forbidden-content"})
    caller.service.faults.add(action="vod:CreateAigcImageTask", fault="reset_before")
    caller.send("CreateAigcImageTask", fields)
    caller.service.faults.add(action="vod:CreateAigcImageTask", fault="reset_after")
    caller.send("CreateAigcImageTask", fields)
    assert code_of(caller.call("CreateAigcImageTask", fields)) == "InvalidParameterValue.SessionId"
    assert caller.service.statistics(caller.now).created["image"] == 1


def test_without_a_session_id_nothing_is_a_duplicate(caller: InMemory) -> None:
    assert caller.create({**IMAGE, "SessionId": ""}) != caller.create({**IMAGE, "SessionId": ""})


# The list


def test_the_list_is_of_one_status_the_newest_first_and_in_pages(caller: InMemory) -> None:
    old = caller.create(IMAGE)
    caller.now = NOW + 100
    new = [caller.create(IMAGE) for _ in range(3)]
    first = caller.call("DescribeTasks", {"Limit": 3, "Sort": {"Field": "CreateTime", "Order": "Desc"}})
    assert ids(first) == list(reversed(new))
    assert ids(caller.call("DescribeTasks", {"Limit": 3, "ScrollToken": first["ScrollToken"]})) == [old]
    last_page = caller.call("DescribeTasks", {"Status": "FINISH"})
    assert (ids(last_page), last_page["ScrollToken"]) == ([old], "")
    assert ids(caller.call("DescribeTasks", {"Status": "WAITING"})) == list(reversed(new))
    assert ids(caller.call("DescribeTasks", {"Status": "PROCESSING"})) == []


def ids(response: Mapping[str, Json]) -> list[str]:
    tasks = response["TaskSet"]
    assert isinstance(tasks, list)
    return [str(task["TaskId"]) for task in tasks if isinstance(task, Mapping)]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Status": "ABORTED"}, "InvalidParameterValue"),
        ({"Limit": 101}, "InvalidParameterValue"),
        ({"ScrollToken": "x"}, "InvalidParameterValue"),
        ({"Sort": {"Field": "CreateTime", "Order": "Asc"}}, "UnsupportedOperation"),
        ({"Offset": 0}, "UnknownParameter"),
    ],
)
def test_what_a_list_is_refused_for(caller: InMemory, fields: Fields, code: str) -> None:
    assert code_of(caller.call("DescribeTasks", fields)) == code


# Whose call, and how often


def test_the_application_that_is_set_has_to_be_named() -> None:
    caller = at_vod(sub_app_id=1500001234)
    assert code_of(caller.call("CreateAigcImageTask", {**IMAGE, "SubAppId": 1500001234})) is None
    for other in {**IMAGE, "SubAppId": 1}, IMAGE:
        assert code_of(caller.call("CreateAigcImageTask", other)) == "InvalidParameterValue.SubAppId"
    assert code_of(caller.call("DescribeTasks", {})) == "InvalidParameterValue.SubAppId"
    assert code_of(at_vod().call("CreateAigcImageTask", {**IMAGE, "SubAppId": 7})) is None


def test_a_signature_for_the_other_service_is_refused() -> None:
    body = b"{}"
    for service, version in ("vod", "2019-06-12"), ("mps", "2018-07-17"):
        headers = signed("CreateAigcImageTask", body, NOW, service=service) | {"X-TC-Version": version}
        reply = Service().handle("POST", "/", headers, body, NOW)
        assert code_of(response_of(reply)) == "AuthFailure.InvalidAuthorization"


def test_vods_actions_are_its_own(caller: InMemory) -> None:
    assert code_of(caller.call("DescribeAigcImageTask", {"TaskId": "x"})) == "InvalidAction"
    caller.api = "mps"
    assert code_of(caller.call("DescribeTaskDetail", {"TaskId": "x"})) == "InvalidAction"


@pytest.mark.parametrize(
    ("action", "most"),
    [("CreateAigcImageTask", 20), ("CreateAigcVideoTask", 20), ("DescribeTaskDetail", 100), ("DescribeTasks", 20)],
)
def test_the_documented_limits(caller: InMemory, action: str, most: int) -> None:
    codes = [code_of(caller.call(action, {})) for _ in range(most + 1)]
    assert codes.index("RequestLimitExceeded") == most
    assert caller.service.statistics(NOW).most_per_second == {f"vod:{action}": most + 1}


def test_an_action_of_the_same_name_has_a_limit_faults_and_a_log_of_its_own() -> None:
    caller = InMemory(Service(Settings(limits={"vod:CreateAigcImageTask": 1, "CreateAigcImageTask": 1})))
    caller.service.faults.add(action="CreateAigcImageTask", fault="error", times=2)
    caller.api = "vod"
    assert code_of(caller.call("CreateAigcImageTask", IMAGE)) is None
    assert code_of(caller.call("CreateAigcImageTask", IMAGE)) == "RequestLimitExceeded"
    caller.api = "mps"
    codes = [code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) for _ in range(3)]
    assert codes == ["InternalError", "InternalError", None]
    assert [arrival.action for arrival in caller.service.arrivals] == [
        *["vod:CreateAigcImageTask"] * 2,
        *["CreateAigcImageTask"] * 3,
    ]


def test_max_running_is_a_cap_of_mps_alone() -> None:
    caller = InMemory(Service(Settings(max_running={"image": 1})), api="vod")
    assert caller.create(IMAGE) != caller.create(IMAGE)
    caller.api = "mps"
    assert code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) is None
    assert code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) == "LimitExceeded.CreateTask"
    assert caller.service.statistics(NOW).created == {"image": 3, "video": 0, "audio": 0}


def test_an_end_may_be_called_a_success() -> None:
    caller = InMemory(Service(Settings(image_seconds=(100, 100), vod_success="SUCCESS")), api="vod")
    good, bad = caller.create(IMAGE), caller.create({**IMAGE, "Prompt": "fail-later"})
    assert member(detail(caller, good))["ErrCodeExt"] == ""
    caller.now += 100
    assert (member(detail(caller, good))["ErrCode"], member(detail(caller, good))["ErrCodeExt"]) == (0, "SUCCESS")
    assert member(detail(caller, bad))["ErrCodeExt"] == "ModelGenerateFailed"


def test_a_permanent_file_may_have_its_url_in_the_library_only() -> None:
    caller = InMemory(Service(Settings(image_seconds=(100, 100), vod_file_urls=False)), api="vod")
    task_id = caller.create({**IMAGE, "OutputConfig": {"StorageMode": "Permanent"}})
    temporary = caller.create(IMAGE)
    caller.now += 100
    (file,) = files(detail(caller, task_id))
    assert (file["FileUrl"], bool(file["FileId"])) == ("", True)
    assert files(detail(caller, temporary))[0]["FileUrl"]
    asked: Fields = {"FileIds": [file["FileId"], "another"], "Filters": ["basicInfo"]}
    found = caller.call("DescribeMediaInfos", asked)
    assert found["NotExistFileIdSet"] == ["another"]
    infos: Any = found["MediaInfoSet"]
    assert [info["FileId"] for info in infos] == [file["FileId"]]
    path, _, query = infos[0]["BasicInfo"]["MediaUrl"].removeprefix(caller.service.storage.base_url).partition("?")
    assert isinstance(caller.service.media(path, query, caller.now), Piece)
    assert code_of(caller.call("DescribeMediaInfos", {})) == "MissingParameter"
    assert code_of(caller.call("DescribeMediaInfos", {"FileIds": ["x"] * 21})) == "InvalidParameterValue"
