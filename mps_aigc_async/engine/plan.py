"""The plan of a batch: what a run would create, what it would cost, and when it could be finished. Sends nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..catalog import findings
from ..catalog.prices import Estimate, PriceList
from ..jobs.lookahead import is_near_end
from ..jobs.new_steps import IN_DOUBT, WITH_RESULT, is_under_way, steps_to_make
from ..ledger import JobRecord, MemoryRows
from ..ledger.record import request_of
from ..ledger.snapshot import NoLedger
from ..ledger.versions import Version, changes_of, contents_of, parted
from ..model.budget import NOTHING, Amount, Budget
from ..model.defaults import Defaults
from ..model.errors import InvalidRequest, JobCancelled, JobDropped
from ..model.requests import Request, steps_of
from ..model.states import JobState, Kind
from ..policy.finish import USUAL_S, Load, earliest_finish_s
from ..policy.retries import needs_other_request
from .account import AccountSettings
from .batch import BatchItem, as_request
from .checks import ensure_sendable
from .comparison import Compared, Rows, States, compare, versions_in
from .digest_table import DigestTable, Width, digest_of
from .ledgers import LedgerPlace, open_snapshot_at
from .limit_homes import capacities_of, rates_of
from .request_ids import RequestIds
from .room import Room, total_spent


class Standing(StrEnum):
    """The standing of a request in a plan."""

    NEW = "new"
    """Nothing was created for it yet."""
    CHANGED = "changed"
    """A new version is made, because the user says so."""
    UNDER_WAY = "under way"
    """A part of it is made, or at the service; the run goes on with it."""
    KEPT = "kept"
    """All of it is made."""
    CONFLICT = "conflict"
    """Its content differs from the version that is, or may be, paid for."""
    FAILED = "failed"
    """One of its steps has failed, and stays so; the steps after it are blocked."""
    UNKNOWN = "unknown"
    """The create of one of its steps may or may not have been accepted; the steps after it are blocked."""
    REFUSED = "refused"
    """It cannot be sent as written."""
    BEYOND = "beyond the budget"
    """The budget leaves no room for it: it stays planned, until a larger bound."""


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """The tasks of one model that a run would create."""

    kind: Kind
    model: str
    """Name and version; empty for the service's own default."""
    tasks: int
    number: float | None
    """Images, or seconds; None if the length of one of them is unknown."""
    cost: float | None
    """None if one of them has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a batch."""

    requests: Mapping[Standing, int]
    """The number of requests of each standing."""
    creates: Sequence[PlannedWork]
    """The tasks to create, by kind and model."""
    spent: Amount
    """The amount that the ledger has created already, or may have."""
    blocked: Mapping[Kind, int]
    """Steps that are not made, because a step before them has failed or is unknown."""
    finish_s: float
    """Seconds until the last task can have ended: under the limits and caps, with the durations of the ledger's latest
    tasks, or the usual ones."""
    currency: str
    problems: Sequence[tuple[str, str]]
    """The id and the reason of each request that is a conflict, refused or unknown."""
    findings: Sequence[str]
    """Values that a model cannot serve, by documents or reports: the service may refuse them, or make something
    else."""

    @property
    def total(self) -> Amount:
        """Images, seconds and cost of the tasks to create, as far as they are known."""
        amounts = (Amount.of(work.kind, work.number or 0, work.cost or 0) for work in self.creates)
        return sum(amounts, NOTHING)

    @property
    def unpriced(self) -> list[str]:
        """The models that have no price, or of whose tasks one has no length."""
        return [work.model or f"the default model for {work.kind}s" for work in self.creates if work.cost is None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The user's word on requests that a run would otherwise leave as they are."""

    retry_failed: Callable[[JobRecord], bool] | None = None
    """Retry the failed jobs that this accepts; None for none."""
    redo_changed: bool = False
    """Make new versions of requests whose content has changed."""
    redo: Collection[str] = ()
    """The ids of requests to make again."""
    budget: Budget | None = None
    """The bound on all that the ledger creates; None for none."""


@dataclass(frozen=True, slots=True)
class Planner:
    """The values from which plans are made."""

    defaults: Defaults
    prices: PriceList
    backend: str
    check: Callable[[Request], None]
    """Raises InvalidRequest for a request that cannot be sent."""
    rates: Mapping[Kind, float]
    """Creates a second."""
    capacities: Mapping[Kind, int]
    now: float
    """Unix seconds."""

    def plan(self, items: Iterable[BatchItem], rows: Rows, wishes: Wishes, ids: RequestIds | None = None) -> Plan:
        """Plan a run of these requests beside the rows of its ledger."""
        draft = _Draft(self, States(rows), rows, wishes)
        for item in compare(draft.requests_among(items), rows, ids):
            draft.add(item)
        return draft.plan(rows.task_seconds())


class _Draft:
    """A plan while its requests are read."""

    def __init__(self, planner: Planner, states: States, rows: Rows, wishes: Wishes) -> None:
        self._planner = planner
        self._states = states
        self._rows = rows
        self._wishes = wishes
        budget = wishes.budget
        self._room = None if budget is None else Room(budget, rows, planner.prices, planner.defaults, planner.now)
        self._redo = {parted(name)[0] for name in wishes.redo}
        self._names, self._contents = DigestTable(Width.BYTE), DigestTable(Width.BYTE)
        self._standings = Counter[Standing]()
        self._blocked = Counter[Kind]()
        self._running = Counter[Kind]()
        self._estimates: dict[tuple[Kind, str], _Sum] = {}
        self._waits_for: dict[Kind, set[Kind | None]] = {}
        """By kind: the kinds whose results its tasks wait for; None for a task that waits for none."""
        self._problems: list[tuple[str, str]] = []
        self._findings: dict[str, None] = {}

    def requests_among(self, items: Iterable[BatchItem]) -> Iterator[Request]:
        """The requests among these items; the other items are refused."""
        for number, item in enumerate(items, start=1):
            try:
                yield as_request(item)
            except InvalidRequest as error:
                self._problems.append((f"item {number}", error.message))
                self._standings[Standing.REFUSED] += 1

    def add(self, item: Compared) -> None:
        """Count one request."""
        standing, creates = self._judge_repeated(item) or self._judge(item)
        complete = self._planner.defaults.complete(item.request)
        steps = {step.kind: self._planner.prices.estimate(step) for step in steps_of(complete) if step.kind in creates}
        if creates:
            try:
                self._planner.check(item.request)
                self._require_known(steps.values())
            except InvalidRequest as error:
                self._problems.append((item.name, error.message))
                standing, creates = Standing.REFUSED, []
        if creates and not self._has_room(item, steps):
            standing, creates = Standing.BEYOND, []
        self._standings[standing] += 1
        if creates:
            self._count(complete, steps)

    def _require_known(self, estimates: Iterable[Estimate]) -> None:
        """Raise InvalidRequest for a task of which the budget needs to know more."""
        if self._room is not None:
            for estimate in estimates:
                self._room.require_known(estimate)

    def _has_room(self, item: Compared, steps: Mapping[Kind, Estimate]) -> bool:
        if self._room is None:
            return True
        ids = item.latest if item.version is None else item.version
        return self._room.takes({ids.id_of(kind): estimate for kind, estimate in steps.items()})

    def _judge_repeated(self, item: Compared) -> tuple[Standing, list[Kind]] | None:
        """The standing of a request whose id an earlier one has: the run makes the first one."""
        whole = digest_of("\0".join([item.name, *item.contents.values()]))
        if self._names.add(digest_of(item.name), 1):
            self._contents.add(whole, 1)
            return None
        if self._contents.get(whole) is not None:
            return Standing.KEPT, []
        self._problems.append((item.name, "an earlier request of the batch has this id, with other content"))
        return Standing.REFUSED, []

    def _judge(self, item: Compared) -> tuple[Standing, list[Kind]]:
        """The request's standing, and the steps to create."""
        if item.version is None:
            if self._wishes.redo_changed:
                return self._judge_new_version(item)
            changes = changes_of(item.latest, item.contents)
            self._problems.append((item.latest.name, f"changed: {'; '.join(changes)}"))
            return Standing.CONFLICT, []
        if item.name in self._redo:
            return self._judge_new_version(item)
        return self._judge_version(item, item.version)

    def _judge_new_version(self, item: Compared) -> tuple[Standing, list[Kind]]:
        latest = versions_in(self._rows, item.name)[-1]
        if latest.has(item.contents) and is_under_way(latest):
            return self._judge_version(item, latest)
        kinds = steps_to_make(latest, item.contents, self._planner.now)
        in_doubt = [job for kind in kinds if (job := latest.jobs.get(kind)) is not None and job.state in IN_DOUBT]
        for job in in_doubt:
            self._problems.append((job.job_id, f"its create is {job.state}: it may be paid for, so settle it first"))
        return (Standing.UNKNOWN, []) if in_doubt else (Standing.CHANGED, kinds)

    def _judge_version(self, item: Compared, version: Version) -> tuple[Standing, list[Kind]]:
        standing, creates = Standing.KEPT, list[Kind]()
        kinds = list(contents_of(item.request))
        for number, kind in enumerate(kinds):
            state = self._state_of(item, version.id_of(kind))
            if state is JobState.PLANNED and number and not creates and self._has_expired(version, kinds[number - 1]):
                standing = Standing.FAILED
                self._blocked.update(kinds[number:])
                self._problems.append((version.id_of(kind), f"the {kinds[number - 1]}'s URL expires too soon: redo it"))
                break
            if state is JobState.PLANNED:
                standing = Standing.UNDER_WAY if number and standing is not Standing.NEW else Standing.NEW
                creates.append(kind)
            elif state in (JobState.FAILED, *IN_DOUBT):
                standing = Standing.FAILED if state is JobState.FAILED else Standing.UNKNOWN
                self._blocked.update(kinds[number + 1 :])
                if standing is Standing.UNKNOWN:
                    self._problems.append((version.id_of(kind), "its create may or may not have been accepted"))
                break
            elif state is JobState.SUBMITTED:
                standing = Standing.UNDER_WAY
                self._running[kind] += 1
        return standing, creates

    def _has_expired(self, version: Version, kind: Kind) -> bool:
        """Whether the result of a version's step can no longer be used by the next one."""
        name = request_of(version.id_of(kind))
        job = self._rows.of_request(name).get(kind)
        return job is not None and job.state in WITH_RESULT and is_near_end(job, self._planner.now)

    def _state_of(self, item: Compared, job_id: str) -> JobState:
        """The state in which the run will find a job: a job of other content that has cost nothing is planned, and so
        is a failed job that is retried."""
        state = self._states.get(job_id) or JobState.PLANNED
        if state is not JobState.FAILED:
            return state
        name, _, kind = job_id.rpartition("/")
        job = self._rows.of_request(name).get(Kind(kind))
        if job is None or job.content != item.contents.get(job.kind):
            return JobState.PLANNED
        wants = self._wishes.retry_failed
        is_retried = wants is not None and wants(job) and not isinstance(job.recorded_error(), JobDropped)
        return JobState.PLANNED if is_retried else state

    def _count(self, complete: Request, steps: Mapping[Kind, Estimate]) -> None:
        for finding in findings(complete, self._planner.backend):
            if len(self._findings) < MOST_FINDINGS:
                self._findings[str(finding)] = None
        before: Kind | None = None
        for kind, estimate in steps.items():
            self._estimates.setdefault((kind, estimate.model), _Sum()).add(estimate)
            self._waits_for.setdefault(kind, set()).add(before)
            before = kind

    def plan(self, task_seconds: Mapping[Kind, float]) -> Plan:
        """The plan of the requests that were added."""
        works = [
            PlannedWork(kind, model, count.tasks, count.number, count.cost)
            for (kind, model), count in sorted(self._estimates.items(), key=lambda item: list(Kind).index(item[0][0]))
        ]
        tasks = Counter[Kind]()
        for work in works:
            tasks[work.kind] += work.tasks
        loads = {
            kind: Load(
                creates=tasks[kind],
                running=self._running[kind],
                capacity=self._planner.capacities[kind],
                per_second=self._planner.rates[kind],
                task_s=task_seconds.get(kind, USUAL_S[kind]),
            )
            for kind in Kind
        }
        waits = {kind: next(iter(befores)) for kind, befores in self._waits_for.items() if len(befores) == 1}
        return Plan(
            requests={standing: self._standings[standing] for standing in Standing if self._standings[standing]},
            creates=works,
            spent=total_spent(self._rows, self._planner.prices),
            blocked=dict(self._blocked),
            finish_s=earliest_finish_s(loads, {kind: before for kind, before in waits.items() if before is not None}),
            currency=self._planner.prices.currency,
            problems=tuple(self._problems),
            findings=tuple(self._findings),
        )


MOST_FINDINGS: Final = 100
"""Findings that a plan names: a batch of a million lines may have one for each."""


@dataclass(slots=True)
class _Sum:
    """The sum of a model's estimates: unknown as soon as one of them is."""

    tasks: int = 0
    number: float | None = 0
    cost: float | None = 0

    def add(self, estimate: Estimate) -> None:
        self.tasks += 1
        self.number = None if self.number is None or estimate.number is None else self.number + estimate.number
        self.cost = None if self.cost is None or estimate.cost is None else self.cost + estimate.cost


def retry_if_it_may_help(job: JobRecord) -> bool:
    """Whether a failed job may succeed when it is created again as it is."""
    error = job.recorded_error()
    return not (needs_other_request(error) or isinstance(error, JobCancelled))


@contextmanager
def rows_at(place: LedgerPlace) -> Iterator[Rows]:
    """The rows of the ledger at a place; none if it does not exist yet. Raises LedgerError."""
    with ExitStack() as stack:
        rows: Rows = MemoryRows({})
        with suppress(NoLedger):
            rows = stack.enter_context(open_snapshot_at(place))
        yield rows


def planner_of(accounts: Sequence[AccountSettings], now: float) -> Planner:
    """The planner of a client with these accounts."""
    first = accounts[0]
    rates = [rates_of(one.config, one.dialect) for one in accounts]
    return Planner(
        defaults=first.defaults,
        prices=first.config.price_list(),
        backend=first.dialect.backend,
        check=lambda request: ensure_sendable(request, first.defaults, first.dialect, first.buckets, "off"),
        rates={kind: sum(rate.of(first.dialect.create_action(kind)) for rate in rates) for kind in Kind},
        capacities={kind: sum(capacities_of(one.config)[kind] for one in accounts) for kind in Kind},
        now=now,
    )
