"""What the requests of a batch are called: by their own ids, or by their contents."""

from array import array
from bisect import bisect_left
from collections import defaultdict
from typing import Final

from ..model.contents import digest
from ..model.requests import Request

SHELVES: Final = 1024
"""A number put on its shelf moves those behind it: of a million numbers, a thousandth are on one shelf."""


class RequestIds:
    """Gives each request of a batch its id: its own, or its content's digest and occurrence."""

    def __init__(self) -> None:
        self._seen = Occurrences()

    def id_for(self, request: Request) -> str:
        """
        >>> from mps_aigc_async.model.requests import ImageRequest
        >>> ids = RequestIds()
        >>> [ids.id_for(ImageRequest(prompt="a cat")) for _ in range(2)]
        ['image-de4d7d1a2f60', 'image-de4d7d1a2f60-2']
        """
        if request.id is not None:
            return request.id
        short = digest(request)
        occurrence = self._seen.add(int(short.rpartition("-")[2], 16))  # of its kind, too, the digits are a digest
        return short if occurrence == 1 else f"{short}-{occurrence}"


class Occurrences:
    """How often each of many numbers below 2**64 was added, in 13 bytes for each: in a dict of them it would be 105,
    and a batch may have a million."""

    def __init__(self) -> None:
        self._shelves: defaultdict[int, _Shelf] = defaultdict(_Shelf)

    def add(self, number: int) -> int:
        """Count one occurrence more; return which it is.

        >>> seen = Occurrences()
        >>> [seen.add(number) for number in (7, 5, 7, 7)]
        [1, 1, 2, 3]
        """
        return self._shelves[number % SHELVES].add(number)


class _Shelf:
    """Numbers in order, and beside each how often it was added."""

    __slots__ = ("_numbers", "_times")

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._times = array("I")

    def add(self, number: int) -> int:
        at = bisect_left(self._numbers, number)
        if at == len(self._numbers) or self._numbers[at] != number:
            self._numbers.insert(at, number)
            self._times.insert(at, 0)
        self._times[at] += 1
        return self._times[at]
