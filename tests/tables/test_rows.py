"""Header rows, and rows as the lines of a batch."""

from collections.abc import Sequence

import pytest

from mps_aigc_async import InvalidRequest
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.tables.cells import Cell
from mps_aigc_async.tables.rows import Header


def header(*cells: Cell) -> Header:
    return Header.of(cells)


def test_a_row_is_a_line_without_its_empty_cells_and_notes() -> None:
    table = header("id", "image.prompt", "video.prompt", "video.duration", "video.vod.storage_mode", "#mood", None)
    assert table.line(["a", "a lake", None, 5.0, "Permanent", "calm", None]) == {
        "id": "a",
        "image": {"prompt": "a lake"},
        "video": {"duration": 5, "vod": {"storage_mode": "Permanent"}},
    }
    assert table.line([None, "", None, None, None, "a note alone"]) is None
    assert table.line([]) is None


@pytest.mark.parametrize(
    ("model", "version", "spelt"),
    [("Hunyuan", 3, "3.0"), ("hunyuan", "3", "3.0"), ("Hunyuan", 3.0, "3.0"), ("Unlisted", 3, "3"), (None, 3, "3")],
)
def test_a_version_is_spelt_as_its_model_does(model: str | None, version: Cell, spelt: str) -> None:
    table = header("image.prompt", "image.model_name", "image.model_version")
    line = table.line(["a lake", model, version])
    assert line is not None
    step = line["image"]
    assert isinstance(step, dict)
    assert step["model_version"] == spelt


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["a lake", "rain"], "the first row names no field: begin the table with a header row"),
        (["id", "promt"], "column B (promt) is no field"),
        (["id", "prompt"], "is image.prompt or video.prompt or audio.prompt meant?"),
        (["id", "image.prompt", "图片提示词"], "columns B (image.prompt) and C (图片提示词) are the same field"),
        (["id", 5], "column B (5) is no field"),
    ],
)
def test_a_header_row_at_fault_is_refused_by_its_columns(cells: Sequence[Cell], reason: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Header.of(cells)
    assert reason in refusal.value.message


def test_all_cells_at_fault_are_named_at_once() -> None:
    table = header("编号", "视频提示词", "视频时长", "视频生成声音")
    with pytest.raises(InvalidRequest) as refusal:
        table.line(["a", "rain", "five", "perhaps", "stray"])
    assert refusal.value.message == (
        "column C (视频时长): expected a whole number, got 'five'; column D (视频生成声音): expected yes or no "
        "(是 or 否), got 'perhaps'; column E has a value, and no name in the first row"
    )


def test_a_fault_of_the_request_names_its_column() -> None:
    table = header("id", "视频提示词", "视频时长", "image.images")
    line = table.line(["a", "rain", 0, None])
    assert line is not None
    with pytest.raises(InvalidRequest) as refusal:
        parse(line)
    assert table.in_columns(refusal.value).message.startswith("column C (视频时长): Input should be greater than")
    whole = InvalidRequest("a line needs an `image`, a `video`, an `audio`, or more")
    assert table.in_columns(whole) is whole
