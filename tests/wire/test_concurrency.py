"""A refusal for the tasks running at once, told from one for the calls per second."""

import pytest

from mps_aigc_async.model.errors import AccountError, ServiceError, Throttled, TooManyTasks
from mps_aigc_async.model.states import Ending
from mps_aigc_async.wire.concurrency import by_concurrency

CREATE = "CreateAigcVideoTask"

OF_CONCURRENCY = [
    "调用超出并发限制。",
    "模型调用超出并发限制",
    "The task has reached the maximum concurrency",
    "too many concurrent requests for model H3",
    "Too many tasks",
    "too many tasks waiting at the model",
    "Too many running video tasks, try again later",
    "the maximum number of tasks is reached",
    "You already have 10 tasks in progress",
    "limit of running tasks exceeded",
    "无法创建任务，当前正在执行的任务数达到上限",
    "模型任务堆积",
]
OF_THE_RATE = [
    "",
    "Your current request times equals to `21` in a second, which exceeds the frequency limit `20` for a second. "
    "Please reduce the frequency of calls.",
    "您当前每秒请求 21 次，超过了每秒频率上限 20，请降低接口调用频率。",
    "请求的次数超过了频率限制。",
    "Rate limit exceeded: 60 requests per minute",
    "Task creation frequency is too high",
    "try again",
]


@pytest.mark.parametrize("message", OF_CONCURRENCY)
@pytest.mark.parametrize("code", ["RequestLimitExceeded", "LimitExceeded", "HTTP 429"])
def test_a_message_that_speaks_of_tasks_at_once_is_of_concurrency(code: str, message: str) -> None:
    error = by_concurrency(Throttled(code, message, request_id="r-1", retry_after_s=7), CREATE)
    assert isinstance(error, TooManyTasks)
    assert (error.code, error.message, error.request_id) == (code, message, "r-1")
    assert (error.ending, error.retry_after_s) == (Ending.REFUSED_FOR_NOW, 7)


@pytest.mark.parametrize("message", OF_THE_RATE)
def test_any_other_message_leaves_the_refusal_as_it_is(message: str) -> None:
    error = Throttled("RequestLimitExceeded", message)
    assert by_concurrency(error, CREATE) is error


def test_a_code_can_speak_of_concurrency_too() -> None:
    quota = ServiceError("LimitExceeded.ConcurrencyOverflow", "why", ending=Ending.REFUSED_FOR_NOW)
    assert isinstance(by_concurrency(quota, CREATE), TooManyTasks)


@pytest.mark.parametrize(
    "error",
    [
        ServiceError("InvalidParameter", "the number of tasks is invalid"),
        AccountError("LimitExceeded.Quota", "并发", ending=Ending.ACCOUNT_REFUSED),
        ServiceError("InternalError", "too many tasks", ending=Ending.UNKNOWN),
    ],
)
def test_a_refusal_for_good_and_an_unknown_outcome_stay_what_they_are(error: ServiceError) -> None:
    assert by_concurrency(error, CREATE) is error


@pytest.mark.parametrize("action", ["DescribeTaskDetail", "DescribeAigcImageTask", "ListTasks"])
def test_a_read_runs_no_task(action: str) -> None:
    error = Throttled("RequestLimitExceeded", OF_CONCURRENCY[0])
    assert by_concurrency(error, action) is error
