"""Chains that lose 12% of their creates and whose process is killed (-9) 12 times: is anything lost or paid for twice,
at each of the services?

`tests/crashes.py` has the method and the checks; the tests do the same with 20 chains and 6 kills.
"""

import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from mps_aigc_async import JobState
from tests.crashes import CHECKS, Facts, Found, Plan, crash

from .__main__ import BACKENDS
from .table import show

SEED = 7
KILLS = 12


async def main(backend: str | None = None, seed: int = SEED, kills: int = KILLS) -> None:
    for each in BACKENDS if backend is None else (backend,):
        await _one(Plan(backend=each, kills=kills, seed=seed))


async def _one(plan: Plan) -> None:
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        facts = await crash(plan, Path(folder))
    title = f"{plan.backend}: {plan.chains} chains, {plan.kills} kills, seed {plan.seed}"
    show(f"{title}, in {time.monotonic() - began:.0f} s", ("what", "figure"), _figures(facts))
    contradictions = {what: check(facts) for what, check in CHECKS.items()}
    show("what must not be", ("what", "found"), [(what, len(errors)) for what, errors in contradictions.items()])
    for what, errors in contradictions.items():
        if errors:
            print(f"\n{what}:", *errors, sep="\n  ")


def _figures(facts: Facts) -> list[tuple[str, object]]:
    states = Counter(job.state for job in facts.rows)
    made = set(facts.made)
    found = Counter(kill.found for kill in facts.kills)
    return [
        ("batches", len(facts.batches)),
        ("kills", len(facts.kills)),
        *((f"kills that found {what}", found[what]) for what in Found),
        ("kills that found creates under way", sum(1 for kill in facts.kills if kill.intents)),
        ("jobs", len(facts.jobs)),
        ("tasks at the service", len(facts.seen.tasks)),
        ("creates lost before a task was made", len(facts.seen.lost_before)),
        ("creates lost after a task was made", len(facts.seen.lost_after)),
        ("jobs found in intent at the kills", len(facts.intents)),
        ("unknown in the end", len(facts.unknown)),
        ("… accepted by the service", len(facts.unknown & made)),
        ("… never arrived there", len(facts.unknown - made)),
        ("saved", states[JobState.SAVED]),
        ("failed", states[JobState.FAILED]),
        ("planned: videos whose image did not come", states[JobState.PLANNED]),
        ("refused by the service", dict(facts.seen.refused)),
        ("most in any 1 s", dict(facts.seen.most_per_second)),
    ]
