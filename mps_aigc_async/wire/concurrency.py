"""Distinguish a refusal for too many running tasks from a refusal for too many calls per second.

MPS (Hailuo H3) and VOD send RequestLimitExceeded for both. VOD's message then says that the task reached the maximum
concurrency (reported as tested, 2026-08; ErrCodeExt in the SDK 3.1.194: "调用超出并发限制"). Messages are for people
and may change. A concurrency refusal that is missed slows the rate; a rate refusal taken for one of concurrency waits
for a task to end. Neither mistake loses or repeats a task.
"""

import re
from typing import Final

from ..model.errors import ServiceError, TooManyTasks
from ..model.states import Ending
from .dialect import is_read

SIGNS: Final = re.compile(
    r"concurren|并发|並發|並行任務|并行任务"
    r"|too many (?:\w+ ){0,3}(?:tasks|jobs)\b"
    r"|(?:maximum|max|limit|number) (?:number )?of (?:\w+ ){0,3}(?:tasks|jobs)\b"
    r"|\b(?:running|processing|pending|queued|waiting) (?:tasks|jobs)\b"
    r"|(?:tasks|jobs) (?:\w+ ){0,2}(?:running|processing|in progress|queued|waiting)\b"
    r"|任务数|任務數|任务过多|任务太多|任务堆积|排队",
    re.IGNORECASE,
)
"""Words of a code or message about running tasks. The message about the rate has none of them ("Your current request
times equals to 21 in a second, which exceeds the frequency limit 20 for a second")."""


def by_concurrency(error: ServiceError, action: str) -> ServiceError:
    """The refusal as TooManyTasks if its words are about concurrency. A read runs no task, so its refusal is about the
    rate."""
    if error.ending is not Ending.REFUSED_FOR_NOW or isinstance(error, TooManyTasks) or is_read(action):
        return error
    if not SIGNS.search(f"{error.code} {error.message}"):
        return error
    busy = TooManyTasks(error.code, error.message, ending=error.ending, request_id=error.request_id)
    busy.retry_after_s = error.retry_after_s
    return busy
