"""The writes of a row as statements, and the verdict on a write that changed nothing: pure.

Each write is one statement that returns a row if it took. If it returned none, the row is read, and `verdict` says why:
the row already is as it was to be written (a commit whose outcome was open was repeated), or others have it.
"""

# ruff: noqa: S608 — the statements are put together from constant names

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, cast

from ...model.budget import NOTHING, Amount, Bound
from ...model.errors import AigcError
from ...model.states import JobState, Kind
from ...sharing.connection import Row, Step, Value
from ..claims import ForeignJob, JobTaken, NotAhead, new_token
from ..fences import FENCES, HELD, Writer
from ..record import JobRecord, request_of
from ..schema import COLUMNS, from_row, to_row
from ..schema import Row as Columns
from ..spending import total_of_jobs
from .ahead_statements import IS_AHEAD
from .budget_statements import IS_WITHIN, room

SIGNATURE_S: Final = 360
"""Seconds after an intent in which its create may still be sent by a member that stood still: a signature of TC3 is
refused after 5 minutes (cloud.tencent.com/document/api/862/37571, 2026-11), and clocks differ."""

CHANNEL: Final = "mps_aigc_ledger"
"""The channel on which changed rows are announced."""

_KEY: Final = "ledger = %(ledger)s AND job_id = %(job_id)s"
NOTIFY: Final = (
    f"RETURNING pg_notify('{CHANNEL}', "
    "encode(sha256(convert_to(stored.ledger || ' ' || stored.job_id, 'UTF8')), 'hex'))"
)
"""Announce the row by a digest: a notice has less than 8000 bytes, and a job's id may be long."""
_NOW: Final = "extract(epoch FROM clock_timestamp())::double precision"

_SET: Final = ", ".join(f"{name} = %({name})s" for name in ("owner", *COLUMNS) if name not in ("job_id", "planned_at"))
"""The owner too: a planned job is common to a client's accounts, and its intent gives it to one of them."""

# `%%` is a percent sign: the driver reads `%(name)s` as a parameter.
DROPPED: Final = """stored.state = 'failed' AND stored.error LIKE '{"type": "JobDropped"%%'"""
"""Whether the user has dropped the job: `errors.to_record` writes the type first."""

_FENCE: Final = (
    "stored.owner = ANY(%(owners)s) AND stored.token = %(fence)s AND (stored.member IS NULL OR stored.member = %(me)s)"
)

_INSERT: Final = (
    f"INSERT INTO mps_aigc_ledger.jobs AS stored (ledger, owner, token, member, {', '.join(COLUMNS)}) "
    f"VALUES (%(ledger)s, %(owner)s, %(token)s, %(member)s, {', '.join(f'%({name})s' for name in COLUMNS)})"
)

_PUT: Final = f"""{_INSERT} ON CONFLICT (ledger, job_id) DO UPDATE
    SET {_SET}, member = %(member)s, author = nullif(stored.author, %(me)s)
    WHERE {_FENCE} AND (stored.state = ANY(%(origins)s) OR (%(may_undrop)s AND {DROPPED})) {NOTIFY}"""

_PLAN: Final = f"{_INSERT} ON CONFLICT (ledger, job_id) DO NOTHING {NOTIFY}"

_CLAIMED: Final = f"""UPDATE mps_aigc_ledger.jobs AS stored
    SET {_SET}, token = %(token)s, member = %(me)s, author = %(me)s, claimed_at = {_NOW}
    WHERE {_KEY} AND {_FENCE} AND stored.state = %(origin)s"""

_REPLACE: Final = f"""UPDATE mps_aigc_ledger.jobs AS stored SET {_SET}, token = %(token)s
    WHERE {_KEY} AND {_FENCE} AND stored.state = %(origin)s {NOTIFY}"""

_NOTE: Final = f"""UPDATE mps_aigc_ledger.jobs AS stored
    SET position = %(position)s, save_to = %(save_to)s, steps = %(steps)s,
        amount = CASE WHEN stored.state = %(state)s THEN %(amount)s ELSE stored.amount END,
        cost = CASE WHEN stored.state = %(state)s THEN %(cost)s ELSE stored.cost END
    WHERE {_KEY} AND stored.owner = ANY(%(owners)s) AND stored.token = %(fence)s {NOTIFY}"""

CREATE_AGAIN: Final = f"(stored.author IS NULL OR stored.claimed_at < {_NOW} - {SIGNATURE_S})"
"""Whether no create of the row's latest intent can go out any more."""

_SETTLE: Final = f"""UPDATE mps_aigc_ledger.jobs AS stored SET {_SET}, member = %(member)s
    WHERE {_KEY} AND {_FENCE} AND stored.state = 'unknown' AND (%(state)s <> 'planned' OR {CREATE_AGAIN})
    {NOTIFY}"""

_READ: Final = f"""SELECT stored.owner, stored.token, coalesce(stored.member, ''),
    coalesce(member.program || ' (process ' || member.pid || ' on ' || member.host || ')', ''),
    {", ".join(f"stored.{name}" for name in COLUMNS)}
    FROM mps_aigc_ledger.jobs AS stored LEFT JOIN mps_aigc_ledger.members AS member ON member.id = stored.member
    WHERE stored.ledger = %(ledger)s AND stored.job_id = %(job_id)s"""

_ORPHAN: Final = f"""INSERT INTO mps_aigc_ledger.orphans (ledger, owner, job_id, token, task_id, kind, model, at)
    VALUES (%(ledger)s, %(owner)s, %(job_id)s, %(token)s, %(task_id)s, %(kind)s, %(model)s, {_NOW})
    ON CONFLICT DO NOTHING"""

_PAID: Final = frozenset({JobState.SUBMITTED, JobState.DONE, JobState.SAVED})


@dataclass(frozen=True, slots=True)
class Place:
    """A member's place in a database: the ledger's name, the owners whose rows the member may use, and its id."""

    ledger: str
    owners: Mapping[str, str]
    """By account: the owner as canonical JSON. The first one is the client's own, where it has several accounts."""
    me: str

    @property
    def account(self) -> str:
        return next(iter(self.owners))

    @property
    def owner(self) -> str:
        return self.owners[self.account]

    @property
    def keys(self) -> Mapping[str, Value]:
        owners = list(self.owners.values())
        # The chains of all accounts of a client are counted together, in whatever order its config has them.
        return {"ledger": self.ledger, "owner": self.owner, "owners": owners, "chains_of": min(owners), "me": self.me}

    def owner_of(self, job: JobRecord) -> str:
        """The owner of a job's row."""
        return self.owners.get(job.account, self.owner)

    def named(self, job: JobRecord, owner: str) -> JobRecord:
        """The job of a row of one of the owners, with its account if that is not the first one."""
        if owner == self.owner:
            return job
        account = next((name for name, text in self.owners.items() if text == owner), "")
        return replace(job, account=account)


def owner_text(belongs_to: Mapping[str, str]) -> str:
    """The owner as it stands in a row."""
    return json.dumps(dict(belongs_to), sort_keys=True, ensure_ascii=False)


# --- the kinds of writes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """Store a new job, unless its id is taken."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class Claim:
    """Write an intent over the row that was read."""

    before: JobRecord
    job: JobRecord
    ahead_of: Collection[Kind] = ()
    """The kinds of steps that the job's chain must run ahead of. A create that may have been accepted is sent again in
    any case: the chain has begun."""
    bound: Bound | None = None
    """The bounds on the ledger's total with this intent."""

    @property
    def needs_room(self) -> bool:
        return bool(self.ahead_of) and self.before.state is JobState.PLANNED


@dataclass(frozen=True, slots=True)
class Put:
    """Write a row as the job's driver, or as the answer to the writer's own claim."""

    job: JobRecord
    writer: Writer


@dataclass(frozen=True, slots=True)
class Note:
    """Write the terms of a row alone: its state may be another one by now, and whoever drives the job goes on."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class Settle:
    """Write the user's decision about an unknown job."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class Replace:
    """Write another plan over the row that was read: *planned*, or *failed* without a task."""

    before: JobRecord
    job: JobRecord


Move: TypeAlias = Plan | Claim | Put | Note | Settle | Replace


def driver_after(job: JobRecord, me: str) -> str:
    """The member that drives the job once its row is written."""
    return me if job.state in HELD else ""


def step(move: Move, place: Place) -> Step:
    """The statement of a write."""
    job = move.job
    values: dict[str, Value] = {
        **columns_of(job), **place.keys, "owner": place.owner_of(job), "token": job.token, "fence": job.token,
        "member": driver_after(job, place.me) or None,
    }  # fmt: skip
    match move:
        case Plan():
            return _PLAN, values
        case Claim(before):
            values |= {"fence": before.token, "origin": before.state.value}
            statement = _CLAIMED
            if move.needs_room:
                statement += f" AND {IS_AHEAD}"
                values |= {"chain": request_of(job.job_id), "ahead_of": list(move.ahead_of)}
            if move.bound is not None:
                statement += f" AND {IS_WITHIN}"
                values |= room(job, move.bound)
            return f"{statement} {NOTIFY}", values
        case Put(_, writer):
            return _PUT, values | {
                "origins": sorted(FENCES[writer][job.state]),
                "may_undrop": writer is Writer.ANSWER and job.state is JobState.SUBMITTED,
            }
        case Note():
            return _NOTE, values
        case Settle():
            return _SETTLE, values
        case Replace(before):
            return _REPLACE, {**values, "fence": before.token, "origin": before.state.value}


def columns_of(job: JobRecord) -> dict[str, Value]:
    """The columns of a row. PostgreSQL stores no NUL character, and the row of a paid task must not be lost for one."""
    return {
        name: value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
        for name, value in zip(COLUMNS, to_row(job), strict=True)
    }


# --- the verdict ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CurrentRow:
    """A row as the database has it now."""

    owner: str
    token: str
    member: str
    driver: str
    """The member that drives the job, for people."""
    columns: Columns

    @classmethod
    def of(cls, row: Row) -> "CurrentRow":
        owner, token, member, driver, *columns = row
        return cls(owner, token, member, driver, tuple(columns))

    @property
    def state(self) -> str:
        return str(self.columns[COLUMNS.index("state")])

    @property
    def task_id(self) -> str | None:
        return cast("str | None", self.columns[COLUMNS.index("task_id")])

    def record(self, place: Place) -> JobRecord:
        """The job of the row. Raises DamagedRow."""
        return place.named(replace(from_row(self.columns), token=self.token, driver=self.member), self.owner)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a write that changed nothing."""

    error: AigcError | None
    """The error for the caller; None if the row is as it was to be written."""
    step: Step | None = None
    """A statement to run before the caller hears of the error."""


def reading(move: Move, place: Place) -> Step:
    """The statement that reads the row of a write that changed nothing."""
    return _READ, {**place.keys, "job_id": columns_of(move.job)["job_id"]}


def verdict(move: Move, current: CurrentRow | None, place: Place, total: Amount = NOTHING) -> Verdict:
    """Judge a write that changed nothing by the row as it is now. `total` is the ledger's, for claims with bounds."""
    if current is not None and current.owner not in place.owners.values():
        return Verdict(foreign_row(move.job.job_id, place, current.owner))
    if current is not None and _is_as_written(move, current, place):
        return Verdict(None)
    job = move.job
    if isinstance(move, Claim) and current is not None and _is_unsent(move, current):
        # An earlier try of this commit took, and others have judged this member gone since: nothing was sent.
        back = replace(move.before, token=job.token)
        return Verdict(_taken(job, current), step(Put(back, Writer.ANSWER), place))
    if isinstance(move, Claim) and current is not None and _is_as_read(move, current, place):
        refusal = move.bound and move.bound.refusal(total + total_of_jobs([job]), job.job_id)
        if refusal is not None or move.needs_room:
            return Verdict(refusal or _not_ahead(job))
    if isinstance(move, Settle) and current is not None and (current.token, current.state) == (job.token, "unknown"):
        return Verdict(_too_early(job))
    has_task = current is not None and current.task_id == job.task_id
    if isinstance(move, Put) and job.task_id and job.state in _PAID and not has_task:
        return Verdict(_taken(job, current, job.task_id), _orphan(job, place))
    return Verdict(_taken(job, current))


def _is_as_written(move: Move, current: CurrentRow, place: Place) -> bool:
    if isinstance(move, Plan):
        return True
    as_written = current.token, current.member, current.columns
    return as_written == (move.job.token, driver_after(move.job, place.me), tuple(columns_of(move.job).values()))


def _is_as_read(claim: Claim, current: CurrentRow, place: Place) -> bool:
    before = claim.before
    return (current.token, current.state) == (before.token, before.state) and current.member in ("", place.me)


def _is_unsent(claim: Claim, current: CurrentRow) -> bool:
    return (current.token, current.state, current.member) == (claim.job.token, "unknown", "")


def _taken(job: JobRecord, current: CurrentRow | None, orphan: str | None = None) -> JobTaken:
    if current is None:
        text = "the ledger has no row of the job any more"
    elif current.member:
        text = f"{current.driver or f'the member {current.member}'} drives the job, which is {current.state}"
    else:
        text = f"another client has changed the job, which is {current.state} now"
    if orphan:
        text += f"; its row could not take task {orphan}, which may be billed: the ledger lists it among its orphans"
    return JobTaken(f"{text}; read the job again", job_id=job.job_id, task_id=orphan)


def _not_ahead(job: JobRecord) -> NotAhead:
    return NotAhead(
        "other clients of the ledger took this one for gone: its chain waits to run ahead again", job_id=job.job_id
    )


def _too_early(job: JobRecord) -> JobTaken:
    return JobTaken(
        "the client that was about to send the job's create may still send it: create the job again "
        f"{SIGNATURE_S // 60} minutes after that intent, or once that client has ended",
        job_id=job.job_id,
    )


def foreign_row(job_id: str, place: Place, owner: str) -> ForeignJob:
    """The error for a row of another owner."""
    here, there = (cast("dict[str, str]", json.loads(text)) for text in (place.owner, owner))
    part = next((part for part in here if here[part] != there.get(part)), "account")
    return ForeignJob(
        f"the job belongs to {part} {there.get(part)!r} in the ledger {place.ledger}, and this client is of {part} "
        f"{here[part]!r}: its task cannot be polled from here; use the other configuration (or name the account in "
        "`accounts`), another id, or another ledger",
        job_id=job_id,
    )


def _orphan(job: JobRecord, place: Place) -> Step:
    values = columns_of(job)
    fields = {name: values[name] for name in ("job_id", "task_id", "kind")}
    return _ORPHAN, {**place.keys, "owner": place.owner_of(job), **fields, "token": job.token, "model": job.model}


def fresh(job: JobRecord) -> JobRecord:
    """The job with a token of its own."""
    return replace(job, token=new_token())
