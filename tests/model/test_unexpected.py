"""An unexpected exception becomes one job's outcome: the others go on, and the log has its traceback."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import (
    ContentViolation,
    ImageRequest,
    ImageToVideo,
    JobRecord,
    JobState,
    Outcome,
    UnexpectedError,
    VideoRequest,
)
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.jobs.jobs import Jobs
from mps_aigc_async.jobs.terms import Terms
from mps_aigc_async.ledger.versions import Version
from mps_aigc_async.model.requests import Step
from mps_aigc_async.model.results import Result
from mps_aigc_async.model.unexpected import as_aigc_error, unexpected_error
from mps_aigc_async.testing import run

from ..support import client_of, in_memory

SECRET = "https://host.example/x.png?sign=s3cret"


class Odd(Exception):
    """An exception of a class in none of our lists."""


def test_an_error_of_ours_stands_for_itself() -> None:
    ours = ContentViolation("InvalidParameter.ViolationContent", "no")
    assert as_aigc_error(ours, "trying") is ours


def test_the_log_has_classes_and_frames_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    def odd() -> None:
        raise Odd(SECRET)

    def broken() -> None:
        try:
            odd()
        except Odd as error:
            raise AssertionError(SECRET) from error

    try:
        broken()
    except AssertionError as error:
        failure = unexpected_error(error, "trying")
    assert isinstance(failure, UnexpectedError)
    assert failure.__context__ is None
    for text in (caplog.text, str(failure), repr(failure)):
        assert "s3cret" not in text
    assert "AssertionError while trying" in caplog.text
    assert "tests.model.test_unexpected.Odd" in caplog.text
    assert "in broken" in caplog.text


def raising(real: Callable[..., Any], error: Exception, *, for_ids: str) -> Callable[..., Any]:
    """A method of `Jobs` that raises for jobs of these ids."""

    async def method(self: Jobs, job: JobRecord, *args: object) -> JobRecord:
        if job.job_id.startswith(for_ids):
            raise error
        job_record: JobRecord = await real(self, job, *args)
        return job_record

    return method


@pytest.mark.parametrize("method", ["submit", "finish", "save", "plan"])
@pytest.mark.parametrize(
    "error", [AssertionError(SECRET), Odd(SECRET), RecursionError(), UnicodeError(), MemoryError()]
)
def test_one_jobs_trouble_of_any_class_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str, error: Exception
) -> None:
    caplog.set_level(logging.ERROR)
    if method == "plan":

        async def plan(self: Jobs, steps: Sequence[Step], version: Version, terms: Terms) -> list[JobRecord]:
            if version.name.startswith("odd"):
                raise error
            return await real_plan(self, steps, version, terms)

        real_plan = Jobs.plan
        monkeypatch.setattr(Jobs, "plan", plan)
    else:
        monkeypatch.setattr(Jobs, method, raising(getattr(Jobs, method), error, for_ids="odd"))

    async def main() -> None:
        async with client_of(in_memory()) as client:
            names = ["a", "odd-1", "b", "odd-2", "c"]
            requests = [
                ImageToVideo(id=name, image=ImageRequest(prompt=name), video=VideoRequest(prompt=name))
                for name in names
            ]
            save_to = tmp_path if method == "save" else None
            outcomes = {outcome.job_id: outcome async for outcome in client.run(requests, save_to=save_to)}
            assert sorted(outcomes) == sorted(names)
            for name, outcome in outcomes.items():
                if name.startswith("odd"):
                    assert isinstance(outcome.error, UnexpectedError)
                    assert outcome.error.job_id == name
                    assert "s3cret" not in str(outcome.error)
                elif method != "save":
                    assert outcome.ok
        assert "s3cret" not in caplog.text

    if method == "save":  # there is no storage in virtual time, so `save` raises
        monkeypatch.setattr("mps_aigc_async.network.downloads.Downloads.save", _nothing)
    run(main())


async def _nothing(*_: object, **__: object) -> list[Path]:
    return []


class Broken(Mapping[str, Any]):
    """An item that raises when it is looked at."""

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 — a mapping's
        raise Odd(key)

    def __iter__(self) -> Iterator[str]:
        raise Odd("iter")

    def __len__(self) -> int:
        return 1


def test_an_item_that_raises_anything_when_it_is_read_is_its_own_outcome() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            items: list[BatchItem] = [ImageRequest(id="a", prompt="a"), Broken(), ImageRequest(id="b", prompt="b")]
            outcomes: list[Outcome[BatchItem, Result]] = [outcome async for outcome in client.run(items)]
            errors = {outcome.job_id: type(outcome.error) for outcome in outcomes}
            assert errors == {"a": type(None), "b": type(None), "item 2": UnexpectedError}
            assert (await client.counts())[JobState.DONE] == 2

    run(main())


def test_cancelling_passes_through() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            caller = asyncio.create_task(client.generate(ImageRequest(prompt="x")))
            await asyncio.sleep(1)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller

    run(main())
