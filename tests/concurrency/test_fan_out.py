"""Fan-out: bounded, lazy, as they come, and gone when it is left."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from mps_aigc_async.concurrency.fan_out import Begun, Bounds, FanOut, Observer, Run
from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.model.errors import ClientClosed
from mps_aigc_async.testing import run


class Bench:
    """A run of numbers that records its steps."""

    def __init__(self, width: int = 3, stop_at: int | None = None, waiting: int = 100) -> None:
        self.owner = TaskOwner()
        self.width = width
        self.waiting = waiting
        self.stop_at = stop_at
        self.read: list[int] = []
        self.working = 0
        self.most_working = 0
        self.cancelled = 0

    def numbers(self, end: int = 10**9) -> Iterator[int]:
        for number in range(end):
            self.read.append(number)
            yield number

    async def work(self, number: int, _begun: Begun) -> int:
        self.working += 1
        self.most_working = max(self.most_working, self.working)
        try:
            await asyncio.sleep(10 - number % 10)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.working -= 1
        return number

    async def prepare(self) -> None:
        assert self.read == []

    def stops(self, number: int) -> BaseException | None:
        return KeyError(number) if number == self.stop_at else None

    def run(self, source: "Iterator[int] | AsyncIterator[int]", observer: Observer[int] | None = None) -> Run[int]:
        bounds = Bounds(self.width, self.waiting)
        return Run(FanOut(source, self.work, bounds, self.owner, self.prepare, self.stops), observer)


class Notes(Observer[int]):
    """Notes the calls; of those that may come again the first."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def begin(self) -> None:
        self._once("begin")

    def take(self, outcome: int) -> None:
        self.calls.append(outcome)

    def end(self) -> None:
        self._once("end")

    def _once(self, call: str) -> None:
        if call not in self.calls:
            self.calls.append(call)


def virtually(main: Callable[[], object]) -> Callable[[], None]:
    """A test whose body is a coroutine function, in virtual time; nothing may be left running after it."""

    def test() -> None:
        async def body() -> None:
            await main()  # type: ignore[misc] # a coroutine function, as decorated
            await asyncio.sleep(0.01)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        run(body())

    test.__doc__ = main.__doc__
    return test


async def take(batch: Run[int], outcomes: list[int]) -> None:
    """Iterate to the end; keep the outcomes from before an error."""
    async for number in batch:
        outcomes.append(number)  # noqa: PERF401 — a comprehension would lose them


@virtually
async def test_every_outcome_comes_once_and_as_it_ends() -> None:
    bench = Bench(width=5)
    outcomes = [number async for number in bench.run(bench.numbers(23))]
    assert sorted(outcomes) == list(range(23))
    assert outcomes[0] == 4  # the shortest of the first five
    assert bench.most_working == 5


@virtually
async def test_an_endless_source_is_read_no_further_than_needed() -> None:
    bench = Bench(width=3)
    async with bench.run(bench.numbers()) as batch:
        async for number in batch:
            if number >= 7:
                break
            assert len(bench.read) <= number + 1 + 2 * bench.width
    assert bench.working == 0


@virtually
async def test_a_slow_consumer_stops_the_reading_and_not_the_work() -> None:
    bench = Bench(width=4)
    async with bench.run(bench.numbers()) as batch:
        await anext(batch)
        await asyncio.sleep(1000)
        assert bench.working == 0  # all four places hold finished outcomes
        assert len(bench.read) == 5
        assert batch.in_flight == 0


@virtually
async def test_an_item_is_read_only_when_few_of_those_read_wait_to_begin() -> None:
    bench, may_begin = Bench(), asyncio.Semaphore(0)

    async def work(number: int, on_begin: Begun) -> int:
        await may_begin.acquire()
        on_begin()
        on_begin()  # told twice, it counts once
        return await bench.work(number, on_begin)

    fan_out = FanOut(bench.numbers(), work, Bounds(under_way=1000, waiting=4), bench.owner, bench.prepare, bench.stops)
    async with Run(fan_out):
        for number in range(20):
            await asyncio.sleep(0.001)
            assert len(bench.read) == number + 4
            may_begin.release()


@virtually
async def test_an_item_that_ends_without_having_begun_waits_no_longer() -> None:
    bench = Bench(width=100, waiting=2)
    assert sorted([number async for number in bench.run(bench.numbers(30))]) == list(range(30))
    assert bench.most_working == 2


@virtually
async def test_async_sources_work_and_are_closed() -> None:
    bench, closings = Bench(), list[bool]()

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(10**9):
                await asyncio.sleep(0.1)
                yield number
        finally:
            closings.append(True)

    async with bench.run(source()) as batch:
        await anext(batch)
    assert closings == [True]


@virtually
async def test_a_generator_that_is_left_half_read_is_closed_though_others_hold_it() -> None:
    bench, closings = Bench(), list[bool]()

    def source() -> Iterator[int]:
        try:
            yield from bench.numbers()
        finally:
            closings.append(True)

    numbers = source()
    async with bench.run(numbers) as batch:
        await anext(batch)
    assert closings == [True]
    assert list(numbers) == []


@virtually
async def test_what_the_source_raises_comes_after_the_outcomes_before_it() -> None:
    bench, outcomes = Bench(), list[int]()

    def source() -> Iterator[int]:
        yield from range(5)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="gone"):
        await take(bench.run(source()), outcomes)
    assert sorted(outcomes) == list(range(5))


@virtually
async def test_an_outcome_may_end_the_reading_and_what_was_begun_is_handed_over() -> None:
    bench, outcomes = Bench(width=4, stop_at=6), list[int]()
    with pytest.raises(KeyError):
        await take(bench.run(bench.numbers()), outcomes)
    assert 6 in outcomes
    assert sorted(outcomes) == bench.read[: len(outcomes)]
    assert bench.cancelled == 0


@virtually
async def test_of_two_errors_that_stop_it_the_first_is_raised() -> None:
    bench, outcomes = Bench(width=5), list[int]()
    batch = Run(FanOut(bench.numbers(), bench.work, Bounds(5, 5), bench.owner, bench.prepare, KeyError))
    with pytest.raises(KeyError) as error_info:
        await take(batch, outcomes)
    assert error_info.value.args == (4,)  # the first to end of the first five
    assert sorted(outcomes) == bench.read


@virtually
async def test_what_a_source_raises_while_it_is_closed_hides_no_earlier_error() -> None:
    bench, outcomes = Bench(width=4, stop_at=2), list[int]()

    async def source() -> AsyncIterator[int]:
        try:
            for number in bench.numbers():
                yield number
                await asyncio.sleep(1)
        finally:
            raise OSError("the file is gone")

    with pytest.raises(KeyError):
        await take(bench.run(source()), outcomes)
    assert 2 in outcomes


@virtually
async def test_an_error_of_the_work_itself_stops_the_reading_and_is_raised_after_the_other_outcomes() -> None:
    bench, outcomes = Bench(), list[int]()

    async def work(number: int, on_begin: Begun) -> int:
        if number == 3:
            raise ZeroDivisionError
        return await bench.work(number, on_begin)

    batch = Run(FanOut(bench.numbers(), work, Bounds(4, 4), bench.owner, bench.prepare, bench.stops))
    with pytest.raises(ZeroDivisionError):
        await take(batch, outcomes)
    assert bench.read == [0, 1, 2, 3]
    assert sorted(outcomes) == [0, 1, 2]
    assert bench.cancelled == 0


@virtually
async def test_a_preparation_that_fails_is_raised_and_nothing_is_read() -> None:
    bench = Bench()

    async def prepare() -> None:
        raise PermissionError("no such folder")

    batch = Run(FanOut(bench.numbers(), bench.work, Bounds(2, 2), bench.owner, prepare, bench.stops))
    with pytest.raises(PermissionError):
        await anext(batch)
    assert bench.read == []


@virtually
async def test_left_by_break_it_is_gone_when_dropped() -> None:
    bench = Bench()
    async for _ in bench.run(bench.numbers()):
        break
    gc.collect()
    await asyncio.sleep(0.001)
    assert (bench.working, len(bench.owner)) == (0, 0)
    assert bench.cancelled > 0


@virtually
async def test_a_cancelled_consumer_leaks_nothing() -> None:
    bench = Bench()

    async def consume() -> None:
        async with bench.run(bench.numbers()) as batch:
            async for _ in batch:
                pass

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(25)
    consumer.cancel()
    await asyncio.wait({consumer})
    assert (bench.working, len(bench.owner)) == (0, 0)


@virtually
async def test_a_cancelled_wait_for_an_outcome_ends_the_run_though_its_traceback_lives_on() -> None:
    bench = Bench()
    batch = bench.run(bench.numbers())
    consumer = asyncio.create_task(take(batch, []))
    await asyncio.sleep(25)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):  # and with it the variables of every frame, `batch` among them
        await consumer
    await asyncio.sleep(0.1)
    assert (bench.working, len(bench.owner)) == (0, 0)
    with pytest.raises(ClientClosed, match="a wait for the next outcome was cancelled"):
        await anext(batch)


@virtually
async def test_one_of_two_consumers_may_be_cancelled() -> None:
    bench, outcomes = Bench(), list[int]()
    batch = bench.run(bench.numbers(20))
    one, other = asyncio.create_task(take(batch, [])), asyncio.create_task(take(batch, outcomes))
    await asyncio.sleep(0.1)
    one.cancel()
    await other
    assert sorted(outcomes) == list(range(20))


@virtually
async def test_when_the_owner_closes_the_consumer_is_told() -> None:
    bench = Bench()
    batch = bench.run(bench.numbers())
    await anext(batch)
    await bench.owner.close()
    with pytest.raises(ClientClosed):
        await take(batch, [])


@virtually
async def test_when_the_owner_closes_after_the_last_item_was_read_the_consumer_is_told_too() -> None:
    bench = Bench(width=5)
    batch, outcomes = bench.run(bench.numbers(3)), list[int]()
    outcomes.append(await anext(batch))
    await bench.owner.close()
    with pytest.raises(ClientClosed):
        await take(batch, outcomes)
    assert outcomes == [2]


@virtually
async def test_two_consumers_share_the_outcomes_and_both_end() -> None:
    bench = Bench()
    batch, one, other = bench.run(bench.numbers(9)), list[int](), list[int]()
    await asyncio.gather(take(batch, one), take(batch, other))
    assert sorted(one + other) == list(range(9))


@virtually
async def test_it_tells_how_many_items_are_under_way() -> None:
    bench = Bench(width=3)
    async with bench.run(bench.numbers()) as batch:
        await asyncio.sleep(1)
        assert batch.in_flight == bench.working == 3


@virtually
async def test_closing_waits_until_the_source_is_closed() -> None:
    bench, closings = Bench(), list[bool]()

    async def source() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(1)
                yield 0
        finally:
            await asyncio.sleep(100)
            closings.append(True)

    async with bench.run(source()) as batch:
        await anext(batch)
        await asyncio.sleep(100)  # nothing is under way but the reading
    assert closings == [True]


@virtually
async def test_a_generator_that_somebody_still_holds_is_closed_when_it_is_left() -> None:
    bench, closings = Bench(), list[bool]()

    def source() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closings.append(True)

    items = source()
    async with bench.run(items) as batch:
        await anext(batch)
        assert closings == []
    assert closings == [True]


@virtually
async def test_closed_by_one_it_ends_for_the_other_as_it_would_at_its_end() -> None:
    bench = Bench()
    batch = bench.run(bench.numbers())
    outcomes: list[int] = []
    waiting = asyncio.create_task(take(batch, outcomes))
    await asyncio.sleep(9.5)
    before = list(outcomes)
    await batch.aclose()
    await waiting
    assert outcomes == before != []
    assert batch.in_flight == 0


@virtually
async def test_the_error_that_ended_the_reading_is_told_and_not_one_of_its_source_afterwards() -> None:
    bench = Bench(width=2, stop_at=0)

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(10**9):
                yield number
        finally:
            raise OSError("while it was closed")

    with pytest.raises(KeyError):
        await take(bench.run(source()), [])


def test_dropped_after_its_loop_has_closed_it_raises_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)

    async def main() -> list[Run[int]]:
        bench = Bench()
        return [bench.run(bench.numbers())]

    left = run(main())
    left.clear()
    gc.collect()
    assert errors == []


@virtually
async def test_entered_it_works_ahead_of_the_first_wait_for_an_outcome() -> None:
    bench = Bench()
    async with bench.run(bench.numbers()):
        await asyncio.sleep(0.1)
        assert bench.working == 3


@virtually
async def test_an_ended_run_stays_ended() -> None:
    bench = Bench()
    batch = bench.run(bench.numbers(1))
    assert [number async for number in batch] == [0]
    assert [number async for number in batch] == []
    await batch.aclose()


# --- an observer ------------------------------------------------------------------------------------------------------


@virtually
async def test_an_observer_sees_an_outcome_when_the_consumer_takes_it() -> None:
    bench, notes = Bench(width=3), Notes()
    batch = bench.run(bench.numbers(3), notes)
    assert await anext(batch) == 2
    await asyncio.sleep(60)
    assert batch.in_flight == 0
    assert notes.calls == ["begin", 2]
    assert await anext(batch) == 1
    assert [number async for number in batch] == [0]
    assert notes.calls == ["begin", 2, 1, 0, "end"]


@virtually
async def test_an_observer_sees_the_end_of_a_run_that_fails() -> None:
    bench, notes = Bench(width=2, stop_at=1), Notes()
    with pytest.raises(KeyError):
        await take(bench.run(bench.numbers(), notes), [])
    assert (notes.calls[0], notes.calls[-1]) == ("begin", "end")
    assert 1 in notes.calls


@virtually
async def test_an_observer_sees_that_a_run_is_left() -> None:
    bench, notes = Bench(), Notes()
    async with bench.run(bench.numbers(), notes) as batch:
        assert notes.calls == []
        await anext(batch)
        assert "end" not in notes.calls
    assert notes.calls[-1] == "end"


@virtually
async def test_an_observer_sees_the_end_when_the_only_wait_is_cancelled() -> None:
    bench, notes = Bench(), Notes()
    batch = bench.run(bench.numbers(), notes)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(batch), timeout=1)
    assert notes.calls == ["begin", "end"]
