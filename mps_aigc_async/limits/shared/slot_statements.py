"""The tables of slots that several processes share, and the statements on them.

A row is a slot that is out. The rows of one kind of an account have one `key`. Each transaction that writes locks the
key's row first, by a statement of its own (`lock`): the statements after it see the rows that the former holder
committed. A count in the same statement as the lock would be older, and the cap would be exceeded by one.

A row is *unmarked* from the take on, *marked* from the moment before its create is sent, and *named* once the TaskId is
known. Of a member that is gone the unmarked rows are dropped; the others stay for their `seconds` from then on, or
until their own `until`. Rows of a living member have no time to live: its task goes on, however long.
"""

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..caps import CapState
from .store import Row, Schema, Step, Value

ALL: Final = "*"
"""The model of the cap on the tasks of all models."""


class Stage(IntEnum):
    """The stage of a row."""

    UNMARKED = 0
    MARKED = 1
    NAMED = 2


SLOTS: Final = Schema(
    "slots",
    1,
    (
        """
        CREATE TABLE mps_aigc_slot_keys (key TEXT PRIMARY KEY, turns BIGINT NOT NULL, capacity BIGINT NOT NULL)
        """,
        """
        CREATE TABLE mps_aigc_slots (
            id TEXT PRIMARY KEY, key TEXT NOT NULL, model TEXT NOT NULL, member TEXT, stage BIGINT NOT NULL,
            name TEXT, task TEXT, scope TEXT NOT NULL, seconds DOUBLE PRECISION NOT NULL, until DOUBLE PRECISION
        )
        """,
        "CREATE INDEX IF NOT EXISTS mps_aigc_slots_by_member ON mps_aigc_slots (key, member, model, stage)",
        "CREATE INDEX IF NOT EXISTS mps_aigc_slots_by_task ON mps_aigc_slots (key, task)",
        "CREATE INDEX IF NOT EXISTS mps_aigc_slots_by_name ON mps_aigc_slots (key, name)",
        """
        CREATE TABLE mps_aigc_tickets (
            key TEXT NOT NULL, member TEXT NOT NULL, number BIGINT NOT NULL, model TEXT NOT NULL,
            capacity BIGINT NOT NULL, PRIMARY KEY (key, member)
        )
        """,
        """
        CREATE TABLE mps_aigc_caps (
            key TEXT NOT NULL, model TEXT NOT NULL, version BIGINT NOT NULL, learned_cap BIGINT,
            is_probing BIGINT NOT NULL, probe_s DOUBLE PRECISION NOT NULL, running_at_refusal BIGINT NOT NULL,
            refuses_tasks BIGINT NOT NULL, probe_at DOUBLE PRECISION NOT NULL,
            paused_until DOUBLE PRECISION NOT NULL, PRIMARY KEY (key, model)
        )
        """,
    ),
    ("DELETE FROM mps_aigc_caps", "DELETE FROM mps_aigc_tickets"),
)
"""The tables; `until` is a wall time, the times of caps are the store's. Tasks outlive a boot, and so do their rows."""

_LIVE: Final = "member IN (SELECT id FROM mps_aigc_members WHERE gone_at IS NULL)"

_OF_THE_GONE: Final = f"key = %(key)s AND member <> %(member)s AND NOT {_LIVE}"

_OF_OTHERS: Final = " UNION ALL ".join(
    f"SELECT model, member, stage FROM mps_aigc_slots WHERE key = %(key)s AND member {side}"
    for side in ("IS NULL", "< %(member)s", "> %(member)s")
)
"""The rows that are not ours. With `<>`, SQLite would walk through our own ones as well, which may be thousands."""

_OVER: Final = "key = %(key)s AND until <= %(wall)s AND member IS NULL"

_SWEEP: Final = (
    f"DELETE FROM mps_aigc_slots WHERE {_OF_THE_GONE} AND stage = 0",
    f"UPDATE mps_aigc_slots SET member = NULL, until = coalesce(until, %(wall)s + seconds) WHERE {_OF_THE_GONE}",
    f"DELETE FROM mps_aigc_slots WHERE {_OVER}",
    f"DELETE FROM mps_aigc_tickets WHERE {_OF_THE_GONE}",
)

_LOCK: Final = """
    INSERT INTO mps_aigc_slot_keys (key, turns, capacity) VALUES (%(key)s, 1, %(capacity)s)
    ON CONFLICT (key) DO UPDATE SET turns = mps_aigc_slot_keys.turns + 1,
        capacity = greatest(mps_aigc_slot_keys.capacity, excluded.capacity)
"""

_TAKE: Final = """
    WITH tasks AS (SELECT model, count(*) AS taken FROM mps_aigc_slots WHERE key = %(key)s GROUP BY model),
    caps AS (
        SELECT model, coalesce(CASE WHEN paused_until > {now} THEN 0 ELSE learned_cap END, 1000000000) AS most
        FROM mps_aigc_caps WHERE key = %(key)s
    ),
    kind AS (
        SELECT coalesce((SELECT sum(taken) FROM tasks), 0) AS taken,
            coalesce((SELECT most FROM caps WHERE model = '*'), 1000000000) AS most
    ),
    room AS (
        SELECT t.number, t.member, t.model,
            least(t.capacity, k.most) - k.taken AS of_kind,
            least(t.capacity, coalesce((SELECT most FROM caps c WHERE c.model = t.model), 1000000000))
                - coalesce((SELECT taken FROM tasks s WHERE s.model = t.model), 0) AS of_model
        FROM kind k CROSS JOIN (
            SELECT number, member, model, capacity FROM mps_aigc_tickets
            WHERE key = %(key)s AND member <> %(member)s
                AND number < coalesce((SELECT number FROM mps_aigc_tickets
                                       WHERE key = %(key)s AND member = %(member)s), 9000000000000000000)
            UNION ALL SELECT -1, %(member)s, %(model)s, %(capacity)s
        ) t
    ),
    ahead AS (SELECT model FROM room WHERE number >= 0 AND of_kind > 0 AND of_model > 0)
    INSERT INTO mps_aigc_slots (id, key, model, member, stage, scope, seconds)
    SELECT %(id)s, %(key)s, %(model)s, %(member)s, 0, '', 0 FROM room
    WHERE number = -1 AND of_kind > (SELECT count(*) FROM ahead)
        AND of_model > (SELECT count(*) FROM ahead WHERE model = %(model)s)
    RETURNING id
"""
"""Take a slot if there is room for us behind the lower tickets whose model has room. `room` has a line for each lower
ticket, and one for us (-1)."""

_TAKEN: Final = "EXISTS (SELECT 1 FROM mps_aigc_slots WHERE id = %(id)s)"

_END_TURN: Final = f"""
    DELETE FROM mps_aigc_tickets WHERE key = %(key)s AND member = %(member)s AND {_TAKEN}
"""

_TICKET: Final = f"""
    INSERT INTO mps_aigc_tickets (key, member, number, model, capacity)
    SELECT %(key)s, %(member)s, turns, %(model)s, %(capacity)s FROM mps_aigc_slot_keys
    WHERE key = %(key)s AND (%(others_wait)s = 1 OR NOT {_TAKEN})
    ON CONFLICT (key, member) DO UPDATE SET model = excluded.model, capacity = excluded.capacity
"""

_PUT: Final = (
    """
    DELETE FROM mps_aigc_slots WHERE id <> %(id)s AND id IN (
        SELECT id FROM mps_aigc_slots WHERE key = %(key)s AND task = %(task)s
        UNION ALL SELECT id FROM mps_aigc_slots WHERE key = %(key)s AND name = %(name)s
    )
    """,
    """
    INSERT INTO mps_aigc_slots (id, key, model, member, stage, name, task, scope, seconds, until)
    VALUES (%(id)s, %(key)s, %(model)s, %(member)s, %(stage)s, %(name)s, %(task)s, %(scope)s, %(seconds)s, %(until)s)
    ON CONFLICT (id) DO UPDATE SET member = excluded.member, stage = excluded.stage, name = excluded.name,
        task = excluded.task, scope = excluded.scope, seconds = excluded.seconds, until = excluded.until
    """,
)
"""Write a slot in which a task may run. A row of the same task goes: a member that was killed left it, or another one
has attached to the task, and a task is counted once."""

_CAP: Final = """
    INSERT INTO mps_aigc_caps (key, model, version, learned_cap, is_probing, probe_s, running_at_refusal,
        refuses_tasks, probe_at, paused_until)
    VALUES (%(key)s, %(model)s, %(version)s + 1, %(learned_cap)s, %(is_probing)s, %(probe_s)s, %(running_at_refusal)s,
        %(refuses_tasks)s, %(probe_at)s, %(paused_until)s)
    ON CONFLICT (key, model) DO UPDATE SET version = excluded.version, learned_cap = excluded.learned_cap,
        is_probing = excluded.is_probing, probe_s = excluded.probe_s,
        running_at_refusal = excluded.running_at_refusal, refuses_tasks = excluded.refuses_tasks,
        probe_at = excluded.probe_at, paused_until = excluded.paused_until
    WHERE mps_aigc_caps.version = %(version)s
    RETURNING version
"""

_LOOK: Final = (
    f"""
    SELECT {{now}}, coalesce((SELECT capacity FROM mps_aigc_slot_keys WHERE key = %(key)s), 0),
        (SELECT count(*) FROM ({_OF_OTHERS}) others WHERE NOT coalesce({_LIVE}, TRUE))
            + (SELECT count(*) FROM mps_aigc_slots WHERE {_OVER})
            + (SELECT count(*) FROM mps_aigc_tickets WHERE {_OF_THE_GONE})
    """,
    f"""
    SELECT model, count(*), count(CASE WHEN stage > 0 THEN 1 END) FROM ({_OF_OTHERS}) others GROUP BY model
    """,
    "SELECT number, member, model, capacity FROM mps_aigc_tickets WHERE key = %(key)s ORDER BY number",
    """
    SELECT model, version, learned_cap, is_probing, probe_s, running_at_refusal, refuses_tasks, probe_at, paused_until
    FROM mps_aigc_caps WHERE key = %(key)s
    """,
)


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A slot in which a task may run, as the store has it."""

    id: str
    model: str
    stage: Stage
    name: str | None
    task: str | None
    scope: str
    seconds: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A member's place in the queue that all members share."""

    number: int
    member: str
    model: str
    capacity: int


@dataclass(frozen=True, slots=True)
class StoredCap:
    """A cap's state as the store has it."""

    version: int
    state: CapState


@dataclass(frozen=True, slots=True)
class Look:
    """The slots of one key as the store had them at a moment."""

    now: float
    """The store's time."""
    capacity: int
    """The largest capacity of all members."""
    swept: int
    """Rows of members that are gone, and rows that are over: the next transaction that writes drops them."""
    taken: dict[str, int]
    """The others' slots that are out, by model."""
    running: dict[str, int]
    """The others' slots in which a task may run, by model."""
    tickets: tuple[Ticket, ...]
    """In their order."""
    caps: dict[str, StoredCap]

    def with_ours(self, taken: Counter[str], running: Counter[str]) -> tuple[Counter[str], Counter[str]]:
        """The others' slots and our own by model, and those of them in which a task may run."""
        return taken + Counter(self.taken), running + Counter(self.running)


class SlotStatements:
    """The statements of one member on the slots of one key."""

    def __init__(self, key: str, member: str) -> None:
        self._ours: dict[str, Value] = {"key": key, "member": member}

    def lock(self, capacity: int) -> Step:
        """Lock the key for the rest of the transaction."""
        return self._step(_LOCK, capacity=capacity)

    def sweep(self, wall: float) -> list[Step]:
        """Drop rows that are over, and take the rows of members that are gone out of their names."""
        return [self._step(text, wall=wall) for text in _SWEEP]

    def take(self, slot_id: str, model: str, capacity: int, *, others_wait: bool) -> list[Step]:
        """Take a slot for the first waiter, or else its place in the queue. The first step returns a row if the slot
        was taken. A waiter behind the first one (`others_wait`) then gets a new place, behind the other members."""
        turn: dict[str, Value] = {"id": slot_id, "model": model, "capacity": capacity}
        ticket = self._step(_TICKET, others_wait=int(others_wait), **turn)
        return [self._step(_TAKE, **turn), self._step(_END_TURN, id=slot_id), ticket]

    def leave_queue(self) -> Step:
        return self._step("DELETE FROM mps_aigc_tickets WHERE key = %(key)s AND member = %(member)s")

    def pass_over(self, number: int) -> Step:
        """Take a ticket out of the queue whose process stands still."""
        return self._step("DELETE FROM mps_aigc_tickets WHERE key = %(key)s AND number = %(number)s", number=number)

    def put(self, row: SlotRow) -> list[Step]:
        """Write a slot in which a task may run."""
        values: dict[str, Value] = {
            "model": row.model, "stage": int(row.stage), "name": row.name, "task": row.task, "scope": row.scope,
            "seconds": row.seconds, "until": row.until,
        }  # fmt: skip
        twins = self._step(_PUT[0], id=row.id, task=row.task, name=row.name)
        return [twins, self._step(_PUT[1], id=row.id, **values)]

    def mark(self, slot_id: str, name: str, seconds: float) -> Step:
        """Mark a slot whose create is about to be sent. Returns a row if the slot is still there."""
        text = """
            UPDATE mps_aigc_slots SET stage = 1, name = %(name)s, seconds = %(seconds)s, until = NULL
            WHERE id = %(id)s AND member = %(member)s RETURNING id
        """
        return self._step(text, id=slot_id, name=name, seconds=seconds)

    def free(self, slot_id: str, task: str | None) -> Step:
        """Drop a slot: its task has ended, or there was none."""
        text = "DELETE FROM mps_aigc_slots WHERE id = %(id)s OR (key = %(key)s AND task = %(task)s)"
        return self._step(text, id=slot_id, task=task)

    def cap(self, model: str, version: int, state: CapState) -> Step:
        """Write a cap's state over the one of `version`. Returns a row unless another member was faster."""
        values: dict[str, Value] = {
            "learned_cap": state.learned_cap, "is_probing": int(state.is_probing), "probe_s": state.probe_s,
            "running_at_refusal": state.running_at_refusal, "refuses_tasks": int(state.refuses_tasks),
            "probe_at": state.probe_at, "paused_until": state.paused_until,
        }  # fmt: skip
        return self._step(_CAP, model=model, version=version, **values)

    def look(self, wall: float) -> list[Step]:
        """Read all that a member has to know of the others (`look_of`)."""
        return [self._step(text, wall=wall) for text in _LOOK]

    def rows(self) -> Step:
        """Read the id, the member and the TaskId of each slot."""
        return self._step("SELECT id, member, task FROM mps_aigc_slots WHERE key = %(key)s")

    def strays(self) -> Step:
        """Read the TaskIds that no living member polls, each with its scope."""
        text = "SELECT task, scope FROM mps_aigc_slots WHERE key = %(key)s AND stage = 2"
        return self._step(f"{text} AND task IS NOT NULL AND (member IS NULL OR NOT {_LIVE})")

    def leave(self, wall: float) -> list[Step]:
        """End the member's part: its tasks run on, and nobody polls them here."""
        mine = "key = %(key)s AND member = %(member)s"
        orphan = "UPDATE mps_aigc_slots SET member = NULL, until = coalesce(until, %(wall)s + seconds)"
        return [
            self._step(f"DELETE FROM mps_aigc_slots WHERE {mine} AND stage = 0"),
            self._step(f"{orphan} WHERE {mine}", wall=wall),
            self.leave_queue(),
        ]

    def _step(self, text: str, **values: Value) -> Step:
        return text, {**self._ours, **values}


def look_of(heads: list[Row], tasks: list[Row], tickets: list[Row], caps: list[Row]) -> Look:
    """Decode the rows of `SlotStatements.look`."""
    [(now, capacity, swept)] = heads
    return Look(
        now,
        capacity,
        swept,
        {model: taken for model, taken, _ in tasks},
        {model: running for model, _, running in tasks},
        tuple(Ticket(*row) for row in tickets),
        {model: StoredCap(version, _cap_state(state)) for model, version, *state in caps},
    )


def _cap_state(columns: list[object]) -> CapState:
    match columns:
        case [
            int() | None as learned_cap, int() as is_probing, float() as probe_s, int() as running,
            int() as refuses_tasks, float() as probe_at, float() as paused_until,
        ]:  # fmt: skip
            return CapState(
                learned_cap, bool(is_probing), probe_s, running, bool(refuses_tasks), probe_at, paused_until
            )
    raise ValueError(f"a cap's row cannot be read: {columns}")
