"""Opened once a path, for all callers."""

import asyncio
from pathlib import Path

import pytest

from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.engine.ledgers import LedgerPlace
from mps_aigc_async.engine.once import OncePerPlace
from mps_aigc_async.model.errors import LedgerError
from mps_aigc_async.testing import run


def test_many_callers_of_a_path_share_one_opening() -> None:
    openings: list[LedgerPlace | None] = []

    async def open_it(path: LedgerPlace | None) -> object:
        openings.append(path)
        await asyncio.sleep(1)
        return object()

    async def main() -> None:
        once = OncePerPlace(TaskOwner(), open_it)
        first, second, other = await asyncio.gather(once.get(None), once.get(None), once.get(Path("a")))
        assert first is second is await once.get(None)
        assert other is not first
        assert once.ready() == [first, other]

    run(main())
    assert openings == [None, Path("a")]


def test_a_caller_that_is_cancelled_does_not_end_the_opening() -> None:
    async def open_it(_: LedgerPlace | None) -> int:
        await asyncio.sleep(2)
        return 7

    async def main() -> None:
        once = OncePerPlace(TaskOwner(), open_it)
        first = asyncio.create_task(once.get(None))
        await asyncio.sleep(1)
        first.cancel()
        assert once.ready() == []
        assert await once.get(None) == 7
        assert once.ready() == [7]

    run(main())


def test_after_a_fault_of_the_ledger_the_next_caller_tries_again() -> None:
    faults = [LedgerError("disk full")]

    async def open_it(_: LedgerPlace | None) -> int:
        if faults:
            raise faults.pop()
        return 7

    async def main() -> None:
        once = OncePerPlace(TaskOwner(), open_it)
        with pytest.raises(LedgerError):
            await once.get(None)
        assert once.ready() == []
        assert await once.get(None) == 7

    run(main())


def test_a_caller_that_fails_late_does_not_end_the_next_opening() -> None:
    """Two callers learn of one fault in the same turn of the loop, and both try again at once."""
    openings = 0

    async def open_it(_: LedgerPlace | None) -> int:
        nonlocal openings
        openings += 1
        number = openings
        await asyncio.sleep(1)
        if number == 1:
            raise LedgerError("disk full")
        return number

    async def main() -> None:
        once = OncePerPlace(TaskOwner(), open_it)

        async def get_with_patience() -> int:
            try:
                return await once.get(None)
            except LedgerError:
                return await once.get(None)

        assert tuple(await asyncio.gather(get_with_patience(), get_with_patience())) == (2, 2)
        assert once.ready() == [2]

    run(main())
