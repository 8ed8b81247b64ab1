"""Requests inside a user's own pydantic model: its errors have the path to the field; a request alone keeps ours."""

import json
import math
import pickle
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Discriminator, Field, Tag, TypeAdapter, ValidationError, create_model, field_validator

from mps_aigc_async import (
    AudioRequest,
    CosStore,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    VideoRequest,
    VodFile,
    VodOptions,
)
from mps_aigc_async.model.errors import FieldFault
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.model.plain_text import CUT
from mps_aigc_async.model.requests import Request, Step

FRAME = "https://a/1.png"


class Scene(BaseModel):
    shot: ImageRequest
    more: list[VideoRequest] = []
    maybe: ImageToVideo | None = None
    by_name: dict[str, AudioRequest] = {}


class ImageShot(BaseModel):
    kind: Literal["image"]
    request: ImageRequest


class VideoShot(BaseModel):
    kind: Literal["video"]
    request: VideoRequest


class Film(BaseModel):
    shots: list[Annotated[ImageShot | VideoShot, Field(discriminator="kind")]]


def kind_of(value: Any) -> str:  # noqa: ANN401 — anything may stand in a union's place
    if isinstance(value, dict):
        return "video" if "duration" in value else "image"
    return str(value.kind)


Tagged = Annotated[
    Annotated[ImageRequest, Tag("image")] | Annotated[VideoRequest, Tag("video")], Discriminator(kind_of)
]

GOOD: dict[str, Any] = {"prompt": "a lake"}
CHAIN: dict[str, Any] = {"image": GOOD, "video": {"duration": 5}}


def locations(error: ValidationError) -> list[tuple[str | int, ...]]:
    assert isinstance(error, ValueError)
    assert not isinstance(error, InvalidRequest)
    assert all(detail["msg"] for detail in json.loads(error.json()))  # web frameworks answer with these
    return [detail["loc"] for detail in error.errors()]


# --- a model's errors -------------------------------------------------------------------------------------------------

FAULTS: list[tuple[dict[str, Any], tuple[str | int, ...], str]] = [
    ({"shot": {"prompt": 5}}, ("shot", "prompt"), "string"),
    ({"shot": {"prompt": " "}}, ("shot", "prompt"), "is empty: write one"),
    ({"shot": {"prompt": "x", "typo": 1}}, ("shot", "typo"), "Extra inputs"),
    ({"shot": {"prompt": "x", "output_count": True}}, ("shot", "output_count"), "whole number"),
    ({"shot": {"prompt": "x", "store": {"bucket": "b"}}}, ("shot", "store", "region"), "required"),
    ({"shot": {"prompt": "x", "vod": {"files": [{}]}}}, ("shot", "vod", "files", 0), "one of file_id"),
    ({"shot": {"prompt": "x", "vod": {"files": [{"base64": "!"}]}}}, ("shot", "vod", "files", 0, "base64"), "is not"),
    ({"shot": GOOD, "more": [GOOD, {"duration": 0}]}, ("more", 1, "duration"), "greater than"),
    ({"shot": GOOD, "by_name": {"a": {"videos": 5}}}, ("by_name", "a", "videos"), "tuple"),
    ({"shot": GOOD, "maybe": {"image": {"prompt": 5}, "video": {}}}, ("maybe", "image", "prompt"), "string"),
    ({"shot": GOOD, "maybe": {"image": GOOD}}, ("maybe", "video"), "required"),
    (
        {"shot": GOOD, "maybe": {**CHAIN, "video": {"first_frame": FRAME}}},
        ("maybe", "video", "first_frame"),
        "is the chain's own image",
    ),
    ({"shot": GOOD, "maybe": {**CHAIN, "video": {"id": "a"}}}, ("maybe", "video", "id"), "belongs to the chain"),
    (
        {"shot": GOOD, "maybe": {**CHAIN, "audio": {"videos": [FRAME]}}},
        ("maybe", "audio", "videos"),
        "is the chain's own video",
    ),
]

UNWRITABLE: list[tuple[dict[str, Any], tuple[str | int, ...], str]] = [
    ({"shot": {"prompt": "\ud83c"}}, ("shot", "prompt"), CUT),
    ({"shot": {"prompt": "x", "additional_parameters": {"\ud83c": 1}}}, ("shot", "additional_parameters"), CUT),
    ({"shot": {"prompt": "x", "vod": {"ext_info": {"\ud83c": 1}}}}, ("shot", "vod"), CUT),
    ({"shot": {"prompt": "x", "additional_parameters": {"a": math.nan}}}, ("shot", "additional_parameters"), "NaN"),
    ({"shot": {"prompt": "x", "additional_parameters": {"a": [math.inf]}}}, ("shot", "additional_parameters"), "NaN"),
    ({"shot": {"prompt": "x", "additional_parameters": {"a": 10**5000}}}, ("shot", "additional_parameters"), "digits"),
    ({"shot": {"prompt": "x", "output_count": 10**5000}}, ("shot", "output_count"), "digits"),
]
"""Values that no JSON text can carry: a ledger could not read the paid request again."""


@pytest.mark.parametrize(("value", "where", "why"), UNWRITABLE)
def test_a_value_that_cannot_be_written_is_refused_in_a_users_model_too(
    value: dict[str, Any], where: tuple[str | int, ...], why: str
) -> None:
    with pytest.raises(ValidationError, match=why.partition(" (")[0]) as error_info:
        Scene.model_validate(value)
    assert locations(error_info.value) == [where]


def test_a_users_models_json_with_no_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="NaN"):
        Scene.model_validate_json('{"shot": {"prompt": "x", "additional_parameters": {"a": NaN}}}')


@pytest.mark.parametrize(("value", "where", "why"), FAULTS)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_users_model_names_the_path_to_the_field(
    value: dict[str, Any], where: tuple[str | int, ...], why: str, as_json: bool
) -> None:
    with pytest.raises(ValidationError) as error_info:
        Scene.model_validate_json(json.dumps(value)) if as_json else Scene.model_validate(value)
    paths = locations(error_info.value)
    if where[-1] == "videos" and as_json:  # pydantic says "array" there
        why = why.replace("tuple", "array")
    assert where in paths
    assert why in error_info.value.errors()[paths.index(where)]["msg"]


def test_a_users_constructor_names_the_path_too() -> None:
    with pytest.raises(ValidationError) as error_info:
        Scene(shot={"prompt": 5})
    assert locations(error_info.value) == [("shot", "prompt")]


def test_every_fault_of_a_model_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as error_info:
        Scene.model_validate({"shot": {"prompt": 5, "typo": 1}, "more": [{"duration": 0}], "maybe": {"image": {}}})
    assert locations(error_info.value) == [
        ("shot", "prompt"), ("shot", "typo"), ("more", 0, "duration"), ("maybe", "image", "prompt"), ("maybe", "video"),
    ]  # fmt: skip


def test_a_type_adapter_names_the_path() -> None:
    for adapter, value, where in (
        (TypeAdapter[Any](list[ImageRequest]), [GOOD, {"prompt": 5}], (1, "prompt")),
        (TypeAdapter[Any](ImageRequest), {"prompt": 5}, ("prompt",)),
        (TypeAdapter[Any](dict[str, ImageToVideo]), {"a": {**CHAIN, "image": {}}}, ("a", "image", "prompt")),
        (TypeAdapter[Any](list[Tagged]), [GOOD, {"duration": 0}], (1, "video", "duration")),
        (TypeAdapter[Any](list[Step]), [{"prompt": 5}], (0, "ImageRequest", "prompt")),
    ):
        for validate in (adapter.validate_python, lambda value, by=adapter: by.validate_json(json.dumps(value))):
            with pytest.raises(ValidationError) as error_info:
                validate(value)
            assert any(path[: len(where)] == where or _tail(path) == where for path in locations(error_info.value))


def _tail(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """A path without the names that pydantic gives to validators around a union's member."""
    return tuple(_member(part) for part in location)


def _member(part: str | int) -> str | int:
    return next((cls.__name__ for cls in (ImageRequest, VideoRequest) if cls.__name__ in str(part)), part)


def test_a_union_discriminated_by_kind_names_the_path_in_its_member() -> None:
    with pytest.raises(ValidationError) as error_info:
        Film.model_validate({"shots": [{"kind": "image", "request": GOOD}, {"kind": "video", "request": {"typo": 1}}]})
    assert locations(error_info.value) == [("shots", 1, "video", "request", "typo")]


def test_a_union_takes_the_member_that_fits() -> None:
    adapter = TypeAdapter[Request](Request)
    values: list[dict[str, Any]] = [{"prompt": "x", "output_count": 1}, {"duration": 5, "prompt": "x"}, CHAIN]
    requests = [adapter.validate_python(value) for value in values]
    assert [type(one) for one in requests] == [ImageRequest, VideoRequest, ImageToVideo]
    assert [adapter.validate_json(adapter.dump_json(one, exclude_unset=True)) for one in requests] == requests
    assert TypeAdapter[Any](list[Tagged]).validate_python(requests[:2]) == requests[:2]


def test_a_model_made_at_run_time_names_the_path() -> None:
    """As a web framework makes one for a handler's parameters."""
    body = create_model("Body", shot=(ImageRequest, ...))
    with pytest.raises(ValidationError) as error_info:
        body.model_validate({"shot": {"prompt": "x", "output_count": 0}})
    assert locations(error_info.value) == [("shot", "output_count")]


# --- a model that is good ---------------------------------------------------------------------------------------------


def test_a_model_goes_round() -> None:
    scene = Scene.model_validate({"shot": GOOD, "more": [{"duration": 5}], "maybe": CHAIN, "by_name": {"a": GOOD}})
    assert scene.shot == ImageRequest(prompt="a lake")
    assert scene.shot.model_fields_set == {"prompt"}
    assert Scene.model_validate(scene.model_dump()) == scene
    assert Scene.model_validate_json(scene.model_dump_json(exclude_unset=True)) == scene
    assert pickle.loads(pickle.dumps(scene)) == scene  # noqa: S301 — our own
    assert scene.model_copy(deep=True) == scene
    assert {scene.shot: 1}[ImageRequest(prompt="a lake")] == 1
    assert scene.shot.model_copy(update={"model_name": "Hunyuan"}).model_name == "Hunyuan"


def test_a_request_that_is_made_already_is_kept_as_it_is() -> None:
    shot = ImageRequest(prompt="a lake")
    assert Scene(shot=shot).shot is shot


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_a_model_has_a_schema(mode: Literal["validation", "serialization"]) -> None:
    schema = Scene.model_json_schema(mode=mode)
    assert schema["properties"]["shot"] == {"$ref": "#/$defs/ImageRequest"}
    assert schema["$defs"]["ImageRequest"]["properties"]["prompt"]["type"] == "string"
    assert schema["$defs"]["ImageRequest"]["additionalProperties"] is False
    assert Film.model_json_schema(mode=mode)["properties"]["shots"]["items"]["discriminator"]["propertyName"] == "kind"


# --- a request alone --------------------------------------------------------------------------------------------------

ALONE: list[Callable[[], object]] = [
    lambda: ImageRequest(prompt=5),
    lambda: ImageRequest.model_validate({"prompt": 5}),
    lambda: ImageRequest.model_validate_json('{"prompt": 5}'),
    lambda: ImageRequest.model_validate_strings({"prompt": {}}),
]


@pytest.mark.parametrize("make", ALONE)
def test_a_request_alone_is_refused_in_our_words(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequest, match=r"^ImageRequest: prompt: Input should be a valid string$") as error_info:
        make()
    assert (error_info.value.where, error_info.value.why) == ("prompt", "Input should be a valid string")
    assert error_info.value.__cause__ is error_info.value.__context__ is None


@pytest.mark.parametrize("text", ['{"prompt": "base64-secret', "[]", "5"])
def test_a_text_that_is_no_request_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^ImageRequest: ") as error_info:
        ImageRequest.model_validate_json(text)
    assert "secret" not in str(error_info.value)
    assert error_info.value.where == ""


def test_a_request_by_position_is_refused_in_our_words() -> None:
    make: Any = ImageRequest  # the mistake itself, which a type checker would show
    with pytest.raises(InvalidRequest, match=r"^ImageRequest takes its fields by name: ImageRequest\(prompt=…\)$"):
        make("a cat")


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: ImageRequest(prompt=" "), "prompt"),
        (lambda: ImageRequest.model_validate({"prompt": "x", "store": {"bucket": "b"}}), "store.region"),
        (lambda: VodOptions.model_validate({"files": [{"url": "a", "typo": 1}]}), "files.0.typo"),
        (lambda: ImageToVideo.model_validate({"image": GOOD, "video": {"duration": 0}}), "video.duration"),
        (
            lambda: ImageToVideo(image=ImageRequest(prompt="x"), video=VideoRequest(first_frame=FRAME)),
            "video.first_frame",
        ),
        (VodFile, ""),
        (lambda: ImageRequest(prompt="x", negative_prompt="\ud83c"), "negative_prompt"),
        (lambda: parse({"image": {"prompt": "x", "output_count": 10**5000}}), "image.output_count"),
        (lambda: CosStore(bucket="", region="r"), "bucket"),
        (lambda: parse({"video": {"prompt": "x", "vod": {"seed": True}}}), "video.vod.seed"),
        (lambda: parse({"video": {}}), "video.prompt"),
        (lambda: parse({"video": {}, "audio": GOOD}), "video.prompt"),
        (lambda: parse({"id": True, "image": GOOD}), "id"),
        (lambda: parse({"image": 5}), "image"),
        (lambda: parse({"image": {1: 2}}), "image"),
        (lambda: parse({"sound": {}}), ""),
    ],
)  # fmt: skip
def test_a_refusal_carries_the_path_and_the_reason(make: Callable[[], object], where: str) -> None:
    with pytest.raises(InvalidRequest) as error_info:
        make()
    assert error_info.value.where == where
    assert error_info.value.why
    assert error_info.value.why in str(error_info.value)
    assert pickle.loads(pickle.dumps(error_info.value)).faults == error_info.value.faults  # noqa: S301 — our own


def test_a_refusal_carries_every_field() -> None:
    with pytest.raises(InvalidRequest) as error_info:
        parse({"video": {"prompt": "x", "typo": 1, "duration": 0}})
    assert [fault.where for fault in error_info.value.faults] == ["video.duration", "video.typo"]
    assert str(error_info.value) == "; ".join(map(str, error_info.value.faults))
    assert error_info.value.faults[1] == FieldFault("video.typo", "unknown field")


def test_a_validator_of_the_users_may_make_a_request() -> None:
    """An InvalidRequest is a ValueError, so that pydantic takes it for the field's."""

    class Line(BaseModel):
        request: ImageRequest

        @field_validator("request", mode="before")
        @classmethod
        def _from_a_text(cls, text: str) -> ImageRequest:
            return ImageRequest(prompt=text)

    assert Line.model_validate({"request": "a lake"}).request == ImageRequest(prompt="a lake")
    with pytest.raises(ValidationError) as error_info:
        Line.model_validate({"request": " "})
    assert locations(error_info.value) == [("request",)]
    assert "prompt is empty" in str(error_info.value)
