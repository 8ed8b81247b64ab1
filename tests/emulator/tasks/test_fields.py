"""The field tables: refusals with their codes and names, and agreement with the official SDK's models."""

import importlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from mps_aigc_async.emulator.services import mps_fields, relay_fields, vod_fields
from mps_aigc_async.emulator.tasks.fields import ListOf, OneOf, Shape, Table, decode

from ..callers import Fields, InMemory, Json, code_of

MPS = "tencentcloud.mps.v20190612.models"
VOD = "tencentcloud.vod.v20180717.models"


def refusal(action: str, fields: Fields) -> tuple[str | None, str]:
    response = InMemory().call(action, fields)
    error = response.get("Error")
    return code_of(response), str(error["Message"]) if isinstance(error, Mapping) else ""


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"Prompt": "x", "prompt": "x"}, "`prompt`"),
        ({"Prompt": "x", "Duration": 5}, "`Duration`"),
        ({"Prompt": "x", "ExtraParameters": {"EnableAudio": True}}, "`ExtraParameters.EnableAudio`"),
        ({"ImageInfos": [{"ImageUrl": "u"}, {"Url": "u"}]}, "`ImageInfos.1.Url`"),
        ({"Prompt": "x", "StoreCosParam": {"Bucket": "b"}}, "`StoreCosParam.Bucket`"),
    ],
)
def test_an_unknown_field_is_refused_by_its_full_name(fields: Fields, name: str) -> None:
    code, message = refusal("CreateAigcImageTask", fields)
    assert code == "UnknownParameter"
    assert name in message


@pytest.mark.parametrize(
    "fields",
    [
        {"Prompt": 1},
        {"Prompt": None},
        {"Prompt": "x", "EnhancePrompt": 1},
        {"Prompt": "x", "EnhancePrompt": "true"},
        {"Prompt": "x", "OutputImageCount": True},
        {"Prompt": "x", "OutputImageCount": 1.0},
        {"Prompt": "x", "OutputImageCount": "1"},
        {"Prompt": "x", "OutputImageCount": 0},
        {"Prompt": "x", "ImageInfos": {"ImageUrl": "u"}},
        {"Prompt": "x", "ImageInfos": "u"},
        {"Prompt": "x", "ImageInfos": ["u"]},
        {"Prompt": "x", "ExtraParameters": []},
        {"Prompt": "x", "ExtraParameters": {"LogoAdd": 2}},
        {"Prompt": "x", "ExtraParameters": {"OutputFormat": "gif"}},
        {"Prompt": "x", "AdditionalParameters": {"size": "1024x1024"}},
        {"Prompt": "x", "AdditionalParameters": "size=1024x1024"},
        {"Prompt": "x" * 1001},
    ],
)
def test_a_wrong_type_or_value(fields: Fields) -> None:
    assert refusal("CreateAigcImageTask", fields)[0] == "InvalidParameterValue"


@pytest.mark.parametrize(
    "fields",
    [
        {"Prompt": "x", "ModelName": "a model of next year", "ModelVersion": "9"},
        {"Prompt": "x" * 1000, "AdditionalParameters": '{"size":"1024x1024"}'},
        {"ImageInfos": [{"ImageUrl": "https://example.com/a.png", "ReferenceType": "asset"}]},
        {"Prompt": "x", "OutputImageCount": 4, "ExtraParameters": {"OutputFormat": "jpeg", "LogoAdd": 0}},
    ],
)
def test_what_passes(fields: Fields) -> None:
    assert refusal("CreateAigcImageTask", fields)[0] is None


def test_a_prompt_is_needed_where_there_is_no_image() -> None:
    assert refusal("CreateAigcImageTask", {"ModelName": "Hunyuan"})[0] == "MissingParameter"
    assert refusal("CreateAigcVideoTask", {"Prompt": ""})[0] == "MissingParameter"
    assert refusal("CreateAigcVideoTask", {"ImageUrl": "http://127.0.0.1/a.png"})[0] is None
    assert refusal("DescribeAigcVideoTask", {})[0] == "MissingParameter"


def test_a_video_has_its_own_fields() -> None:
    everything: Fields = {
        "ModelName": "Kling",
        "Prompt": "y" * 2000,
        "Duration": 10,
        "VideoInfos": [{"VideoUrl": "u", "ReferType": "feature", "KeepOriginalSound": "no"}],
        "SubjectInfos": [{"Id": "1", "ImageUrls": ["u"], "VideoUrls": []}],
        "ExtraParameters": {"EnableAudio": True, "OffPeak": False, "Resolution": "1080P"},
    }
    assert refusal("CreateAigcVideoTask", everything)[0] is None
    assert refusal("CreateAigcVideoTask", {"Prompt": "x", "Duration": 0})[0] == "InvalidParameterValue"
    assert refusal("CreateAigcVideoTask", {"Prompt": "x", "SubjectInfos": [{"ImageUrls": [1]}]}) == (
        "InvalidParameterValue",
        "The parameter `SubjectInfos.0.ImageUrls.0` must be of type string.",
    )


@pytest.mark.parametrize(
    ("models", "table", "model"),
    [
        (MPS, mps_fields.CREATE_IMAGE, "CreateAigcImageTaskRequest"),
        (MPS, mps_fields.CREATE_VIDEO, "CreateAigcVideoTaskRequest"),
        (MPS, mps_fields.CREATE_AUDIO, "CreateAigcAudioTaskRequest"),
        (MPS, mps_fields.DESCRIBE, "DescribeAigcImageTaskRequest"),
        (MPS, mps_fields.DESCRIBE, "DescribeAigcVideoTaskRequest"),
        (MPS, mps_fields.DESCRIBE, "DescribeAigcAudioTaskRequest"),
        (MPS, mps_fields.DESCRIBE, "DescribeAigcTaskStatusRequest"),
        (MPS, mps_fields.LIST_TASKS, "DescribeAigcTaskListRequest"),
        (MPS, mps_fields.USAGE, "DescribeUsageDataRequest"),
        (VOD, vod_fields.CREATE_IMAGE, "CreateAigcImageTaskRequest"),
        (VOD, vod_fields.CREATE_VIDEO, "CreateAigcVideoTaskRequest"),
        (VOD, vod_fields.CREATE_AUDIO, "CreateAigcAudioTaskRequest"),
        (VOD, vod_fields.DESCRIBE, "DescribeTaskDetailRequest"),
        (VOD, vod_fields.LIST, "DescribeTasksRequest"),
        (VOD, vod_fields.USAGE, "DescribeAigcUsageDataRequest"),
        (VOD, vod_fields.QUOTAS, "DescribeAigcQuotasRequest"),
    ],
)
def test_the_tables_are_the_official_models(models: str, table: Table, model: str) -> None:
    """The SDK's own encoder is the oracle: an object filled from our table must come back whole, with no warning."""
    request = getattr(importlib.import_module(models), model)()
    sample = sample_of(table)
    assert isinstance(sample, Mapping)
    request._deserialize(sample)
    assert request._serialize() == sample
    check_names(request, table)


@pytest.mark.parametrize(
    ("relays", "vods"),
    [
        (relay_fields.CREATE_IMAGE, vod_fields.CREATE_IMAGE),
        (relay_fields.CREATE_VIDEO, vod_fields.CREATE_VIDEO),
    ],
)
def test_what_the_relay_takes_is_vods_in_snake_case(relays: Table, vods: Table) -> None:
    sample = sample_of(relays)
    assert isinstance(sample, Mapping)
    request = relay_fields.with_vods_names({**sample, "ext_info": "{}"})
    decode(json.dumps(request).encode(), vods)


def check_names(model: Any, shape: Shape) -> None:  # noqa: ANN401 - the SDK has no types
    """An object of the SDK has the table's fields and no others, and so has each object inside."""
    if isinstance(shape, ListOf):
        check_names(model[0], shape.of)
    elif isinstance(shape, Mapping):
        assert {name.removeprefix("_") for name in vars(model) if name.startswith("_")} == set(shape), type(model)
        for name, inner in shape.items():
            check_names(getattr(model, name), inner)


def sample_of(shape: Shape) -> Json:
    if isinstance(shape, ListOf):
        return [sample_of(shape.of)]
    if isinstance(shape, Mapping):
        return {name: sample_of(inner) for name, inner in shape.items()}
    if isinstance(shape, OneOf):
        return shape.values[0]
    samples: dict[str, Json] = {"string": "s", "integer": 1, "number": 1.5, "boolean": True, "document": "{}"}
    return samples[shape]
