"""The guard against sleeps in tests."""

import asyncio
import time

import pytest

from mps_aigc_async.testing import run

from . import real_sleeps


@pytest.mark.parametrize(
    ("module", "seconds", "virtual", "found"),
    [
        ("tests.test_x", 0.01, False, True),
        ("tests.cli.test_x", 0.01, False, True),
        ("tests.test_x", 0.0, False, False),  # only gives way
        ("tests.test_x", 3600.0, True, False),
        ("mps_aigc_async.jobs.poller", 1.0, False, False),
        ("tests.chaos.running", 1.0, False, False),
        ("tests.chaosless", 1.0, False, True),
    ],
)
def test_who_sleeps_on_real_time(module: str, seconds: float, virtual: bool, found: bool) -> None:
    assert (real_sleeps.sleeper(module, seconds, virtual=virtual) == module) is found


def test_sleeps_are_recorded_with_their_lines() -> None:
    async def main() -> None:
        await asyncio.sleep(TINY_S)

    with real_sleeps.recorded() as sleepers:
        time.sleep(TINY_S)
        asyncio.run(main())
        run(main())
        asyncio.run(asyncio.wait_for(given_way(), 1))
    assert [sleeper.partition(":")[0] for sleeper in sleepers] == [__name__, __name__]


TINY_S = 1e-9


async def given_way() -> None:
    await asyncio.sleep(0)
