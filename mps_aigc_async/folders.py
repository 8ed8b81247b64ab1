"""The folder that results are saved into: made, proven writable, and asked how it treats names."""

import re
import sys
import tempfile
import time
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import ConfigError
from .filenames import stem_of
from .partfile import token

STALE_S: Final = 24 * 3600.0
"""Seconds after which a part file is taken to be of a killed process: one that still saves writes to its parts."""

_OURS: Final = re.compile(r"\.(image|video|audio|Probe)\.[0-9a-f]{8}\.part$")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder for results. Made by `prepare_folder`."""

    path: Path
    folds_case: bool = False
    """Whether the file system takes names for one that differ in letter case or Unicode normal form only."""
    encoding: str = "utf-8"
    """The file system's, by this process's locale."""

    def stem_of(self, request_id: str) -> str:
        """A file's name here, without suffix, for a request's id."""
        return stem_of(request_id, encoding=self.encoding, folds_case=self.folds_case)


def absolute(path: str | Path) -> Path:
    """One name for one file, whatever becomes of the links on the way and of the working directory. Raises
    ConfigError."""
    try:
        return Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.13
        raise ConfigError(f"{_shown(path)} is no usable path: {_why(error)}; choose another") from error


def prepare_folder(folder: Path) -> Folder:
    """Make the folder and prove that it can be written, before anything is paid for. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _remove_stale_parts(folder)
        return _examined(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write into {_shown(folder)}: {_why(error)}; choose another folder") from error


def _examined(folder: Path) -> Folder:
    folds_case = _is_found_otherwise(folder, "Probe")
    try:
        return Folder(folder, _is_found_otherwise(folder, "Probé") or folds_case, sys.getfilesystemencoding())
    except (OSError, ValueError):  # the file system, or the locale, writes plain ASCII only
        return Folder(folder, folds_case, "ascii")


def _is_found_otherwise(folder: Path, name: str) -> bool:
    """Whether a file is found under another letter case, or another normal form, of its name."""
    probe = folder / f".{name}.Probe.{token()}.part"
    others = {probe.name.swapcase(), unicodedata.normalize("NFD", probe.name)} - {probe.name}
    probe.touch(exist_ok=False)
    try:
        return any((folder / other).exists() for other in others)
    finally:
        probe.unlink(missing_ok=True)


def _remove_stale_parts(folder: Path) -> None:
    """Remove what a killed process left; one that still saves has written to its parts since yesterday."""
    for file in folder.glob(".*.part"):
        with suppress(OSError):  # another process clears as well, or it is another user's
            if _OURS.search(file.name) and file.stat().st_mtime < time.time() - STALE_S:
                file.unlink(missing_ok=True)


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"this process's locale ({sys.getfilesystemencoding()}) cannot write its name"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _shown(path: str | Path) -> str:
    """A path as any terminal can show it: of an odd locale it may hold half characters."""
    return str(path).encode(errors="backslashreplace").decode()
