"""Results that the service stores, as inputs of later requests: by their file ids instead of their URLs.

The URL of a stored file may expire or be withdrawn; its id is good as long as the file. An id is good only in the
account and application that stored the file. A ledger belongs to one of them, so a result goes by its id only if its
task is in this ledger: any other result goes by its URL, if it has one.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ..ledger import JobRecord, Ledger
from ..model.errors import AigcError
from ..model.inputs import ReferenceImage
from ..model.requests import Step
from ..model.results import ImageResult, TaskResult, VideoResult

STORED: Final = "Permanent"
"""The StorageMode of files that VOD stores."""

IsStored = Callable[[TaskResult], Awaitable[bool]]


def has_stored_files(job: JobRecord) -> bool:
    """Whether the service stores each file of a done job under an id, so that the first id is the first file's.

    VOD's FileId is valid if StorageMode is Permanent (SDK 3.1.194, AigcImageTaskOutputFileInfo).
    """
    is_complete = bool(job.file_ids) and len(job.file_ids) == len(job.urls) + len(job.bare_file_ids)
    options = job.sent_fields().get("vod")
    return is_complete and (job.never_expires or (isinstance(options, dict) and options.get("storage_mode") == STORED))


async def with_file_ids(request: Step, fields: Iterable[str], ledger: Ledger) -> Step:
    """The request with the stored results in `fields` by their file ids alone."""

    async def is_stored(result: TaskResult) -> bool:
        if not (result.urls and result.file_ids):
            return False
        with suppress(AigcError):  # a row that cannot be read: the URL is good too
            job = await ledger.of_task(result.task_id)
            return job is not None and job.file_ids == result.file_ids and has_stored_files(job)
        return False

    changes: dict[str, object] = {}
    for name in fields:
        value = getattr(request, name)
        if (value_by_id := await _by_id(value, is_stored)) != value:
            changes[name] = value_by_id
    return request.model_copy(update=changes) if changes else request


async def _by_id(value: object, is_stored: IsStored) -> object:
    match value:
        case tuple():
            return tuple([await _by_id(item, is_stored) for item in value])
        case ReferenceImage():
            return value.model_copy(update={"image": await _by_id(value.image, is_stored)})
        case ImageResult() | VideoResult():
            return replace(value, urls=()) if await is_stored(value) else value
        case _:
            return value
