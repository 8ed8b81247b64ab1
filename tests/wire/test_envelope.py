"""The decoding of an answer from any bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.wire import envelope

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_an_object_is_read_as_json_has_it(value: dict[str, object]) -> None:
    text = json.dumps(value)

    assert repr(envelope.decode(text.encode())) == repr(json.loads(text))


def test_half_an_emoji_does_not_hide_a_task() -> None:
    """A service that cuts a text after so many UTF-16 units."""
    answer = rb'{"Response":{"TaskId":"4-Aigc-1","Message":"\ud83d"}}'

    assert envelope.decode(answer)["Response"] == {"TaskId": "4-Aigc-1", "Message": "\ud83d"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000, b"<html></html>"])
def test_anything_else_is_empty(body: bytes) -> None:
    assert envelope.decode(body) == {}


def test_a_body_is_compact_and_keeps_what_is_written_in_chinese() -> None:
    assert envelope.body({"Prompt": "一只猫", "ExtraParameters": {"LogoAdd": 0}}) == (
        '{"Prompt":"一只猫","ExtraParameters":{"LogoAdd":0}}'.encode()
    )
