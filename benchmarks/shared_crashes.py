"""Three processes run one batch on one ledger in PostgreSQL, and are killed or stopped 200 times: is anything lost or
paid for twice?

`tests/sharing_crashes.py` has the method and the checks; the tests do the same with 10 kills.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.postgres_server import postgres_server
from tests.sharing_crashes import CHECKS, MEMBERS, Plan, crash, figures

from .table import show

SEED = 7
KILLS = 200


async def main(seed: int = SEED, kills: int = KILLS) -> None:
    await run(Plan(kills=kills, seed=seed), "processes")


async def run(plan: Plan, members: str) -> None:
    """Run a trial and print its figures. `members` is the word for the processes."""
    began = time.monotonic()
    with postgres_server() as postgres, postgres.database() as database, TemporaryDirectory() as folder:
        facts = await crash(plan, database, Path(folder))
        contradictions = {what: check(facts) for what, check in CHECKS.items()}
    title = f"{MEMBERS} {members}, {plan.requests} requests a batch, {plan.kills} kills, seed {plan.seed}"
    show(f"{title}, in {time.monotonic() - began:.0f} s", ("what", "figure"), figures(facts))
    show("what must not be", ("what", "found"), [(what, len(errors)) for what, errors in contradictions.items()])
    for what, errors in contradictions.items():
        if errors:
            print(f"\n{what}:", *errors, sep="\n  ")
