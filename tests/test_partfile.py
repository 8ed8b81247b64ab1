"""The file that a result is written to, and what is there of a job's files."""

from pathlib import Path

import pytest

from mps_aigc_async.media import HEAD_BYTES
from mps_aigc_async.partfile import Part, put_in_place, removed, which_exist
from mps_aigc_async.states import Kind


def test_each_file_is_looked_for_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    here, gone = str(tmp_path / "a"), str(tmp_path / "b")
    assert which_exist([here, gone, "", str(tmp_path), "a\0b", here]) == [True, False, False, False, False, True]
    assert which_exist([]) == []


def test_the_head_of_a_part_is_its_first_bytes_however_they_come() -> None:
    part = Part(Path("x"))
    for _ in range(3):
        part.begin('"v1"')
        for chunk in (b"ab", b"", b"c" * HEAD_BYTES, b"d"):
            part.grow(chunk)
        assert part.head == (b"ab" + b"c" * HEAD_BYTES)[:HEAD_BYTES]
        assert (part.size, part.tag) == (HEAD_BYTES + 3, '"v1"')


def test_two_parts_of_one_result_have_names_of_their_own(tmp_path: Path) -> None:
    parts = {Part.of(tmp_path / "shot", Kind.IMAGE).path for _ in range(10)}
    assert len(parts) == 10
    assert all(path.parent == tmp_path and path.name.startswith(".shot.image.") for path in parts)


async def test_a_name_that_cannot_be_written_ends_no_cleaning_up() -> None:
    with pytest.raises(KeyError):
        async with removed(Part(Path("a\0b"))):
            raise KeyError


def test_a_file_system_without_links_gets_a_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(_: Path, __: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    part, target = tmp_path / "part", tmp_path / "target"
    part.write_bytes(b"x")
    assert put_in_place(part, target).read_bytes() == b"x"
    part.write_bytes(b"x")
    with pytest.raises(PermissionError):
        put_in_place(part, target)
