"""The public path of the events that `AigcClient.on_event` sends; `model.events` defines them."""

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
