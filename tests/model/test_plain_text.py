"""Text from outside: nothing in it steers a terminal or is hidden, and ordinary text stays readable."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mps_aigc_async.model.plain_text import STAND_IN, visible, visible_line, without_invisible

from ..hostile import STEERS


@pytest.mark.parametrize(
    "text",
    [
        "a lake by moonlight",
        "月光下的湖\u3000远山,《鹅》——“静”",
        "👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3",
        "葛\U000e0100城",
        "می\u200cخواهم",
        "क\u094d\u200dष",
        "naïve café e\u0301",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert visible(text) == visible_line(text) == without_invisible(text) == text


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("\x1b]0;owned\x07", "�]0;owned�"),
        ("\x9b31m", "�31m"),
        ("a\x7f\b\rb", "a���b"),
        ("\u2066x\u2069\u200f\u061c", "�x���"),
        ("sh\u200dot", "sh�ot"),
        ("湖\u200d\u200d湖", "湖��湖"),
        ("🏴\U000e0067\U000e007f", "🏴��"),
        ("a\ufe01\ufe02\U000e0110", "a\ufe01��"),
        ("\ufe0fa", "�a"),
        ("\u3164\u115f\u2800\u034f", "����"),
        ("\ud800\ufeff\u00ad", "���"),
    ],
)
def test_what_steers_or_hides_has_a_stand_in(text: str, display: str) -> None:
    assert visible(text) == display
    assert without_invisible(text).replace(" ", "") == display.replace(STAND_IN, "").replace(" ", "")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\t"])
def test_a_line_stays_one(end: str) -> None:
    assert visible_line(f"a{end}b") == without_invisible(f"a{end}b") == "a b"


@example("\n\t")
@given(st.text(st.characters(categories=None)))
def test_no_text_steers_a_terminal(text: str) -> None:
    assert not STEERS.search(visible(text))
    for line in (visible_line(text), without_invisible(text)):
        assert not STEERS.search(line)
        assert not re.search(r"[\n\t]", line)
    assert visible(visible(text)) == visible(text)
    left = set(visible(text)) - set("\n\t\u200c\u200d")
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in left}
