"""Three workers run queued batches, and are killed or stopped 200 times: is anything lost or paid for twice?

The trial of `shared_crashes`, with a queue in place of each process's own batch.
"""

from tests.sharing_crashes import Plan

from .shared_crashes import KILLS, SEED, run


async def main(seed: int = SEED, kills: int = KILLS) -> None:
    await run(Plan(kills=kills, seed=seed, works=True), "workers")
