"""The judgement of a refused create: its pace slows down, or its model's cap is learned and the pace is restored."""

import asyncio

import pytest

from mps_aigc_async.limits import SendTime
from mps_aigc_async.limits.process.pace import ProcessPace
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.limits.refusals import PROOF
from mps_aigc_async.limits.stream import Stream
from mps_aigc_async.model.errors import ServiceError, Throttled, TooManyTasks
from mps_aigc_async.model.states import Ending
from mps_aigc_async.testing import run

from .measuring import rate_of


def refusal(retry_after_s: float | None = None) -> Throttled:
    return Throttled("RequestLimitExceeded", "too fast", retry_after_s=retry_after_s)


async def last_of(pace: ProcessPace, times: int = 1) -> SendTime:
    """Send so many times in a row; return the last send time."""
    for _ in range(times):
        send_time = await pace.reserve()
        await send_time.reach()
    return send_time


def refusals_in_a_row(slots: ProcessSlots) -> int:
    """The refusals of model A since its latest accepted create."""
    streak = slots.cap("A").streak
    return 0 if streak is None else streak.refusals


def test_a_refusal_at_full_pace_is_of_the_rate_until_refusals_persist() -> None:
    async def main() -> None:
        pace, slots = ProcessPace(Stream(20)), ProcessSlots(50)
        (await slots.acquire(model="A")).name("task-1")
        slot = await slots.acquire(model="A")
        for number in range(1, PROOF):
            error = refusal()
            assert slot.judge(await last_of(pace, 12), error) is error
            assert refusals_in_a_row(slots) == number
        assert rate_of(pace) < 0.96 * 20
        busy = slot.judge(await last_of(pace, 22), refusal())
        assert isinstance(busy, TooManyTasks)
        assert rate_of(pace) == 20  # restored
        assert slots.figures().learned_model_caps == {}  # `note_refusal` learns it
        slot.note_refusal(busy)
        assert (slots.figures().learned_model_caps, refusals_in_a_row(slots)) == ({"A": 1}, 0)

    run(main())


def test_an_accepted_create_begins_the_row_again_for_its_model_alone() -> None:
    async def main() -> None:
        pace, slots = ProcessPace(Stream(20)), ProcessSlots(50)
        slot, other = await slots.acquire(model="A"), await slots.acquire(model="B")
        slot.judge(await last_of(pace, 12), refusal())
        other.name("task-1")
        slot.judge(await last_of(pace), refusal())
        assert refusals_in_a_row(slots) == 2
        (await slots.acquire(model="A")).name("task-2")
        slot.judge(await last_of(pace), refusal())
        assert refusals_in_a_row(slots) == 1

    run(main())


@pytest.mark.parametrize(
    ("running", "retry_after_s", "of_concurrency"), [(1, None, True), (0, None, False), (1, 3.0, False)]
)
def test_a_refusal_with_room_in_the_pace_is_of_concurrency_if_a_task_of_the_model_runs(
    running: int, retry_after_s: float | None, of_concurrency: bool
) -> None:
    async def main() -> None:
        pace, slots = ProcessPace(Stream(20)), ProcessSlots(50)
        (await slots.acquire(model="B")).name("other")
        for number in range(running):
            (await slots.acquire(model="A")).name(f"task-{number}")
        slot = await slots.acquire(model="A")
        error = slot.judge(await last_of(pace), refusal(retry_after_s))
        assert isinstance(error, TooManyTasks) is of_concurrency
        assert (rate_of(pace) == 20) is of_concurrency

    run(main())


def test_beyond_a_learned_cap_every_refusal_is_of_concurrency() -> None:
    async def main() -> None:
        pace, slots = ProcessPace(Stream(20)), ProcessSlots(50)
        slots.note_refusal("A")
        await asyncio.sleep(30)
        slot = await slots.acquire(model="A")
        assert isinstance(slot.judge(await last_of(pace, 15), refusal(5.0)), TooManyTasks)

    run(main())


@pytest.mark.parametrize(
    ("code", "kinds", "models"), [("LimitExceeded.CreateTask", 1, {}), ("RequestLimitExceeded", None, {"A": 1})]
)
def test_a_cap_is_the_kinds_or_the_models_by_the_code_and_waits_as_long_as_asked(
    code: str, kinds: int | None, models: dict[str, int]
) -> None:
    async def main() -> None:
        slots, loop = ProcessSlots(5), asyncio.get_running_loop()
        (running := await slots.acquire(model="A")).name("task-1")
        slot = await slots.acquire(model="A")
        error = TooManyTasks(code, "", ending=Ending.REFUSED_FOR_NOW)
        error.retry_after_s = 7.0
        slot.note_refusal(error)
        assert (slots.figures().learned_cap, slots.figures().learned_model_caps) == (kinds, models)
        slot.release()
        running.release()
        began = loop.time()
        await slots.acquire(model="A")
        assert loop.time() - began == pytest.approx(7.0, abs=0.01)

    run(main())


def test_a_cap_without_a_pause_lets_the_next_create_go_as_a_task_ends() -> None:
    async def main() -> None:
        slots, loop = ProcessSlots(5), asyncio.get_running_loop()
        (running := await slots.acquire(model="A")).name("task-1")
        slot = await slots.acquire(model="A")
        error: ServiceError = slot.judge(await last_of(ProcessPace(Stream(20))), refusal())
        assert isinstance(error, TooManyTasks)
        slot.note_refusal(error)
        slot.release()
        running.release()
        began = loop.time()
        await slots.acquire(model="A")
        assert loop.time() - began < 0.01

    run(main())
