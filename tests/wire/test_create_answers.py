"""Where a relay's answer to a create has its TaskId, and where it has none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.wire.create_answers import created_task
from mps_aigc_async.wire.dialect import Created

OF_VOD = "251000000-AigcImage-0123456789abcdeft"


@pytest.mark.parametrize("key", ["TaskId", "taskId", "task_id", "TaskID", "taskid", "Task_Id"])
@pytest.mark.parametrize("error", [False, True])
def test_a_task_id_is_found_in_each_envelope_by_each_spelling(key: str, *, error: bool) -> None:
    for body in (
        {key: "t-1"},
        {"Response": {key: "t-1"}},
        {"code": "success", "data": {key: "t-1"}},
        {"code": 0, "data": [{key: "t-1"}]},
        {"data": {"Response": {key: "t-1"}}},
        {"Response": {"Data": {key: "t-1"}}},
        {"output": {key: "t-1"}},
        {"result": {key: "t-1"}},
        {"task": {key: "t-1"}},
        {key: "", "data": {key: "t-1"}},
        {"Response": {"Error": {"Code": "InternalError"}, key: "t-1"}},
    ):
        assert created_task(body, reports_error=error) == Created("t-1", "")


def test_a_plain_id_is_the_tasks_inside_data_of_a_good_answer_only() -> None:
    for body in ({"data": {"id": "t-1"}}, {"data": {"task": {"id": "t-1"}}}, {"task": {"id": "t-1"}}):
        assert created_task(body, reports_error=False) == Created("t-1", "")
        assert created_task(body, reports_error=True) is None


def test_a_bare_text_is_a_task_id_only_if_it_is_written_as_vods() -> None:
    assert created_task({"data": OF_VOD}, reports_error=False) == Created(OF_VOD, "")
    assert created_task({"data": OF_VOD}, reports_error=True) is None
    for text in ("queued", "ok", "550e8400-e29b-41d4-a716-446655440000", f"{OF_VOD} is queued", ""):
        assert created_task({"data": text}, reports_error=False) is None


@pytest.mark.parametrize(
    "body",
    [
        {"id": "req-1"},
        {"request_id": "req-1"},
        {"Response": {"RequestId": "req-1"}},
        {"data": {"request_id": "req-1", "session_id": "s-1"}},
        {"error": {"task_id": "t-1"}},
        {"error": {"data": {"task_id": "t-1"}}},
        {"data": {"user": {"id": "u-1"}}},
        {"data": {"parent_task_id": "t-1"}},
        {"task_ids": ["t-1"]},
        {"Response": {"TaskId": None}},
        {"data": {"task_id": "null"}},
        {"data": {"id": 0}},
        {"data": {"id": True}},
        {},
    ],
)
def test_no_other_field_is_taken_for_a_task_id(body: dict[str, object]) -> None:
    assert created_task(body, reports_error=False) is None


def test_of_several_the_outermost_is_asked_about_and_of_a_list_none() -> None:
    both: dict[str, object] = {"task_id": "of-the-relay", "Response": {"TaskId": "of-vod", "RequestId": "r-1"}}
    assert created_task(both, reports_error=False) == Created("of-the-relay", "r-1")
    several: dict[str, object] = {"data": [{"task_id": "t-1"}, {"task_id": "t-2"}]}
    assert created_task(several, reports_error=False) is None, "one create makes one task: nothing tells which"
    twice: dict[str, object] = {"data": [{"task_id": "t-1"}, {"task_id": "t-1"}]}
    assert created_task(twice, reports_error=False) == Created("t-1", "")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "Response", "task", "error", "id", "x"]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=12,
)


@given(body=st.dictionaries(st.sampled_from(["data", "Response", "task", "id"]) | st.text(max_size=5), anything))
def test_a_task_id_that_is_there_is_found_whatever_else_is(body: dict[str, object]) -> None:
    assert created_task({**body, "task_id": "t-1"}, reports_error=True) is not None
    task = created_task(body, reports_error=False)
    assert task is None or task.task_id
