"""VOD's files: times, progress and usage in each form that they may come in."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.results import Usage
from mps_aigc_async.policy.lifetimes import Lifetime
from mps_aigc_async.wire.vod_files import USAGE_KEYS, Files, moment, percent, usage

TEN = datetime(2026, 10, 1, 10, tzinfo=UTC).timestamp()
URL = "https://vod.example/1.png?sign=x"
NEVER = "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("2026-10-01T10:00:00Z", TEN),
        (" 2026-10-01T10:00:00.5Z ", TEN + 0.5),
        ("2026-10-01T18:00:00+08:00", TEN),
        ("2026-10-01T18:00:00+0800", TEN),
        ("2026-10-01T18:00:00", TEN),  # no zone: Tencent's own
        (NEVER, None),
        ("9999-12-31T23:59:59-08:00", None),
        ("0000-00-00T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("", None),
        ("tomorrow", None),
        (None, None),
        (1_790_000_000, None),
        (["2026-10-01T10:00:00Z"], None),
    ],
)
def test_a_time_as_the_service_writes_it(told: object, at: float | None) -> None:
    assert moment(told) == at


@given(st.integers(946_800_000, 253_370_000_000), st.integers(-14 * 60, 14 * 60))
def test_any_time_with_a_zone_is_read_as_it_is(at: int, offset_minutes: int) -> None:
    zone = timezone(timedelta(minutes=offset_minutes))
    assert moment(datetime.fromtimestamp(at, zone).isoformat()) == at


@given(st.text() | st.none() | st.floats() | st.integers() | st.binary() | st.lists(st.text()))
def test_whatever_comes_is_a_value_or_nothing(value: Any) -> None:  # noqa: ANN401
    assert moment(value) is None or isinstance(moment(value), float)
    told = percent(value)
    assert told is None or 0 <= told <= 100


def info(**more: object) -> dict[str, object]:
    return {"FileUrl": URL, **more}


@pytest.mark.parametrize(
    ("infos", "lifetime"),
    [
        ([info(StorageMode="Temporary", ExpireTime="2026-10-01T10:00:00Z")], Lifetime(ends_at=TEN)),
        ([info(StorageMode="Temporary", ExpireTime=NEVER)], Lifetime(endless=True)),
        ([info()], Lifetime()),
        ([info(FileId="7")], Lifetime()),  # with a URL and no mode it may be temporary
        ([info(StorageMode="permanent", FileId="7")], Lifetime(permanent=True, endless=True)),
        ([info(StorageMode="Permanent", ExpireTime=NEVER)], Lifetime(permanent=True, endless=True)),
        ([info(StorageMode="Permanent", ExpireTime="2026-10-01T10:00:00Z")], Lifetime(permanent=True, ends_at=TEN)),
        ([info(StorageMode="Permanent", ExpireTime="soon")], Lifetime(permanent=True)),
        ([{"FileId": "7", "FileUrl": ""}], Lifetime(permanent=True, endless=True)),
        ([info(StorageMode="Permanent"), info(ExpireTime="2026-10-01T10:00:00Z")], Lifetime(ends_at=TEN)),
        ([info(StorageMode="Permanent"), {"FileContent": "[0, 1]"}], Lifetime(permanent=True, endless=True)),
        ([], Lifetime()),
    ],
)
def test_storage_mode_and_expire_time_tell_how_long_files_live(
    infos: list[dict[str, object]], lifetime: Lifetime
) -> None:
    assert Files.of({"Output": {"FileInfos": infos}}).lifetime == lifetime


@pytest.mark.parametrize("mode", ["Temporary", "Permanent"])
def test_an_end_before_the_files_were_made_tells_nothing(mode: str) -> None:
    """A chain would never go on from a file that ends before it was made, though its URL can be fetched."""
    wrong, right = (
        info(StorageMode=mode, ExpireTime=told) for told in ("2001-01-01T00:00:00Z", "2026-10-01T10:00:00Z")
    )
    output = {"Output": {"FileInfos": [wrong, right]}}
    assert Files.of(output, TEN - 3600).lifetime == Lifetime(permanent=mode == "Permanent", ends_at=TEN)
    assert Files.of(output, TEN).lifetime == Lifetime(permanent=mode == "Permanent")
    assert Files.of(output).lifetime.ends_at == datetime(2001, 1, 1, tzinfo=UTC).timestamp()


def test_files_have_urls_or_ids_or_both() -> None:
    files = Files.of({"Output": {"FileInfos": [info(FileId="1"), {"FileId": 2, "FileUrl": ""}, info(), "x", {}]}})
    assert (files.urls, files.file_ids, files.bare_file_ids) == ((URL, URL), ("1", "2"), ("2",))


def test_a_word_for_nothing_is_neither_a_url_nor_an_id() -> None:
    """A file by such a URL would be done and never saved, though VOD tells the URL of its id."""
    files = Files.of(
        {"Output": {"FileInfos": [{"FileId": "7", "FileUrl": "null"}, {"FileId": "null", "FileUrl": URL}]}}
    )
    assert (files.urls, files.file_ids, files.bare_file_ids) == ((URL,), ("7",), ("7",))
    assert Files.of({"Output": {"FileInfos": [{"FileId": 0, "FileUrl": "-"}]}}).lifetime == Lifetime()


def test_usage_is_what_the_bill_counts() -> None:
    from tencentcloud.vod.v20180717 import models

    told = dict(zip(USAGE_KEYS, range(1, 7), strict=True))
    assert usage({"Output": {"Usage": told}}) == Usage(
        output_seconds=1, input_seconds=2, total_seconds=3, input_images=4, input_tokens=5, thought_tokens=6
    )
    assert set(USAGE_KEYS) == {name.removeprefix("_") for name in vars(models.AigcVideoTaskUsage())}


@pytest.mark.parametrize(
    "found", [None, {}, [], "5", {"OutputSeconds": None}, {"OutputSeconds": "5"}, {"OutputSeconds": -1},
              {"OutputSeconds": True}, {"OutputSeconds": float("inf")}, {"OutputSeconds": float("nan")}],
)  # fmt: skip
def test_usage_that_is_none(found: object) -> None:
    assert usage({"Output": {"Usage": found}}) is None


def test_an_output_that_is_none() -> None:
    outputs: list[object] = [None, [], "x", {"FileInfos": 5}]
    for output in outputs:
        assert (Files.of({"Output": output}).infos, usage({"Output": output})) == ((), None)
