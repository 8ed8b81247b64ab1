"""How an emulator behaves, checked when it is made: a test should fail at its own mistake, not three calls later."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .actions import ACTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    speed: float = 1.0
    """Divides the tasks' durations and the life of result URLs; never the rate window or the signature's 5 minutes."""
    seed: int = 7
    """Of every draw: durations, ids, faults. Calls that come in the same order get the same answers."""
    image_seconds: tuple[float, float] = (60.0, 180.0)
    """Shortest and longest task, before `speed`: "1–3 minutes" for an image, "3–5" for a video (AIGC guide)."""
    video_seconds: tuple[float, float] = (180.0, 300.0)
    max_running: Mapping[str, int] | None = None
    """By kind, `{"image": 50, "video": 10}`: beyond it LimitExceeded.CreateTask. A kind left out has no cap."""
    limits: Mapping[str, int | None] | None = None
    """By action, in place of the documented calls per second; None as a value is no limit."""
    secret_id: str = field(default="AKIDEXAMPLE", repr=False)
    secret_key: str = field(default="KEYEXAMPLE", repr=False)
    forbidden_word: str = "forbidden-content"
    """A prompt that contains it is refused at the create: InvalidParameter.ViolationContent."""
    failing_word: str = "fail-later"
    """A prompt that contains it makes a task that ends FAIL."""
    fetch_frames: bool = True
    """A video waits for the images it was given until they are reported; False takes them for granted."""
    log_size: int = 100_000
    """Arrivals kept in the log. The counters are complete whatever it is."""

    def __post_init__(self) -> None:
        _known("limits", self.limits or {}, ACTIONS)
        _known("max_running", self.max_running or {}, {action.kind for action in ACTIONS.values()})


def _known(setting: str, given: Mapping[str, object], names: Iterable[str]) -> None:
    if unknown := sorted(set(given) - set(names)):
        raise ValueError(f"{setting} names what the emulator does not have: {unknown}; it has {sorted(names)}")
