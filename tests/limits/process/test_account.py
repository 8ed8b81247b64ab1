"""The limits of an account: shared by the clients whose keys are equal."""

import asyncio
import gc
import weakref

import pytest

from mps_aigc_async.limits import Limits, LimitsKey, Rates
from mps_aigc_async.limits.process import account
from mps_aigc_async.limits.process.account import AccountLimits, forget
from mps_aigc_async.model.states import Kind
from mps_aigc_async.testing import run

CREATE = "CreateAigcVideoTask"


@pytest.mark.parametrize(
    ("other", "shares_paces", "shares_slots"),
    [
        (LimitsKey("mps", "https://a", "me"), True, True),
        (LimitsKey("vod", "https://a", "me"), False, False),
        (LimitsKey("mps", "https://b", "me"), False, False),
        (LimitsKey("mps", "https://a", "you"), False, False),
        (LimitsKey("mps", "https://a", "me", "ap-guangzhou"), False, True),
    ],
)
def test_two_clients_share_limits_by_their_keys(other: LimitsKey, shares_paces: bool, shares_slots: bool) -> None:
    async def main() -> None:
        caps = {Kind.IMAGE: 2}
        ours = AccountLimits(Rates(10), caps, key=LimitsKey("mps", "https://a", "me"))
        theirs = AccountLimits(Rates(10), caps, key=other)
        assert (ours.pace(CREATE) is theirs.pace(CREATE)) is shares_paces
        assert (ours.slots is theirs.slots, ours.retries is theirs.retries) == (shares_slots, shares_slots)

    run(main())


def test_it_is_a_home_of_the_limits() -> None:
    async def main() -> None:
        limits: Limits = AccountLimits(Rates(10), {Kind.IMAGE: 2}, key=LimitsKey("mps", "https://a", "me"))
        slot = await limits.slots[Kind.IMAGE].acquire(model="A")
        slot.name("task-1")
        assert limits.slots[Kind.IMAGE].find("task-1") is slot
        limits.pace(CREATE)
        assert set(limits.paces) == {CREATE}
        await limits.take_retry()

    run(main())


def test_the_newest_client_says_the_capacity_and_the_limits_can_be_forgotten() -> None:
    async def main() -> None:
        key = LimitsKey("mps", "https://a", "me")
        older, newer = (AccountLimits(Rates(10), {Kind.IMAGE: capacity}, key=key) for capacity in (2, 5))
        assert older.slots[Kind.IMAGE].figures().capacity == 5
        forget()
        assert AccountLimits(Rates(10), {Kind.IMAGE: 2}, key=key).slots is not newer.slots

    run(main())


def test_loops_and_accounts_that_have_ended_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "FEW", 5)
    monkeypatch.setattr(account, "KEPT_S", -1.0)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    accounts = account.Accounts()

    async def use(number: int) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        for name in ("the same", f"another-{number}"):
            key = LimitsKey("mps", "https://a", name)
            limits = AccountLimits(Rates(1000), {Kind.IMAGE: 2}, key=key, accounts=accounts)
            await (await limits.pace(CREATE).reserve()).reach()
            await limits.take_retry()
            if number % 2:  # else the loop is closed without its clients
                limits.leave()

    for number in range(40):
        asyncio.run(use(number))
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 10
    assert len(accounts._by_key) <= 10
