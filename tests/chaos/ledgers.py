"""Taking a ledger away from a batch that runs on, and putting it back: the same files, the -wal among them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .deck import Ending, Trouble

LEDGER = "ledger.db"
PARTS = ("", "-wal", "-shm")


class Ledger:
    """A batch's ledger, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LEDGER
        self._aside = folder.with_name(f"{folder.name}.aside")
        folder.mkdir()

    def is_whole(self) -> bool:
        """Whether there is something to take away: a file in use, with its -wal."""
        return self.path.exists() and self._part("-wal").exists()

    def take(self, how: Ending) -> None:
        """Take it from its place, with links to its files kept aside."""
        if how is Ending.FOLDER_GONE:
            self.folder.rename(self._aside)
            self.folder.mkdir()
            return
        self._aside.mkdir()
        for part in ("", "-wal"):
            (self._aside / f"{LEDGER}{part}").hardlink_to(self._part(part))
        match how:
            case Ending.WAL_GONE:
                self._part("-wal").unlink()
            case Ending.REPLACED:
                copy = self.folder / "copy"
                shutil.copy(self.path, copy)
                copy.replace(self.path)
            case _:
                for part in PARTS:
                    self._part(part).unlink(missing_ok=True)

    def put_back(self, how: Ending) -> None:
        """As it was before `take`, once the batch has ended: with the rows that the batch wrote meanwhile."""
        if how is Ending.FOLDER_GONE:
            shutil.rmtree(self.folder)
            self._aside.rename(self.folder)
            return
        for part in PARTS:
            self._part(part).unlink(missing_ok=True)
        for part in ("", "-wal"):
            (self._aside / f"{LEDGER}{part}").rename(self._part(part))
        self._aside.rmdir()

    @contextmanager
    def other_name(self, how: Trouble) -> Iterator[Path]:
        """A path by which another process may come to it: its own, a symbolic or a hard link in another folder."""
        if how in (Trouble.SECOND, Trouble.SECOND_WHILE_STOPPED):
            yield self.path
            return
        link = self.folder.with_name(f"{self.folder.name}.link") / LEDGER
        link.parent.mkdir()
        try:
            if how is Trouble.SECOND_BY_SYMLINK:
                link.symlink_to(self.path)
            else:
                link.hardlink_to(self.path)
            yield link
        finally:
            shutil.rmtree(link.parent)

    def found(self) -> str:
        """The state of the ledger file, to count the states that kills during its opening leave."""
        if not self.path.exists():
            return "temporary file" if any(LEDGER in file.name for file in self.folder.iterdir()) else "no file"
        return "whole file" if self.path.stat().st_size else "empty file"

    def _part(self, part: str) -> Path:
        return self.path.with_name(f"{LEDGER}{part}")
