"""The delay from a task's end to its result in the caller's hands, and its cost in polls: fixed and adaptive.

In virtual time, 1,000 or 2,000 tasks per scenario go through the whole client. The service takes the scenario's time
for each task, and answers at once. The table also has the least mean delay of a client that knows the distribution of
the durations, with as many polls as the fixed policy (`inspection`).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from random import Random
from statistics import fmean
from typing import Final

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageResult, VideoRequest, VideoResult
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator.tasks.window import Meter
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from .inspection import Durations, best
from .record import keep
from .server import account
from .table import show

INTERVAL_S: Final = 5.0
LEARNT_AFTER: Final = 50
"""Tasks after whose end the adaptive policy is to be near the best."""
SWEEP_S: Final = (2.5, 5.0, 10.0, 20.0)
"""Intervals that the plot goes through."""
POLICIES: Final = ("fixed", "adaptive")

CURVE_STEPS: Final = 12

Run = tuple[int, str, float]
"""A scenario's number, the policy, the interval in seconds."""

Draw = Callable[[Random, int], float]
"""The duration of the n-th task."""


@dataclass(frozen=True)
class Scenario:
    title: str
    draw: Draw
    known: Durations | None = None
    """The distribution, where the best is to be told."""
    kind: str = "image"
    at_once: int = 50
    tasks: int = 1_000

    @property
    def urls(self) -> str:
        """The field of an answer that holds its results."""
        return f"{self.kind.title()}Urls"

    def requests(self) -> Iterator[ImageRequest | VideoRequest]:
        request = ImageRequest if self.kind == "image" else VideoRequest
        return (request(prompt=f"{self.kind} {number}") for number in range(self.tasks))


def log_normal(durations: Durations) -> Draw:
    return lambda random, _: durations.at(random.gauss())


def by_number(*sorts: Durations, after: int) -> Draw:
    """Scenarios in a row, each for a number of tasks."""
    return lambda random, number: sorts[number // after % len(sorts)].at(random.gauss())


def one_of(*sorts: Durations) -> Draw:
    return lambda random, _: random.choice(sorts).at(random.gauss())


def with_strays(durations: Durations, share: float, least: float, most: float) -> Draw:
    """Some end at any time, as tasks that fail do."""
    return lambda random, _: random.uniform(least, most) if random.random() < share else durations.at(random.gauss())


def evenly(least: float, most: float) -> Draw:
    return lambda random, _: random.uniform(least, most)


# The guide's "1 to 3 minutes" and "3 to 5 minutes" as the range of nine in ten tasks, and services that are steadier.
WIDE_IMAGES, STEADY_IMAGES = Durations(104, 0.334), Durations(104, 0.1)
WIDE_VIDEOS, STEADY_VIDEOS = Durations(232, 0.155), Durations(232, 0.05)
QUICK_VIDEOS, SLOW_VIDEOS = Durations(60, 0.05), Durations(400, 0.05)

STEADY: Final = (
    Scenario("images, 104 s, σ 0.334", log_normal(WIDE_IMAGES), WIDE_IMAGES, tasks=2_000),
    Scenario("images, 104 s, σ 0.1", log_normal(STEADY_IMAGES), STEADY_IMAGES, tasks=2_000),
    Scenario("videos, 232 s, σ 0.155", log_normal(WIDE_VIDEOS), WIDE_VIDEOS, "video", tasks=2_000),
    Scenario("videos, 232 s, σ 0.05", log_normal(STEADY_VIDEOS), STEADY_VIDEOS, "video", tasks=2_000),
)
"""Scenarios that a policy can learn, and whose best policy is known."""

HARD: Final = (
    Scenario("suddenly quicker: 232 s, then 60 s", by_number(STEADY_VIDEOS, QUICK_VIDEOS, after=500), kind="video"),
    Scenario("suddenly slower: 232 s, then 400 s", by_number(STEADY_VIDEOS, SLOW_VIDEOS, after=500), kind="video"),
    Scenario("to and fro: 60 s and 232 s, 100 each", by_number(QUICK_VIDEOS, STEADY_VIDEOS, after=100), kind="video"),
    Scenario("two sorts in one: 60 s or 232 s", one_of(QUICK_VIDEOS, STEADY_VIDEOS), kind="video"),
    Scenario("2% strays of 5 to 900 s", with_strays(STEADY_VIDEOS, 0.02, 5, 900), kind="video"),
    Scenario("anything from 20 to 400 s", evenly(20, 400)),
    Scenario("done before the first poll: 2 to 6 s", evenly(2, 6), at_once=30),
    Scenario("one at a time, σ 0.1", log_normal(STEADY_IMAGES), at_once=1),
    Scenario("under pressure, σ 0.334: 500 images", log_normal(WIDE_IMAGES), at_once=500),
    Scenario("under pressure, σ 0.1: 500 images", log_normal(STEADY_IMAGES), at_once=500),
    Scenario("under pressure, σ 0.155: 1,000 videos", log_normal(WIDE_VIDEOS), kind="video", at_once=1_000),
)
"""Scenarios that may mislead a policy."""

SCENARIOS: Final = (*STEADY, *HARD)


@dataclass
class Seen:
    """The results of tasks and polls."""

    delays: list[float] = field(default_factory=list)
    """In the order in which the ends were told."""
    polls: int = 0
    most_in_a_second: int = 0

    @property
    def delay_s(self) -> float:
        return fmean(self.delays)

    @property
    def learnt_s(self) -> float:
        return fmean(self.delays[LEARNT_AFTER:])

    @property
    def early_s(self) -> float:
        return fmean(self.delays[:LEARNT_AFTER])


async def main() -> None:
    with ProcessPoolExecutor() as pool:
        runs = [(number, policy, INTERVAL_S) for number in range(len(SCENARIOS)) for policy in POLICIES]
        swept = [(number, policy, s) for number in range(len(STEADY)) for s in SWEEP_S for policy in POLICIES]
        notes = dict(zip([*runs, *swept], pool.map(_measured, [*runs, *swept]), strict=True))
    rows = [
        Compared(one, *(notes[number, policy, INTERVAL_S] for policy in POLICIES))
        for number, one in enumerate(SCENARIOS)
    ]
    _show(rows)
    keep(
        "detection",
        {
            "scenarios": [one.figures() for one in rows],
            "curves": [_curves(number, notes) for number in range(len(STEADY))],
        },
    )


# --- one run ----------------------------------------------------------------------------------------------------------


class Service:
    """A transport with a service behind it whose tasks take the time that the scenario has for them."""

    def __init__(self, scenario: Scenario, notes: Seen) -> None:
        self._scenario = scenario
        self._seen = notes
        self._meter = Meter()
        self.ends: dict[str, float] = {}

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        creates = request.headers["X-TC-Action"].startswith("Create")
        inside = self._create() if creates else self._describe(json.loads(request.body)["TaskId"])
        return HttpAnswer(200, {}, json.dumps({"Response": {**inside, "RequestId": "r"}}).encode())

    def _create(self) -> Mapping[str, object]:
        number = len(self.ends)
        task_id = f"4-Aigc-{number}"
        # Seeded by its number: the same for every policy, independent of earlier tasks.
        random = Random(f"{self._scenario.title} {number}")
        self.ends[task_id] = wall() + self._scenario.draw(random, number)
        return {"TaskId": task_id}

    def _describe(self, task_id: str) -> Mapping[str, object]:
        self._meter.count(wall())
        self._seen.polls, self._seen.most_in_a_second = self._meter.total, self._meter.most
        if wall() < self.ends[task_id]:
            return {"Status": "RUN"}
        return {"Status": "DONE", self._scenario.urls: ["https://results.example/1"]}

    async def close(self) -> None:
        """Nothing to close."""


def _measured(one: Run) -> Seen:
    number, policy, interval_s = one
    notes = Seen()
    run(_play(SCENARIOS[number], policy, interval_s, notes))
    return notes


async def _play(scenario: Scenario, policy: str, interval_s: float, notes: Seen) -> None:
    service = Service(scenario, notes)
    async with AigcClient(_config(scenario, policy, interval_s), transport=lambda: service, wall=wall) as client:
        async for outcome in client.run(scenario.requests()):
            assert isinstance(outcome.result, ImageResult | VideoResult), outcome.error
            notes.delays.append(wall() - service.ends[outcome.result.task_id])


def _config(scenario: Scenario, policy: str, interval_s: float) -> Config:
    return Config.parse(
        {
            "tencentCloud": account("http://127.0.0.1:80"),
            "concurrency": {
                f"max{scenario.kind.title()}Tasks": scenario.at_once,
                "pollIntervalMs": round(1000 * interval_s),
                "pollStrategy": policy,
            },
        }
    )


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """Both policies in one scenario."""

    scenario: Scenario
    fixed: Seen
    adaptive: Seen

    @property
    def best_s(self) -> float | None:
        """The least delay with the fixed policy's polls."""
        return self._least_s(self.fixed)

    @property
    def best_for_its_polls_s(self) -> float | None:
        """The least delay with the adaptive policy's own polls."""
        return self._least_s(self.adaptive)

    def _least_s(self, notes: Seen) -> float | None:
        known = self.scenario.known
        return None if known is None else best(known, notes.polls / self.scenario.tasks).delay_s

    def figures(self) -> Mapping[str, object]:
        return {
            "scenario": self.scenario.title,
            "fixed_s": self.fixed.delay_s,
            "adaptive_s": self.adaptive.delay_s,
            "early": self.adaptive.early_s / self.fixed.early_s,
            "learnt": self.adaptive.learnt_s / self.fixed.learnt_s,
            "best_s": self.best_s,
            "best_for_its_polls_s": self.best_for_its_polls_s,
            "fixed_polls": self.fixed.polls / self.scenario.tasks,
            "adaptive_polls": self.adaptive.polls / self.scenario.tasks,
            "most_in_a_second": [self.fixed.most_in_a_second, self.adaptive.most_in_a_second],
        }

    def row(self) -> Sequence[object]:
        best_s, for_its_polls_s = self.best_s, self.best_for_its_polls_s
        return (
            self.scenario.title,
            f"{self.fixed.delay_s:.2f} s",
            f"{self.adaptive.learnt_s:.2f} s",
            f"{self.adaptive.early_s / self.fixed.early_s:.2f}",
            f"{self.adaptive.learnt_s / self.fixed.learnt_s:.2f}",
            "" if best_s is None else f"{best_s:.2f} s",
            "" if best_s is None else f"{self.adaptive.learnt_s / best_s:.2f}",
            "" if for_its_polls_s is None else f"{self.adaptive.learnt_s / for_its_polls_s:.2f}",
            f"{self.fixed.polls / self.scenario.tasks:.1f}",
            f"{self.adaptive.polls / self.fixed.polls:.2f}",
            max(self.fixed.most_in_a_second, self.adaptive.most_in_a_second),
        )


HEADER: Final = (
    "tasks",
    "fixed",
    "adaptive later",
    f"ratio, first {LEARNT_AFTER}",
    "ratio, later",
    "best",
    "adaptive later / best",
    "… with its own polls",
    "polls",
    "ratio",
    "most in any 1 s",
)


def _show(rows: Sequence[Compared]) -> None:
    known = len(STEADY)
    show(f"Mean delay, polls every {INTERVAL_S:g} s on average", HEADER, [one.row() for one in rows[:known]])
    show("… where it is hard to learn", HEADER, [one.row() for one in rows[known:]])


def _curves(number: int, notes: Mapping[Run, Seen]) -> Mapping[str, object]:
    """Delay against polls a task, for the plot."""
    scenario = STEADY[number]
    assert scenario.known is not None
    curves: dict[str, object] = {"scenario": scenario.title}
    for policy in POLICIES:
        of_it = [notes[number, policy, interval_s] for interval_s in SWEEP_S]
        curves[policy] = [(one.polls / len(one.delays), one.learnt_s) for one in of_it]
    few, many = (notes[number, "fixed", interval_s].polls / scenario.tasks for interval_s in (SWEEP_S[-1], SWEEP_S[0]))
    rates = [few * (many / few) ** (step / CURVE_STEPS) for step in range(CURVE_STEPS + 1)]
    curves["best"] = [(polls, best(scenario.known, polls).delay_s) for polls in rates]
    return curves
