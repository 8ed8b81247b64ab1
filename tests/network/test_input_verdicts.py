"""The judgement of input files: by their first bytes and their size, against the documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.catalog import Source
from mps_aigc_async.catalog.input_files import MIB, FileRules
from mps_aigc_async.network.input_verdicts import Content, file_findings, words

PAGE = Source("a page", "2026-01")
FRAME = FileRules((".jpg", ".png"), PAGE, 10 * MIB, elsewhere=(".webp",))
REFERENCE = FileRules((".jpg", ".png"), PAGE, 10 * MIB, firm=True)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
WEBP = b"RIFF\x01\x02\x03\x04WEBPVP8 "
GIF = b"GIF89a" + bytes(100)
MP4 = b"\0\0\0\x20ftypisom" + bytes(100)
HTML = b"<!doctype html><title>404</title>"


def findings_of(head: bytes, size: int | None, rules: FileRules | None) -> list[tuple[str, bool]]:
    return [(finding.text, finding.is_fault) for finding in file_findings(Content.of(head, size), rules)]


@pytest.mark.parametrize("head", [PNG, JPEG])
@pytest.mark.parametrize("size", [1, 10 * MIB, None])
def test_a_documented_file_has_no_finding(head: bytes, size: int | None) -> None:
    assert findings_of(head, size, FRAME) == []
    assert findings_of(head, size, REFERENCE) == []


@pytest.mark.parametrize(
    ("head", "size", "rules", "text", "is_fault"),
    [
        (WEBP, 5, FRAME, "is a webp file, and the field's own document lists jpeg and png (a page, 2026-01)", False),
        (WEBP, 5, REFERENCE, "is a webp file, and the documents list jpeg and png", True),
        (GIF, 5, FRAME, "is a gif file, and the documents list jpeg, png and webp", True),
        (MP4, 5, FRAME, "is a mp4 file, and the documents list jpeg, png and webp", True),
        (b"<svg xmlns=''></svg>", 5, FRAME, "is a svg file, and the documents list jpeg, png and webp", True),
        (HTML, 5, FRAME, "is text and no media file", True),
        (HTML, 5, None, "is text and no media file", False),
        (b"404 page not found", 18, FRAME, "is text and no media file", True),
        (
            b"\x01\x02\x03\x04",
            4,
            FRAME,
            "does not begin like a file of the documented formats, jpeg, png and webp",
            True,
        ),
        (b"", 0, FRAME, "is an empty file", True),
        (b"", 0, None, "is an empty file", True),
        (PNG, 10 * MIB + 1, FRAME, "has 10.0 MiB, and at most 10 MiB are recommended (a page, 2026-01)", False),
        (PNG, 12 * MIB, FRAME, "has 12.0 MiB, and at most 10 MiB are recommended (a page, 2026-01)", False),
        (PNG, 12 * MIB, REFERENCE, "has 12.0 MiB, and at most 10 MiB are allowed (a page, 2026-01)", True),
    ],
)
def test_a_finding(head: bytes, size: int, rules: FileRules | None, text: str, is_fault: bool) -> None:
    assert findings_of(head, size, rules) == [(text, is_fault)]


def test_a_file_without_rules_may_have_any_signature_and_size() -> None:
    for head in (MP4, GIF, b"\x01\x02\x03"):
        assert findings_of(head, 1 << 40, None) == []


def test_a_head_that_cannot_be_judged_is_judged_by_its_size_alone() -> None:
    assert list(file_findings(Content(None, 5), FRAME)) == []
    assert [finding.is_fault for finding in file_findings(Content(None, 11 * MIB), REFERENCE)] == [True]


def test_a_format_with_several_suffixes_is_any_of_them() -> None:
    films = FileRules((".mp4", ".mov", ".avi"), PAGE)
    assert findings_of(b"\0\0\0\x20ftypqt  " + bytes(50), None, films) == []
    assert findings_of(MP4, None, films) == []


@given(head=st.binary(max_size=2000), size=st.none() | st.integers(0, 1 << 50))
def test_any_file_has_findings_of_one_line(head: bytes, size: int | None) -> None:
    for rules in (FRAME, REFERENCE, None):
        for finding in file_findings(Content.of(head, size), rules):
            assert finding.text
            assert finding.text.isprintable()


def test_formats_in_words() -> None:
    assert words([".jpg"]) == "jpeg"
    assert words([".mp4", ".mov", ".avi"]) == "mp4, mov and avi"
