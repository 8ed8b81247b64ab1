"""The values of cells, with the habits of spreadsheets and of people."""

from datetime import date, datetime, time, timedelta

import pytest

from mps_aigc_async.tables.cells import Cell, CellFault, value_of
from mps_aigc_async.tables.columns import Column, column_of

DAY = datetime(2026, 9, 16)  # noqa: DTZ001 — a spreadsheet knows no time zones
MORE_THAN_A_DAY = datetime(1900, 1, 1, 8, 9)  # noqa: DTZ001 — as above


def column(name: str) -> Column:
    found = column_of(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("image.prompt", None, None),
        ("image.prompt", "", None),
        ("image.prompt", " \u00a0\u3000\n", None),
        ("image.prompt", "\u3000湖（一）：Ａ\u00a0", "湖（一）：Ａ"),
        ("image.prompt", "a_x000D_\nb\r\nc", "a\nb\nc"),
        ("image.prompt", 7.0, "7"),
        ("id", 1.0, "1"),
        ("id", "镜头（一）", "镜头（一）"),
        ("video.model_name", "Ｋｌｉｎｇ\u00a0", "Kling"),
        ("video.model_version", 2.6, "2.6"),
        ("video.aspect_ratio", "16：9", "16:9"),
        ("video.aspect_ratio", "16 : 9", "16:9"),
        ("video.aspect_ratio", "16:09", "16:9"),
        ("video.aspect_ratio", "09:16:00", "9:16"),
        ("video.aspect_ratio", "16比9", "16:9"),
        ("video.aspect_ratio", "auto", "auto"),
        ("video.aspect_ratio", time(16, 9), "16:9"),
        ("video.aspect_ratio", timedelta(hours=32, minutes=9), "32:9"),
        ("video.aspect_ratio", MORE_THAN_A_DAY, "32:9"),
        ("video.duration", 5, 5),
        ("video.duration", 5.0, 5),
        ("video.duration", "５", 5),
        ("video.duration", "5.0 秒", 5),
        ("video.duration", "5s", 5),
        ("image.output_count", "2张", 2),
        ("video.enable_audio", True, True),
        ("video.enable_audio", "否", False),
        ("video.enable_audio", "TRUE", True),
        ("video.enable_audio", 0.0, False),
        ("video.enable_audio", "√", True),
        ("video.first_frame", " https://a/1.png ", "https://a/1.png"),
        ("image.images", "https://a/1.png\nhttps://a/2;b.png", ["https://a/1.png", "https://a/2;b.png"]),
        ("image.images", "a.png；b（1）.png", ["a.png", "b（1）.png"]),
        ("video.subjects", '[{"name": "a cat"}]', [{"name": "a cat"}]),
        ("image.additional_parameters", '{"size": "1024x1024"}', {"size": "1024x1024"}),
    ],
)
def test_a_cell_has_a_value(name: str, cell: Cell, value: object) -> None:
    assert value_of(cell, column(name)) == value


@pytest.mark.parametrize(
    ("name", "cell", "reason"),
    [
        ("image.prompt", "#N/A", "the error #N/A of a formula"),
        ("image.prompt", True, "is a yes or no in the spreadsheet: format the column as text"),
        ("id", DAY, "is a date or a time in the spreadsheet: format the column as text"),
        ("video.model_version", date(2026, 1, 1), "is a date or a time"),
        ("video.aspect_ratio", DAY, "is a date or a time"),
        ("video.duration", 5.5, "expected a whole number, got 5.5"),
        ("video.duration", "five", "expected a whole number, got 'five'"),
        ("video.duration", time(0, 5), "got a date or a time: format the column as a number"),
        ("video.duration", True, "got a yes or no"),
        ("video.duration", float("nan"), "is no number"),
        ("video.enable_audio", "maybe", "expected yes or no"),
        ("video.enable_audio", 2, "expected yes or no"),
        ("video.first_frame", 5, "expected a URL or a path"),
        ("video.first_frame", "a.png\nb.png", "expected one URL or path, got several lines"),
        ("image.images", 5, "expected a URL or a path"),
        ("video.subjects", "a cat", "expected an object or a list as JSON"),
        ("video.subjects", '"a cat"', "expected an object or a list as JSON"),
        ("video.subjects", 5, "expected an object or a list as JSON"),
        ("image.additional_parameters", '{"a": 1, "a": 2}', "expected an object or a list as JSON"),
    ],
)
def test_a_cell_that_can_be_meant_in_two_ways_is_refused(name: str, cell: Cell, reason: str) -> None:
    with pytest.raises(CellFault) as fault:
        value_of(cell, column(name))
    assert reason in str(fault.value)
