"""MPS's audio tasks, and the two actions about scenes that the emulator does not have. Images and videos are in
test_service."""

import re
from collections.abc import Mapping

import pytest

from mps_aigc_async.emulator import Service, Settings
from mps_aigc_async.emulator.tasks.storage import Piece

from ..callers import NOW, Fields, InMemory, Json, code_of

MUSIC: Fields = {"ModelName": "MiniMaxMusic", "ModelVersion": "3.0", "SceneType": "music", "Prompt": "rain on a roof"}


@pytest.fixture
def caller() -> InMemory:
    return InMemory(Service(Settings(audio_seconds=(40, 40))))


def test_an_audio_task_from_create_to_url(caller: InMemory) -> None:
    task_id = caller.create(MUSIC, "Audio")
    assert re.fullmatch(r"4-AigcAudio-[0-9a-f]{32}", task_id)
    waiting = caller.describe(task_id, "Audio")
    assert waiting.pop("RequestId")
    assert waiting == {"Status": "WAIT", "Message": "", "AudioInfos": [], "VideoInfos": []}
    caller.now += 39.9
    assert caller.describe(task_id, "Audio")["Status"] == "RUN"
    caller.now = NOW + 40
    done = caller.describe(task_id, "Audio")
    assert (done["Status"], done["Message"], done["VideoInfos"]) == ("DONE", "ok", [])
    (audio,) = infos(done["AudioInfos"])
    assert audio.keys() == {"Url", "Duration"}
    assert audio["Duration"] == 3
    assert piece(caller, audio["Url"]).content_type == "audio/mpeg"


def infos(value: object) -> list[Mapping[str, object]]:
    assert isinstance(value, list)
    return value


def piece(caller: InMemory, url: object) -> Piece:
    path, _, query = str(url).removeprefix("http://emulator.invalid").partition("?")
    found = caller.service.media(path, query, caller.now)
    assert isinstance(found, Piece)
    return found


def test_sound_for_a_video_is_an_audio_and_a_video(caller: InMemory) -> None:
    film: Json = {"VideoUrl": "u"}
    fields: Fields = {"VideoInfos": [film], "SceneType": "sfx", "ExtraParameters": {"OutputAudioFormat": "wav"}}
    task_id = caller.create(fields, "Audio")
    caller.now += 40
    done = caller.describe(task_id, "Audio")
    (audio,), (video,) = infos(done["AudioInfos"]), infos(done["VideoInfos"])
    assert piece(caller, audio["Url"]).content_type == "audio/wav"
    assert piece(caller, video["Url"]).content_type == "video/mp4"
    assert video["Duration"] == audio["Duration"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "MissingParameter"),
        ({"Prompt": "x" * 2001}, "InvalidParameterValue"),
        ({"Prompt": "x", "ExtraParameters": {"OutputAudioFormat": "ogg"}}, "InvalidParameterValue"),
        ({"Prompt": "x", "Duration": 5}, "UnknownParameter"),
        ({"Prompt": "forbidden-content"}, "InvalidParameter.ViolationContent"),
        ({"Prompt": "x", "ModelName": "Mureka", "AdditionalParameters": '{"n":11}'}, "InvalidParameterValue"),
        ({"Prompt": "x" * 2000}, None),
        ({"AudioInfos": [{"AudioUrl": "u"}]}, None),
        ({"VideoInfos": [{"VideoUrl": "u"}]}, None),
    ],
)
def test_what_an_audio_create_is_refused_for(caller: InMemory, fields: Fields, code: str | None) -> None:
    assert code_of(caller.call("CreateAigcAudioTask", {"SceneType": "music", **fields})) == code


@pytest.mark.parametrize(
    ("model", "scene", "says"),
    [
        ("", "", "`SceneType` must be one of tts, music, sfx"),
        ("", "song", "`SceneType` must be one of tts, music, sfx"),
        ("Kling", "music", "`SceneType` must be sfx for Kling"),
        ("Kling 3.0", "sfx", "`ModelVersion` must be left out for Kling"),
        ("Tme 1.0", "music", "`ModelVersion` must be left out for Tme"),
        ("GL", "music", "`ModelVersion` must be set for GL"),
        ("MiniMaxMusic", "music", "`ModelVersion` must be set for MiniMaxMusic"),
        ("MiniMaxMusic 3.0", "sfx", "`SceneType` must be music for MiniMaxMusic 3.0"),
        ("GL 3.0-clip", "tts", "`SceneType` must be music for GL 3.0-clip"),
        ("Mureka", "sfx", "`SceneType` must be music for Mureka"),
        ("EL compose_v2", "sfx", "`SceneType` must be music for EL compose_v2"),
        ("EL sound_t2s_v2", "sfx", ""),
        ("EL", "music", ""),
        ("Kling", "sfx", ""),
        ("Mureka", "music", ""),
        ("", "tts", ""),
    ],
)
def test_the_scenes_and_versions_that_mps_refuses(caller: InMemory, model: str, scene: str, says: str) -> None:
    name, _, version = model.partition(" ")
    fields: dict[str, Json] = {"Prompt": "x", "SceneType": scene, "ModelName": name, "ModelVersion": version}
    answer = caller.call("CreateAigcAudioTask", fields)
    assert code_of(answer) == ("InvalidParameterValue" if says else None)
    assert says in str(answer)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ModelName": "GL", "ModelVersion": "3.0-pro"}, "GL 3.0-pro needs lyrics."),
        ({"ModelName": "GL", "ModelVersion": "3.0-pro", "AdditionalParameters": "[]"}, "GL 3.0-pro needs lyrics."),
        ({"ModelName": "GL", "ModelVersion": "3.0-pro", "AdditionalParameters": '{"lyric":"la"}'}, ""),
        ({"ModelName": "Tme"}, "Tme needs ExtraParameters.ResourceId and AudioInfos."),
        ({"ModelName": "Tme", "ExtraParameters": {"ResourceId": "5"}}, "Tme needs"),
        ({"ModelName": "Tme", "AudioInfos": [{"AudioUrl": "u"}]}, "Tme needs"),
        ({"ModelName": "Tme", "AudioInfos": [{"AudioUrl": "u"}], "ExtraParameters": {"ResourceId": "5"}}, ""),
    ],
)
def test_the_audios_that_mps_accepts_and_fails(caller: InMemory, fields: Fields, why: str) -> None:
    task_id = caller.create({"Prompt": "x", "SceneType": "music", **fields}, "Audio")
    caller.now += 40
    ended = caller.describe(task_id, "Audio")
    assert ended["Status"] == ("FAIL" if why else "DONE")
    assert why in str(ended["Message"])


def test_mureka_makes_as_many_audios_as_n_says(caller: InMemory) -> None:
    song: Fields = {"ModelName": "Mureka", "SceneType": "music", "Prompt": "x", "AdditionalParameters": '{"n":3}'}
    task_id = caller.create({**song, "VideoInfos": [{"VideoUrl": "u"}]}, "Audio")
    caller.now += 40
    done = caller.describe(task_id, "Audio")
    assert [piece(caller, info["Url"]).content_type for info in infos(done["AudioInfos"])] == ["audio/mpeg"] * 3
    assert [piece(caller, info["Url"]).content_type for info in infos(done["VideoInfos"])] == ["video/mp4"]


def test_audio_has_its_own_limit_cap_and_counters() -> None:
    caller = InMemory(Service(Settings(max_running={"audio": 1}, limits={"CreateAigcAudioTask": 2})))
    codes = [code_of(caller.call("CreateAigcAudioTask", MUSIC)) for _ in range(3)]
    assert codes == [None, "LimitExceeded.CreateTask", "RequestLimitExceeded"]
    statistics = caller.service.statistics(caller.now)
    assert (statistics.created["audio"], statistics.running["audio"], statistics.most_running["audio"]) == (1, 1, 1)
    assert statistics.created["image"] == 0


def test_an_audio_task_is_no_video_and_its_failure_is_told(caller: InMemory) -> None:
    task_id = caller.create({"Prompt": "fail-later", "SceneType": "sfx"}, "Audio")
    assert code_of(caller.describe(task_id, "Video")) == "ResourceNotFound"
    caller.now += 40
    failed = caller.describe(task_id, "Audio")
    assert (failed["Status"], failed["AudioInfos"]) == ("FAIL", [])
    assert failed["Message"]


@pytest.mark.parametrize("action", ["CreateAigcAudioTask", "DescribeAigcAudioTask", "DescribeAigcTaskList"])
def test_twenty_calls_a_second(caller: InMemory, action: str) -> None:
    codes = [code_of(caller.call(action, {})) for _ in range(21)]
    assert codes.count("RequestLimitExceeded") == 1
    assert codes[-1] == "RequestLimitExceeded"


def test_the_list_of_other_scenes_is_empty_and_they_have_no_status(caller: InMemory) -> None:
    image = caller.create()
    listed = caller.call("DescribeAigcTaskList", {"PageNum": 2, "PageSize": 5, "QueryTaskFilter": {"TaskId": image}})
    assert listed.pop("RequestId")
    assert listed == {"Total": 0, "PageNum": 2, "PageSize": 5, "Tasks": []}
    assert code_of(caller.call("DescribeAigcTaskList", {"PageNum": 0})) == "InvalidParameterValue"
    assert code_of(caller.call("DescribeAigcTaskStatus", {"TaskId": image})) == "FailedOperation.TaskNotFound"
    assert code_of(caller.call("DescribeAigcTaskStatus", {})) == "MissingParameter"
    assert [arrival.task_id for arrival in caller.service.arrivals[-4:]] == [None] * 4


def test_a_model_may_have_a_cap_under_the_rates_code() -> None:
    caller = InMemory(Service(Settings(model_running={"Hailuo": 1}, video_seconds=(60, 60))))
    hailuo: Fields = {"ModelName": "Hailuo", "ModelVersion": "H3", "Prompt": "a lake"}
    assert code_of(caller.call("CreateAigcVideoTask", hailuo)) is None
    assert code_of(caller.call("CreateAigcVideoTask", hailuo)) == "RequestLimitExceeded"
    assert code_of(caller.call("CreateAigcVideoTask", {**hailuo, "ModelName": "Kling"})) is None
    caller.now += 60
    assert code_of(caller.call("CreateAigcVideoTask", hailuo)) is None
