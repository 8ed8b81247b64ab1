"""A JSON object inside a field, as an object or as its text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.contents import content, digest
from mps_aigc_async.model.errors import InvalidRequest
from mps_aigc_async.model.json_text import DEEPEST
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.model.requests import AudioRequest, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.model.vod_options import VodOptions
from mps_aigc_async.wire import mps, vod

from ..wire.oracles import json_values

objects = st.dictionaries(st.text(max_size=8), json_values, max_size=3)
GUIDES = '{"size":"1024x1024"}'


def nested(levels: int) -> Any:  # noqa: ANN401 — JSON
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@given(objects, st.sampled_from([None, 2]), st.booleans())
def test_an_object_and_its_text_are_one_request(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    for cls in (ImageRequest, VideoRequest, AudioRequest):
        by_object, by_text = (cls(prompt="x", additional_parameters=one) for one in (value, text))
        assert by_text == by_object
        assert (digest(by_text), content(by_text)) == (digest(by_object), content(by_object))
    by_object, by_text = (VideoRequest(prompt="x", vod=VodOptions(ext_info=one)) for one in (value, text))
    assert (by_text, digest(by_text)) == (by_object, digest(by_object))


def test_an_object_keeps_the_digest_that_it_had_before_texts_were_taken() -> None:
    request = ImageRequest(prompt="x", additional_parameters={"size": "1024x1024"})
    assert digest(request) == "image-5b0f53a51cb4"


def test_the_guides_text_reaches_the_service_as_the_guide_writes_it() -> None:
    request = parse({"image": {"prompt": "x", "additional_parameters": GUIDES}})
    assert isinstance(request, ImageRequest)
    assert mps.encode(request)["AdditionalParameters"] == GUIDES
    assert json.loads(str(vod.encode(request)["ExtInfo"])) == {"AdditionalParameters": GUIDES}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1, column 1: Expecting value"),
        ("size=1024", "line 1, column 1: Expecting value"),
        ('{\n "size": }', "line 2, column 10: Expecting value"),
        ("[1]", "it holds a list"),
        ("null", "it holds null"),
        ('"{}"', "it holds a string"),
        ("true", "it holds a number or a boolean"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": [{"b": 1, "b": 1}]}', "the key 'b' is there twice"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ('{"a": -Infinity}', "-Infinity is no JSON value"),
        (f'{{"a": {"9" * 5000}}}', "a number has too many digits"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        (json.dumps(nested(DEEPEST + 1)), "nested too deep"),
        ('{"a": 1e999}', "finite number"),
        ('{"a": "\\ud83c"}', "cut in the middle of a character"),
        ('{"\\ud83c": 1}', "cut in the middle of a character"),
        ("\ud83c", "Expecting value"),
    ],
)
@pytest.mark.parametrize("field", ["additional_parameters", "ext_info"])
def test_a_text_that_holds_no_object_is_refused_with_its_field_and_reason(field: str, text: str, why: str) -> None:
    options: dict[str, Any] = {field: text} if field == "additional_parameters" else {"vod": {field: text}}
    with pytest.raises(InvalidRequest) as error:
        parse({"image": {"prompt": "a secret", **options}})
    assert why in error.value.message
    assert error.value.where.startswith("image.additional_parameters" if "vod" not in options else "image.vod")
    assert "a secret" not in str(error.value)


def test_an_object_of_python_that_is_too_deep_or_holds_itself_is_refused() -> None:
    itself: dict[str, Any] = {}
    itself["a"] = itself
    for value in (itself, nested(DEEPEST + 1), nested(50_000)):
        with pytest.raises(InvalidRequest, match="additional_parameters is nested too deep: at most"):
            ImageRequest(prompt="x", additional_parameters=value)
    deep = ImageRequest(prompt="x", additional_parameters=json.dumps(nested(DEEPEST)), vod={"ext_info": nested(150)})
    assert mps.Mps().create(deep.model_copy(update={"vod": None}), None).body
    assert vod.Vod().create(deep, None).body
    assert content(deep)


def test_the_fault_of_a_chains_step_names_the_step() -> None:
    with pytest.raises(InvalidRequest, match=r"video\.additional_parameters"):
        ImageToVideo(image={"prompt": "x"}, video={"prompt": "x", "additional_parameters": "{"})
