"""A compact table of small numbers by digests: a batch may have a million ids."""

from array import array
from bisect import bisect_left
from collections import defaultdict
from enum import Enum
from functools import partial
from hashlib import blake2b
from typing import Final

SHELVES: Final = 256
"""A new entry moves the entries behind it on its shelf: of a million entries, 4000 are on one shelf (32 kB)."""

DIGEST_BYTES: Final = 8
"""Two of a million ids share a digest of 64 bits once in 40 million batches. The table takes them for one id."""


class Width(Enum):
    """How large the numbers of a table may be, by `array`'s type codes."""

    BYTE = "B"
    """Below 2**8: an entry takes 9 bytes, beside the room to grow."""
    INT = "I"
    """Below 2**32: an entry takes 12 bytes, beside the room to grow."""


def digest_of(text: str) -> int:
    """The digest of an id: a number below 2**64. An id may hold lone surrogates."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest(), "big")


class DigestTable:
    """Numbers by digests below 2**64, in 9 or 12 bytes an entry: a dict takes 105."""

    def __init__(self, width: Width) -> None:
        self._shelves: defaultdict[int, _Shelf] = defaultdict(partial(_Shelf, width))

    def add(self, digest: int, number: int) -> bool:
        """Enter the number unless the digest has one already. Return whether the entry is new.

        >>> table = DigestTable(Width.INT)
        >>> [table.add(7, 1), table.add(7, 2), table.get(7), table.get(8)]
        [True, False, 1, None]
        """
        return self._shelves[digest % SHELVES].add(digest, number)

    def get(self, digest: int) -> int | None:
        """The number of a digest; None for a digest that is not in the table."""
        shelf = self._shelves.get(digest % SHELVES)
        return None if shelf is None else shelf.get(digest)

    def put(self, digest: int, number: int) -> None:
        """Change the number of a digest. Raises KeyError for a digest that is not in the table."""
        self._shelves[digest % SHELVES].put(digest, number)


class _Shelf:
    """Digests in order, and beside each its number."""

    __slots__ = ("_digests", "_numbers")

    def __init__(self, width: Width) -> None:
        self._digests = array("Q")
        self._numbers = array(width.value)

    def add(self, digest: int, number: int) -> bool:
        at = bisect_left(self._digests, digest)
        if self._has(digest, at):
            return False
        self._digests.insert(at, digest)
        self._numbers.insert(at, number)
        return True

    def get(self, digest: int) -> int | None:
        at = bisect_left(self._digests, digest)
        return self._numbers[at] if self._has(digest, at) else None

    def put(self, digest: int, number: int) -> None:
        at = bisect_left(self._digests, digest)
        if not self._has(digest, at):
            raise KeyError(digest)
        self._numbers[at] = number

    def _has(self, digest: int, at: int) -> bool:
        return at < len(self._digests) and self._digests[at] == digest
