"""The statistics of a client: the figures of its account's limits, and its own work."""

import asyncio

from mps_aigc_async import Kind, PaceStatistics, SlotStatistics, Statistics
from mps_aigc_async.engine.statistics import snapshot
from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.account import AccountLimits
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
