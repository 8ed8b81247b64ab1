"""The jobs of a batch: each has one standing, in a few bytes."""

import tracemalloc

import pytest

from mps_aigc_async.cli.batch_jobs import BatchJobs, Standing
from mps_aigc_async.model.states import Kind


def test_a_job_takes_few_bytes() -> None:
    jobs = BatchJobs()
    tracemalloc.start()
    try:
        for number in range(50_000):
            jobs.add(f"{number:060}/image", Kind.IMAGE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000 * 14
    assert jobs.totals == {Kind.IMAGE: 50_000}
    jobs.add(f"{7:060}/image", Kind.IMAGE)
    assert jobs.totals == {Kind.IMAGE: 50_000}
    jobs.put(f"{7:060}/image", Standing.DONE)
    assert [jobs.get(f"{number:060}/image") for number in (6, 7, 50_000)] == [Standing.OPEN, Standing.DONE, None]


def test_a_job_of_another_batch_has_no_standing() -> None:
    jobs = BatchJobs()
    jobs.add("a/image", Kind.IMAGE)
    with pytest.raises(KeyError):
        jobs.put("b/image", Standing.DONE)


def test_a_job_that_is_added_again_keeps_its_standing() -> None:
    jobs = BatchJobs()
    for standing in Standing:
        jobs.add("a/image", Kind.IMAGE)
        jobs.put("a/image", standing)
        jobs.add("a/image", Kind.IMAGE)
        assert jobs.get("a/image") is standing
    assert jobs.totals == {Kind.IMAGE: 1}
