"""100 images, at most 50 at once, 2 to 6 s each, polled every second, on a server with a strict one-second window.

The bound is the result of an all-knowing client with the same durations: it creates in bursts as large as the window
allows, needs no time to prepare or deliver, and polls a task exactly once, the moment the task ends, as fast as the 20
polls per second allow. No real client can know when a task ends. So the table also has the same client with fixed
polls: every second for each task, and earliest due first when 20 per second do not suffice.
"""

import heapq
import time
from collections.abc import Sequence

from mps_aigc_async import AigcClient, ImageRequest

from .server import serving
from .table import show

IMAGES, CAP, POLL_S, LIMIT = 100, 50, 1.0, 20
ACTIONS = ("CreateAigcImageTask", "DescribeAigcImageTask")


async def main() -> None:
    async with serving(image_seconds=(2.0, 6.0), speed=1.0) as server:
        began, cpu = time.monotonic(), time.process_time()
        async with AigcClient(server.config(images=CAP, videos=1, poll_ms=int(POLL_S * 1000))) as client:
            batch = [ImageRequest(prompt=f"picture {number}") for number in range(IMAGES)]
            outcomes = [outcome async for outcome in client.run(batch)]
        makespan, cpu = time.monotonic() - began, time.process_time() - cpu
        report = await server.report()
    durations = [end - start for start, end in report.lives.values()]
    knowing, polling = model(durations, knows=True), model(durations, knows=False)
    statistics = report.statistics
    show(
        f"{IMAGES} images, cap {CAP}, 2-6 s, {POLL_S:g} s polls",
        ("what", "figure"),
        [
            ("done", sum(outcome.ok for outcome in outcomes)),
            ("created at the service", statistics.created["image"]),
            ("refused", sum(statistics.refused.values())),
            ("most running", statistics.most_running["image"]),
            ("most in any 1 s (create, poll)", [statistics.most_per_second[action] for action in ACTIONS]),
            ("makespan", f"{makespan:.2f} s"),
            ("bound, all-knowing", f"{knowing:.2f} s: makespan is {makespan / knowing:.2f} x"),
            ("the same with fixed polls", f"{polling:.2f} s: makespan is {makespan / polling:.2f} x"),
            ("client CPU", f"{cpu:.2f} s"),
        ],
    )


def model(durations: Sequence[float], *, knows: bool) -> float:
    """The makespan of a client without latency; `knows`: it polls each task once, when that has ended."""
    creates, polls = _Window(LIMIT), _Window(LIMIT)
    waiting = list(durations)[::-1]
    asks: list[tuple[float, int, float]] = []  # when the next poll is due, a tie-breaker, when the task ends
    now, running, number, last = 0.0, 0, 0, 0.0
    while waiting or asks:
        can_create = creates.free(now) if waiting and running < CAP else float("inf")
        can_poll = max(asks[0][0], polls.free(now)) if asks else float("inf")
        now = max(now, min(can_create, can_poll))
        if can_create <= can_poll:
            creates.take(now)
            running, number = running + 1, number + 1
            ends = now + waiting.pop()
            heapq.heappush(asks, (ends if knows else now + POLL_S, number, ends))
        else:
            polls.take(now)
            _, order, ends = heapq.heappop(asks)
            if ends <= now:
                running, last = running - 1, now
            else:
                heapq.heappush(asks, (now + POLL_S, order, ends))
    return last


class _Window:
    """At most `limit` in any second, used as greedily as it can be."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: list[float] = []

    def free(self, now: float) -> float:
        full = len(self._taken) >= self._limit
        return max(now, self._taken[-self._limit] + 1.0) if full else now

    def take(self, now: float) -> None:
        self._taken.append(now)
