"""Whether a name still holds the file that was opened under it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mps_aigc_async.ledger.lock import inode_of
from mps_aigc_async.ledger.place import Place
from mps_aigc_async.model.errors import LedgerError


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    ledger, wal = tmp_path / "jobs.db", tmp_path / "jobs.db-wal"
    for file in (ledger, wal):
        file.write_bytes(b"1234")
    return ledger, wal


def grow(file: Path) -> None:
    file.write_bytes(b"123456789")


def cut(file: Path) -> None:
    os.truncate(file, 3)


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"1234")
    other.rename(file)


@pytest.mark.parametrize(
    ("change", "fault"),
    [(grow, ""), (cut, "was cut short"), (Path.unlink, "was removed"), (replace, "was replaced by another file")],
)
def test_each_way_of_leaving_is_named(files: tuple[Path, Path], change: Callable[[Path], None], fault: str) -> None:
    ledger, wal = files
    place = Place(ledger, wal, inode_of(ledger))
    assert place.fault() == ""
    change(wal)
    assert place.fault() == (f"lost its jobs.db-wal, which {fault}" if fault else "")
    change(ledger)
    assert place.fault() == fault


def test_one_that_has_grown_is_cut_short_though_it_is_longer_than_when_it_was_opened(files: tuple[Path, Path]) -> None:
    ledger, wal = files
    place = Place(ledger, wal, inode_of(ledger))
    for file, fault in ((wal, "lost its jobs.db-wal, which was cut short"), (ledger, "was cut short")):
        grow(file)
        assert place.fault() == ""
        os.truncate(file, 6)
        assert place.fault() == fault
        grow(file)


def test_what_the_lock_is_not_on_is_no_place(files: tuple[Path, Path]) -> None:
    ledger, wal = files
    with pytest.raises(LedgerError, match="was replaced while it was opened"):
        Place(ledger, wal, inode_of(wal))


def test_a_file_that_cannot_be_examined_is_not_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "jobs.db").touch()
    place = Place(folder / "jobs.db", folder / "jobs.db", inode_of(folder / "jobs.db"))
    (folder / "jobs.db").unlink()
    folder.rmdir()
    folder.touch()
    assert "cannot be found any more" in place.fault()
