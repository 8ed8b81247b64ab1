"""Clients that share paces and disagree: the most careful of them counts, as long as it is open."""

import asyncio

from mps_aigc_async.limits import Rates
from mps_aigc_async.limits.process.paces import Paces
from mps_aigc_async.limits.process.streams import Streams
from mps_aigc_async.testing import run

from ..measuring import rate_of

CREATE = "CreateAigcVideoTask"


def test_the_lowest_rate_and_the_largest_jitter_count_while_their_clients_are_open() -> None:
    async def main() -> None:
        streams = Streams()
        leave_fast = streams.join(Rates(20, {CREATE: 10}, jitter_s=0.1))
        paces = Paces(streams)
        pace = paces.pace(CREATE)
        assert rate_of(pace) == 10
        leave_slow = streams.join(Rates(20, {CREATE: 2}))
        assert rate_of(pace) == 2
        assert pace.jitter_s == 0.1
        leave_slow()
        assert rate_of(pace) == 10
        leave_fast()
        assert rate_of(paces.pace("Other")) == 20  # the last client's, while none is open
        streams.join(Rates(20, {CREATE: 5}))
        assert (rate_of(pace), pace.jitter_s) == (5, 0.025)

    run(main())


def test_two_clients_with_equal_rates_leave_one_by_one() -> None:
    async def main() -> None:
        streams, equal = Streams(), Rates(3)
        leave = [streams.join(equal), streams.join(equal), streams.join(Rates(9))]
        paces = Paces(streams)
        leave[0]()
        assert rate_of(paces.pace(CREATE)) == 3
        leave[1]()
        assert rate_of(paces.pace(CREATE)) == 9

    run(main())


def test_a_lower_limit_counts_for_calls_that_wait_already() -> None:
    async def main() -> None:
        loop, streams, times = asyncio.get_running_loop(), Streams(), list[float]()
        streams.join(Rates(10))
        paces = Paces(streams)

        async def send() -> None:
            send_time = await paces.pace(CREATE).reserve()
            await send_time.reach()
            times.append(loop.time())

        tasks = [asyncio.create_task(send()) for _ in range(20)]
        await asyncio.sleep(0.55)
        streams.join(Rates(2))
        await asyncio.wait(tasks)
        late = sorted(times)[9:]  # the sends before had their send time already
        assert all(after - before >= 1.0 for before, after in zip(late, late[2:], strict=False))

    run(main())
