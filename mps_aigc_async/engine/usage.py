"""The service's count for its bill beside the ledger's count of results, and the account's quotas."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final, TypeVar

from ..ledger import JobRecord, Ledger
from ..model.errors import DamagedRow
from ..model.states import JobState, Kind
from ..model.usage import Days, LedgerUsage, Quota, UsageReport, billing_day, known_sum
from ..network.calls import Calls
from ..wire.dialect import Dialect
from ..wire.usage import Question, UsageAnswer
from ..wire.vod_usage import QUOTA_TYPES, quotas_question
from .backends import require_quotas, usage_questions

T = TypeVar("T")

MOST_PAGES: Final = 100
"""Most pages of quotas to read: a service that never ends its list must not keep the client for good."""


class UsageReader:
    """Reads the use of a client's account."""

    def __init__(self, calls: Calls, dialect: Dialect) -> None:
        self._calls = calls
        self._dialect = dialect

    async def report(self, ledger: Ledger, days: Days, now: float) -> UsageReport:
        """Both counts of these days. Raises InvalidRequest for the relay, which reports none."""
        kinds, questions = usage_questions(self._dialect.backend, days, now)
        answer = UsageAnswer()
        for question in questions:
            answer = answer.with_answer(await self._ask(question))
        return UsageReport(
            since=days.start,
            until=days.end,
            service_kinds=tuple(kinds),
            service=answer.totals,
            specifications=answer.specifications,
            ledger=await _ledger_usage(ledger, days),
            unknown_jobs=len([job async for job in ledger.in_state(JobState.UNKNOWN)]),
            ledger_is_durable=ledger.durable,
        )

    async def quotas(self) -> tuple[Quota, ...]:
        """All quotas for images and videos. Raises InvalidRequest for a backend without quotas."""
        require_quotas(self._dialect.backend)
        return tuple([quota for word in QUOTA_TYPES for quota in await self._quotas_of(word)])

    async def _quotas_of(self, word: str) -> list[Quota]:
        quotas: list[Quota] = []
        for _ in range(MOST_PAGES):
            page = await self._ask(quotas_question(word, len(quotas)))
            quotas += page.quotas
            if not page.quotas or len(quotas) >= page.total:
                break
        return quotas

    async def _ask(self, question: Question[T]) -> T:
        return question.read(await self._calls.send(self._dialect.call(question.action, question.params)))


@dataclass(slots=True)
class _Sum:
    """The figures of one kind, model and day."""

    tasks: int = 0
    amount: float = 0
    without_length: int = 0

    def add(self, job: JobRecord) -> None:
        amount = amount_of(job)
        self.tasks += 1
        self.amount += amount or 0
        self.without_length += amount is None


async def _ledger_usage(ledger: Ledger, days: Days) -> tuple[LedgerUsage, ...]:
    """The ledger's results of these days, by kind, model and day."""
    sums: defaultdict[tuple[Kind, str, date], _Sum] = defaultdict(_Sum)
    async for job in ledger.done_between(days.start.timestamp(), days.end.timestamp()):
        if job.done_at is not None:
            sums[job.kind, job.model, billing_day(job.done_at)].add(job)
    return tuple(
        LedgerUsage(kind=kind, model=model, day=day, **asdict(figures))
        for (kind, model, day), figures in sorted(sums.items(), key=lambda item: item[0])
    )


def amount_of(job: JobRecord) -> float | None:
    """The images or seconds that a job has made; None for a length that is not known."""
    match job.kind:
        case Kind.IMAGE:
            return len(job.urls) + len(job.bare_file_ids)
        case Kind.VIDEO:
            reported = None if job.usage is None else job.usage.output_seconds
            return _requested_seconds(job) if reported is None else reported
        case Kind.AUDIO:
            return known_sum(job.durations) if job.durations else job.duration


def _requested_seconds(job: JobRecord) -> float | None:
    try:
        seconds = job.sent_fields().get("duration")
    except DamagedRow:
        return None
    return seconds if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0 else None
