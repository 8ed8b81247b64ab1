"""Half a minute of trouble of every sort: nothing is paid for twice, lost or mixed up."""

from pathlib import Path

from .chaos.checks import CHECKS
from .chaos.running import chaos

SECONDS = 25.0
SEED = 7


async def test_trouble_of_every_sort_loses_nothing_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    facts = await chaos(tmp_path, seed=SEED, seconds=SECONDS)
    found = {what: contradictions for what, check in CHECKS.items() if (contradictions := check(facts))}
    assert found == {}
