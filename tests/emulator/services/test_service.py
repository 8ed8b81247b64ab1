"""The core with the time given: a task's life, the limits, the log."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from email.utils import parsedate_to_datetime
from types import FrameType

import pytest

from mps_aigc_async.emulator import Service, Settings
from mps_aigc_async.emulator.tasks.storage import Piece

from ..callers import NOW, Fields, InMemory, Json, code_of, response_of, signed

FRAME: Fields = {"Prompt": "she turns", "ImageUrl": "http://127.0.0.1/a.png"}


def test_an_image_task_waits_runs_and_is_done() -> None:
    caller = InMemory()
    task_id = caller.create({"Prompt": "a lake", "OutputImageCount": 2})
    assert re.fullmatch(r"4-AigcImage-[0-9a-f]{32}", task_id)
    waiting = caller.describe(task_id)
    assert waiting.pop("RequestId")
    assert waiting == {"Status": "WAIT", "Message": "", "ImageUrls": []}
    caller.now = NOW + 6
    assert caller.describe(task_id)["Status"] == "RUN"
    caller.now = NOW + 59.9
    assert caller.describe(task_id)["Status"] == "RUN"
    caller.now = NOW + 60
    done = caller.describe(task_id)
    assert (done["Status"], done["Message"]) == ("DONE", "ok")
    urls = done["ImageUrls"]
    assert isinstance(urls, list)
    assert len(set(map(str, urls))) == 2


def test_a_video_task_has_the_fields_of_a_video() -> None:
    caller = InMemory()
    task_id = caller.create(kind="Video")
    assert re.fullmatch(r"4-AigcVideo-[0-9a-f]{32}", task_id)
    assert caller.describe(task_id, "Video").keys() == {"Status", "Message", "VideoUrls", "Resolution", "RequestId"}
    caller.now += 180
    assert caller.describe(task_id, "Video")["Resolution"] == "320x180"


def test_an_unknown_task_and_one_of_the_other_kind() -> None:
    caller = InMemory()
    task_id = caller.create()
    assert code_of(caller.describe("4-AigcImage-0")) == "FailedOperation.TaskNotFound"
    assert code_of(caller.describe(task_id, "Video")) == "ResourceNotFound"


def test_durations_are_seeded_within_their_range_and_divided_by_speed() -> None:
    def ends(seed: int) -> list[float]:
        caller = InMemory(Service(Settings(seed=seed, speed=10)))
        for _ in range(20):
            caller.describe(caller.create())  # a poll must not change the next draws
        return [task.ends_at - NOW for task in caller.service.statistics().tasks if task.ends_at is not None]

    assert ends(1) == ends(1) != ends(2)
    assert all(6 <= end <= 18 for end in ends(1))


def test_refused_and_failing_prompts() -> None:
    caller = InMemory()
    assert (
        code_of(caller.call("CreateAigcImageTask", {"Prompt": "a forbidden-content b"}))
        == "InvalidParameter.ViolationContent"
    )
    task_id = caller.create({"Prompt": "please fail-later"})
    caller.now += 60
    failed = caller.describe(task_id)
    assert (failed["Status"], failed["ImageUrls"]) == ("FAIL", [])
    assert failed["Message"]


def test_a_video_waits_for_its_frame() -> None:
    caller = InMemory()
    reply = caller.send("CreateAigcVideoTask", FRAME)
    assert reply.frames is not None
    assert reply.frames.order.first_url == FRAME["ImageUrl"]
    task_id = reply.frames.task_id
    caller.now += 1000
    assert caller.describe(task_id, "Video")["Status"] == "RUN"
    assert caller.service.statistics(caller.now).running["video"] == 1
    caller.service.frames_ready(task_id, caller.now)
    assert caller.describe(task_id, "Video")["Status"] == "DONE"
    assert caller.service.statistics(caller.now).running["video"] == 0
    with pytest.raises(ValueError, match="awaits no frames"):
        caller.service.frames_ready(task_id, caller.now)


def test_a_frame_in_time_changes_nothing_and_one_that_fails_ends_the_task() -> None:
    caller = InMemory()
    early, broken = caller.create(FRAME, "Video"), caller.create(FRAME, "Video")
    caller.service.frames_ready(early, NOW + 1)
    caller.service.frames_failed(broken, "no such image", NOW + 1)
    caller.now += 179
    assert caller.describe(early, "Video")["Status"] == "RUN"
    assert caller.describe(broken, "Video")["Message"] == "no such image"
    caller.now += 1
    assert caller.describe(early, "Video")["Status"] == "DONE"


def test_frames_may_be_taken_for_granted() -> None:
    caller = InMemory(Service(Settings(fetch_frames=False, video_seconds=(180, 180))))
    reply = caller.send("CreateAigcVideoTask", FRAME)
    assert reply.frames is None
    caller.now += 180
    assert caller.describe(str(response_of(reply)["TaskId"]), "Video")["Status"] == "DONE"


def test_the_rate_limit_is_strict_per_action_and_counts_no_refusal() -> None:
    caller = InMemory()
    codes = [code_of(caller.call("CreateAigcVideoTask", {"Prompt": "x"})) for _ in range(12)]
    assert codes == [None] * 10 + ["RequestLimitExceeded"] * 2
    assert code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) is None
    caller.now = NOW + 0.999
    assert code_of(caller.call("CreateAigcVideoTask", {"Prompt": "x"})) == "RequestLimitExceeded"
    caller.now = NOW + 1
    assert code_of(caller.call("CreateAigcVideoTask", {"Prompt": "x"})) is None
    statistics = caller.service.statistics(caller.now)
    assert statistics.created["video"] == 11
    assert statistics.refused == {"RequestLimitExceeded": 3}
    assert statistics.arrivals["CreateAigcVideoTask"] == 14
    assert statistics.most_per_second["CreateAigcVideoTask"] == 13


def test_a_call_with_a_bad_signature_uses_up_no_rate() -> None:
    caller = InMemory(Service(Settings(limits={"CreateAigcImageTask": 1})))
    body = b'{"Prompt":"x"}'
    forgery = signed("CreateAigcImageTask", body, NOW)
    forgery["Authorization"] = forgery["Authorization"][:-1] + "!"
    assert code_of(response_of(caller.service.handle("POST", "/", forgery, body, NOW))) is not None
    assert code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) is None
    assert code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) == "RequestLimitExceeded"


def test_a_prompt_may_be_given_its_duration() -> None:
    def end(prompt: str, created_before: int) -> float:
        caller = InMemory(
            Service(Settings(speed=10, task_seconds={"a lake": 700}, limits={"CreateAigcImageTask": None}))
        )
        for _ in range(created_before):
            caller.create({"Prompt": "a hill"})
        caller.create({"Prompt": prompt})
        end = caller.service.statistics().tasks[-1].ends_at
        assert end is not None
        return end - NOW

    assert end("a lake", 0) == end("a lake", 3) == pytest.approx(70)
    assert end("a hill", 0) != end("a hill", 3)
    assert 6 <= end("a hill", 3) <= 18


def test_limits_may_be_lifted() -> None:
    caller = InMemory(Service(Settings(limits={"CreateAigcImageTask": None})))
    assert {code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) for _ in range(100)} == {None}


def test_a_cap_on_running_tasks() -> None:
    caller = InMemory(Service(Settings(max_running={"image": 2}, image_seconds=(60, 60))))
    caller.create()
    caller.now += 1
    caller.create()
    assert code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) == "LimitExceeded.CreateTask"
    caller.now = NOW + 60
    assert caller.create()
    statistics = caller.service.statistics(caller.now)
    assert (statistics.running["image"], statistics.most_running["image"]) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"X-TC-Version": "2018-01-01"}, "NoSuchVersion"),
        ({"X-TC-Action": "CreateAigcPoemTask"}, "InvalidAction"),
        ({"X-TC-Action": ""}, "MissingParameter"),
    ],
)
def test_versions_and_actions_it_does_not_have(changes: dict[str, str], code: str) -> None:
    body = b"{}"
    headers = signed(changes.get("X-TC-Action", "CreateAigcImageTask"), body, NOW) | changes
    assert code_of(response_of(Service().handle("POST", "/", headers, body, NOW))) == code


@pytest.mark.parametrize(
    "body", [b"", b"prompt", b"[]", b"\xff", b"[" * 100_000, b'{"OutputImageCount": 1' + b"0" * 5000]
)
def test_a_body_that_is_not_a_json_object(body: bytes) -> None:
    headers = signed("CreateAigcImageTask", body, NOW)
    assert code_of(response_of(Service().handle("POST", "/", headers, body, NOW))) == "InvalidParameter"


def test_get_other_paths_and_large_bodies() -> None:
    service, body = Service(), b"{}"
    headers = signed("CreateAigcImageTask", body, NOW)
    assert code_of(response_of(service.handle("GET", "/", headers, body, NOW))) == "UnsupportedProtocol"
    assert code_of(response_of(service.handle("POST", "/v1", headers, body, NOW))) == "UnsupportedProtocol"
    large = b" " * (10 * 1024 * 1024 + 1)
    assert code_of(response_of(service.handle("POST", "/", headers, large, NOW))) == "RequestSizeLimitExceeded"


def test_every_reply_carries_the_services_time() -> None:
    reply = InMemory(now=NOW + 0.9).send("CreateAigcImageTask", {"Prompt": "x"})
    assert parsedate_to_datetime(reply.headers["Date"]).timestamp() == NOW


def test_request_ids_are_unique_and_look_like_it() -> None:
    caller = InMemory()
    seen: set[Json] = {caller.call("DescribeAigcImageTask", {"TaskId": "x"})["RequestId"] for _ in range(20)}
    assert len(seen) == 20
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(request_id)) for request_id in seen)


def test_the_log_keeps_the_last_and_the_counters_keep_all() -> None:
    caller = InMemory(Service(Settings(log_size=3)))
    task_id = caller.create()
    for _ in range(4):
        caller.describe(task_id)
    caller.describe("nothing")
    log = caller.service.arrivals
    assert [(arrival.action, arrival.code, arrival.task_id) for arrival in log] == [
        ("DescribeAigcImageTask", None, task_id),
        ("DescribeAigcImageTask", None, task_id),
        ("DescribeAigcImageTask", "FailedOperation.TaskNotFound", None),
    ]
    statistics = caller.service.statistics(caller.now)
    assert statistics.arrivals == {"CreateAigcImageTask": 1, "DescribeAigcImageTask": 5}
    with pytest.raises(FrozenInstanceError):
        statistics.downloads = 1  # type: ignore[misc]


def test_time_does_not_go_back() -> None:
    caller = InMemory(Service(Settings(limits={"CreateAigcImageTask": 1})))
    caller.create()
    caller.now -= 10
    assert code_of(caller.call("CreateAigcImageTask", {"Prompt": "x"})) == "RequestLimitExceeded"


def test_results_live_twelve_hours_divided_by_speed() -> None:
    caller = InMemory(Service(Settings(speed=10, image_seconds=(60, 60))))
    task_id = caller.create()
    caller.now += 6
    urls = caller.describe(task_id)["ImageUrls"]
    assert isinstance(urls, list)
    path, _, query = str(urls[0]).removeprefix("http://emulator.invalid").partition("?")
    piece = caller.service.media(path, query, caller.now + 4319)
    assert isinstance(piece, Piece)
    assert (piece.task_id, piece.index, piece.content_type) == (task_id, 0, "image/png")
    assert status_of(caller, path, query, caller.now + 4320) == (403, "AccessDenied")
    assert status_of(caller, path, "", caller.now) == (403, "SignatureDoesNotMatch")
    assert status_of(caller, path.replace("/0.", "/1."), query, caller.now) == (403, "SignatureDoesNotMatch")
    assert status_of(caller, path, query, NOW) == (404, "NoSuchKey")


def status_of(caller: InMemory, path: str, query: str, now: float) -> tuple[int, str]:
    reply = caller.service.media(path, query, now)
    assert not isinstance(reply, Piece)
    return reply.status, reply.body.decode().partition("<Code>")[2].partition("</Code>")[0]


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="limits has unknown names"):
        Settings(limits={"CreateAigcPoemTask": 1})
    with pytest.raises(ValueError, match="max_running has unknown names"):
        Settings(max_running={"poem": 1})
    with pytest.raises(ValueError, match="relay_query must contain"):
        Settings(relay_query="/query")
    with pytest.raises(ValueError, match="relay_envelope"):
        Settings(relay_envelope="bare")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="relay_create_envelope"):
        Settings(relay_create_envelope="bare")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="audio_seconds"):
        Service(Settings(audio_seconds=(3, 2)))
    with pytest.raises(ValueError, match="speed"):
        Service(Settings(speed=0))
    with pytest.raises(ValueError, match="image_seconds"):
        Service(Settings(image_seconds=(3, 2)))
    with pytest.raises(ValueError, match="task_seconds"):
        Service(Settings(task_seconds={"a lake": -1}))


def test_no_secret_in_a_repr() -> None:
    service = Service(Settings(secret_id="secret-id", secret_key="secret-key", relay_key="secret-bearer"))
    assert not {word for word in ("secret-id", "secret-key", "secret-bearer") if word in repr(service)}


def test_a_call_costs_the_same_however_many_there_were() -> None:
    """A benchmark of 50 polls a second must measure the client, and not how long the emulator has run."""
    caller = InMemory(Service(Settings(limits=dict.fromkeys(["CreateAigcImageTask", "DescribeAigcImageTask"]))))
    body = json.dumps({"TaskId": caller.create()}).encode()
    headers = signed("DescribeAigcImageTask", body, NOW)

    def poll() -> None:
        caller.service.handle("POST", "/", headers, body, NOW)

    poll()
    first = functions_called(poll)
    for _ in range(200):
        caller.create()
        poll()
    assert functions_called(poll) == first


def functions_called(action: Callable[[], None]) -> int:
    """How many functions and pieces of generators Python entered: a cost that no busy machine changes."""
    entries = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal entries
        entries += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return entries


def test_the_tasks_are_told_as_an_account_pays_for_them() -> None:
    caller = InMemory(api="vod")
    request: dict[str, Json] = {
        "ModelName": "Kling", "ModelVersion": "2.5", "Prompt": "a lake", "SessionId": "mine",
        "FileInfos": [{"Type": "Url", "Url": "https://pictures.example/lake.png"}],
    }  # fmt: skip
    caller.call("CreateAigcVideoTask", request)
    caller.call("CreateAigcVideoTask", request)
    seen = caller.service.statistics()
    assert seen.refused == {"InvalidParameterValue.SessionId": 1}, "of one session there is one task"
    (task,) = seen.tasks
    assert (task.service, task.kind, task.prompt, task.model) == ("vod", "video", "a lake", "Kling 2.5")
    assert (task.session_id, task.created_at, task.ends_at) == ("mine", NOW, None), "it waits for its frame"
    assert task.status == "WAIT"
    caller.service.frames_ready(task.task_id, NOW)
    (task,) = caller.service.statistics(NOW + 1000).tasks
    assert (task.ends_at, task.status) == (NOW + 180, "DONE")
