"""Trouble of every sort at once, by a seeded plan: is anything lost, made twice or mixed up?

`tests/chaos` has the method and the checks; the tests do the same for half a minute.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mps_aigc_async import JobState
from tests.chaos.checks import CHECKS, certain_excesses, most_running
from tests.chaos.deck import Ending, Trouble
from tests.chaos.door import Unasked
from tests.chaos.facts import Facts, job_of
from tests.chaos.running import chaos

from .table import show

SEED = 7
MINUTES = 5.0
_SHOWN = 20
"""Contradictions of one sort that are written out."""


async def main(seed: int = SEED, minutes: float = MINUTES) -> None:
    with TemporaryDirectory() as folder:
        facts = await chaos(Path(folder), seed=seed, seconds=minutes * 60)
    show(f"trouble by seed {seed} in {facts.took_s:.0f} s", ("what", "times"), _troubles(facts))
    show("what came of it", ("what", "figure"), _figures(facts))
    contradictions = {what: check(facts) for what, check in CHECKS.items()}
    show("what must not be", ("what", "found"), [(what, len(errors)) for what, errors in contradictions.items()])
    for what, errors in contradictions.items():
        if errors:
            print(f"\n{what}:", *errors[:_SHOWN], sep="\n  ")


def _troubles(facts: Facts) -> Sequence[tuple[str, object]]:
    troubles, spoilt = facts.happened.troubles, Counter[str]()
    for (_, fault), times in facts.spoilt.items():
        spoilt[fault] += times
    return [
        *((sort, troubles[sort]) for sort in (*Ending, *Trouble)),
        *((f"bytes on an idle connection: {sort}", facts.unasked[sort]) for sort in Unasked),
        *((f"the service's: {code}", times) for code, times in sorted(facts.refused.items())),
        *((f"proxy: {fault}", times) for fault, times in sorted(spoilt.items())),
    ]


def _figures(facts: Facts) -> Sequence[tuple[str, object]]:
    states = Counter(job.state for job in facts.rows)
    jobs = set(map(job_of, facts.tasks.values()))
    unknown = {job.job_id for job in facts.rows if job.state is JobState.UNKNOWN}
    running = most_running(facts)
    return [
        ("batches, runs", f"{len(facts.batches)}, {len(facts.runs)}"),
        ("jobs", len(facts.rows)),
        ("tasks at the service", len(facts.tasks)),
        ("calls and downloads", len(facts.arrivals)),
        ("saved", states[JobState.SAVED]),
        ("failed, by the service's word", states[JobState.FAILED]),
        ("planned: videos whose image did not come", states[JobState.PLANNED]),
        ("unknown, all listed", len(unknown)),
        ("… accepted by the service", len(unknown & jobs)),
        ("… never arrived there", len(unknown - jobs)),
        ("ledgers that kills in their opening left", dict(facts.happened.opening)),
        ("most running at once", ", ".join(f"{kind} {running[kind]} of {cap}" for kind, cap in facts.caps.items())),
        ("certainly over the rate", sum(certain_excesses(facts).values())),
        (
            "calls that may have crossed unasked bytes, and were reset",
            sum(not taken.in_good_time for taken in facts.taken),
        ),
        ("longest that the door did not look", f"{facts.blind_s * 1000:.0f} ms"),
    ]
