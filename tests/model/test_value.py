"""Values: the reason why a value cannot be written, and the place of a fault."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from mps_aigc_async.model.errors import FieldFault, InvalidRequest
from mps_aigc_async.model.inputs import ReferenceVideo
from mps_aigc_async.model.plain_text import CUT
from mps_aigc_async.model.value import UNWRITABLE_NUMBER, Value, refusal_at, unwritable


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("镜头", ""),
        ({"size": ["1024x1024", 1, None, True]}, ""),
        ({1: "keys that are no text are skipped"}, ""),
        ("\ud83c", CUT),
        ({"\ud83c": 1}, CUT),
        ([[{"a": "\ud83c"}]], CUT),
        (math.nan, UNWRITABLE_NUMBER),
        ([-math.inf], UNWRITABLE_NUMBER),
        (10**5000, UNWRITABLE_NUMBER),
    ],
    ids=["text", "json", "odd keys", "cut", "cut key", "cut inside", "nan", "infinite", "digits"],
)
def test_a_value_is_writable_or_has_a_reason(value: object, why: str) -> None:
    assert unwritable(value) == why


def test_a_refusal_is_at_its_field() -> None:
    (detail,) = refusal_at(("video", "id"), "x", "is {odd}").errors()
    assert (detail["loc"], detail["msg"]) == (("video", "id"), "is {odd}")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, FieldFault("url", "Field required")),
        ({"url": 5}, FieldFault("url", "Input should be a valid string")),
        ({"url": "https://a/b", "typo": 1}, FieldFault("typo", "unknown field")),
    ],
)
@pytest.mark.parametrize(
    "validate", [lambda fields: ReferenceVideo(**fields), ReferenceVideo.model_validate], ids=["call", "model_validate"]
)
def test_every_way_to_validate_has_the_same_faults(
    validate: Callable[[dict[str, Any]], ReferenceVideo], fields: dict[str, Any], fault: FieldFault
) -> None:
    with pytest.raises(InvalidRequest) as error:
        validate(fields)
    assert error.value.faults == (fault,)
    assert error.value.__context__ is None


def test_values_with_dicts_have_a_hash_by_content() -> None:
    class Nested(Value):
        fields: dict[str, list[int]]

    assert hash(Nested(fields={"a": [1], "b": []})) == hash(Nested(fields={"b": [], "a": [1]}))
    assert hash(Nested(fields={"a": [1]})) != hash(Nested(fields={"a": [2]}))
