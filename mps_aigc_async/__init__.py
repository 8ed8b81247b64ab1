"""Images, videos and audio through Tencent Cloud MPS's AIGC API: paced, capped, durable, never paid for twice."""

import logging
from typing import TYPE_CHECKING

from .model.log_lines import LOGGER, make_plain

# The records of this package contain no control characters: a handler may print them on a terminal.
logging.getLogger(LOGGER).addFilter(make_plain)

if TYPE_CHECKING:
    from ._public import *  # noqa: F403 — each public name, by the list in `_public`
    from ._public import __all__ as __all__

    __version__: str
else:

    def __getattr__(name: str) -> object:
        """A public name, loaded with its packages at the first use: `mps-aigc --help` needs none of them."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 — slow to import, and seldom needed

            return version("mps-aigc-async")
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        from . import _public  # noqa: PLC0415 — later than this module

        return getattr(_public, name)

    def __dir__() -> list[str]:
        return [*globals(), *__getattr__("__all__")]
