"""The statistics of a client: the figures of its account's limits, and its own work."""

import asyncio
from pathlib import Path

import pytest

from mps_aigc_async import Kind, PaceStatistics, SlotStatistics, Statistics
from mps_aigc_async.engine.statistics import snapshot
from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.process.account import AccountLimits
from mps_aigc_async.limits.shared.limits import SharedLimits
from mps_aigc_async.limits.shared.opening import open_store
from mps_aigc_async.model.errors import TooManyTasks
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.member import Member
from mps_aigc_async.testing import run


def test_a_snapshot_has_the_figures_of_each_kind_and_of_the_actions_called_so_far() -> None:
    async def main() -> None:
        rates, key = Rates(10, {"CreateAigcImageTask": 5}), LimitsKey("mps", "https://a", "me")
        limits = AccountLimits(rates, {Kind.IMAGE: 4}, key=key)
        slots = limits.slots[Kind.IMAGE]
        (await slots.acquire(model="A")).name("task-1")
        under_way = await slots.acquire(model="A")
        limits.pace("CreateAigcImageTask")
        now = asyncio.get_running_loop().time()
        assert snapshot(limits, now, polling=1, creating=1) == Statistics(
            slots={Kind.IMAGE: SlotStatistics(2, 4, 0, 2, None, {}, running=1)},
            paces={"CreateAigcImageTask": PaceStatistics(rate=5, waiting=0)},
            polling=1,
            creating=1,
        )
        slots.note_refusal("A")
        under_way.release()
        figures = snapshot(limits, now, polling=1, creating=0).slots[Kind.IMAGE]
        assert (figures.taken, figures.running, figures.most_taken) == (1, 1, 2)
        assert (figures.learned_cap, figures.learned_model_caps) == (None, {"A": 1})

    run(main())


@pytest.mark.parametrize("home", ["host", "postgres"])
def test_in_a_shared_home_the_figures_are_those_of_all_members(
    home: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = tmp_path if home == "host" else database_url(request.getfixturevalue("database"))
    key = LimitsKey("mps", "https://a", "me")

    async def member() -> SharedLimits:
        limits = SharedLimits(await open_store(place), key, Member.here())
        await limits.open()
        limits.share_slots({Kind.IMAGE: 4}, lambda: 1000.0)
        return limits

    async def main() -> None:
        one, two = await member(), await member()
        slot = await one.slots[Kind.IMAGE].acquire(model="A")
        await slot.mark("create", 60)
        slot.name("task-1")
        await one.slots[Kind.IMAGE].acquire(model="B")
        slot.note_refusal(TooManyTasks("LimitExceeded.CreateTask", "no room"))
        await slot.mark("task-1", 60)  # the refusal is in the store by then, too
        for limits in (one, two, one):  # each heartbeat looks at the others'
            await limits.beat()
        for limits in (one, two):
            seen = snapshot(limits, asyncio.get_running_loop().time(), polling=0, creating=0)
            figures = seen.slots[Kind.IMAGE]
            assert (seen.members, figures.taken, figures.running, figures.capacity) == (2, 2, 1, 4)
            assert (figures.learned_cap, figures.learned_model_caps) != (None, {})
        await two.close()
        await one.beat()
        assert snapshot(one, 0.0, polling=0, creating=0).members == 1
        await one.close()

    asyncio.run(main())
