"""The folder for results: made, proven, and asked how it treats names."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mps_aigc_async.model.errors import ConfigError
from mps_aigc_async.network import folders
from mps_aigc_async.network.folders import Folder, absolute, prepare_folder

PART = ".shot.image.deadbeef.part"


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path / "a" / "b")
    assert folder == Folder(tmp_path / "a" / "b", folds_case=False, encoding="utf-8")
    assert names_in(tmp_path / "a" / "b") == []
    assert prepare_folder(tmp_path / "a" / "b") == folder


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "folder", Path("/proc/out"), Path("a\0b")):
        with pytest.raises(ConfigError, match=r"cannot write into .*: .*choose another folder"):
            prepare_folder(folder)


def test_a_part_that_cannot_be_removed_bars_no_folder(tmp_path: Path) -> None:
    """Such as another user's, in a folder like /tmp."""
    part = tmp_path / ".shot.image.deadbeef.part"
    part.mkdir()
    os.utime(part, (0, 0))
    assert prepare_folder(tmp_path).path == tmp_path


def test_parts_of_yesterday_are_removed_and_nothing_else(tmp_path: Path) -> None:
    names = [PART, ".film.video.0123abcd.part", ".Probe.Probe.0123abcd.part", ".notes.part", "shot.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
        if name != PART:
            os.utime(tmp_path / name, (1, 1))
    prepare_folder(tmp_path)
    assert names_in(tmp_path) == sorted([PART, ".notes.part", "shot.png"])


@pytest.mark.parametrize("other", [".pROBE.pROBE.DEADBEEF.PART", ".Probe\u0301.Probe.deadbeef.part"])
def test_a_folder_that_finds_a_file_under_another_case_or_form_tells_ids_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """As a file system that folds shows itself: the probe is there under a name that it was not made with."""
    monkeypatch.setattr(folders, "token", lambda: "deadbeef")
    (tmp_path / other).touch()
    folder = prepare_folder(tmp_path)
    assert folder.folds_case
    assert folder.stem_of("a1") == "a1"
    assert folder.stem_of("A1").startswith("A1~")
    assert names_in(tmp_path) == [other]


def test_a_file_system_that_writes_plain_names_only_gets_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch = Path.touch

    def plain_touch(path: Path, **options: bool) -> None:
        if not path.name.isascii():
            raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ))
        touch(path, **options)

    monkeypatch.setattr(Path, "touch", plain_touch)
    assert prepare_folder(tmp_path).stem_of("镜1") == "%E9%95%9C1"


def test_a_path_is_resolved_once(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to("one")
    assert absolute(tmp_path / "link" / "new" / "ledger.db") == tmp_path / "one" / "new" / "ledger.db"


def test_a_path_that_cannot_be_resolved_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a usable path"):
        absolute("a\0b")
    (tmp_path / "loop").symlink_to("loop")
    try:
        prepare_folder(absolute(tmp_path / "loop"))
    except ConfigError:
        return
    raise AssertionError("a loop of links was taken for a folder")


ODD_LOCALE = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

SCRIPT = r"""
import asyncio, os, sys
from mps_aigc_async import AigcClient, Config, ConfigError, ImageRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.network.folders import prepare_folder

assert sys.getfilesystemencoding() == "ascii", sys.getfilesystemencoding()
folder = sys.argv[1]

async def main():
    async with Emulator(image_seconds=(0.1, 0.1)) as emulator:
        keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": emulator.url}
        config = Config.parse({"tencentCloud": keys, "concurrency": {"pollIntervalMs": 100}})
        async with AigcClient(config, ledger=folder + "/ledger.db") as client:
            for _ in range(2):
                made = await client.generate(ImageRequest(id="\u955c\u59341", prompt="a cat"), save_to=folder)
                print(ascii([file.name for file in made.files]))
            for bad in (folder + "/\u955c", "\u955c"):
                try:
                    await client.generate(ImageRequest(id="b", prompt="a dog"), save_to=bad)
                except ConfigError as error:
                    print("ConfigError:", ascii(str(error))[-60:])
            try:
                AigcClient(config, ledger=folder + "/\u955c.db")
            except ConfigError as error:
                print("ConfigError:", ascii(str(error))[-60:])
        print(emulator.statistics().created["image"])

asyncio.run(main())
"""


def test_an_id_that_the_locale_cannot_write_is_saved(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], env=ODD_LOCALE, capture_output=True, text=True, check=False
    )
    assert process.stderr == ""
    lines = process.stdout.splitlines()
    assert lines[:2] == ["['%E9%95%9C%E5%A4%B41.png']"] * 2
    assert [line.partition(":")[0] for line in lines[2:5]] == ["ConfigError"] * 3
    assert lines[5] == "1"  # the folder is refused before anything is sent
    assert (tmp_path / "%E9%95%9C%E5%A4%B41.png").is_file()
