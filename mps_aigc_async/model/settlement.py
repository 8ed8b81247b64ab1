"""The user's decisions about a job with an unknown outcome: its create was sent and never answered.

The client never takes such a decision by itself.
"""

from dataclasses import dataclass

from .task_ids import require_task_id


@dataclass(frozen=True, slots=True)
class CreateAgain:
    """The create was not accepted: the next run creates the job again.

    If the first create was accepted all the same, the job is paid for twice. The exception is a service that refuses a
    second create of one session (VOD, some relays), since the job keeps its session."""


@dataclass(frozen=True, slots=True)
class Attach:
    """The create was accepted as this task (see the console's task list): the next run polls and saves it.

    Raises InvalidRequest for a text that can be no TaskId."""

    task_id: str

    def __post_init__(self) -> None:
        require_task_id(self.task_id)


@dataclass(frozen=True, slots=True)
class Drop:
    """Give the job up: the job has failed."""


Settlement = CreateAgain | Attach | Drop
