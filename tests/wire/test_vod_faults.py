"""VOD's failures of accepted tasks, by each code in the official SDK, and the evidence that nothing was generated."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tencentcloud.vod.v20180717 import models

from mps_aigc_async import Kind, TaskFault
from mps_aigc_async.wire.dialect import HttpAnswer, TaskStatus
from mps_aigc_async.wire.relay import Relay
from mps_aigc_async.wire.vod import Vod
from mps_aigc_async.wire.vod_faults import FAULTS, fault_of, made_nothing

TASKS = ("AigcImageTask", "AigcVideoTask", "AigcAudioTask")


def documented(task: str) -> dict[str, str]:
    """The codes in a model's docstring, with their meanings."""
    (doc,) = re.findall(r":param _ErrCodeExt: (.*)", getattr(models, task).__init__.__doc__)
    return dict(re.findall(r"<li>([\w.]+)：(.*?)</li>", doc))


def status(response: dict[str, Any], kind: Kind = Kind.IMAGE) -> TaskStatus:
    return Vod().describe(kind, "5").decode(HttpAnswer(200, {}, json.dumps({"Response": response}).encode()))


def finish(**member: Any) -> dict[str, Any]:  # noqa: ANN401 — JSON
    task = {"TaskId": "5", "Status": "FINISH", "ErrCode": 70000, "ErrCodeExt": "RequestLimitExceeded", "Message": "x"}
    return {"TaskType": "AigcImageTask", "Status": "FINISH", "AigcImageTask": task | member}


@pytest.mark.parametrize("task", TASKS)
def test_every_documented_code_has_a_meaning_and_no_other(task: str) -> None:
    assert len(FAULTS) == 13
    assert set(documented(task)) == set(FAULTS)


@pytest.mark.parametrize("task", TASKS)
def test_the_meanings_are_those_that_the_sdk_writes_down(task: str) -> None:
    words = {"并发限制": TaskFault.CONCURRENCY, "资源不足": TaskFault.BUSY, "任务堆积": TaskFault.BUSY}
    words |= {"安全策略": TaskFault.REVIEW, "审核未通过": TaskFault.REVIEW, "参数": TaskFault.REQUEST}
    words |= {"媒体格式": TaskFault.REQUEST, "资源不存在": TaskFault.REQUEST}
    for code, meaning in documented(task).items():
        expected = next((fault for word, fault in words.items() if word in meaning), TaskFault.SERVICE)
        assert fault_of(code, meaning) is expected, (code, meaning)


@pytest.mark.parametrize("code", ["70000", "-1", "New.Code", "RequestLimitExceeded.Sub", "requestlimitexceeded", ""])
def test_a_code_that_no_document_lists_tells_nothing(code: str) -> None:
    assert fault_of(code, "too many tasks waiting at the model") is TaskFault.SERVICE


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("too many tasks waiting at the model", TaskFault.BUSY),
        ("模型任务堆积，请稍后重试", TaskFault.BUSY),
        ("the input cannot be downloaded", TaskFault.SERVICE),
        ("", TaskFault.SERVICE),
    ],
)
def test_failed_operation_means_a_full_model_only_where_its_message_says_so(message: str, fault: TaskFault) -> None:
    assert fault_of("FailedOperation", message) is fault


def test_a_status_has_the_code_and_its_meaning() -> None:
    told = status(finish())
    assert (told.fault_code, told.fault, told.made_nothing) == ("RequestLimitExceeded", TaskFault.CONCURRENCY, True)
    good = status(finish(ErrCode=0, ErrCodeExt="", Output={"FileInfos": [{"FileUrl": "https://a/1"}]}))
    assert (good.fault_code, good.fault, good.made_nothing) == ("", None, False)


@pytest.mark.parametrize(
    "output",
    [
        {"FileInfos": [{"FileUrl": "https://a/1.png"}]},
        {"FileInfos": [{"FileUrl": "", "FileId": "5"}]},
        {"FileInfos": [{}]},
        {"FileInfos": "odd"},
        {"FileInfos": [], "Usage": {"Duration": 5}},
        {"FileInfos": None, "Usage": 1.5},
        {"ProcedureTaskIds": ["7"]},
        "odd",
        [],
    ],
)
def test_a_file_a_usage_or_what_cannot_be_read_is_no_evidence(output: object) -> None:
    assert not status(finish(Output=output)).made_nothing


@pytest.mark.parametrize(
    "output", [None, {}, {"FileInfos": None}, {"FileInfos": [], "Usage": {"Duration": 0}, "ProcedureTaskIds": []}]
)
def test_an_output_without_anything_in_it_is_evidence(output: object) -> None:
    assert status(finish(Output=output)).made_nothing


@pytest.mark.parametrize("outer", ["PROCESSING", "WAITING", "ABORTED", ""])
def test_only_a_finish_is_evidence(outer: str) -> None:
    assert not status(finish() | {"Status": outer}).made_nothing


@pytest.mark.parametrize("inner", ["PROCESSING", "WAITING", "", None])
def test_a_task_that_may_be_under_way_is_no_evidence(inner: object) -> None:
    assert not status(finish(Status=inner)).made_nothing


@pytest.mark.parametrize("named", ["6", "", None])
def test_an_answer_that_names_another_task_or_none_is_no_evidence(named: object) -> None:
    assert not status(finish(TaskId=named)).made_nothing


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(0, 5)
    | st.sampled_from(["", "0", "FINISH", "https://a/1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["Duration", "FileUrl"]), inner),
    max_leaves=6,
)


@given(files=JSON, usage=JSON, more=JSON, word=st.sampled_from(["FINISH", "ABORTED", "PROCESSING"]), inner=JSON)
def test_evidence_never_stands_beside_anything_that_was_made(
    files: object, usage: object, more: object, word: str, inner: object
) -> None:
    task = {"TaskId": "5", "Status": inner, "Output": {"FileInfos": files, "Usage": usage, "ProcedureTaskIds": more}}
    assert not made_nothing("6", word, task)
    if made_nothing("5", word, task):
        assert (word, str(inner).upper()) == ("FINISH", "FINISH")
        assert "https" not in json.dumps([files, usage, more])
        assert not (isinstance(files, list) and files)
        assert not re.search(r"[1-9]", json.dumps(usage))


@pytest.mark.parametrize("wrapped", [False, True])
def test_on_a_relay_it_is_no_evidence(wrapped: bool) -> None:
    """Its own billing is in no document."""
    answer = {"Response": finish()}
    body = {"code": "success", "data": {"status": "SUCCESS", "data": finish()}} if wrapped else answer
    told = Relay(host="h").describe(Kind.IMAGE, "5").decode(HttpAnswer(200, {}, json.dumps(body).encode()))
    assert (told.fault_code, told.fault, told.made_nothing) == ("RequestLimitExceeded", TaskFault.CONCURRENCY, False)


def test_a_relays_failure_has_the_code_that_stands_inside() -> None:
    inner = finish(ErrCodeExt="ContentModerationFailed")
    body = {"code": "success", "data": {"status": "FAILURE", "fail_reason": "no", "data": inner}}
    told = Relay(host="h").describe(Kind.IMAGE, "5").decode(HttpAnswer(200, {}, json.dumps(body).encode()))
    assert (told.message, told.fault_code, told.fault) == ("no", "ContentModerationFailed", TaskFault.REVIEW)
