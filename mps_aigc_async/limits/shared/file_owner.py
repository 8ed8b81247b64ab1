"""The owner of a file that root makes in another user's folder."""

import os
from contextlib import suppress
from pathlib import Path


def make_for_owner(path: Path) -> None:
    """As root, make a file that is missing, and give it to its folder's owner: the owner's processes could not write
    it otherwise. A file or a link that is there stays as it is: chown on a link of the owner's would give away any
    file. The caller keeps other threads off the file, because a close ends all locks of the process on it."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    with suppress(OSError):  # who opens the file then tells what is wrong
        folder = path.parent.stat()
        if folder.st_uid != 0:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                os.fchown(descriptor, folder.st_uid, folder.st_gid)
            finally:
                os.close(descriptor)
