"""The input files of VOD: Base64 as the service takes it."""

from base64 import b64decode, b64encode, encodebytes

import pytest

from mps_aigc_async.model.errors import InvalidRequest
from mps_aigc_async.model.parsing import parse
from mps_aigc_async.model.vod_options import VodFile

PIXEL = b64encode(b"\x89PNG\r\n\x1a\n+/\xfb\xff").decode()


@pytest.mark.parametrize(
    "text",
    [
        PIXEL, f"data:image/png;base64,{PIXEL}", f"DATA:image/png;name=a.png;Base64,{PIXEL}", f"data:;base64,{PIXEL}",
        f" {PIXEL}\n", f"{PIXEL[:8]}\r\n{PIXEL[8:]}", encodebytes(b64decode(PIXEL) * 20).decode()[:-1],
        f" data:image/png;base64,\n{PIXEL}",
    ],
)  # fmt: skip
def test_base64_is_sent_without_prefix_and_line_ends(text: str) -> None:
    base64 = VodFile(base64=text).base64
    assert base64 is not None
    assert b64decode(base64, validate=True).startswith(b64decode(PIXEL))
    assert VodFile(base64=base64).base64 == base64


@pytest.mark.parametrize(
    "text",
    [
        PIXEL[:-1], "abc", "a", "====", "abc=def=", "ab==cd", f"{PIXEL}=", PIXEL.translate({43: "-", 47: "_"}),
        "https://a.example/1.png", "data:image/png,abcd", "图片", "data:image/png;base64,", "  ", "\ud83c", "ab\x00cd",
    ],
)  # fmt: skip
def test_a_text_that_is_no_base64_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^VodFile: base64 is (not Base64|the Base64 of no bytes)") as error_info:
        VodFile(base64=text)
    assert text.strip() in ("", "a", "abc") or text not in str(error_info.value)


def test_a_line_names_the_base64_that_it_refuses() -> None:
    line = {"image": {"prompt": "x", "vod": {"files": [{"base64": "not base64!"}]}}}
    with pytest.raises(InvalidRequest, match=r"^image\.vod\.files\.0\.base64 is not Base64"):
        parse(line)
