"""The creates under way of one opened ledger, whichever of its clients sends them."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..ledger import JobRecord, Ledger
from ..limits import SendTime, Slot
from ..model.errors import LedgerError, ServiceError
from ..model.states import JobState
from ..network.calls import Failure

_log: Final = logging.getLogger("mps_aigc_async")

MOST_TOLD: Final = 100
"""Most TaskIds in the error about a ledger that is out of place."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The service has no room for the task: the create was refused for that, or need not be sent."""

    refusal: ServiceError | None = None


class NoRoomByNow(Exception):
    """The service is known to have no room for a create that has not taken its send time yet."""


def require_room(slot: Slot) -> None:
    """Raise NoRoomByNow if the service is known to have no room for the create in a slot."""
    if slot.is_too_many:
        raise NoRoomByNow


CreateOutcome: TypeAlias = JobRecord | NoRoom | Failure
"""The outcome of one exchange: the submitted job, or the reason why there is none."""


class Unsent:
    """The creates of one client that are prepared, until they are sent."""

    def __init__(self) -> None:
        self._send_times: dict[asyncio.Task[CreateOutcome], SendTime] = {}

    def add(self, exchange: asyncio.Task[CreateOutcome], send_time: SendTime) -> None:
        self._send_times[exchange] = send_time
        exchange.add_done_callback(self._send_times.pop)

    def end(self, exchange: asyncio.Task[CreateOutcome]) -> bool:
        """End a create, unless it is sent. Whether it has been ended."""
        send_time = self._send_times.get(exchange)
        return send_time is not None and not send_time.has_come and exchange.cancel()

    def end_all(self) -> None:
        """End all creates that are not sent."""
        for exchange in tuple(self._send_times):
            self.end(exchange)


@dataclass(slots=True, eq=False)
class Exchanges:
    """Shared by the clients of an opened ledger: a job in *intent* is unknown only if none of them is sending its
    create."""

    by_job: dict[str, asyncio.Task[CreateOutcome]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    """By TaskId, the job whose create was answered with it first, until the ledger has it."""
    ledger_loss: str = ""
    """The message about a ledger that is out of place; empty while it is in place."""

    def forget_lost(self, job_id: str) -> bool:
        """Whether the loop in which a job's create was under way is closed. Its end is lost then, and forgotten."""
        exchange = self.by_job.get(job_id)
        if exchange is None or not exchange.get_loop().is_closed():
            return False
        self.by_job.pop(job_id, None)
        return True

    async def out_of_place_error(self, ledger: Ledger, error: LedgerError) -> LedgerError:
        """The error for a ledger that is out of place, with the TaskIds that no other process will find. The first one
        is logged."""
        if not self.ledger_loss:
            running = [job.task_id or "" async for job in ledger.in_state(JobState.SUBMITTED)]
            ids = ", ".join(running[:MOST_TOLD]) + (", …" if len(running) > MOST_TOLD else "")
            self.ledger_loss = (
                f"{error.message}: nothing more is created, because the next run would pay for it again. "
                f"{f'This process still polls and saves the tasks that run: {ids}' if ids else 'No task runs'}. "
                "When it has ended, put the ledger back (restore a backup if it was deleted) before the next run"
            )
            _log.error("%s", self.ledger_loss)
        return LedgerError(self.ledger_loss)
