"""A transaction of the store, put together from parts."""

from collections.abc import Callable, Sequence

from ...concurrency.callbacks import ignore
from .store import Row, Step


class Transaction:
    """Statements for one transaction; each part reads the rows of its own statements once all are committed."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._parts: list[tuple[int, Callable[[list[list[Row]]], None]]] = []

    def add(self, steps: Sequence[Step], read: Callable[[list[list[Row]]], None] = ignore) -> None:
        """Add a part. `read` gets the rows of each of its statements."""
        self.steps += steps
        self._parts.append((len(self.steps), read))

    def note(self, rows: list[list[Row]]) -> None:
        """Let the parts read the rows of the committed transaction, in their order."""
        begin = 0
        for end, read in self._parts:
            read(rows[begin:end])
            begin = end
