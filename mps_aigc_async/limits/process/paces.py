"""The paces of one account in one region and one loop: one for each action."""

from .pace import ProcessPace
from .streams import Streams


class Paces:
    """The paces of the actions called so far."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.by_action: dict[str, ProcessPace] = {}

    def pace(self, action: str) -> ProcessPace:
        if action not in self.by_action:
            self.by_action[action] = ProcessPace(self._streams.stream(action))
        return self.by_action[action]
