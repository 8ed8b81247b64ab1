"""Buckets of COS, and the places in them where MPS stores results."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Access: TypeAlias = Literal["private", "public-read", "missing", "unusable"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of the account: `Emulator(buckets={"shots-1250000000": Bucket("public-read")})`."""

    access: Access = "private"
    """Without a signature only a `public-read` bucket can be read. A create that names a `missing` or an `unusable`
    bucket is refused. MPS cannot write into an unusable one: COS is suspended, or the role MPS_QcsRole is missing."""
    region: str = ""
    """Such as ap-guangzhou; empty for a bucket that is found in every region."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task's results go (StoreCosParam)."""

    bucket: str
    region: str
    folder: str = ""
    """Without slashes at its ends; empty for the bucket's root."""

    def key(self, name: str) -> str:
        """The key of the object with this file name.

        >>> Place("shots-1250000000", "ap-guangzhou", "may/day 1").key("a.png")
        'may/day 1/a.png'
        """
        return f"{self.folder}/{name}" if self.folder else name
