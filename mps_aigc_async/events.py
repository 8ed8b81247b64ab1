"""What `AigcClient.on_event` tells of: the public path of the events, which `model.events` defines."""

from .model.events import (
    Done,
    Event,
    Failed,
    Paced,
    Planned,
    Polled,
    Retried,
    Saved,
    Submitted,
    Throttled,
    Unknown,
)

__all__ = [
    "Done", "Event", "Failed", "Paced", "Planned", "Polled", "Retried", "Saved", "Submitted", "Throttled", "Unknown",
]  # fmt: skip
