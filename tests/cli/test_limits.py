"""`status --limits`: the store that all processes of an account share, and `--forget`."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.shared.limits import SharedLimits
from mps_aigc_async.limits.shared.opening import open_store
from mps_aigc_async.model.states import Kind
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.member import Member

from ..postgres_server import PASSWORD
from .conftest import Shell

SERVICE = "http://127.0.0.1:9/"
KEY = LimitsKey("mps", SERVICE, "team")


@pytest.fixture(params=["host", "postgres"])
def store(request: pytest.FixtureRequest, shell: Shell) -> str:
    """A limit store, named by the config of the shell's folder."""
    named = f"{shell.folder}/limits" if request.param == "host" else str(request.getfixturevalue("database"))
    shell.configure(SERVICE, limitStore=named)
    return named


async def member(store: str, *, has_ended: bool = False, has_slots: bool = True) -> SharedLimits:
    """A member with a task (unless `has_slots` is False), whose process runs or has ended."""
    place = database_url(store) if store.startswith("postgresql") else Path(store)
    facts = replace(Member.here(), program="worker.py", started="1" if has_ended else Member.here().started)
    limits = SharedLimits(await open_store(place), KEY, facts)
    limits.join(Rates(20, jitter_s=0.025))
    await limits.open()
    limits.share_slots({Kind.IMAGE: 4}, lambda: 1_795_000_000.0)
    if has_slots:
        slot = await limits.slots[Kind.IMAGE].acquire(model="Kling")
        await slot.mark("create", 60)
        slot.name("4-Aigc-1")
        await limits.slots[Kind.IMAGE].acquire(model="Kling")
    await (await limits.pace("CreateAigcImageTask").reserve()).reach()
    await limits.beat()
    return limits


async def crash(limits: SharedLimits) -> None:
    for slots in limits._slots.values():
        await slots._work.stop()
    await limits.work.close()
    await limits._store.close()


def test_members_paces_and_slots_are_printed(shell: Shell, store: str) -> None:
    async def main() -> None:
        limits = await member(store)
        told = await asyncio.to_thread(shell.call, "status", "--limits")
        assert told.exit_code == 0, told.output
        lines = told.stdout.splitlines()
        assert lines[1] == "members: 1"
        assert f"{limits.members.member.id}  worker.py, process " in lines[2]
        assert "(this machine), open for " in lines[2]
        assert lines[2].endswith(f"account team (mps, {SERVICE})")
        assert "  CreateAigcImageTask: 20 of 20 calls per second, next send " in told.stdout
        assert "images: 2 of 4 slots taken, 1 running; account team" in told.stdout
        assert "--forget" not in told.stdout
        alive = await asyncio.to_thread(
            shell.call, "status", "--limits", "--forget", limits.members.member.id[:8]
        )  # fmt: skip
        assert alive.exit_code == 2
        assert "is alive: worker.py (process " in alive.stderr
        await limits.close()

    asyncio.run(main())
    left = shell.call("status", "--limits").stdout
    assert "members: 0" in left
    assert "task 4-Aigc-1 (Kling), of member " in left
    assert "which has closed or is gone; keeps its slot until 2026-11-" in left
    assert ", or until a poll shows its end\n" in left
    assert PASSWORD not in left


def test_an_unknown_create_of_a_living_member_is_named(shell: Shell, store: str) -> None:
    """No poll ends it, and creates may wait for its slot: the figures alone do not say why."""

    async def main() -> None:
        limits = await member(store)
        slot = await limits.slots[Kind.IMAGE].acquire(model="")
        await slot.mark("lake/image 1", 60)
        slot.hold_for(180, "lake/image 1")
        told = ""
        while "without an answer" not in told:  # the store's thread may still have to write the row
            await limits.beat()
            told = (await asyncio.to_thread(shell.call, "status", "--limits")).stdout
        (line,) = (line for line in told.splitlines() if "without an answer" in line)
        me = limits.members.member.id
        assert line.startswith(f"  create lake/image 1, without an answer, of member {me}; keeps its slot until 2026-")
        assert "4-Aigc-1" not in told
        assert "--forget" not in told
        await limits.close()

    asyncio.run(main())


def test_what_a_crash_left_is_freed(shell: Shell, store: str) -> None:
    async def main() -> str:
        limits = await member(store, has_ended=True)
        await crash(limits)
        return limits.members.member.id

    gone = asyncio.run(main())
    told = shell.call("status", "--limits").stdout
    assert "(this machine), ended;" in told
    assert f"to free the slots of a member that is gone: mps-aigc status --limits --forget {gone}" in told
    freed = shell.call("status", "--limits", "--forget", gone[:8])
    assert freed.exit_code == 0, freed.output
    assert freed.stdout.splitlines()[0] == f"member {gone[:8]} is forgotten: 2 slots freed"
    assert "1 task (4-Aigc-1) may still run and be billed" in freed.stdout
    assert "images: 0 of 4 slots taken, 0 running" in shell.call("status", "--limits").stdout
    again = shell.call("status", "--limits", "--forget", gone)
    assert (again.exit_code, again.stderr) == (
        2, f"error: the limit store has no member {gone}: `mps-aigc status --limits` lists them\n",
    )  # fmt: skip


def test_a_member_that_left_no_slots_needs_no_command(shell: Shell, store: str) -> None:
    async def main() -> None:
        await crash(await member(store, has_ended=True, has_slots=False))

    asyncio.run(main())
    told = shell.call("status", "--limits").stdout
    assert "(this machine), ended;" in told
    assert "--forget" not in told


@pytest.mark.usefixtures("store")
def test_a_store_that_nobody_has_used_is_shown_and_not_made(shell: Shell) -> None:
    before = sorted(shell.folder.iterdir())
    told = shell.call("status", "--limits")
    assert (told.exit_code, told.stdout.splitlines()[1:]) == (0, ["members: 0"])
    assert sorted(shell.folder.iterdir()) == before


def test_no_keys_are_needed(shell: Shell) -> None:
    (shell.folder / "config.json").write_text(f'{{"limitStore": "{shell.folder}/limits"}}')
    assert shell.call("status", "--limits").exit_code == 0


@pytest.mark.parametrize("sections", [{"limitStore": "process"}, {}])
@pytest.mark.parametrize("words", [(), ("--forget", "ab")])
def test_of_limits_inside_each_process_there_is_nothing_to_see(
    shell: Shell, sections: dict[str, str], words: tuple[str, ...]
) -> None:
    shell.configure(SERVICE, **sections)
    told = shell.call("status", "--limits", *words)
    assert told.exit_code == 0
    assert told.stdout.startswith("the limits are counted inside each process")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name a folder that `run` wrote into, a ledger, or a kind and a TaskId; or add --limits"),
        (("made", "--limits"), "--limits takes no folder, ledger or task"),
        (("--forget", ""), "has no member"),
    ],
)
def test_bad_input(shell: Shell, words: tuple[str, ...], says: str) -> None:
    shell.configure(SERVICE, limitStore=f"{shell.folder}/limits")
    refused = shell.call("status", *words)
    assert refused.exit_code == 2
    assert says in refused.stderr


def test_a_database_that_cannot_be_read_is_told_without_its_password(shell: Shell, database: str) -> None:
    wrong = database.replace(PASSWORD, "wr0ng-secret")
    for url, says in ((wrong, "check the user, and the password"), (f"{database}x", "check the name")):
        shell.configure(SERVICE, limitStore=url)
        refused = shell.call("status", "--limits")
        assert refused.exit_code == 2
        assert says in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert "wr0ng" not in refused.output
        assert PASSWORD not in refused.output
