"""A store of the limits as a person sees it, and the members that a person takes out of it."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.shared import forgetting as forgetting_module
from mps_aigc_async.limits.shared.forgetting import forget
from mps_aigc_async.limits.shared.limits import SharedLimits
from mps_aigc_async.limits.shared.opening import Place, open_store
from mps_aigc_async.limits.shared.store import NewerStore, StoreUnusable
from mps_aigc_async.limits.shared.view import in_words
from mps_aigc_async.limits.shared.viewing import view_of
from mps_aigc_async.model.errors import InvalidRequest, TooManyTasks
from mps_aigc_async.model.states import Kind
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.looks import ENOUGH
from mps_aigc_async.sharing.member import Member

KEY = LimitsKey("mps", "https://mps.example/", "a|b team", "ap-guangzhou")
ACTION = "CreateAigcImageTask"
ENDED = {"started": "1"}
ELSEWHERE = {"boot": "of-another-machine"}


@pytest.fixture(params=["host", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "host":
        return tmp_path / "limits"
    return database_url(request.getfixturevalue("database"))


async def member(place: Place, **facts: str) -> SharedLimits:
    """A member with a slot of a task, a slot of a create under way, and a call sent."""
    limits = SharedLimits(await open_store(place), KEY, replace(Member.here(), **facts))  # type: ignore[arg-type] # texts
    limits.join(Rates(20, jitter_s=0.025))
    await limits.open()
    limits.share_slots({Kind.IMAGE: 4}, lambda: 1000.0)
    return limits


async def with_task(limits: SharedLimits, task_id: str) -> None:
    slot = await limits.slots[Kind.IMAGE].acquire(model="Kling")
    await slot.mark(f"create of {task_id}", 600)
    slot.name(task_id)
    await limits.beat()
    await limits._slots[Kind.IMAGE]._exchange()


async def crash(limits: SharedLimits) -> None:
    """End the member as its machine's crash would: the store is not told."""
    for slots in limits._slots.values():
        await slots._work.stop()
    await limits.work.close()
    await limits._store.close()


def test_a_store_that_nobody_has_used_is_empty_and_stays_so(place: Place) -> None:
    view = view_of(place)
    assert [*view.members, *view.paces, *view.kinds] == []
    if isinstance(place, Path):
        assert not place.exists()
    with pytest.raises(InvalidRequest, match="the limit store has no member abc"):
        asyncio.run(forget(place, "abc"))
    if isinstance(place, Path):
        assert not place.exists()


def test_members_paces_and_slots_are_read(place: Place) -> None:
    async def main() -> None:
        limits = await member(place)
        await with_task(limits, "4-1")
        await limits.slots[Kind.IMAGE].acquire(model="Vidu")
        await (await limits.pace(ACTION).reserve()).reach()
        limits.pace(ACTION).hold(60)
        for _ in range(3):
            limits.slots[Kind.IMAGE].find("4-1").note_refusal(TooManyTasks("LimitExceeded.CreateTask", "no room"))  # type: ignore[union-attr]
        await limits._slots[Kind.IMAGE]._exchange()
        while not view_of(place).paces[0].held_s:  # noqa: ASYNC110 — the store tells nobody
            await asyncio.sleep(0)
        view = view_of(place)
        (one,) = view.members
        assert one.member == limits.members.member
        assert (one.is_gone, one.has_ended, in_words(one.account)) == (
            False, False, "a|b team (mps, https://mps.example/)",
        )  # fmt: skip
        (pace,) = view.paces
        assert (pace.action, pace.region, pace.limit) == (ACTION, "ap-guangzhou", 20)
        assert pace.account == one.account
        (kind,) = view.kinds
        assert (kind.kind, kind.account, kind.capacity, len(kind.slots), kind.running) == (
            "image", one.account, 4, 2, 1,
        )  # fmt: skip
        assert kind.caps
        assert (kind.unpolled, kind.waiting) == ([], 0)
        await limits.close()
        left = view_of(place)
        assert left.members == []
        (slot,) = left.kinds[0].unpolled
        assert (slot.task, slot.member, slot.until) == ("4-1", one.member.id, 1600.0)

    asyncio.run(main())


def test_a_member_whose_process_has_ended_is_forgotten_with_its_slots(place: Place) -> None:
    async def main() -> None:
        dead = await member(place, **ENDED)
        await with_task(dead, "4-1")
        await crash(dead)
        (kind,) = view_of(place).kinds
        assert [slot.task for slot in kind.unpolled] == ["4-1"]
        freed = await forget(place, dead.members.member.id[:6])
        assert (freed.slots, freed.task_ids, freed.unknown) == (1, ("4-1",), 0)
        after = view_of(place)
        assert (after.members, after.kinds[0].slots, after.ids()) == ([], [], [])

    asyncio.run(main())


def test_slots_are_freed_after_others_have_taken_the_member_out_of_them(place: Place) -> None:
    """Others drop the member's id from its rows: the rows still tell who took them."""

    async def main() -> None:
        dead = await member(place, **ENDED)
        await with_task(dead, "4-1")
        await crash(dead)
        alive = await member(place)
        await with_task(alive, "4-2")
        assert [slot.task for slot in view_of(place).kinds[0].unpolled] == ["4-1"]
        freed = await forget(place, dead.members.member.id)
        assert freed.task_ids == ("4-1",)
        assert [slot.task for slot in view_of(place).kinds[0].slots] == ["4-2"]
        await alive.close()

    asyncio.run(main())


def test_a_member_that_runs_here_is_not_forgotten(place: Place) -> None:
    async def main() -> None:
        alive = await member(place)
        await with_task(alive, "4-1")
        with pytest.raises(InvalidRequest, match=r"is alive: .* runs on this machine; end the process first"):
            await forget(place, alive.members.member.id)
        assert view_of(place).kinds[0].running == 1
        await alive.close()

    asyncio.run(main())


@pytest.mark.parametrize("beats_at", [1, 5, None])
def test_a_member_elsewhere_is_watched_before_it_is_forgotten(place: Place, beats_at: int | None) -> None:
    async def main() -> None:
        other = await member(place, **ELSEWHERE)
        await other.work.close()
        looks = 0

        async def pause() -> None:
            nonlocal looks
            looks += 1
            if looks == beats_at:
                await other.members.beat()

        if beats_at is None:
            assert (await forget(place, other.members.member.id, pause)).slots == 0
            assert looks == ENOUGH
        else:
            with pytest.raises(InvalidRequest, match="is alive: its heartbeat moves"):
                await forget(place, other.members.member.id, pause)
            assert looks == beats_at
        await crash(other)

    asyncio.run(main())


def test_a_beat_after_the_last_look_saves_the_member(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        other = await member(place, **ELSEWHERE)
        await other.work.close()

        async def pause() -> None: ...

        open_it = open_store

        async def open_after_a_beat(place: Place) -> object:
            await other.members.beat()
            return await open_it(place)

        monkeypatch.setattr(forgetting_module, "open_store", open_after_a_beat)
        with pytest.raises(InvalidRequest, match="is alive: its heartbeat moves"):
            await forget(place, other.members.member.id, pause)
        assert len(view_of(place).members) == 1
        await crash(other)

    asyncio.run(main())


def test_a_prefix_must_be_of_one_member(place: Place) -> None:
    async def main() -> None:
        one, two = await member(place, id="ab12"), await member(place, id="ab34")
        with pytest.raises(InvalidRequest, match="several members begin with ab: ab12, ab34"):
            await forget(place, "ab")
        with pytest.raises(InvalidRequest, match="no member "):
            await forget(place, "")
        await one.close()
        await two.close()

    asyncio.run(main())


def test_after_a_restart_of_the_machine_its_members_are_gone_and_its_paces_void(tmp_path: Path) -> None:
    async def main() -> None:
        limits = await member(tmp_path)
        await with_task(limits, "4-1")
        await (await limits.pace(ACTION).reserve()).reach()
        await crash(limits)
        for name in ("paces", "slots"):
            with closing(sqlite3.connect(tmp_path / f"{name}.sqlite")) as file, file:
                file.execute("UPDATE mps_aigc_schemas SET boot = 'before'")
        view = view_of(tmp_path)
        assert (view.paces, view.members[0].is_gone, len(view.kinds[0].unpolled)) == ([], True, 1)
        assert (await forget(tmp_path, limits.members.member.id)).task_ids == ("4-1",)

    asyncio.run(main())


def test_unusable_places_are_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreUnusable, match="is not a folder"):
        view_of(file)
    (tmp_path / "slots.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnusable, match=r"cannot be read .*: remove the file"):
        view_of(tmp_path)


def test_a_newer_store_is_refused(place: Place) -> None:
    async def make() -> None:
        await (await member(place)).close()

    asyncio.run(make())
    statement = "UPDATE mps_aigc_schemas SET version = 99 WHERE name = 'slots'"
    if isinstance(place, Path):
        with closing(sqlite3.connect(place / "slots.sqlite")) as file, file:
            file.execute(statement)
    else:
        assert place is not None
        with psycopg.connect(place.dsn) as connection:
            connection.execute(statement)
    with pytest.raises(NewerStore, match="tables of version 99"):
        view_of(place)


def test_a_file_that_a_killed_process_left_within_a_transaction_is_read(tmp_path: Path) -> None:
    """The half transaction is undone by its journal: a reader that may not write could not read."""

    async def make() -> None:
        await (await member(tmp_path / "limits")).close()

    asyncio.run(make())
    copy = tmp_path / "copy"
    with closing(sqlite3.connect(tmp_path / "limits" / "slots.sqlite", isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = PERSIST")
        file.execute("PRAGMA cache_size = 1")
        file.execute("BEGIN IMMEDIATE")
        for number in range(2000):
            row = (f"{number}{'x' * 200}", "a", "h", "b", "p", 1, "s", "program", 1, None)
            file.execute(f"INSERT INTO mps_aigc_members VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 — marks
        shutil.copytree(tmp_path / "limits", copy)  # as a kill would leave the folder
        file.execute("ROLLBACK")
    assert (copy / "slots.sqlite").stat().st_size > 100_000
    view = view_of(copy)
    assert view.members == []
    assert [kind.kind for kind in view.kinds] == ["image"]


async def test_a_role_with_another_search_path_sees_the_store(database: str) -> None:
    limits = await member(database_url(database))
    view = view_of(database_url(f"{database}?options=-csearch_path%3Dother"))
    assert [one.member for one in view.members] == [limits.members.member]
    await limits.close()
