"""The folder for results: create it, check that it is writable, and find out how it treats names."""

import re
import sys
import tempfile
import time
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..model.errors import ConfigError
from .filenames import stem_of
from .partfile import token

STALE_S: Final = 24 * 3600.0
"""Age in seconds at which a part file counts as a killed process's: a running process keeps writing to its parts."""

_OURS: Final = re.compile(r"\.(image|video|audio|Probe)\.[0-9a-f]{8}\.part$")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder for results. Made by `prepare_folder`."""

    path: Path
    folds_case: bool = False
    """Whether the file system treats names as equal that differ only in letter case or Unicode normal form."""
    encoding: str = "utf-8"
    """The file system's encoding, by this process's locale."""

    def stem_of(self, request_id: str) -> str:
        """Return the file name in this folder, without suffix, for a request's id."""
        return stem_of(request_id, encoding=self.encoding, folds_case=self.folds_case)


def absolute(path: str | Path) -> Path:
    """Resolve a path, so that it stays valid when a link or the working directory changes. Raises ConfigError."""
    try:
        return Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.13
        raise ConfigError(f"{_printable(path)} is not a usable path: {_why(error)}; choose another") from error


def prepare_folder(folder: Path) -> Folder:
    """Create the folder and check that it is writable, before anything is paid for. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _remove_stale_parts(folder)
        return _examine(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write into {_printable(folder)}: {_why(error)}; choose another folder") from error


def _examine(folder: Path) -> Folder:
    folds_case = _has_other_names(folder, "Probe")
    try:
        return Folder(folder, _has_other_names(folder, "Probé") or folds_case, sys.getfilesystemencoding())
    except (OSError, ValueError):  # the file system or the locale can write only ASCII
        return Folder(folder, folds_case, "ascii")


def _has_other_names(folder: Path, name: str) -> bool:
    """Whether a file can be opened under its name in another letter case or normal form."""
    probe = folder / f".{name}.Probe.{token()}.part"
    others = {probe.name.swapcase(), unicodedata.normalize("NFD", probe.name)} - {probe.name}
    probe.touch(exist_ok=False)
    try:
        return any((folder / other).exists() for other in others)
    finally:
        probe.unlink(missing_ok=True)


def _remove_stale_parts(folder: Path) -> None:
    """Remove the part files of killed processes: a running process has written to its part files since yesterday."""
    for file in folder.glob(".*.part"):
        with suppress(OSError):  # another process has removed the file, or it is another user's
            if _OURS.search(file.name) and file.stat().st_mtime < time.time() - STALE_S:
                file.unlink(missing_ok=True)


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"this process's locale ({sys.getfilesystemencoding()}) cannot write its name"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _printable(path: str | Path) -> str:
    """Return a path in characters that any terminal can show: with some locales a path holds surrogates."""
    return str(path).encode(errors="backslashreplace").decode()
