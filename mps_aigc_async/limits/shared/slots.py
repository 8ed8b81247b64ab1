"""The slots of one kind that several processes or hosts share: rows in a store, and a local view of them.

The view has this member's own slots, always current, and the others' counts of the latest look. A synchronous call
changes the view at once, and reaches the store through the outbox. `acquire` waits for the store. One task does all
that the store is asked, one transaction after the other:

- a look, when the store has changed while creates wait, and every `store.LOOK_S` then. A look that wrote would be a
  change for the others, whose looks would be changes for us;
- a transaction that writes: the outbox, the caps, and the take of a slot or of a place in the queue (`slot_turns`).

The order of a create: row taken, intent in the ledger, row *marked*, send, TaskId in the ledger, row *named*. A process
that is killed between any two of them leaves no task that may run without a row:

- before the mark nothing was sent, and the row goes with the member;
- after it, the row stays for as long as an unknown create may run. The next process finds the job in its ledger and
  takes the row over, by the create's name or the TaskId (`take_for`, `adopt`); once named, until the task's deadline.

If the store's file is replaced, each member writes the rows of its tasks into the new one, at the latest with its next
heartbeat; until then the others may take slots that are not free, and the service refuses their creates.

A member that was taken for gone may come back. `mark` then finds no row, and nothing is sent. The rows of its tasks are
written anew by `refresh`, over the capacity if need be: the tasks run.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import Final

from ...concurrency.callbacks import ignore
from ...concurrency.loops import now
from ...concurrency.owner import TaskOwner
from ...concurrency.turns import TurnQueue
from ...model.errors import TooManyTasks
from ...model.states import Kind
from ...sharing.member import Member
from ..caps import Cap
from ..process.slot import Holder
from ..protocol import STRANDED_S, SlotFigures, SlotLost, Stray
from ..refusals import is_of_one_model
from .caps import CapChange, SharedCaps, Teach
from .outbox import Batch, Outbox
from .own_slots import OwnSlots
from .slot import SharedSlot
from .slot_statements import ALL, Look, SlotStatements, look_of
from .store import NOTIFY, Row, StoreDatabase
from .store_work import StoreWork
from .strays import SharedStrays
from .transaction import Transaction
from .turns import Turns

_log: Final = logging.getLogger("mps_aigc_async")


class SharedSlots:
    """The slots of one kind (`protocol.Slots`), for all clients in one loop."""

    def __init__(
        self,
        database: StoreDatabase,
        key: str,
        kind: Kind,
        capacity: int,
        member: Member,
        *,
        wall: Callable[[], float],
        work: TaskOwner,
    ) -> None:
        """Share the slots of `key`. `wall` is the service's time; `work` owns the tasks."""
        self._database = database
        self.member: Final = member
        self._kind = kind
        self._wall = wall
        self._statements = SlotStatements(f"{key} {kind.value}", member.id)
        self._outbox = Outbox(self._statements, self._wake)
        self.caps: Final = SharedCaps(capacity)
        self._queue = TurnQueue[SharedSlot](lambda: not self._stock, self._is_in_stock, self._hand_over, self.give_back)
        self._stock: list[SharedSlot] = []
        """A slot that was taken in the store, until a waiter has it."""
        self._own = OwnSlots()
        self._by_name: dict[str, SharedSlot] = {}
        self._held_until: dict[SharedSlot, float] = {}
        """The slots of tasks that nobody polls, and when each is given back (the loop's clock)."""
        self._look = Look(0.0, 0, 0, {}, {}, (), {})
        self._turns = Turns(member.id, self.caps, self._queue)
        self._strays = SharedStrays(self._statements, self._outbox.free_task, self._wake)
        self._alarm: asyncio.TimerHandle | None = None
        self._work = StoreWork(
            database,
            work,
            self._exchange,
            has_waiters=lambda: len(self._queue) > 0,
            on_lost=lambda error: self._outbox.fail_marks(str(error)),
        )

    def __repr__(self) -> str:
        return f"<SharedSlots {self.caps.kind.slots.now}/{self.caps.kind.effective_limit}, {len(self._queue)} waiting>"

    # --- taking and finding -------------------------------------------------------------------------------------------

    async def acquire(
        self, ticket: int | None = None, *, model: str = "", on_hold_up: Callable[[], None] = ignore
    ) -> SharedSlot:
        self._work.start()
        waiter = self._queue.join(self._queue.next_ticket() if ticket is None else ticket, model, on_hold_up)
        try:
            if self.caps.of(model).learned_cap is not None and not self.caps.has_room(model):
                on_hold_up()
            self._wake()
            return await waiter.turn
        except BaseException:
            self._queue.withdraw(waiter)
            self._wake()
            raise

    def adopt(
        self, task_id: str, model: str = "", scope: str = "", *, name: str = "", seconds: float = STRANDED_S
    ) -> SharedSlot:
        slot = self._by_name.get(task_id) or (self._by_name.get(name) if name else None)
        if slot is None:
            slot = self._adopt(model)
            slot.create = name or None
        self.name(slot, task_id, scope)
        slot.seconds = seconds
        self._outbox.put(slot.row)
        return slot

    def take_for(self, seconds: float, name: str, model: str = "") -> None:
        if name not in self._by_name:
            self.hold(self._adopt(model), seconds, name)

    def find(self, name: str) -> SharedSlot | None:
        return self._by_name.get(name)

    def on_stray(self, take: Callable[[Stray], None], scope: str = "") -> Callable[[], None]:
        return self._strays.on_stray(take, scope)

    # --- for the handles ----------------------------------------------------------------------------------------------

    async def mark(self, slot: SharedSlot, name: str, seconds: float) -> None:
        if slot.is_lost or slot.holder is Holder.NOBODY or self._work.is_lost or self._work.has_ended:
            raise SlotLost("the store of the limits cannot be reached, or dropped the slot")
        slot.create, slot.seconds = name, seconds
        slot.is_lost = not await self._outbox.mark(slot.id, name, seconds)
        if slot.is_lost:
            raise SlotLost("the other members took this one for gone, and dropped its slot")
        slot.is_marked = True

    def name(self, slot: SharedSlot, task_id: str, scope: str) -> None:
        if slot.holder is Holder.NOBODY:  # `adopt` takes another one for the task
            return
        other = self._by_name.get(task_id)
        if other is not None and other is not slot:  # the task was attached to before: it has a slot of its own
            self.give_back(slot)
            return
        is_news = slot.task != task_id
        self._end_hold(slot)
        self._label(slot, task_id)
        slot.transfer()
        slot.task, slot.scope = task_id, scope
        self._outbox.put(slot.row)
        self._count(slot)
        if is_news and self.caps.note_room(slot.model):
            self._wake()

    def hold(self, slot: SharedSlot, seconds: float, name: str | None) -> None:
        if slot.holder is Holder.NOBODY:
            return
        slot.transfer()
        if name is not None:
            self._label(slot, name)
            slot.create = name
        slot.until = self._wall() + seconds
        self._held_until[slot] = now() + seconds
        self._outbox.put(slot.row)
        self._count(slot)
        self._set_alarm()

    def reclaim(self, slot: SharedSlot) -> bool:
        self._end_hold(slot)
        if slot.holder is Holder.TASK:
            # The row stays as it is: until the next create is marked, the earlier one may be running.
            slot.holder = Holder.CREATE
            self._count(slot)
        return slot.holder is Holder.CREATE

    def give_back(self, slot: SharedSlot) -> None:
        self._end_hold(slot)
        if slot.holder is Holder.NOBODY:
            return
        slot.holder = Holder.NOBODY
        if slot.label is not None and self._by_name.get(slot.label) is slot:
            del self._by_name[slot.label]
        self._own.remove(slot)
        self._outbox.free(slot.id, slot.task)
        self._recount()

    def is_too_small(self, model: str) -> bool:
        """Whether a create of this model that is not sent yet would be refused."""
        return any(cap.is_too_small for cap in self.caps.both(model))

    def note_refusal(self, model: str, refusal: TooManyTasks) -> None:
        """Learn that the service had no room for one more task than now run."""
        teach = partial(Cap.note_refusal, now=self._store_now(), wait_s=refusal.retry_after_s or 0.0)
        self._learn(model if is_of_one_model(refusal) else ALL, teach)

    def note_task_refusal(self, slot: SharedSlot) -> None:
        # Nothing runs in the slot by now: the room that the service has is that of the other slots.
        self.reclaim(slot)
        self._learn(slot.model, partial(Cap.note_task_refusal, now=self._store_now()))

    def _learn(self, model: str, teach: Teach) -> None:
        self.caps.learn(model, teach)
        self._set_alarm()
        self._wake()
        if model != ALL:
            self._queue.hold_up(lambda group: group == model)

    def _add(self, slot: SharedSlot) -> SharedSlot:
        slot.ticket = self._queue.next_ticket()
        self._own.add(slot)
        return slot

    def _adopt(self, model: str) -> SharedSlot:
        slot = self._add(SharedSlot(self, model))
        self._own.unwritten.add(slot.id)
        return slot

    def _label(self, slot: SharedSlot, name: str) -> None:
        if slot.label is not None:
            self._by_name.pop(slot.label, None)
        slot.label = name
        self._by_name[name] = slot

    # --- the view -----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        return self.caps.kind.running

    def figures(self) -> SlotFigures:
        return self.caps.figures(len(self._queue))

    def resize(self, capacity: int) -> None:
        self.caps.resize(capacity)
        self._wake()

    def _count(self, slot: SharedSlot) -> None:
        self._own.count(slot)
        self._recount()

    def _recount(self) -> None:
        self.caps.count(*self._look.with_ours(self._own.taken, self._own.running))
        self.caps.forget(self._queue.__contains__)

    def _absorb(self, rows: list[list[Row]]) -> None:
        look = self._look = look_of(*rows)
        self.caps.absorb(look.caps, look.capacity)
        self._own.count_written(lambda slot_id: slot_id not in self._outbox)
        self._recount()
        self._turns.note(look.tickets, now())

    def _store_now(self) -> float:
        """The store's time."""
        return now() - self._database.loop_time(0.0)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _end_hold(self, slot: SharedSlot) -> None:
        slot.until = None
        self._held_until.pop(slot, None)

    def _set_alarm(self) -> None:
        """Let the alarm ring at the next change that the time brings."""
        of_caps = self._database.loop_time(self.caps.next_change)
        at = min((of_caps, self._turns.next_change, *self._held_until.values()))
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = (
            asyncio.get_running_loop().call_at(at, self._ring) if at < inf and not self._work.has_ended else None
        )

    def _ring(self) -> None:
        time = now()
        for slot in [slot for slot, until in self._held_until.items() if until <= time]:
            self.give_back(slot)
        self._wake()

    # --- the store ----------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._work.wake()

    async def _exchange(self) -> None:
        """Bring the store and the view up to date, and take slots for waiters."""
        if not self._database.is_in_place:
            # The next transaction meets an empty file: our rows go into it before a slot is taken beside them.
            self._write_anew(self._own)
        if not self._must_write():
            self._absorb(await self._database.run(*self._statements.look(self._wall())))
        self.caps.advance(self._store_now())
        while self._must_write() and await self._write():
            pass
        if len(self._queue) and self._turns.are_first and self._strays.is_due(now()):
            self._strays.note(await self._database.run(self._strays.look()), now())
        self._set_alarm()

    def _must_write(self) -> bool:
        """Whether a transaction would change the store."""
        return bool(len(self._outbox) or self.caps.has_changes or self._look.swept or self._turns.must_write(now()))

    async def _write(self) -> bool:
        """Run a transaction that writes. Return whether another one may achieve more at once."""
        model, statements = self._turns.next_model(), self._statements
        slot = SharedSlot(self, model or "")
        plan = Transaction()
        plan.add([statements.lock(self.caps.kind.capacity)])
        if self._look.swept:
            plan.add(statements.sweep(self._wall()))
        batch, caps = self._outbox.batch(), self.caps.changes()
        self._add_changes(plan, batch, caps)
        if model is not None:
            self._add_take(plan, slot)
        elif self._turns.has_ticket:
            plan.add([statements.leave_queue()])
        concerns_others = bool(model is not None or caps or self._look.swept or self._turns.has_ticket)
        if concerns_others or self._own.unwritten:
            plan.add(statements.look(self._wall()), self._absorb)
        if concerns_others or batch.makes_room:
            plan.add([NOTIFY])
        try:
            plan.note(await self._database.run(*plan.steps))
        except BaseException:
            if model is not None:  # the slot may have been taken all the same
                self._outbox.free(slot.id)
            raise
        self._serve_stock()
        has_taken = slot.id in self._own
        return has_taken or self.caps.has_changes or bool(self._look.swept) or self._turns.next_model() != model

    def _add_changes(self, plan: Transaction, batch: Batch, caps: list[CapChange]) -> None:
        plan.add(batch.changes)
        plan.add(batch.marks, batch.note_written)
        states = [self._statements.cap(change.model, change.version, change.state) for change in caps]
        plan.add(states, partial(self._note_caps, caps))

    def _add_take(self, plan: Transaction, slot: SharedSlot) -> None:
        """Add the take of a slot, or else of a place in the queue."""
        plan.add([self._statements.pass_over(number) for number in self._turns.overdue(now())])
        others_wait, capacity = len(self._queue) > 1, self.caps.kind.capacity
        turn = self._statements.take(slot.id, slot.model, capacity, others_wait=others_wait)
        plan.add(turn, partial(self._note_take, slot))

    def _note_caps(self, changes: list[CapChange], rows: list[list[Row]]) -> None:
        for change, written in zip(changes, rows, strict=True):
            if written:
                self.caps.note_written(change)

    def _note_take(self, slot: SharedSlot, rows: list[list[Row]]) -> None:
        if rows[0]:
            self._stock.append(self._add(slot))
            self._own.count(slot)

    # --- waiters ------------------------------------------------------------------------------------------------------

    def _serve_stock(self) -> None:
        self._queue.serve()
        while self._stock:  # its waiter was cancelled meanwhile
            self.give_back(self._stock.pop())

    def _is_in_stock(self, model: str) -> bool:
        return any(slot.model == model for slot in self._stock)

    def _hand_over(self, ticket: int, _model: str) -> SharedSlot:
        slot = self._stock.pop()
        slot.ticket = ticket
        return slot

    # --- the member ---------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Look at the store, and repair it: write the rows of our tasks that are missing, and drop rows that nobody
        here has. Raises LimitsLost."""
        async with self._work.turn:
            *look, rows = await self._database.run(*self._statements.look(self._wall()), self._statements.rows())
            self._absorb(look)
            self._repair(rows)

    def _repair(self, rows: list[Row]) -> None:
        ours = {slot_id for slot_id, member, _ in rows if member == self.member.id}
        tasks = {task for _, member, task in rows if member and task}  # another one polls them, too
        self._write_anew(slot for slot in self._own if slot.id not in ours and slot.task not in tasks)
        for slot_id in (slot_id for slot_id in ours if slot_id not in self._own):
            self._outbox.free(slot_id)
        if self._must_write():
            self._wake()

    def _write_anew(self, slots: Iterable[SharedSlot]) -> None:
        """Write the rows of slots that the store has lost. A slot in which nothing was sent is lost with its row."""
        for slot in slots:
            if slot.may_have_task and slot.id not in self._outbox:
                self._outbox.put(slot.row)
            slot.is_lost = slot.is_lost or not slot.may_have_task

    async def leave(self) -> None:
        """End this member's part. The slots of its tasks stay, for as long as the tasks may run."""
        await self._work.stop()
        self._set_alarm()
        self._outbox.fail_marks("the client was closed")
        batch = self._outbox.batch()
        try:
            lock = self._statements.lock(self.caps.kind.capacity)
            await self._database.run(lock, *batch.changes, *self._statements.leave(self._wall()), NOTIFY)
        except Exception as error:  # noqa: BLE001 — the client closes all the same
            if lost := len(self._outbox):
                _log.warning("%d %s slots changed, and the limit store was not told: %s", lost, self._kind.value, error)
        else:
            batch.note_written([])
