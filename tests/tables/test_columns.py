"""The names of columns: English paths, Chinese names, and the habits of keyboards."""

import pytest

from mps_aigc_async.model.requests import AudioRequest, ImageRequest, VideoRequest
from mps_aigc_async.tables.columns import COLUMNS, FIELDS, Column, Content, column_of, hint_for, is_note


def name_of(header: str) -> str:
    column = column_of(header)
    return "" if column is None else column.name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("id", "id"),
        ("编号", "id"),
        ("镜头", "id"),
        ("image.prompt", "image.prompt"),
        ("Image Prompt", "image.prompt"),
        ("ＩＭＡＧＥ．ｐｒｏｍｐｔ", "image.prompt"),
        ("\ufeffvideo.model_name", "video.model_name"),
        ("视频 时长（秒）", "video.duration"),
        ("视频时长(s)", "video.duration"),
        ("图片参考图", "image.images"),
        ("video.vod.storage_mode", "video.vod.storage_mode"),
        ("image.store.bucket", "image.store.bucket"),
        ("prompt", ""),
        ("", ""),
    ],
)
def test_a_header_cell_names_a_field(header: str, name: str) -> None:
    assert name_of(header) == name


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_each_column_is_found_by_both_of_its_names(column: Column) -> None:
    assert column_of(column.name) is column
    assert not column.chinese or column_of(column.chinese) is column


def test_each_field_of_a_step_has_a_chinese_name() -> None:
    fields = {name for model in (ImageRequest, VideoRequest, AudioRequest) for name in model.model_fields}
    assert fields - {"id", "vod", "store"} == set(FIELDS)
    assert len(set(FIELDS.values())) == len(FIELDS)


def test_the_contents_of_columns_follow_the_fields_types() -> None:
    contents = {column.name: column.content for column in COLUMNS}
    assert contents["video.duration"] is Content.WHOLE
    assert contents["video.enable_audio"] is Content.FLAG
    assert contents["video.first_frame"] is Content.SOURCE
    assert contents["image.images"] is contents["video.audios"] is Content.SOURCES
    assert contents["video.subjects"] is contents["image.vod.files"] is Content.JSON
    assert contents["image.additional_parameters"] is Content.JSON
    assert contents["image.prompt"] is contents["id"] is Content.PROSE
    assert contents["audio.scene_type"] is contents["image.model_version"] is Content.WORD


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("prompt", "is image.prompt or video.prompt or audio.prompt meant?"),
        ("提示词", "is 图片提示词 or 视频提示词 or 音频提示词 meant?"),
        ("image.promt", "is image.prompt meant?"),
        ("视频时常", "is 视频时长 meant?"),
        ("price", ""),
    ],
)
def test_an_unknown_name_gets_a_hint(header: str, hint: str) -> None:
    assert hint_for(header) == hint


@pytest.mark.parametrize("header", ["#director", "＃导演", "Notes", "备注", " 备注 "])
def test_a_column_for_people_is_known_by_its_name(header: str) -> None:
    assert is_note(header)
    assert not is_note("image.prompt")
