"""The line of an account: who is processed, who waits, and when the next one's turn comes."""

import pytest

from mps_aigc_async.emulator import Service, Settings

from ..callers import NOW, Fields, InMemory

MODEL = {"ModelName": "Kling", "ModelVersion": "3.0"}


def in_line(places: int = 1) -> InMemory:
    seconds = (100.0, 100.0)
    chosen = Settings(vod_processing=places, image_seconds=seconds, video_seconds=seconds)
    return InMemory(Service(chosen), api="vod")


def created(caller: InMemory, kind: str = "Image", **fields: "Fields | str | int | list[Fields]") -> str:
    return caller.create({**MODEL, "Prompt": "a lake", **fields}, kind)  # type: ignore[dict-item]  # a test's own JSON


def status(caller: InMemory, task_id: str) -> str:
    return str(caller.call("DescribeTaskDetail", {"TaskId": task_id})["Status"])


def test_one_is_processed_and_the_others_wait_their_turn() -> None:
    caller = in_line()
    ids = [created(caller), created(caller, "Video"), created(caller)]
    assert [status(caller, task_id) for task_id in ids] == ["PROCESSING", "WAITING", "WAITING"]
    caller.now = NOW + 100
    assert [status(caller, task_id) for task_id in ids] == ["FINISH", "PROCESSING", "WAITING"]
    caller.now = NOW + 299
    assert [status(caller, task_id) for task_id in ids] == ["FINISH", "FINISH", "PROCESSING"]
    caller.now = NOW + 300
    assert status(caller, ids[2]) == "FINISH"
    assert caller.service.statistics(caller.now).running == {"image": 0, "video": 0, "audio": 0}


def test_a_line_moves_by_itself_though_nobody_looked() -> None:
    caller = in_line(2)
    ids = [created(caller) for _ in range(5)]
    caller.now = NOW + 1000
    ends = [caller.call("DescribeTaskDetail", {"TaskId": task_id})["FinishTime"] for task_id in ids]
    assert ends == [f"2023-11-14T22:{minutes}Z" for minutes in ("15:00", "15:00", "16:40", "16:40", "18:20")]
    statistics = caller.service.statistics(caller.now)
    assert (statistics.most_running["image"], statistics.running["image"]) == (5, 0)


def test_the_highest_priority_goes_first() -> None:
    caller = in_line()
    created(caller)
    low, high = created(caller, TasksPriority=-1), created(caller, TasksPriority=10)
    caller.now = NOW + 100
    assert (status(caller, low), status(caller, high)) == ("WAITING", "PROCESSING")


def test_without_a_line_all_are_processed() -> None:
    caller = InMemory(Service(Settings(image_seconds=(100, 100))), api="vod")
    ids = [created(caller) for _ in range(3)]
    assert {status(caller, task_id) for task_id in ids} == {"WAITING"}
    caller.now += 10
    assert {status(caller, task_id) for task_id in ids} == {"PROCESSING"}


def test_frames_hold_a_place_until_they_are_there_and_a_broken_one_frees_it() -> None:
    caller = in_line()
    frame: list[Fields] = [{"Type": "Url", "Url": "http://127.0.0.1/a.png"}]
    first, second, third = (created(caller, "Video", FileInfos=frame) for _ in range(3))
    last = created(caller)
    caller.service.frames_failed(second, "no such image", NOW)
    assert status(caller, second) == "FINISH"
    caller.service.frames_ready(third, NOW)
    caller.now = NOW + 500
    assert [status(caller, task) for task in (first, third, last)] == ["PROCESSING", "WAITING", "WAITING"]
    caller.service.frames_ready(first, caller.now)
    assert [status(caller, task) for task in (first, third, last)] == ["FINISH", "PROCESSING", "WAITING"]
    caller.now = NOW + 600
    assert [status(caller, task) for task in (third, last)] == ["FINISH", "PROCESSING"]
    caller.now = NOW + 700
    assert status(caller, last) == "FINISH"


def test_mps_has_no_line() -> None:
    caller = in_line()
    caller.api = "mps"
    ids = [caller.create() for _ in range(2)]
    caller.now += 100
    assert [caller.describe(task_id)["Status"] for task_id in ids] == ["DONE", "DONE"]


def test_a_line_without_a_place_is_told() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        in_line(0)
