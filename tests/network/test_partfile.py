"""The part file of a result, and the check which of a job's files exist."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mps_aigc_async.model.states import Kind
from mps_aigc_async.network.media import HEAD_BYTES
from mps_aigc_async.network.partfile import (
    Part,
    PartLost,
    _Opening,
    open_part,
    put_in_place,
    removing,
    sync,
    which_exist,
    write,
)


def test_each_file_is_looked_for_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    here, missing = str(tmp_path / "a"), str(tmp_path / "b")
    assert which_exist([here, missing, "", str(tmp_path), "a\0b", here]) == [True, False, False, False, False, True]
    assert which_exist([]) == []


def test_the_head_of_a_part_is_its_first_bytes_however_they_come() -> None:
    part = Part(Path("x"))
    for first in (b"ab", b"xy", b"ef"):
        part.begin('"v1"')
        assert (part.size, part.head, part.is_tagged) == (0, b"", False)
        for chunk in (first, b"", b"c" * HEAD_BYTES, b"d"):
            part.grow(chunk)
        assert part.head == (first + b"c" * HEAD_BYTES)[:HEAD_BYTES]
        assert part.is_tagged
        assert (part.size, part.tag) == (HEAD_BYTES + 3, '"v1"')


def test_two_parts_of_one_result_have_names_of_their_own(tmp_path: Path) -> None:
    parts = {Part.of(tmp_path / "shot", Kind.IMAGE).path for _ in range(10)}
    assert len(parts) == 10
    assert all(path.parent == tmp_path and path.name.startswith(".shot.image.") for path in parts)


async def test_a_name_that_cannot_be_written_ends_no_cleaning_up() -> None:
    with pytest.raises(KeyError):
        async with removing(Part(Path("a\0b"))):
            raise KeyError


def test_a_file_system_without_links_gets_a_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(_: Path, __: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    part, target = tmp_path / "part", tmp_path / "target"
    part.write_bytes(b"x")
    assert put_in_place(part, target).read_bytes() == b"x"
    part.write_bytes(b"x")
    assert put_in_place(part, target) == target
    part.write_bytes(b"y")
    with pytest.raises(FileExistsError, match="exists with other content"):
        put_in_place(part, target)
    assert target.read_bytes() == b"x"


def test_without_links_two_that_save_at_once_never_replace_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one's file appears between our look and our rename."""

    def no_links(target: Path, _: Path) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(Path, "exists", appears(target))
        raise PermissionError

    def appears(target: Path) -> Callable[[Path], bool]:
        def exists(path: Path) -> bool:
            there = path.is_file()
            target.write_bytes(b"other")
            return there

        return exists

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    part, target = tmp_path / "part", tmp_path / "target"
    part.write_bytes(b"ours")
    with pytest.raises(FileExistsError, match="exists with other content"):
        put_in_place(part, target)
    assert target.read_bytes() == b"other"


def test_without_links_a_rename_that_fails_leaves_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", no)
    monkeypatch.setattr(Path, "replace", no)
    (tmp_path / "part").write_bytes(b"x")
    with pytest.raises(PermissionError):
        put_in_place(tmp_path / "part", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("left", [0, 3, 9])
async def test_a_part_that_somebody_changed_is_not_gone_on_with(tmp_path: Path, left: int) -> None:
    part = Part(tmp_path / "part", size=5, tag='"v1"')
    part.path.write_bytes(b"x" * left)
    with pytest.raises(PartLost):
        await open_part(part)


def test_a_part_that_is_not_whole_is_not_synced_as_if_it_were(tmp_path: Path) -> None:
    with (tmp_path / "part").open("wb") as file:
        write(file, b"abc")
        sync(file, 3)
        os.truncate(tmp_path / "part", 1)
        with pytest.raises(PartLost):
            sync(file, 3)


@pytest.mark.parametrize("there", [False, True], ids=["new", "already there"])
def test_contents_are_on_the_disk_before_their_name_and_the_name_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """After a power cut a saved file must be whole and have its name: nothing is fetched again by then."""
    part, target = tmp_path / "part", tmp_path / "target"
    syncs: list[tuple[str, bool]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        syncs.append(("folder" if inode == tmp_path.stat().st_ino else "part", target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with part.open("wb") as file:
        write(file, b"abc")
        sync(file, 3)
    if there:
        target.write_bytes(b"abc")  # another client that saved it may not have come so far
    assert put_in_place(part, target) == target
    assert syncs == [("part", False), ("folder", True)]


def test_another_file_of_the_same_size_and_time_is_not_replaced_or_taken_for_it(tmp_path: Path) -> None:
    part, target = tmp_path / "part", tmp_path / "target"
    for file, content in ((part, b"paid"), (target, b"mine")):
        file.write_bytes(content)
        os.utime(file, ns=(10**18, 10**18))
    with pytest.raises(FileExistsError, match="target exists with other content"):
        put_in_place(part, target)
    assert (part.read_bytes(), target.read_bytes()) == (b"paid", b"mine")


@pytest.mark.parametrize("first", ["thread", "caller"])
def test_cancelled_while_it_is_opened_it_is_closed_and_removed_by_the_later_of_the_two(
    tmp_path: Path, first: str
) -> None:
    opening = _Opening(Part(tmp_path / "part"))
    if first == "thread":
        file = opening.run()
        opening.give_up()
    else:
        opening.give_up()
        file = opening.run()
    assert file.closed
    assert list(tmp_path.iterdir()) == []


async def test_a_part_without_contents_is_begun_anew_and_one_with_contents_is_gone_on_with(tmp_path: Path) -> None:
    part = Part(tmp_path / "part")
    for size, content in ((0, b"ab"), (2, b"abab"), (0, b"ab")):
        part.size = size
        with await open_part(part) as file:
            write(file, b"ab")
        assert part.path.read_bytes() == content
        part.path.write_bytes(b"ab")


def test_a_part_that_is_gone_gets_no_name(tmp_path: Path) -> None:
    with pytest.raises(PartLost):
        put_in_place(tmp_path / "part", tmp_path / "target")


def test_a_file_out_of_reach_is_not_there() -> None:
    assert which_exist(["x" * 5000]) == [False]


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_folder_that_cannot_be_synced_holds_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def no_sync(_: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "fsync", no_sync)
    (tmp_path / "part").write_bytes(b"x")
    assert put_in_place(tmp_path / "part", tmp_path / "target").read_bytes() == b"x"


def test_a_folder_that_may_not_be_read_holds_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_reading(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", no_reading)  # the superuser, as whom tests may run, reads any folder
    (tmp_path / "part").write_bytes(b"x")
    assert put_in_place(tmp_path / "part", tmp_path / "target").read_bytes() == b"x"


def test_a_folder_whose_syncing_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    (tmp_path / "part").write_bytes(b"x")
    with pytest.raises(OSError, match="Input/output"):
        put_in_place(tmp_path / "part", tmp_path / "target")
