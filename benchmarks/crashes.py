"""200 kills, `kill -9` each, of batches of chains with the ledger in a file: what is lost, and what is paid for twice.

`tests/crashes.py` has how it is done and what is looked for; the tests do the same with 20 kills.
"""

import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from mps_aigc_async import JobState
from tests.crashes import CHECKS, Facts, Found, crash

from .table import show

KILLS = 200


async def main() -> None:
    begun = time.monotonic()
    with TemporaryDirectory() as folder:
        facts = await crash(KILLS, Path(folder))
    show(f"{KILLS} kills in {time.monotonic() - begun:.0f} s", ("what", "figure"), _figures(facts))
    contradictions = {what: check(facts) for what, check in CHECKS.items()}
    show("what must not be", ("what", "found"), [(what, len(found)) for what, found in contradictions.items()])
    for what, found in contradictions.items():
        if found:
            print(f"\n{what}:", *found, sep="\n  ")


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
        ("tasks at the service", len(facts.tasks)),
        ("jobs found in intent at the kills", len(facts.intents)),
        ("unknown in the end", len(facts.unknown)),
        ("… accepted by the service", len(facts.unknown & made)),
        ("… never arrived there", len(facts.unknown - made)),
        ("done", states[JobState.DONE]),
        ("failed", states[JobState.FAILED]),
        ("planned: videos whose image did not come", states[JobState.PLANNED]),
        ("refused by the service", dict(facts.seen.refused)),
        ("most running at once", dict(facts.seen.most_running)),
        ("most in any 1 s", dict(facts.seen.most_per_second)),
    ]
