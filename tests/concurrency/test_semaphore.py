"""The semaphore: its limit, the limits of its groups, and permits that come back once."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.concurrency.semaphore import GroupSemaphore
from mps_aigc_async.testing import run


def test_all_groups_share_the_limit_and_the_first_waiter_goes_first() -> None:
    async def main() -> None:
        semaphore = GroupSemaphore(1)
        permit = await semaphore.acquire("A")
        waiting = [asyncio.create_task(semaphore.acquire(group)) for group in "BA"]
        await asyncio.sleep(0)
        assert repr(semaphore) == "<GroupSemaphore 1/1, 2 waiting>"
        permit.release()
        permit.release()  # a second time does nothing
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, False]
        (await waiting[0]).release()
        (await waiting[1]).release()
        assert repr(semaphore) == "<GroupSemaphore 0/1, 0 waiting>"

    run(main())


def test_a_groups_own_limit_is_kept_and_changed_with_the_common_one() -> None:
    async def main() -> None:
        semaphore = GroupSemaphore(4)
        semaphore.resize(4, {"A": 1, "B": 9}.__getitem__)
        await semaphore.acquire("A")
        waiting = [asyncio.create_task(semaphore.acquire(group)) for group in "ABBBB"]
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [False, True, True, True, False]
        semaphore.resize(6, {"A": 2, "B": 9}.__getitem__)
        await asyncio.sleep(0)
        assert all(task.done() for task in waiting)
        semaphore.resize(7)
        await semaphore.acquire("A")

    run(main())


def test_more_room_is_used_at_once() -> None:
    async def main() -> None:
        semaphore = GroupSemaphore(1)
        await semaphore.acquire("A")
        waiting = [asyncio.create_task(semaphore.acquire("A")) for _ in range(3)]
        await asyncio.sleep(0)
        semaphore.resize(3)
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, True, False]
        waiting[2].cancel()
        await asyncio.wait({waiting[2]})

    run(main())


def test_a_hold_up_is_told_to_the_groups_that_it_concerns() -> None:
    async def main() -> None:
        semaphore, calls = GroupSemaphore(1), list[str]()
        await semaphore.acquire("A")
        tasks = [
            asyncio.create_task(semaphore.acquire("A", lambda: calls.append("A"))),
            asyncio.create_task(semaphore.acquire("B", lambda: calls.append("B"))),
        ]
        await asyncio.sleep(0)
        assert calls == []
        semaphore.hold_up(lambda group: group == "B")
        await asyncio.sleep(0)
        assert calls == ["B"]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run(main())


@pytest.mark.parametrize("limit", [1, 3])
@given(
    jobs=st.lists(st.tuples(st.sampled_from("ABC"), st.floats(0.1, 3), st.floats(0, 20)), max_size=25),
)
def test_cancelling_at_any_moment_loses_no_permit(limit: int, jobs: list[tuple[str, float, float]]) -> None:
    async def main() -> None:
        semaphore, loop, inside, most = GroupSemaphore(limit), asyncio.get_running_loop(), 0, 0
        semaphore.resize(limit, {"A": 1, "B": 2, "C": 3}.__getitem__)

        async def work(group: str, seconds: float) -> None:
            nonlocal inside, most
            permit = await semaphore.acquire(group)
            inside, most = inside + 1, max(most, inside + 1)
            try:
                await asyncio.sleep(seconds)
            finally:
                inside -= 1
                permit.release()

        tasks = [asyncio.create_task(work(group, seconds)) for group, seconds, _ in jobs]
        for task, (_, _, cancel_at) in zip(tasks, jobs, strict=True):
            loop.call_later(cancel_at, task.cancel)
        if tasks:
            await asyncio.wait(tasks)
        assert most <= limit
        assert repr(semaphore) == f"<GroupSemaphore 0/{limit}, 0 waiting>"

    run(main())
