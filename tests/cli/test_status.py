"""`status` and the single commands tell of a task more than its state."""

from pathlib import Path

import pytest

from mps_aigc_async import ImageResult, TaskState, TaskStatus, Usage
from mps_aigc_async.cli.progress import places_of
from mps_aigc_async.cli.status import _facts_of
from mps_aigc_async.policy.lifetimes import Lifetime


def test_what_the_service_tells_beside_the_results() -> None:
    answer = TaskStatus(
        state=TaskState.DONE,
        word="FINISH",
        request_id="r",
        begun_at=1_767_225_605.0,
        finished_at=1_767_225_720.0,
        lifetime=Lifetime(ends_at=1_767_830_400.0),
        usage=Usage(output_seconds=5, input_images=1),
    )
    began, ended, kept, used = _facts_of(answer)
    assert [text.split()[0] for text in (began, ended, kept)] == ["began", "ended", "kept"]
    assert used == "used 5 output seconds, 1 input images"


def test_of_a_task_that_tells_nothing_there_is_nothing_to_tell() -> None:
    assert list(_facts_of(TaskStatus(state=TaskState.RUNNING, word="RUN", request_id="r"))) == []


@pytest.mark.parametrize(
    ("files", "places"),
    [
        ((), ["https://a/1", "VOD file 8"]),
        ((Path("/out/a.png"), Path("/out/a+2.png")), ["a.png", "a+2.png"]),
    ],
)
def test_a_result_without_a_url_is_told_by_its_id(files: tuple[Path, ...], places: list[str]) -> None:
    result = ImageResult(
        task_id="4-1", request_id="r", urls=("https://a/1",), expires_at=None, file_ids=("7", "8"),
        bare_file_ids=("8",), files=files,
    )  # fmt: skip
    assert [place if "//" in place or place[0] == "V" else Path(place).name for place in places_of(result)] == places
