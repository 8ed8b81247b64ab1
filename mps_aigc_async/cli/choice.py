"""A part of a batch: the requests that a command line chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final


@dataclass(frozen=True, slots=True)
class Choice:
    """A part of a batch's requests."""

    only: Sequence[str] = ()
    """Patterns of ids, such as `shot-0*`; empty for all."""
    limit: int | None = None
    """The number of requests, the first ones of those that the patterns choose."""

    @property
    def is_everything(self) -> bool:
        return not self.only and self.limit is None

    def has(self, name: str) -> bool:
        """Whether the patterns choose a request of this name."""
        return not self.only or any(fnmatchcase(name, pattern) for pattern in self.only)


EVERYTHING: Final = Choice()
