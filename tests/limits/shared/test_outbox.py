"""The outbox: the latest change of a slot counts, and nothing is lost while the store does not answer."""

import asyncio

import pytest

from mps_aigc_async.limits import SlotLost
from mps_aigc_async.limits.shared.outbox import Outbox
from mps_aigc_async.limits.shared.slot_statements import SlotRow, SlotStatements, Stage


def outbox() -> Outbox:
    return Outbox(SlotStatements("key", "we"), lambda: None)


def row(slot_id: str, task: str = "task") -> SlotRow:
    return SlotRow(slot_id, "A", Stage.NAMED, None, task, "", 60.0, None)


def test_of_each_slot_the_latest_change_counts() -> None:
    box = outbox()
    box.put(row("1"))
    assert not box.batch().makes_room
    box.put(row("2"))
    box.free("1", "task")
    batch = box.batch()
    assert (len(box), len(batch.changes), batch.makes_room) == (2, 3, True)
    assert ["1" in box, "3" in box] == [True, False]


def test_a_change_made_during_a_transaction_waits_for_the_next() -> None:
    box = outbox()
    box.put(row("1"))
    batch = box.batch()
    box.free("1")
    batch.note_written([])
    assert len(box.batch().changes) == 1
    box.batch().note_written([])
    assert len(box) == 0


async def test_a_mark_tells_whether_the_slot_is_there() -> None:
    box = outbox()
    marks = [asyncio.create_task(box.mark(str(number), "job", 60)) for number in range(2)]
    await asyncio.sleep(0)
    batch = box.batch()
    assert len(batch.marks) == 2
    batch.note_written([[("0",)], []])
    assert (await asyncio.gather(*marks), len(box)) == ([True, False], 0)


async def test_a_cancelled_mark_is_not_written() -> None:
    box = outbox()
    mark = asyncio.create_task(box.mark("1", "job", 60))
    await asyncio.sleep(0)
    batch = box.batch()
    mark.cancel()
    await asyncio.wait({mark})
    assert len(box) == 0
    batch.note_written([[("1",)]])


async def test_marks_fail_with_the_store_and_changes_wait() -> None:
    box = outbox()
    box.free("1")
    mark = asyncio.create_task(box.mark("2", "job", 60))
    await asyncio.sleep(0)
    box.fail_marks("the store is away")
    with pytest.raises(SlotLost, match="the store is away"):
        await mark
    assert len(box) == 1
