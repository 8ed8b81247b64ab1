"""Freeing the slots that a crashed machine has left in a store of the limits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...model.errors import InvalidRequest
from ...sharing.database_url import DatabaseUrl
from ...sharing.looks import APART_S, ENOUGH
from .limits import Store
from .opening import open_store
from .pace_statements import AGREE, LEAVE, STREAMS
from .slot_statements import Stage
from .store import NOTIFY, LimitsLost, Step, StoreUnusable, Value
from .view import LimitsView, MemberView
from .viewing import view_of

_TAKE_OUT: Final = "DELETE FROM mps_aigc_members WHERE id = %(id)s AND beat = %(beat)s"
_IS_THERE: Final = "SELECT 1 FROM mps_aigc_members WHERE id = %(id)s"

_ITS: Final = "(member = %(id)s OR member IS NULL AND substr(id, 1, %(length)s) = %(prefix)s)"
_KEYS: Final = f"""
    SELECT key FROM mps_aigc_slots WHERE {_ITS}
    UNION SELECT key FROM mps_aigc_tickets WHERE member = %(id)s ORDER BY key
"""
_LOCK: Final = "UPDATE mps_aigc_slot_keys SET turns = turns + 1 WHERE key = %(key)s"
_FREE: Final = f"""
    DELETE FROM mps_aigc_slots WHERE key = %(key)s AND {_ITS} AND NOT EXISTS ({_IS_THERE}) RETURNING stage, task
"""
_LEAVE_QUEUE: Final = f"""
    DELETE FROM mps_aigc_tickets WHERE key = %(key)s AND member = %(id)s AND NOT EXISTS ({_IS_THERE})
"""
# ruff: noqa: S608 — the statements are put together from constants


@dataclass(frozen=True, slots=True)
class Freed:
    """The slots that a forgotten member had."""

    slots: int
    task_ids: tuple[str, ...]
    """Tasks that may still run at the service."""
    unknown: int
    """Creates whose answer the store does not know: they may have made tasks."""


def member_named(view: LimitsView, name: str) -> str:
    """The id that begins with `name`. Raises InvalidRequest unless there is exactly one."""
    ids = [member_id for member_id in view.ids() if name and member_id.startswith(name)]
    if name in ids:
        return name
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise InvalidRequest(f"several members begin with {name}: {', '.join(ids)}; write more of the id")
    raise InvalidRequest(f"the limit store has no member {name}: `mps-aigc status --limits` lists them")


async def _until_next_look() -> None:
    await asyncio.sleep(APART_S)


async def forget(
    place: Path | DatabaseUrl | None, name: str, pause: Callable[[], Awaitable[None]] = _until_next_look
) -> Freed:
    """Take a member that is gone out of the store, and free its slots. `pause` waits until the next heartbeat is due.

    Raises InvalidRequest for a member that lives, and StoreUnusable, NewerStore.
    """
    view = view_of(place)
    member_id = member_named(view, name)
    member = view.member(member_id)
    if member is not None:
        await _require_gone(member, place, pause)
    try:
        store = await open_store(place)
        try:
            return await _free(store, member_id, 0 if member is None else member.beat)
        finally:
            await store.close()
    except LimitsLost as error:
        raise StoreUnusable(str(error)) from None


async def _require_gone(
    member: MemberView, place: Path | DatabaseUrl | None, pause: Callable[[], Awaitable[None]]
) -> None:
    """Raise InvalidRequest if the member's process runs here, or its heartbeat moves."""
    if member.has_ended is False:
        raise InvalidRequest(
            f"member {member.member.id} is alive: {member.member} runs on this machine; end the process first"
        )
    if member.is_gone:
        return
    for _ in range(ENOUGH):  # as long as the other members look
        await pause()
        now = view_of(place).member(member.member.id)
        if now is None or now.gone_s is not None:
            return
        if now.beat != member.beat:
            raise _alive(member.member.id)


def _alive(member_id: str) -> InvalidRequest:
    return InvalidRequest(f"member {member_id} is alive: its heartbeat moves; end its process first")


async def _free(store: Store, member_id: str, beat: int) -> Freed:
    ours: dict[str, Value] = {"id": member_id, "prefix": f"{member_id}.", "length": len(member_id) + 1}
    _, there, keys = await store.slots.run((_TAKE_OUT, {**ours, "beat": beat}), (_IS_THERE, ours), (_KEYS, ours))
    if there:
        raise _alive(member_id)
    rows = []
    for (key,) in keys:  # one at a time, as each member locks them
        steps: list[Step] = [(text, {**ours, "key": key}) for text in (_LOCK, _FREE, _LEAVE_QUEUE)]
        rows += (await store.slots.run(*steps, NOTIFY))[1]
    [streams] = await store.paces.run((STREAMS, {"without": member_id}))
    for (stream,) in streams:
        values: dict[str, Value] = {"stream": stream, "without": member_id}
        await store.paces.run((AGREE, values), (LEAVE, values))
    task_ids = tuple(str(task) for _, task in rows if task is not None)
    unknown = sum(stage > Stage.UNMARKED and task is None for stage, task in rows)
    return Freed(len(rows), task_ids, unknown)
