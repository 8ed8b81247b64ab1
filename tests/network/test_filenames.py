"""Names of files: readable, safe, and never one name for two ids, on any file system."""

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mps_aigc_async.network.filenames import MAX_NAME_BYTES, stem_of

WINDOWS = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)

ids = (
    st.text(st.characters(exclude_categories=["Cc"]), min_size=1, max_size=30)
    | st.text("./%-~\\2EFefcon1", min_size=1)
    | st.text("aAäÄéÉßſKkıIiİσςΣ가각ǅ1é", min_size=1, max_size=6)
    | st.sampled_from(["镜" * 100, "a" * 500]).flatmap(lambda start: st.text(max_size=4).map(lambda end: start + end))
)


def variants(name: str) -> set[str]:
    """The forms in which a case-folding file system may compare a name: lower or upper case, composed or not."""
    return {
        unicodedata.normalize(form, fold(name))
        for form in ("NFC", "NFD")
        for fold in (str.lower, str.upper, str.casefold)
    }


@given(first=ids, second=ids, encoding=st.sampled_from(["utf-8", "ascii", "latin-1", "gbk"]))
def test_two_ids_never_have_one_name(first: str, second: str, encoding: str) -> None:
    assert (stem_of(first, encoding=encoding) == stem_of(second, encoding=encoding)) == (first == second)


@given(first=ids, second=ids)
def test_two_ids_never_have_one_name_where_case_is_folded(first: str, second: str) -> None:
    assume(first != second)
    assert not variants(stem_of(first, folds_case=True)) & variants(stem_of(second, folds_case=True))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A1", "a1"),
        ("é", "e\u0301"),
        ("é", "É"),
        ("각", "\u1100\u1161\u11a8"),
        ("ß", "ss"),
        ("K", "\u212a"),
        ("I", "ı"),
    ],
)
def test_ids_that_folding_would_make_one_are_told_apart(first: str, second: str) -> None:
    assert stem_of(first) != stem_of(second)
    assert not variants(stem_of(first, folds_case=True)) & variants(stem_of(second, folds_case=True))


@given(request_id=ids)
def test_a_name_of_a_long_id_is_no_other_ids_name(request_id: str) -> None:
    name = stem_of(request_id * 10)
    assume(name != request_id * 10)
    assert stem_of(name) != name


@given(
    request_id=ids | st.text(min_size=60, max_size=400),
    encoding=st.sampled_from(["utf-8", "ascii", "latin-1"]),
    folds_case=st.booleans(),
)
def test_a_name_can_be_written_and_stays_in_its_folder(request_id: str, encoding: str, folds_case: bool) -> None:
    name = stem_of(request_id, encoding=encoding, folds_case=folds_case)
    assert name
    assert not name.startswith(".")
    assert not name.endswith((".", " "))
    assert not WINDOWS.match(name)
    assert not set(name) & set('/\\:*?"<>|\0+')  # the plus numbers a job's files
    assert len(name.encode(encoding)) <= MAX_NAME_BYTES == 200


def test_long_ids_that_begin_alike_have_names_of_their_own() -> None:
    names = {stem_of("镜" * 100 + str(number)) for number in range(100)}
    assert len(names) == 100
    assert max(len(name.encode()) for name in names) <= MAX_NAME_BYTES


@pytest.mark.parametrize(
    ("request_id", "name"),
    [
        ("shot-001", "shot-001"),
        ("Shot_A", "Shot_A"),
        ("镜头 1", "镜头 1"),
        ("夜·雨（一）& 风, 'v2' [final]", "夜·雨（一）& 风, 'v2' [final]"),
        ("日出🌅", "日出🌅"),
        (" a", "%20a"),
        ("a\u00a0b", "a%C2%A0b"),
        ("e\u0301", "e%CC%81"),
        ("1+2~3*4", "1%2B2%7E3%2A4"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("%2E", "%252E"),
        ("a.png", "a.png"),
        ("a.", "a%2E"),
        ("a ", "a%20"),
        ("CON", "%43ON"),
        ("com1.x", "%63om1.x"),
        ("lpt¹", "%6Cpt¹"),
        ("console", "console"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_a_name_is_readable(request_id: str, name: str) -> None:
    assert stem_of(request_id) == name


def test_a_name_that_folding_leaves_as_it_is_stays() -> None:
    for request_id in ("shot-001", "镜头-1", "shots/1", "é"):
        assert stem_of(request_id, folds_case=True) == stem_of(request_id)


def test_characters_outside_the_encoding_become_hex() -> None:
    assert stem_of("é镜", encoding="latin-1") == "é%E9%95%9C"
    assert stem_of("é镜", encoding="ascii") == "%C3%A9%E9%95%9C"
