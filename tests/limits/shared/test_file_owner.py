"""Root's files in another user's folder are that user's, and a link of the user's gives nothing away."""

import os
from pathlib import Path

import pytest

from .test_host import _open

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no root")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of another user than root, for root."""
    if os.geteuid() == 0:
        os.chown(tmp_path, 4711, 4712)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


async def test_a_file_that_root_makes_is_the_folders_owners(folder: Path) -> None:
    made: list[int] = []
    fchown = os.fchown

    def noted(file: int, owner: int, group: int) -> None:
        made.append(file)
        fchown(file, owner, group)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fchown", noted)
        await (await _open(folder / "paces.sqlite")).close()
        await (await _open(folder / "paces.sqlite")).close()
    assert len(made) == 1, "a file that is there stays as it is"
    owner, info = folder.stat(), (folder / "paces.sqlite").stat()
    assert (info.st_uid, info.st_gid) == (owner.st_uid, owner.st_gid)


async def test_a_link_in_the_folder_gives_no_other_file_away(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "file"
    other.touch()
    before = other.stat()
    (folder / "paces.sqlite").symlink_to(other)
    await (await _open(folder / "paces.sqlite")).close()
    assert (other.stat().st_uid, other.stat().st_gid) == (before.st_uid, before.st_gid)
