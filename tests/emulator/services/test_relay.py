"""The relay: bearer key, snake case, VOD's envelope and the family's errors."""

import json
import re
from typing import Any

import pytest

from mps_aigc_async.emulator import Reply, Service, Settings
from mps_aigc_async.emulator.services.settings import RelayEnvelope

from ..callers import NOW, AtTheRelay, Fields, InMemory, Json, code_of, response_of

IMAGE: Fields = {"model_name": "GEM", "model_version": "3.0", "prompt": "a lake"}
URL: Fields = {"type": "url", "url": "http://127.0.0.1/a.png"}

THE_PAGES_EXAMPLE: Fields = {
    "model_name": "GEM",
    "model_version": "3.0",
    "file_infos": [{"type": "file", "file_id": "387702299774574677", "url": "", "text": "原始图片的描述信息"}],
    "prompt": "convert this image to anime style",
    "negative_prompt": "blur, distorted",
    "enhance_prompt": "Enabled",
    "output_config": {
        "storage_mode": "Temporary",
        "resolution": "1080P",
        "aspect_ratio": "1:1",
        "person_generation": "AllowAdult",
        "input_compliance_check": "Enabled",
        "output_compliance_check": "Enabled",
    },
    "session_id": "image-task-67890",
    "session_context": '{"user_id": "123", "scene": "profile_picture"}',
    "tasks_priority": 10,
    "ext_info": "",
}


@pytest.fixture
def relay() -> AtTheRelay:
    return at_relay()


def at_relay(envelope: RelayEnvelope = "detail", places: int | None = None) -> AtTheRelay:
    seconds = (100.0, 100.0)
    chosen = Settings(image_seconds=seconds, video_seconds=seconds, relay_envelope=envelope, vod_processing=places)
    return AtTheRelay(Service(chosen))


def body_of(reply: Reply) -> dict[str, Any]:
    assert reply.headers["Content-Type"] == "application/json"
    decoded: dict[str, Any] = json.loads(reply.body)
    return decoded


def test_the_pages_own_example_from_create_to_url(relay: AtTheRelay) -> None:
    reply = response_of(relay.send("POST", "aigc-image", THE_PAGES_EXAMPLE))
    assert reply.keys() == {"TaskId", "RequestId"}
    task_id = str(reply["TaskId"])
    assert re.fullmatch(r"251007502-AigcImage-[0-9a-f]{32}t", task_id)
    assert relay.query(task_id)["Status"] == "WAITING"
    relay.now += 100
    done: dict[str, Any] = relay.query(task_id)
    assert (done["TaskType"], done["Status"]) == ("AigcImageTask", "FINISH")
    (file,) = done["AigcImageTask"]["Output"]["FileInfos"]
    assert (file["MetaData"]["Width"], file["MetaData"]["Height"]) == (800, 800), "the output_config was understood"
    assert done["AigcImageTask"]["SessionId"] == "image-task-67890"


def test_a_video_with_its_first_frame(relay: AtTheRelay) -> None:
    fields: Fields = {**IMAGE, "file_infos": [URL], "output_config": {"duration": 6, "audio_generation": "Enabled"}}
    reply = relay.send("POST", "aigc-video", fields)
    assert reply.frames is not None
    assert reply.frames.order.first_url == URL["url"]
    assert (reply.frames.order.seconds, reply.frames.order.audio) == (6, True)
    relay.service.frames_ready(reply.frames.task_id, NOW)
    relay.now += 100
    assert relay.query(reply.frames.task_id)["Status"] == "FINISH"


@pytest.mark.parametrize(
    "changes",
    [
        {"model_name": ""},
        {"model_version": ""},
        {"prompt": ""},
        {"Prompt": "x"},
        {"output_config": {"output_image_count": 2}},
        {"output_config": {"duration": 5}},
        {"output_config": {"storage_mode": "forever"}},
        {"tasks_priority": "10"},
        {"enhance_prompt": True},
        {"file_infos": [{"type": "base64"}]},
        {"file_infos": [{**URL, "usage": "FirstFrame"}]},
    ],
)
def test_what_the_relay_itself_refuses(relay: AtTheRelay, changes: Fields) -> None:
    reply = relay.send("POST", "aigc-image", {**IMAGE, **changes})
    assert reply.status == 400
    body = body_of(reply)
    assert body.keys() == {"code", "message", "data"}
    assert (body["code"], body["data"]) == ("invalid_request", None)
    assert relay.service.statistics(NOW).created["image"] == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"prompt": "forbidden-content"}, "InvalidParameter.VoilationContent"),
        ({"tasks_priority": 11}, "InvalidParameterValue"),
        ({"session_id": "x" * 51}, "InvalidParameterValue.SessionIdTooLong"),
        ({"file_infos": [{"type": "url", "file_id": "1"}]}, "MissingParameter"),
        ({"ext_info": "myextinfo"}, None),
    ],
)
def test_what_vod_refuses_comes_through(relay: AtTheRelay, changes: Fields, code: str | None) -> None:
    assert code_of(response_of(relay.send("POST", "aigc-image", {**IMAGE, **changes}))) == code


def test_a_body_that_is_not_json(relay: AtTheRelay) -> None:
    bearer = {"Authorization": "Bearer RELAYEXAMPLE"}
    reply = relay.service.handle("POST", "/tencent-vod/v1/aigc-image", bearer, b"prompt", NOW)
    assert (reply.status, body_of(reply)["code"]) == (400, "invalid_request")
    reply = relay.service.handle("POST", "/tencent-vod/v1/aigc-image", bearer, bytes(11 << 20), NOW)
    assert reply.status == 413


def test_a_session_id_is_refused_the_second_time_and_is_not_vods(relay: AtTheRelay) -> None:
    task_id = relay.create(session_id="job-1")
    again = response_of(relay.send("POST", "aigc-image", {**IMAGE, "session_id": "job-1"}))
    assert code_of(again) == "InvalidParameterValue.SessionId"
    assert task_id not in str(again)
    vod = InMemory(relay.service, api="vod")
    fields: Fields = {"ModelName": "GEM", "ModelVersion": "3.0", "Prompt": "a lake", "SessionId": "job-1"}
    assert vod.create(fields)
    relay.now += 3 * 86_400
    assert relay.create(session_id="job-1")


@pytest.mark.parametrize("key", ["another", "", "RELAYEXAMPLE ", "\udcff"])
def test_a_bad_key_is_401_and_uses_up_no_rate(relay: AtTheRelay, key: str) -> None:
    relay.key = key
    for _ in range(30):
        reply = relay.send("POST", "aigc-image", IMAGE)
    assert (reply.status, body_of(reply)["error"]["code"]) == (401, "invalid_api_key")
    relay.key = "RELAYEXAMPLE"
    assert relay.create()


def test_no_key_at_all(relay: AtTheRelay) -> None:
    assert relay.service.handle("POST", "/tencent-vod/v1/aigc-image", {}, b"{}", NOW).status == 401


@pytest.mark.parametrize(
    ("method", "path", "action", "most"),
    [
        ("POST", "aigc-image", "relay:aigc-image", 20),
        ("POST", "aigc-video", "relay:aigc-video", 20),
        ("GET", "query/x", "relay:query", 100),
    ],
)
def test_too_fast_is_429_and_says_when_to_come_again(
    relay: AtTheRelay, method: str, path: str, action: str, most: int
) -> None:
    replies = [relay.send(method, path, IMAGE) for _ in range(most + 1)]
    assert [reply.status == 429 for reply in replies] == [False] * most + [True]
    assert replies[-1].headers["Retry-After"] == "1"
    assert body_of(replies[-1])["error"]["code"] == "rate_limit_exceeded"
    statistics = relay.service.statistics(NOW)
    assert statistics.most_per_second == {action: most + 1}
    assert relay.service.arrivals[-1].code == "rate_limit_exceeded"
    relay.now += 1
    assert relay.send(method, path, IMAGE).status != 429


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "aigc-image"), ("POST", "query/x"), ("POST", "aigc-poem"), ("GET", "query/")]
)
def test_routes_that_there_are_not(relay: AtTheRelay, method: str, path: str) -> None:
    reply = relay.send(method, path, {})
    assert (reply.status, body_of(reply)["code"]) == (404, "not_found")


def test_a_task_that_does_not_exist(relay: AtTheRelay) -> None:
    mps = InMemory(relay.service).create()
    for task_id in "nothing", mps:
        reply = relay.send("GET", f"query/{task_id}")
        assert (reply.status, body_of(reply)["code"], body_of(reply)["data"]) == (400, "task_not_exist", None)


def test_the_querys_path_is_a_setting() -> None:
    relay = AtTheRelay(Service(Settings(relay_query="/v2/tasks/{task_id}/status")))
    task_id = relay.create()
    bearer = {"Authorization": "Bearer RELAYEXAMPLE"}
    reply = relay.service.handle("GET", f"/v2/tasks/{task_id}/status", bearer, b"", NOW)
    assert response_of(reply)["Status"] == "WAITING"
    assert relay.service.arrivals[-1].action == "relay:query"
    assert relay.send("GET", f"query/{task_id}").status == 404


def test_the_wrapped_envelope_through_a_tasks_life() -> None:
    relay = at_relay("wrapped", places=1)
    first, second, failing = relay.create(), relay.create(), relay.create(prompt="fail-later")

    def told(task_id: str) -> dict[str, Any]:
        body = body_of(relay.send("GET", f"query/{task_id}"))
        assert body["code"] == "success"
        assert body["data"]["task_id"] == task_id
        data: dict[str, Any] = body["data"]
        return data

    assert (told(first)["status"], told(second)["status"]) == ("IN_PROGRESS", "QUEUED")
    relay.now += 37
    assert told(first)["progress"] == "37%"
    relay.now += 263
    done, failed = told(second), told(failing)
    assert (done["status"], done["progress"], done["fail_reason"]) == ("SUCCESS", "100%", "")
    assert done["data"]["Response"]["AigcImageTask"]["Output"]["FileInfos"]
    assert (failed["status"], failed["data"]["Response"]["Status"]) == ("FAILURE", "FINISH")
    assert failed["fail_reason"]


def test_the_wrapped_envelope_without_a_line() -> None:
    relay = at_relay("wrapped")
    task_id: Json = relay.create()
    assert body_of(relay.send("GET", f"query/{task_id}"))["data"]["status"] == "SUBMITTED"


def test_a_create_may_be_answered_in_the_familys_record() -> None:
    relay = AtTheRelay(Service(Settings(relay_create_envelope="wrapped")))
    answer = body_of(relay.send("POST", "aigc-image", IMAGE))
    assert answer["code"] == "success"
    assert relay.query(answer["data"]["task_id"])["Status"] == "WAITING"
    refused = body_of(relay.send("POST", "aigc-image", {**IMAGE, "prompt": "forbidden-content"}))
    assert refused["Response"]["Error"]["Code"] == "InvalidParameter.VoilationContent"


def test_a_relay_may_ignore_sessions() -> None:
    relay = AtTheRelay(Service(Settings(relay_sessions=False)))
    first, second = relay.create(session_id="s-1"), relay.create(session_id="s-1")
    assert first != second
    vod = InMemory(relay.service, api="vod")
    create: Fields = {"ModelName": "GEM", "ModelVersion": "3.0", "Prompt": "a lake", "SessionId": "s-1"}
    codes = [code_of(vod.call("CreateAigcImageTask", create)) for _ in range(2)]
    assert codes == [None, "InvalidParameterValue.SessionId"], "VOD itself honours them all the same"
