"""An API as a value: its calls, and the decoding of their answers by its error codes."""

import json

import pytest

from mps_aigc_async import NoTaskId, ServiceError, TaskNotFound
from mps_aigc_async.wire.dialect import Created, HttpAnswer
from mps_aigc_async.wire.mps_errors import BY_CODE
from mps_aigc_async.wire.tencent_api import TencentApi, created_task

API = TencentApi("mps", "2019-06-12", BY_CODE)


def answer(**response: object) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps({"Response": {"RequestId": "r", **response}}).encode())


def test_a_create_is_decoded_to_its_task() -> None:
    call = API.create("CreateAigcImageTask", {"Prompt": "a lake"})
    assert (call.action, json.loads(call.body), call.reads) == ("CreateAigcImageTask", {"Prompt": "a lake"}, False)
    assert call.decode(answer(TaskId="4-1")) == Created("4-1", "r")


def test_any_call_is_decoded_to_the_inside_of_its_envelope() -> None:
    call = API.call("DescribeTemplates", {})
    assert call.decode(answer(TotalCount=0)) == {"RequestId": "r", "TotalCount": 0}


def test_errors_are_those_of_the_table() -> None:
    refusal = answer(Error={"Code": "ResourceNotFound.TaskNotFound", "Message": "none"})
    with pytest.raises(TaskNotFound):
        API.unwrap(refusal, "DescribeAigcImageTask")
    with pytest.raises(ServiceError) as failure:
        TencentApi("other", "2026-01-01", {}).unwrap(refusal, "DescribeAigcImageTask")
    assert type(failure.value) is ServiceError


@pytest.mark.parametrize("response", [{}, {"TaskId": ""}, {"TaskId": True}])
def test_a_create_without_a_task_id(response: dict[str, object]) -> None:
    with pytest.raises(NoTaskId):
        created_task(response, "CreateAigcImageTask")
