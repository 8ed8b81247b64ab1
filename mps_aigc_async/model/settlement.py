"""What a user can decide of a job whose create was sent and never answered. Nothing but the user's word decides it."""

from dataclasses import dataclass

from .task_ids import require_task_id


@dataclass(frozen=True, slots=True)
class CreateAgain:
    """It was not accepted: the next run creates it. If it was accepted all the same, it is paid for twice, unless the
    service refuses a second create of its session, which it keeps (VOD, some relays)."""


@dataclass(frozen=True, slots=True)
class Attach:
    """It was accepted, as this task (found in the console's task list): the next run polls and saves it.

    Raises InvalidRequest for a text that can be no TaskId."""

    task_id: str

    def __post_init__(self) -> None:
        require_task_id(self.task_id)


@dataclass(frozen=True, slots=True)
class Drop:
    """Give the job up: it has failed."""


Settlement = CreateAgain | Attach | Drop
