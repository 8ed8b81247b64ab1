"""The other scenes' tasks: parameters and answers against the official SDK's models, and answers of any shape."""

import json
from dataclasses import asdict, fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.wire.scenes import (
    DETAILS,
    FILTER,
    LIST,
    LISTED,
    TaskDetails,
    TaskFilter,
    TaskList,
    list_params,
    task_details,
    task_list,
)

texts = st.text(min_size=1, max_size=8)
filters = st.builds(TaskFilter, **dict.fromkeys(FILTER, st.none() | texts))
TEXTS = {name: texts for _, name, _ in DETAILS if name != "TaskResultCode"}
entries = st.fixed_dictionaries(
    {}, optional={**TEXTS, "Urls": st.lists(texts, max_size=2), "Resolution": texts, "Ratio": texts}
).map(lambda task: {name: value for name, value in task.items() if name not in ("OutputUrl", "RequestId")})


def official(model: str, content: dict[str, Any]) -> Any:  # noqa: ANN401 - the SDK has no types
    from tencentcloud.mps.v20190612 import models

    read = getattr(models, model)()
    read._deserialize(content)
    return read


def test_every_field_of_the_official_models_is_read() -> None:
    for model, rows in (
        ("AigcTaskListItem", LISTED),
        ("DescribeAigcTaskListResponse", LIST),
        ("DescribeAigcTaskStatusResponse", DETAILS),
    ):
        assert {f"_{name}" for _, name, _ in rows} == set(vars(official(model, {})))
    assert {f"_{name}" for name in FILTER.values()} == set(vars(official("QueryTaskFilter", {})))
    assert list(FILTER) == [field.name for field in fields(TaskFilter)]


@given(page=st.integers(1, 99), size=st.integers(1, 99), only=st.none() | filters)
def test_the_parameters_are_those_of_the_official_request(page: int, size: int, only: TaskFilter | None) -> None:
    params = list_params(page, size, only)
    assert official("DescribeAigcTaskListRequest", params)._serialize() == params
    query = params.get("QueryTaskFilter", {})
    values = {} if only is None else {FILTER[name]: value for name, value in asdict(only).items() if value is not None}
    assert query == values


@given(total=st.integers(0, 99), tasks=st.lists(entries, max_size=3))
def test_a_list_is_what_the_official_sdk_reads(total: int, tasks: list[dict[str, Any]]) -> None:
    content = {"Total": total, "PageNum": 2, "PageSize": 10, "Tasks": tasks, "RequestId": "r-1"}
    theirs, ours = official("DescribeAigcTaskListResponse", content), task_list(content)
    assert (ours.total, ours.page, ours.page_size, ours.request_id) == (theirs.Total, 2, 10, "r-1")
    for mine, other in zip(ours.tasks, theirs.Tasks, strict=True):
        assert {name: getattr(mine, attribute) or None for attribute, name, _ in LISTED} == {
            name: (tuple(value) or None if isinstance(value := getattr(other, name), list) else value)
            for _, name, _ in LISTED
        }


@given(content=st.fixed_dictionaries({}, optional={**TEXTS, "TaskResultCode": st.integers(1, 99)}))
def test_details_are_what_the_official_sdk_reads(content: dict[str, Any]) -> None:
    theirs, ours = official("DescribeAigcTaskStatusResponse", content), task_details(content)
    for attribute, name, _ in DETAILS:
        assert (getattr(ours, attribute) or None) == getattr(theirs, name)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["TaskId", "Urls"]), inner, max_size=3),
    max_leaves=8,
)


@given(content=st.dictionaries(st.sampled_from([name for _, name, _ in (*LIST, *DETAILS)]), anything))
def test_any_answer_is_a_value(content: dict[str, Any]) -> None:
    assert isinstance(task_list(content), TaskList)
    assert isinstance(task_details(content), TaskDetails)
    json.dumps(asdict(task_list(content)))
