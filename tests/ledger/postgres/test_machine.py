"""Any order of plans, claims, pauses, deaths, adoptions, late answers and decisions of the user, on a real server.

A model of the service notes every create that went out. No order of the members' moves lets a create go out for a job
that others have taken, none goes out while an earlier one may have been accepted, and no TaskId is lost.
"""

# ruff: noqa: S608 — the names are the test's own

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.ledger.claims import ClaimInDoubt, JobTaken
from mps_aigc_async.ledger.fences import HELD
from mps_aigc_async.ledger.postgres import PostgresLedger
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.errors import InvalidRequest, JobDropped, TaskFailed
from mps_aigc_async.model.states import JobState

from ..ledgers import job
from .members import World, accepted, die, intent_of

MEMBERS: Final = 3
JOBS: Final = ("a/image", "b/image")
"""The first one is chosen more often: `A_JOB`."""

A_JOB: Final = st.sampled_from((JOBS[0], JOBS[0], JOBS[0], JOBS[1]))
DROPPED: Final = to_record(JobDropped("given up"))
TROUBLES: Final = (
    "eclipse", "eclipse", "eclipse", "pause", "adopt", "read", "unsent", "replace", "die", "leave", "cut off", "expire",
)  # fmt: skip
FAULT: Final = to_record(TaskFailed("the service failed it"))

T = TypeVar("T")

_numbers = count()


@dataclass
class Exchange:
    """A create that a member has claimed."""

    intent: JobRecord
    task_id: str = ""
    """The service's answer; empty before the create is sent, and if the service refused it."""
    is_sent: bool = False
    is_expired: bool = False
    """Whether the service would refuse the create's signature."""


@dataclass
class Client:
    """A member as its process sees the ledger."""

    ledger: PostgresLedger
    is_paused: bool = False
    rows: dict[str, JobRecord] = field(default_factory=dict)
    exchanges: dict[str, Exchange] = field(default_factory=dict)


class Members(RuleBasedStateMachine):
    """Three members, two jobs, and the service."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.world = World(url)
        self.name = f"n{next(_numbers)}"
        self.runner = asyncio.Runner()
        self.clients = [Client(self.run(self.world.member(self.name))) for _ in range(MEMBERS)]
        self.may_run: dict[str, str] = {}
        """By job: the TaskId of a create that the service accepted, and that no decision of the user has replaced."""
        self.answered: set[str] = set()
        """The TaskIds that members have written, and that the user has not replaced."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def row(self, job_id: str) -> JobRecord:
        """The row as the database has it."""
        row = self.run(self.clients[0].ledger.get(job_id))
        assert row is not None
        return row

    @rule(
        number=st.integers(0, MEMBERS - 1),
        job_id=A_JOB,
        luck=st.sampled_from([True, True, True, False]),
        end=st.sampled_from([JobState.PLANNED, JobState.FAILED, JobState.UNKNOWN]),
    )
    def work(self, number: int, job_id: str, luck: bool, end: JobState) -> None:
        """Have a client do the next thing that it would do with a job, by the row that it has read."""
        client = self.clients[number]
        if client.is_paused:
            return
        exchange, row = client.exchanges.get(job_id), client.rows.get(job_id)
        if exchange is not None and not exchange.is_sent:
            self.send(client, job_id, is_accepted=luck)
        elif exchange is not None:
            self.hear(client, job_id, end, is_heard=luck)
        elif row is None or row.state is JobState.PLANNED:
            self.claim(client, job_id)
        elif row.state is JobState.SUBMITTED:
            self.end(client, row, is_done=not luck)
        elif row.state is JobState.UNKNOWN:
            decision = JobState.SUBMITTED if end is JobState.UNKNOWN else end
            self.settle(client, row, decision)
        elif row.state is JobState.FAILED:
            self.redo(client, row)
        else:
            self.read(client, job_id)

    @rule(number=st.integers(0, MEMBERS - 1), job_id=A_JOB, trouble=st.sampled_from(TROUBLES))
    def trouble(self, number: int, job_id: str, trouble: str) -> None:
        """Have something happen to a member, or to a job."""
        client = self.clients[number]
        match trouble:
            case "eclipse":
                self.eclipse(client)
            case "pause":
                client.is_paused = not client.is_paused
            case "die":
                self.die(number)
            case "leave" if not client.is_paused and not client.exchanges:
                self.leave(number)
            case "cut off":
                self.world.cut_off()
            case "expire":
                self.signatures_expire(job_id)
            case _:
                self.act(client, job_id, trouble)

    def act(self, client: Client, job_id: str, action: str) -> None:
        """Have a member do something out of its turn, unless it stands still."""
        match "" if client.is_paused else action:
            case "adopt":
                self.adopt(client)
            case "read":
                self.read(client, job_id)
            case "unsent":
                self.unsent(client, job_id)
            case "replace":
                self.replace(client, job_id)
            case _:
                pass

    @rule(looks=st.sampled_from([1, 3, 7]))
    def time_passes(self, looks: int) -> None:
        live = [client.ledger for client in self.clients if not client.is_paused]
        self.run(self.world.pass_looks(*live, looks=looks))

    # --- members ------------------------------------------------------------------------------------------------------

    def eclipse(self, client: Client) -> None:
        """A member stands still for so long that another one takes it for gone; then it goes on."""
        others = [other for other in self.clients if other is not client and not other.is_paused]
        self.run(self.world.pass_looks(*(other.ledger for other in others)))
        if others:
            self.adopt(others[0])

    def die(self, number: int) -> None:
        self.run(die(self.clients[number].ledger))
        self.clients[number] = Client(self.run(self.world.member(self.name)))

    def leave(self, number: int) -> None:
        self.run(self.clients[number].ledger.close())
        self.clients[number] = Client(self.run(self.world.member(self.name)))

    def adopt(self, client: Client) -> None:
        for row in self.run(client.ledger.adopt()):
            assert row.state in (JobState.SUBMITTED, JobState.UNKNOWN)
            assert row.driver == (client.ledger.member if row.state is JobState.SUBMITTED else "")
        for job_id in JOBS:
            self.read(client, job_id)

    def read(self, client: Client, job_id: str) -> None:
        if (row := self.run(client.ledger.get(job_id))) is not None:
            client.rows[job_id] = row

    # --- creates ------------------------------------------------------------------------------------------------------

    def claim(self, client: Client, job_id: str) -> None:
        try:
            row = client.rows.get(job_id) or self.run(client.ledger.plan(job(job_id)))
        except InvalidRequest:  # the content was replaced
            return
        client.rows[job_id] = row
        if row.state is not JobState.PLANNED:
            return
        intent = intent_of(row)
        try:
            self.run(client.ledger.claim(row, intent))
        except JobTaken:
            del client.rows[job_id]
        else:
            client.exchanges[job_id] = Exchange(intent)

    def send(self, client: Client, job_id: str, *, is_accepted: bool) -> None:
        exchange = client.exchanges[job_id]
        try:
            try:
                client.ledger.confirm(exchange.intent)
            except ClaimInDoubt:
                self.run(client.ledger.renew())
                client.ledger.confirm(exchange.intent)
        except JobTaken:
            self.never_went_out(client, job_id)
            return
        except ClaimInDoubt:  # cut off
            return
        row = self.row(job_id)
        assert (row.state, row.token, row.driver) == (
            JobState.INTENT, exchange.intent.token, client.ledger._place.me,
        ), "a create is sent for a job that others have taken"  # fmt: skip
        assert job_id not in self.may_run, "a second create is sent while the first may run"
        exchange.is_sent = True
        if is_accepted and not exchange.is_expired:
            exchange.task_id = self.may_run[job_id] = f"4-{self.name}-{next(_numbers)}"

    def never_went_out(self, client: Client, job_id: str) -> None:
        exchange = client.exchanges.pop(job_id)
        self.answer(client, exchange.intent.moved(JobState.PLANNED))

    def unsent(self, client: Client, job_id: str) -> None:
        if job_id in client.exchanges and not client.exchanges[job_id].is_sent:
            self.never_went_out(client, job_id)

    def hear(self, client: Client, job_id: str, refusal: JobState, *, is_heard: bool) -> None:
        exchange = client.exchanges.pop(job_id)
        intent = exchange.intent
        if not exchange.task_id:
            self.answer(client, intent.moved(refusal, error=FAULT if refusal is JobState.FAILED else {}))
        elif not is_heard:  # the answer was lost on its way
            self.answer(client, intent.moved(JobState.UNKNOWN))
        else:
            before = self.row(job_id)
            self.answer(client, accepted(intent, exchange.task_id))
            self.answered.add(exchange.task_id)
            self.check_late(before, intent, exchange.task_id)

    def check_late(self, before: JobRecord, intent: JobRecord, task_id: str) -> None:
        """A TaskId moves a row of its intent from *intent*, *unknown* and *dropped*; otherwise it is an orphan."""
        takes = before.task_id == task_id or (  # the user has attached the task already
            before.token == intent.token
            and (before.state in (JobState.INTENT, JobState.UNKNOWN) or before.error == DROPPED)
        )
        after = self.row(intent.job_id)
        assert takes == (after.task_id == task_id)
        assert takes or task_id in self.orphans()

    def answer(self, client: Client, row: JobRecord) -> None:
        try:
            self.run(client.ledger.put(row))
        except JobTaken:
            client.rows.pop(row.job_id, None)
        else:
            client.rows[row.job_id] = self.row(row.job_id)

    def end(self, client: Client, row: JobRecord, *, is_done: bool) -> None:
        ended = row.moved(JobState.DONE) if is_done else row.moved(JobState.FAILED, error=FAULT)
        self.answer(client, ended)

    # --- the user -----------------------------------------------------------------------------------------------------

    def signatures_expire(self, job_id: str) -> None:
        """Six minutes pass for the creates of a job."""
        self.world.sql(
            "UPDATE mps_aigc_ledger.jobs SET claimed_at = claimed_at - 400 "
            f"WHERE ledger = '{self.name}' AND job_id = '{job_id}'"
        )
        for client in self.clients:
            if job_id in client.exchanges:
                client.exchanges[job_id].is_expired = True

    def settle(self, client: Client, row: JobRecord, state: JobState) -> None:
        job_id, before = row.job_id, self.row(row.job_id)
        may_again = self.run(client.ledger.may_create_again(row))
        changes: dict[str, Any] = {"task_id": self.may_run.get(job_id, "4-x")} if state is JobState.SUBMITTED else {}
        changes |= {"error": DROPPED if state is JobState.FAILED else {}}
        decided = row.moved(state, **changes)
        try:
            self.run(client.ledger.settle(decided))
        except JobTaken:
            client.rows.pop(job_id)
            return
        client.rows[job_id] = self.row(job_id)
        if state is JobState.PLANNED:
            # Its author may have answered meanwhile that the create never went out: the row is as it was to be written.
            is_unsent = before.state is JobState.PLANNED
            assert may_again or is_unsent, "created again while the first create may still go out"
            self.may_run.pop(job_id, None)

    def redo(self, client: Client, row: JobRecord) -> None:
        job_id = row.job_id
        before = self.row(job_id)
        self.answer(client, row.replanned())
        if job_id in client.rows and client.rows[job_id].state is JobState.PLANNED:
            self.may_run.pop(job_id, None)
            self.answered.discard(before.task_id or "")

    def replace(self, client: Client, job_id: str) -> None:
        row = client.rows.get(job_id)
        if row is not None and row.state is JobState.PLANNED:
            try:
                new = replace(row, content='{"prompt":"a dog"}')
                client.rows[job_id] = self.run(client.ledger.replace(row, new))
            except JobTaken:
                client.rows.pop(job_id)

    # --- invariants ---------------------------------------------------------------------------------------------------

    def orphans(self) -> set[str]:
        return {orphan.task_id for orphan in self.run(self.clients[0].ledger.orphans())}

    @invariant()
    def a_job_has_a_driver_exactly_in_the_states_that_have_one(self) -> None:
        rows = self.world.sql(f"SELECT state, member FROM mps_aigc_ledger.jobs WHERE ledger = '{self.name}'")
        assert all((JobState(state) in HELD) == (member is not None) for state, member in rows)

    @invariant()
    def a_job_has_one_claim(self) -> None:
        for job_id in JOBS:
            holders = 0
            for client in self.clients:
                exchange = client.exchanges.get(job_id)
                if exchange is not None and not exchange.is_sent:
                    try:
                        client.ledger.confirm(exchange.intent)
                        holders += 1
                    except (ClaimInDoubt, JobTaken):
                        pass
            assert holders <= 1

    @invariant()
    def no_task_is_lost(self) -> None:
        rows = self.world.sql(f"SELECT task_id FROM mps_aigc_ledger.jobs WHERE ledger = '{self.name}'")
        assert self.answered <= {task_id for (task_id,) in rows} | self.orphans()

    def teardown(self) -> None:
        self.run(self.world.close())
        self.runner.close()


def test_any_order_of_moves_pays_once_and_loses_nothing(database: str) -> None:
    class MembersOfDatabase(Members):
        def __init__(self) -> None:
            super().__init__(database)

    run_state_machine_as_test(
        MembersOfDatabase,
        settings=settings(
            max_examples=8, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
