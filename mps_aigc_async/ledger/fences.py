"""The fences of rows that several members share: who may move a job, from which state, to which.

`states.MOVES` says which moves make sense. A fence says who may make them. Each member reads a row, decides, and writes
it later; meanwhile another member may have moved the job. So each write names the row's token, and a write that finds
another token, another driver or another state changes nothing.

| who writes | to | from | driver before | driver after | token |
|---|---|---|---|---|---|
| claim | intent | planned, unknown: the state that was read | nobody, or the writer | the writer | new |
| answer | submitted | intent, submitted, unknown, failed if dropped | nobody, or the writer | the writer | the same |
| answer | planned | planned, intent, unknown | nobody, or the writer | nobody | the same |
| answer | failed | intent, failed, unknown | nobody, or the writer | nobody | the same |
| answer | unknown | intent, unknown | nobody, or the writer | nobody | the same |
| driver | planned | planned, intent, submitted, failed, unknown | nobody, or the writer | nobody | the same |
| driver | intent | planned, intent, unknown | nobody, or the writer | the writer | the same |
| driver | submitted | intent, submitted, failed, unknown | nobody, or the writer | the writer | the same |
| driver | done | submitted, done | nobody, or the writer | nobody | the same |
| driver | saved | done, saved | nobody, or the writer | nobody | the same |
| driver | failed | planned, intent, submitted, failed, unknown | nobody, or the writer | nobody | the same |
| driver | unknown | intent, unknown | nobody, or the writer | nobody | the same |
| settle | planned | unknown, its author dead or its intent 6 minutes old | nobody | nobody | the same |
| settle | submitted | unknown | nobody | the writer | the same |
| settle | failed | unknown | nobody | nobody | the same |
| adopt | unknown | intent | a member that is gone | nobody | the same |
| adopt | submitted | submitted | a member that is gone, or nobody | the writer | the same |
| replace | planned | planned | nobody | nobody | new |

An *answer* is the first row that a member writes after its own claim: how the create ended. An answer may come late,
when others have taken its author for gone. Interleavings:

- The author of an intent stands still, and an adopter makes the job *unknown*. The late answer has the intent's token:
  its TaskId makes the job *submitted*, a refusal makes it *failed* or *planned*.
- The user has dropped that job meanwhile: a late TaskId makes it *submitted*, because the task was paid for. A late
  "never went out" leaves it dropped: the user does not want it created again.
- The user has had it created again, or another member has claimed it: no row takes the late TaskId, so it becomes an
  orphan.
- Two members claim one planned row: the first one changes the token, and the second one's claim finds nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from ..model.states import MOVES, JobState


class Writer(StrEnum):
    """The role in which a member writes a row."""

    CLAIM = "claim"
    ANSWER = "answer"
    DRIVER = "driver"
    SETTLE = "settle"
    ADOPT = "adopt"
    REPLACE = "replace"


HELD: Final = frozenset({JobState.INTENT, JobState.SUBMITTED})
"""The states in which a member drives the job. In all others, any member may take it."""

Origins = Mapping[JobState, frozenset[JobState]]
"""By the state that a writer moves a job to: the states from which."""


def _repeatable(origins: Origins) -> Origins:
    """Add each state itself: a row may gain fields within its state, and a commit of open outcome is repeated."""
    return {state: froms | {state} for state, froms in origins.items()}


_ANSWERS: Final = (JobState.SUBMITTED, JobState.PLANNED, JobState.FAILED, JobState.UNKNOWN)

FENCES: Final[Mapping[Writer, Origins]] = {
    Writer.CLAIM: {JobState.INTENT: frozenset({JobState.PLANNED, JobState.UNKNOWN})},
    Writer.ANSWER: _repeatable(
        {to: frozenset({JobState.INTENT, JobState.UNKNOWN}) for to in _ANSWERS}
    ),
    Writer.DRIVER: _repeatable(
        {to: frozenset(state for state in JobState if to in MOVES[state]) for to in JobState}
    ),
    Writer.SETTLE: {
        to: frozenset({JobState.UNKNOWN}) for to in (JobState.PLANNED, JobState.SUBMITTED, JobState.FAILED)
    },
    Writer.ADOPT: {
        JobState.UNKNOWN: frozenset({JobState.INTENT}),
        JobState.SUBMITTED: frozenset({JobState.SUBMITTED}),
    },
    Writer.REPLACE: {JobState.PLANNED: frozenset({JobState.PLANNED})},
}  # fmt: skip
"""The table above, as the statements use it. A dropped job is *failed* by the user's word: `DROPPED` in `moves`."""
