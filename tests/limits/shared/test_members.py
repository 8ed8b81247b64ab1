"""The members of a store, on one host's file."""

import asyncio
from dataclasses import replace
from pathlib import Path

from mps_aigc_async.limits.shared.host import HostDatabase
from mps_aigc_async.limits.shared.members import MEMBERS, Members
from mps_aigc_async.sharing.looks import APART_S, ENOUGH
from mps_aigc_async.sharing.member import Member
from mps_aigc_async.testing import run


async def _members(path: Path, *members: Member) -> list[Members]:
    clock = asyncio.get_running_loop().time
    database = await HostDatabase.open(path / "slots.sqlite", [MEMBERS], clock=clock, boot="boot")
    return [Members(database, "account", member, clock) for member in members]


def test_members_see_each_other_until_one_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = await _members(tmp_path, Member.here(), Member.here())
        assert await first.beat() == (False, frozenset())
        await second.beat()
        assert await first.beat() == (True, frozenset())
        assert first.others == {second.member.id: second.member}
        await second.leave()
        assert await first.beat() == (True, frozenset())
        assert not first.others

    run(main())


def test_a_member_whose_process_has_ended_is_gone_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        first, ended = await _members(tmp_path, Member.here(), replace(Member.here(), started="0"))
        await ended.beat()
        assert await first.beat() == (False, frozenset({ended.member.id}))
        assert await first.beat() == (True, frozenset())

    run(main())


def test_a_silent_member_of_another_host_is_gone_after_some_looks_and_may_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        first, far = await _members(tmp_path, Member.here(), replace(Member.here(), boot="another"))
        await far.beat()
        gone = list[frozenset[str]]()
        for _ in range(ENOUGH + 1):
            gone.append((await first.beat())[1])
            await asyncio.sleep(APART_S)
        assert gone == [frozenset()] * ENOUGH + [{far.member.id}]
        assert await far.beat() == (False, frozenset()), "it hears that it was taken for gone"
        await first.beat()
        assert first.others

    run(main())
