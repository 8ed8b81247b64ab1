"""The slots as a client of shared limits gets them: kept up to date by its heartbeats, and left in order."""

import asyncio
import time
from pathlib import Path

from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.shared.limits import SharedLimits
from mps_aigc_async.limits.shared.opening import SharedPart, open_shared
from mps_aigc_async.limits.shared.slots import SharedSlots
from mps_aigc_async.model.states import Kind

from ..homes import ACTION
from ..measuring import rate_of
from ..slot_homes import flush


async def open_part(place: Path, region: str) -> SharedPart:
    part = await open_shared(place, LimitsKey("mps", "https://mps.example", "account", region), Rates(20))
    assert part is not None
    part.limits.share_slots({Kind.IMAGE: 1}, time.time)
    return part


def images(limits: SharedLimits) -> SharedSlots:
    slots = limits.slots[Kind.IMAGE]
    assert isinstance(slots, SharedSlots)
    return slots


async def test_all_regions_share_the_slots_and_a_closed_clients_tasks_keep_theirs(tmp_path: Path) -> None:
    one, two = await open_part(tmp_path, "one"), await open_part(tmp_path, "two")
    slot = await images(one.limits).acquire()
    waiting = asyncio.create_task(images(two.limits).acquire())
    slot.release()
    (await waiting).release()
    images(one.limits).adopt("task-1")
    await one.leave()
    await two.limits.beat()
    assert images(two.limits).figures().taken == 1
    two.limits.share_slots({Kind.IMAGE: 2}, time.time)
    (await images(two.limits).acquire()).release()
    await two.leave()


async def test_the_last_refusal_of_a_closing_client_slows_the_others(tmp_path: Path) -> None:
    one, other = await open_part(tmp_path, "here"), await open_part(tmp_path, "here")
    send_time = await one.limits.pace(ACTION).reserve()
    await send_time.reach()
    send_time.note_refusal()
    await one.leave()
    await (await other.limits.pace(ACTION).reserve()).reach()
    assert rate_of(other.limits.pace(ACTION)) < 19
    await other.leave()


async def test_a_client_may_close_before_its_changes_begin(tmp_path: Path) -> None:
    part = await open_part(tmp_path, "here")
    pace = part.limits.pace(ACTION)
    (await pace.reserve()).note_refusal()
    pace.hold(1)
    await part.limits._changes.close()  # cancels them before their first step
    assert part.limits._changes.ended_early == 2
    await part.leave()


async def test_a_heartbeat_repairs_the_rows(tmp_path: Path) -> None:
    part = await open_part(tmp_path, "one")
    images(part.limits).adopt("task-1")
    (tmp_path / "slots.sqlite").unlink()
    await part.limits.beat()
    other = await open_part(tmp_path, "two")
    await flush(images(part.limits))
    await other.limits.beat()
    assert images(other.limits).figures().taken == 1
    await other.leave()
    await part.leave()


async def test_a_file_that_was_removed_is_filled_before_a_slot_is_taken_in_it(tmp_path: Path) -> None:
    part = await open_part(tmp_path, "one")
    slots = images(part.limits)
    slots.adopt("task-1")
    await flush(slots)
    (tmp_path / "slots.sqlite").unlink()
    waiting = asyncio.create_task(slots.acquire())
    while slots.figures().waiting == 0 or len(slots._outbox):  # noqa: ASYNC110 — the store tells nobody
        await asyncio.sleep(0)
    await part.limits.beat()
    assert (waiting.done(), slots.figures().taken) == (False, 1)
    waiting.cancel()
    await part.leave()
