"""Results as bytes: rendered at the first request, in a thread, with the latest results in a cache.

Rendering is deterministic, so the cache is bounded by bytes: a dropped result can be rendered again. A single thread
renders one piece after the other, so that the event loop keeps a core.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..tasks.orders import VideoOrder
from ..tasks.storage import Piece
from .rendering import fit, render, require_packages

CACHE_BYTES = 64 * 1024 * 1024
"""Most bytes of results in the cache."""

_Key = tuple[str, int]


class Gallery:
    """Renders results and caches them. `media` makes the bytes of a result in place of rendering."""

    def __init__(self, cache_bytes: int = CACHE_BYTES, *, media: Callable[[Piece], bytes] | None = None) -> None:
        self._cache_bytes = cache_bytes
        self._media = media
        self._cache: OrderedDict[_Key, bytes] = OrderedDict()
        self._size = 0
        self._rendering: dict[_Key, asyncio.Future[bytes]] = {}
        # Threads start with the first render: an emulator that serves no media has none.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mps-aigc-emulator")

    def __repr__(self) -> str:
        return f"Gallery(cached={len(self._cache)}, bytes={self._size}, rendering={len(self._rendering)})"

    async def fit(self, order: VideoOrder, first: bytes, last: bytes) -> tuple[bytes, bytes]:
        """A video's first and last image in the video's size; no bytes for none. Raises UnreadableImageError and
        MissingExtraError."""
        require_packages()
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: (fit(first, order.size), fit(last, order.size))
        )

    async def get(self, piece: Piece) -> bytes:
        """The file's bytes. After a caller is cancelled, the render goes on for the next callers.

        Raises MissingExtraError.
        """
        if self._media is not None:
            return self._media(piece)
        key = (piece.task_id, piece.index)
        if (file := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            return file
        require_packages()
        first, last = [await self._frame(piece, frame) for frame in (piece.first, piece.last)]
        rendering = self._rendering.get(key)
        if rendering is None:
            rendering = asyncio.get_running_loop().run_in_executor(
                self._executor, render, piece.order, piece.index, first, last
            )
            self._rendering[key] = rendering
            rendering.add_done_callback(partial(self._keep, key))
        return await asyncio.shield(rendering)

    async def _frame(self, piece: Piece, frame: bytes | Piece) -> bytes:
        """A frame in the film's size. A fetched image already has that size."""
        if isinstance(frame, bytes) or not isinstance(piece.order, VideoOrder):
            return b"" if isinstance(frame, Piece) else frame
        return (await self.fit(piece.order, await self.get(frame), b""))[0]

    def _keep(self, key: _Key, rendering: "asyncio.Future[bytes]") -> None:
        del self._rendering[key]
        if rendering.cancelled() or rendering.exception() is not None or key in self._cache:
            return
        self._cache[key] = rendering.result()
        self._size += len(self._cache[key])
        while self._size > self._cache_bytes:
            _, oldest = self._cache.popitem(last=False)
            self._size -= len(oldest)

    async def close(self) -> None:
        """Wait for the render in progress (tenths of a second), drop queued renders, and end the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._rendering:
            await asyncio.wait(self._rendering.values())
        self._executor.shutdown(wait=True)
