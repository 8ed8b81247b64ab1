"""The ids of a batch's requests: their own, or derived from their contents."""

from ..model.contents import digest
from ..model.requests import Request
from .digest_table import DigestTable, Width


class RequestIds:
    """Gives each request of a batch its id: its own, or its content's digest and occurrence."""

    def __init__(self) -> None:
        self._occurrences = DigestTable(Width.INT)

    def id_for(self, request: Request) -> str:
        """
        >>> from mps_aigc_async.model.requests import ImageRequest
        >>> ids = RequestIds()
        >>> [ids.id_for(ImageRequest(prompt="a cat")) for _ in range(3)]
        ['image-de4d7d1a2f60', 'image-de4d7d1a2f60-2', 'image-de4d7d1a2f60-3']
        """
        if request.id is not None:
            return request.id
        short = digest(request)
        occurrence = self._count(int(short.rpartition("-")[2], 16))  # the digits are a digest of the kind too
        return short if occurrence == 1 else f"{short}-{occurrence}"

    def _count(self, content: int) -> int:
        """Count one more request of this content digest; return how many there are by now."""
        before = self._occurrences.get(content)
        if before is None:
            self._occurrences.add(content, 1)
            return 1
        self._occurrences.put(content, before + 1)
        return before + 1
