"""Results as bytes: rendered when first asked for, once, in a thread; the last ones kept.

Rendering is deterministic, so forgetting costs time and never content: what is kept is bounded by bytes. One thread
renders, one piece after the other, so that the event loop keeps a core.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..tasks.orders import VideoOrder
from ..tasks.storage import Piece
from .rendering import fit, render, require_packages

KEPT_BYTES = 64 * 1024 * 1024

_Key = tuple[str, int]


class Gallery:
    """`media` makes the bytes of a result in place of rendering."""

    def __init__(self, kept_bytes: int = KEPT_BYTES, *, media: Callable[[Piece], bytes] | None = None) -> None:
        self._kept_bytes = kept_bytes
        self._media = media
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._size = 0
        self._rendering: dict[_Key, asyncio.Future[bytes]] = {}
        # Threads start with the first render: an emulator that serves no media has none.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mps-aigc-emulator")

    def __repr__(self) -> str:
        return f"Gallery(kept={len(self._kept)}, bytes={self._size}, rendering={len(self._rendering)})"

    async def fit(self, order: VideoOrder, first: bytes, last: bytes) -> tuple[bytes, bytes]:
        """A video's first and last image (empty: none), reduced to its size. Raises UnreadableImageError, and
        MissingExtraError."""
        require_packages()
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: (fit(first, order.size), fit(last, order.size))
        )

    async def get(self, piece: Piece) -> bytes:
        """The file's bytes. A caller that is cancelled leaves the render to those who ask for it next.

        Raises MissingExtraError.
        """
        if self._media is not None:
            return self._media(piece)
        key = (piece.task_id, piece.index)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
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
        """A frame in the film's size. One that was fetched has it already."""
        if isinstance(frame, bytes) or not isinstance(piece.order, VideoOrder):
            return b"" if isinstance(frame, Piece) else frame
        return (await self.fit(piece.order, await self.get(frame), b""))[0]

    def _keep(self, key: _Key, rendering: "asyncio.Future[bytes]") -> None:
        del self._rendering[key]
        if rendering.cancelled() or rendering.exception() is not None or key in self._kept:
            return
        self._kept[key] = rendering.result()
        self._size += len(self._kept[key])
        while self._size > self._kept_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped)

    async def close(self) -> None:
        """Waits for the piece being rendered (tenths of a second), drops the queued ones, ends the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._rendering:
            await asyncio.wait(self._rendering.values())
        self._executor.shutdown(wait=True)
