"""Slots in a shared store under random clients, races and kills; `test_homes_slots` has the promises of all homes."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mps_aigc_async.limits.shared.slot import SharedSlot
from mps_aigc_async.limits.shared.slots import SharedSlots
from mps_aigc_async.model.errors import TooManyTasks
from mps_aigc_async.model.states import Ending

from ..slot_homes import Client, Home, flush, settle, turns

CAPACITY = 2

ACTIONS = ["acquire", "acquire", "acquire", "cancel", "mark", "name", "hold", "release", "release", "refuse"]
TROUBLES = ["kill", "lose", "restore", "sleep"]


class Crowd:
    """Three clients of one account that do anything at any time."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.clients: list[Client] = []
        self.waiting: list[tuple[SharedSlots, asyncio.Task[SharedSlot]]] = []
        self.slots: list[SharedSlot] = []
        self.names = 0

    async def add(self) -> None:
        self.clients.append(await self.home.client(CAPACITY))

    async def act(self, action: str, number: int) -> None:
        client = self.clients[number % len(self.clients)]
        method: Callable[[Client, int], Coroutine[None, None, None]] = getattr(self, f"_{action}")
        await method(client, number)
        await turns(number % 5)
        await self.require_room()

    async def require_room(self) -> None:
        """No cap is exceeded by one, at any time."""
        assert await self.home.count() <= CAPACITY
        for client in self.clients:  # the numbers that are kept with each change are those of all slots
            slots = client.slots
            counted = [slot for slot in slots._own if slot.id not in slots._own.unwritten]
            assert slots._own.taken == Counter(slot.model for slot in counted)
            assert +slots._own.running == Counter(slot.model for slot in counted if slot.transferred)

    async def _acquire(self, client: Client, number: int) -> None:
        task = asyncio.create_task(client.slots.acquire(model="AB"[number % 2]))
        self.waiting.append((client.slots, task))
        task.add_done_callback(lambda task: None if task.cancelled() else self.slots.append(task.result()))

    async def _cancel(self, _: Client, number: int) -> None:
        if self.waiting:
            self.waiting[number % len(self.waiting)][1].cancel()

    def _slot(self, number: int) -> SharedSlot | None:
        return self.slots[number % len(self.slots)] if self.slots else None

    async def _mark(self, _: Client, number: int) -> None:
        if (slot := self._slot(number)) is not None:
            marking = asyncio.create_task(slot.mark(f"job {id(slot)}", 180))
            marking.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _name(self, _: Client, number: int) -> None:
        if (slot := self._slot(number)) is not None:
            self.names += 1
            slot.name(f"task-{self.names}")

    async def _hold(self, _: Client, number: int) -> None:
        if (slot := self._slot(number)) is not None:
            slot.hold_for(number, f"job {id(slot)}")

    async def _release(self, _: Client, number: int) -> None:
        if (slot := self._slot(number)) is not None:
            self.slots.remove(slot)
            slot.release()

    async def _refuse(self, _: Client, number: int) -> None:
        if (slot := self._slot(number)) is not None:
            code = ["RequestLimitExceeded", "LimitExceeded.CreateTask"][number % 2]
            slot.note_refusal(TooManyTasks(code, "", ending=Ending.REFUSED_FOR_NOW))

    async def _kill(self, client: Client, _: int) -> None:
        await self._restore(client, 0)
        await client.kill()
        self.waiting = [(slots, task) for slots, task in self.waiting if slots is not client.slots]
        self.slots = [slot for slot in self.slots if slot.id not in client.slots._own]
        self.clients.remove(client)
        await self.add()

    async def _lose(self, client: Client, number: int) -> None:
        client.database.loses_answers, client.database.is_lost = number % 2 == 0, number % 2 == 1

    async def _restore(self, client: Client, _: int) -> None:
        client.database.is_lost = client.database.loses_answers = False

    async def _sleep(self, _: Client, number: int) -> None:
        await asyncio.sleep(number / 10)

    async def end(self) -> None:
        """End all work, and wait until the store is empty."""
        for client in self.clients:
            await self._restore(client, 0)
        await turns()
        while self.slots or any(not task.done() for _, task in self.waiting):
            for slot in self.slots:
                slot.release()
            self.slots.clear()
            await asyncio.sleep(10)
        for wait_s in (4000, 0):  # killed clients leave rows for as long as their tasks may run
            await settle(*(client.slots for client in self.clients))
            await asyncio.sleep(wait_s)
        assert await self.home.count() == 0
        for client in self.clients:
            figures = client.slots.figures()
            assert (figures.taken, figures.running, figures.waiting) == (0, 0, 0)
            assert client.slots._by_name == {}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS * 2 + TROUBLES), st.integers(0, 30)), max_size=60))
def test_no_cap_is_ever_exceeded_and_no_slot_is_lost(actions: list[tuple[str, int]]) -> None:
    async def main() -> None:
        crowd = Crowd(home)
        for _ in range(3):
            await crowd.add()
        for action, number in actions:
            await crowd.act(action, number)
        await crowd.end()

    with TemporaryDirectory() as folder:
        home = Home("host", Path(folder))
        home.run(main)


@pytest.mark.parametrize("name", ["host", "postgres"])
def test_in_a_real_race_of_threads_no_cap_is_exceeded(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place: Path | str = request.getfixturevalue("database") if name == "postgres" else tmp_path
    most, takes = list[int](), list[int]()

    async def main() -> None:
        client = await home_of_thread.home.client(3)

        async def work() -> None:
            for _ in range(5):
                slot = await client.slots.acquire()
                most.append(await home_of_thread.home.count())
                await slot.mark(f"job {slot.id}", 180)
                slot.name(slot.id)
                slot.release()
            takes.append(5)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(work())
        await flush(client.slots)
        await client.close()

    home_of_thread = threading.local()

    def race() -> None:
        home_of_thread.home = Home(name, place)
        home_of_thread.home.run_for_real(main)

    asyncio.run(_opened(Home(name, place)))
    threads = [threading.Thread(target=race) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(takes) == 60
    assert 1 < max(most) <= 3


async def _opened(home: Home) -> None:
    """Make the tables."""
    client = await home.client(1)
    await client.database.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.limits.slot_homes import Home, flush
from mps_aigc_async.sharing.member import Member

async def main():
    client = await home.client(1, Member.here())
    slot = await client.slots.acquire()
    if sys.argv[2] != "taken":
        await slot.mark("job 1", 180)
    if sys.argv[2] in ("named", "ended"):
        slot.name("task-1")
        await flush(client.slots)
    if sys.argv[2] == "ended":
        slot.release()
        await flush(client.slots)
    os.kill(os.getpid(), signal.SIGKILL)

home = Home("host", Path(sys.argv[1]))
home.run_for_real(main)
"""


@pytest.mark.parametrize(("step", "rows"), [("taken", 0), ("marked", 1), ("named", 1), ("ended", 0)])
def test_a_process_that_is_killed_after_any_step_leaves_a_row_only_if_a_task_may_run(
    step: str, rows: int, tmp_path: Path
) -> None:
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), step],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    async def main() -> None:
        client = await home.client(1)
        await client.members.beat()  # the process has ended: gone at once
        await client.slots.refresh()
        await flush(client.slots)
        assert await home.count() == rows
        adopted = client.slots.adopt("task-1", name="job 1")
        await settle(client.slots)
        assert await home.count() == 1
        adopted.release()
        (await client.slots.acquire()).release()

    home = Home("host", tmp_path)
    home.run_for_real(main)
