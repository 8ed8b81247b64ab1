"""Rendering of results, and its packages, which are an extra.

Blocking: run it in a thread. The packages are imported by the first rendering, since they are slow to import.
"""

from importlib.util import find_spec
from threading import Lock
from typing import Final

from ..tasks.orders import AudioOrder, ImageOrder, Order, VideoOrder

PACKAGES: Final = ("PIL", "av", "noto_cjk_sans_otc")
"""The import names of the extra's packages: Pillow, PyAV and a font."""

_one_at_a_time: Final = Lock()
"""Pillow's font faces must not be used by two threads at once."""


class MissingExtraError(Exception):
    """The packages of the extra `emulator` are not installed."""


class UnreadableImageError(Exception):
    """The bytes are not an image that can be read."""


def missing_packages() -> list[str]:
    return [name for name in PACKAGES if find_spec(name) is None]


def require_packages() -> None:
    """Raise MissingExtraError, which names the extra, if a package is missing."""
    if missing := missing_packages():
        raise MissingExtraError(
            f"the emulator cannot render results without {', '.join(missing)}: install this package with its extra, "
            "pip install '.[emulator]' in a clone of mps-aigc-async"
        )


def fit(image: bytes, size: tuple[int, int]) -> bytes:
    """An image reduced to a frame of `size`; no bytes for none. Raises UnreadableImageError."""
    if not image:
        return b""
    from . import pictures  # noqa: PLC0415 - Pillow is an extra, and slow to import

    try:
        return pictures.fit(image, size)
    except pictures.UNREADABLE as error:
        raise UnreadableImageError(str(error)) from error


def render(order: Order, index: int, first: bytes, last: bytes) -> bytes:
    """A result's bytes. `first` and `last` are a film's frames from `fit`."""
    from . import films, pictures, sounds  # noqa: PLC0415 - as above, and PyAV

    with _one_at_a_time:
        match order:
            case ImageOrder():
                return pictures.image(order, index)
            case VideoOrder():
                return films.film(order, first, last)
            case AudioOrder(film=VideoOrder() as film) if order.formats[index] == "mp4":
                return films.film(film, b"", b"")
            case AudioOrder():
                return sounds.sound(order)
