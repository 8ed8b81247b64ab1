"""Values out of an answer, in each of the forms that services are known to write, by all three dialects."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mps_aigc_async import Kind, TaskState
from mps_aigc_async.model.errors import AigcError, TransportError
from mps_aigc_async.model.requests import ImageRequest
from mps_aigc_async.wire import answers
from mps_aigc_async.wire.dialect import Call, Created, HttpAnswer, TaskPage, TaskStatus
from mps_aigc_async.wire.mps import Mps
from mps_aigc_async.wire.relay import Relay
from mps_aigc_async.wire.scenes import task_details, task_list
from mps_aigc_async.wire.vod import Vod

from .oracles import almost_anything

CAT = ImageRequest(prompt="a cat", model_name="GEM", model_version="3.0")
DIALECTS = (Mps(), Vod(sub_app_id=1), Relay(host="127.0.0.1"))
CREATES: dict[str, Call[Created]] = {dialect.backend: dialect.create(CAT, None) for dialect in DIALECTS}
ASKS: dict[str, Call[TaskStatus]] = {dialect.backend: dialect.describe(Kind.IMAGE, "4-1") for dialect in DIALECTS}


def answered(body: object) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps(body).encode())


def of_mps(word: str = "DONE", images: object = None, **more: object) -> HttpAnswer:
    return answered({"Response": {"Status": word, "ImageUrls": images, **more}})


def of_vod(word: str = "FINISH", infos: object = None, inner: str = "FINISH", **more: object) -> HttpAnswer:
    task = {"Status": inner, "Output": {"FileInfos": infos}, **more}
    return answered({"Response": {"TaskType": "AigcImageTask", "Status": word, "AigcImageTask": task}})


def of_relay(word: str = "SUCCESS", infos: object = None, **more: object) -> HttpAnswer:
    detail = {"Status": "FINISH", "AigcImageTask": {"Output": {"FileInfos": infos}}}
    return answered({"code": "success", "data": {"status": word, "data": detail, **more}})


# --- a task's id ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", CREATES)
@pytest.mark.parametrize(
    ("given_as", "task_id"),
    [
        ("4-1", "4-1"),
        (" 4-1\n", "4-1"),
        (123456789, "123456789"),
        (12345678901234567890123, "12345678901234567890123"),
        (123456789.0, "123456789"),
    ],
)
def test_a_task_is_created_whatever_its_id_is_written_as(backend: str, given_as: object, task_id: str) -> None:
    answer = answered({"Response": {"TaskId": given_as, "RequestId": "r-1"}})
    assert CREATES[backend].decode(answer) == Created(task_id, "r-1")


@pytest.mark.parametrize("backend", CREATES)
@pytest.mark.parametrize("given_as", ["", "  ", None, True, False, 0, -1, 1.5, 1e300, float("inf"), [], {}, ["4-1"]])
def test_an_unusable_task_id_is_quoted_and_the_outcome_is_unknown(backend: str, given_as: object) -> None:
    with pytest.raises(TransportError) as failure:
        CREATES[backend].decode(answered({"Response": {"TaskId": given_as}}))
    assert f"no readable TaskId, but {given_as!r}" in str(failure.value)


def test_an_unreadable_id_is_quoted_in_bounds_and_without_control_characters() -> None:
    value = {"id\x1b[31m\u202e": "4-AigcImage-1", "more": "x" * 5000}
    with pytest.raises(TransportError, match="4-AigcImage-1") as failure:
        CREATES["mps"].decode(answered({"Response": {"TaskId": value}}))
    text = str(failure.value)
    assert text.isprintable()
    assert len(text) < 400


def test_an_answer_without_an_id_is_quoted() -> None:
    """Its id may stand under another name."""
    with pytest.raises(TransportError, match=r"no TaskId, but {'JobId': '4-1', 'RequestId': 'r-1'}"):
        CREATES["vod"].decode(answered({"Response": {"JobId": "4-1", "RequestId": "r-1"}}))


def test_a_relays_answer_without_vods_envelope_is_quoted() -> None:
    with pytest.raises(TransportError, match=r"no TaskId, but {'task_name': '4-1'}"):
        CREATES["relay"].decode(answered({"task_name": "4-1"}))


def test_a_session_finds_its_task_whatever_the_id_is_written_as() -> None:
    tasks = [{"SessionId": "a", "TaskId": 5}, {"SessionId": "b", "TaskId": " 6 "}, {"SessionId": "c", "TaskId": True}]
    call = Vod(sub_app_id=1).tasks(TaskState.RUNNING, "")
    assert call is not None
    assert call.decode(answered({"Response": {"TaskSet": tasks}})) == TaskPage({"a": "5", "b": "6"}, "")


def test_listed_tasks_of_other_scenes_have_their_ids_as_well() -> None:
    listed = task_list({"Total": 1, "Tasks": [{"TaskId": 5}]})
    assert [task.task_id for task in listed.tasks] == ["5"]


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spell", [str.lower, str.title, lambda word: f" {word}\n"])
@pytest.mark.parametrize(
    ("backend", "answer", "word", "state"),
    [
        ("mps", of_mps, "WAIT", TaskState.WAITING),
        ("mps", of_mps, "RUN", TaskState.RUNNING),
        ("mps", of_mps, "DONE", TaskState.DONE),
        ("mps", of_mps, "FAIL", TaskState.FAILED),
        ("vod", of_vod, "WAITING", TaskState.WAITING),
        ("vod", of_vod, "PROCESSING", TaskState.RUNNING),
        ("vod", of_vod, "FINISH", TaskState.DONE),
        ("vod", of_vod, "ABORTED", TaskState.FAILED),
        ("relay", of_relay, "NOT_START", TaskState.WAITING),
        ("relay", of_relay, "QUEUED", TaskState.WAITING),
        ("relay", of_relay, "IN_PROGRESS", TaskState.RUNNING),
        ("relay", of_relay, "SUCCESS", TaskState.DONE),
        ("relay", of_relay, "FAILURE", TaskState.FAILED),
    ],
)
def test_documented_words_are_known_whatever_their_case(
    backend: str, answer: Callable[[str], HttpAnswer], word: str, state: TaskState, spell: Callable[[str], str]
) -> None:
    status = ASKS[backend].decode(answer(spell(word)))
    assert (status.state, status.known) == (state, True)


def test_the_inner_word_of_vod_is_read_so_too() -> None:
    assert ASKS["vod"].decode(of_vod("FINISH", inner=" processing ")).state is TaskState.RUNNING
    assert ASKS["vod"].decode(of_vod("FINISH", inner="finish")).state is TaskState.DONE


# --- URLs -------------------------------------------------------------------------------------------------------------

ONE, TWO = "https://a/1.png?sig=x%2F", "https://a/2.png"


@pytest.mark.parametrize(
    "found",
    [
        [ONE, TWO],
        [{"Url": ONE}, {"Url": TWO}],
        [{"url": ONE}, {"url": TWO}],
        [{"FileUrl": ONE}, {"FileUrl": TWO}],
        [{"ImageUrl": ONE}, {"ImageUrl": TWO}],
        [{"VideoUrl": ONE}, {"AudioUrl": TWO}],
        [{"Url": None, "ImageUrl": ONE}, None, f" {TWO} "],
    ],
)
@pytest.mark.parametrize(("backend", "answer"), [("mps", of_mps), ("vod", of_vod), ("relay", of_relay)])
def test_urls_are_found_in_each_form(backend: str, answer: Callable[..., HttpAnswer], found: list[object]) -> None:
    status = ASKS[backend].decode(answer(images=found) if backend == "mps" else answer(infos=found))
    assert (status.urls, status.has_ended) == ((ONE, TWO), True)


@pytest.mark.parametrize("found", [ONE, {"ImageUrl": ONE}])
@pytest.mark.parametrize(("backend", "answer"), [("mps", of_mps), ("vod", of_vod), ("relay", of_relay)])
def test_one_url_needs_no_list(backend: str, answer: Callable[..., HttpAnswer], found: object) -> None:
    status = ASKS[backend].decode(answer(images=found) if backend == "mps" else answer(infos=found))
    assert (status.urls, status.has_ended) == ((ONE,), True)


# --- reasons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Message": "blocked"}, "blocked"),
        ({"Message": "", "ErrMsg": "blocked"}, "blocked"),
        ({"Message": "success", "ErrorMessage": "blocked"}, "blocked"),
        ({"Msg": "blocked"}, "blocked"),
        ({"FailReason": " blocked "}, "blocked"),
        ({"Reason": 404}, "404"),
        ({"TaskResultMsg": "blocked", "ErrCode": 7}, "blocked"),
        ({"ErrCode": 70000}, "70000"),
        ({"ErrCodeExt": "InternalError", "ErrCode": 70000}, "InternalError"),
        ({"Message": ["blocked"]}, ""),
        ({}, ""),
    ],
)
def test_a_failures_reason_is_found_under_its_siblings_keys(fields: Mapping[str, object], message: str) -> None:
    status = ASKS["mps"].decode(of_mps("FAIL", **fields))
    assert (status.state, status.message) == (TaskState.FAILED, message)
    assert ASKS["relay"].decode(answered({"data": {"status": "FAILURE", **fields}})).message == message


@pytest.mark.parametrize("key", ["Message", "ErrMsg", "ErrorMessage", "Reason"])
def test_vods_reasons_are_found_so_too(key: str) -> None:
    assert ASKS["vod"].decode(of_vod("ABORTED", **{key: "blocked"})).message == "blocked"
    assert ASKS["vod"].decode(of_vod("FINISH", ErrCode=1, **{key: "blocked"})).message == "1: blocked"


# --- anything at all --------------------------------------------------------------------------------------------------

VALUES = (
    "TaskType", "AigcImageTask", "ErrCode", "ErrCodeExt", "Output", "FileInfos", "FileUrl", "ImageUrls", "AudioInfos",
    "VideoInfos", "Duration", "TaskSet", "SessionId", "data", "status", "fail_reason", "code", "message", "error",
)  # fmt: skip
members: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["TaskId", "Status", "Message", "RequestId", "Error", *VALUES]),
    almost_anything(*VALUES)
    | st.sampled_from(["DONE", "FINISH", "SUCCESS", "FAIL", "ABORTED"])
    | st.integers(10**4000),
    max_size=6,
)
CALLS: list[Call[object]] = [
    *CREATES.values(),
    *ASKS.values(),
    DIALECTS[0].describe(Kind.AUDIO, "4-1"),
    DIALECTS[1].describe(Kind.VIDEO, "4-1"),
    DIALECTS[0].call("DescribeAigcTaskList", {}),
]
LIST = Vod(sub_app_id=1).tasks(TaskState.DONE, "")
if LIST is not None:
    CALLS.append(LIST)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.action)
@settings(max_examples=200, deadline=None)
@given(fields=members, wrap=st.sampled_from(["Response", "data", "none"]))
def test_any_fields_are_a_value_or_one_of_our_errors(call: Call[object], fields: dict[str, Any], wrap: str) -> None:
    body: object = fields if wrap == "none" else {wrap: fields}
    try:
        text = json.dumps(body).encode()
    except ValueError:  # Python writes no number of more than 4300 digits
        return
    try:
        call.decode(HttpAnswer(200, {}, text))
    except AigcError as error:
        assert error.ending is not None  # noqa: PT017 — either way is good


@given(fields=members)
def test_any_fields_are_a_task_of_another_scene(fields: dict[str, Any]) -> None:
    assert isinstance(task_details(fields).task_id, str)
    assert isinstance(task_list({"Tasks": [fields]}).tasks[0].task_id, str)


@given(value=almost_anything() | st.integers(min_value=10**4400))
def test_any_value_is_quoted_on_one_short_line(value: object) -> None:
    line = answers.quotation(value)
    assert line.isprintable()
    assert len(line) <= answers.MOST_QUOTED + 1
