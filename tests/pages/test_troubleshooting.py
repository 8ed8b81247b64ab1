"""The messages of docs/troubleshooting.md are those of the code."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import mps_aigc_async
from mps_aigc_async import AigcClient, AigcError, Config, Credentials

from .blocks import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (.*?) \|", PAGE, flags=re.MULTILINE)))
ERRORS = [message for message in MESSAGES if re.fullmatch(r"[A-Z]\w+", message)]
TEXTS = [
    "is being written by ", "was open when this process was forked", "the client belongs to ",
    "cannot be used", "other users may enter the folder ", " of the limit store", "has held the limit store ",
    "cannot be reached", "was made by a newer version", "were written by a newer version",
    "a URL of another form is neither a file nor a database",
]  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_of_the_package(name: str) -> None:
    assert issubclass(getattr(mps_aigc_async, name), AigcError)


async def changing_keys() -> Credentials:
    raise NotImplementedError


def without_keys(home: Path) -> None:
    Config.parse({}).credentials(home)


def without_an_account(_home: Path) -> None:
    AigcClient(Config.parse({}), credentials=changing_keys)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("tencentCloud.secretId is missing", without_keys),
        ("account is missing from the config", without_an_account),
    ],
)
def test_a_message_of_the_config_is_quoted(message: str, cause: Callable[[Path], None], tmp_path: Path) -> None:
    assert message in MESSAGES
    with pytest.raises(AigcError, match=re.escape(message)):
        cause(tmp_path)


@pytest.mark.parametrize("text", TEXTS)
def test_a_message_about_processes_is_quoted(text: str) -> None:
    assert any(text in message for message in MESSAGES)
    assert any(text in file.read_text(encoding="utf-8") for file in (ROOT / "mps_aigc_async").rglob("*.py"))
