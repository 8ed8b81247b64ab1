"""Results as bytes: rendered when first asked for, once, in a thread; the last ones kept.

Rendering is deterministic, so forgetting costs time and never content: what is kept is bounded by bytes. One thread
renders, one piece after the other: the event loop keeps a core, and the font's face is never in two threads.
"""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from .orders import ImageOrder, Order, VideoOrder
from .storage import Piece

KEPT_BYTES = 64 * 1024 * 1024

_Key = tuple[str, int]


class UnreadableImageError(Exception):
    """The bytes are not an image that can be read."""


class Gallery:
    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._size = 0
        self._rendering: dict[_Key, asyncio.Future[bytes]] = {}
        # For good, about 20 KB for each image: fetched bytes, unlike rendered ones, can't be had again.
        self._frames: dict[str, tuple[bytes, bytes]] = {}
        # Threads start with the first render: an emulator that serves no media has none.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mps-aigc-emulator")

    def __repr__(self) -> str:
        return f"Gallery(kept={len(self._kept)}, bytes={self._size}, rendering={len(self._rendering)})"

    async def add_frames(self, task_id: str, order: Order, first: bytes, last: bytes) -> None:
        """Keeps a video's first and last image (empty: none), reduced to its size. Raises UnreadableImageError."""
        fit = partial(_fitted, size=order.size)
        self._frames[task_id] = await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: (fit(first), fit(last))
        )

    async def get(self, piece: Piece) -> bytes:
        """The file's bytes. A caller that is cancelled leaves the render to those who ask for it next."""
        key = (piece.task_id, piece.index)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        rendering = self._rendering.get(key)
        if rendering is None:
            first, last = self._frames.get(piece.task_id, (b"", b""))
            rendering = asyncio.get_running_loop().run_in_executor(
                self._executor, _rendered, piece.order, piece.index, first, last
            )
            self._rendering[key] = rendering
            rendering.add_done_callback(partial(self._keep, key))
        return await asyncio.shield(rendering)

    def _keep(self, key: _Key, rendering: "asyncio.Future[bytes]") -> None:
        del self._rendering[key]
        if rendering.cancelled() or rendering.exception() is not None:
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


def _fitted(image: bytes, size: tuple[int, int]) -> bytes:
    if not image:
        return b""
    from mps_aigc_async.emulator import pictures  # noqa: PLC0415 - Pillow is an extra, and slow to import

    try:
        return pictures.fitted(image, size)
    except pictures.UNREADABLE as error:
        raise UnreadableImageError(str(error)) from error


def _rendered(order: Order, index: int, first: bytes, last: bytes) -> bytes:
    from mps_aigc_async.emulator import films, pictures  # noqa: PLC0415 - as above, and PyAV

    match order:
        case ImageOrder():
            return pictures.image(order, index)
        case VideoOrder():
            return films.film(order, first, last)
