"""A member of the trial of `sharing_crashes`. `python -m tests.sharing_batch` runs members by orders, a line of JSON
each, and answers with the process id of each, until its standard input ends.

As in `crashing_batch`, the imports are done once, and each member is a fork. A member that has run the batch to its
end writes what it was told into a file, as one JSON value.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo
from mps_aigc_async.engine import request_queue
from mps_aigc_async.engine import worker as workers
from mps_aigc_async.jobs.unknown_creates import UNKNOWN_SLOT_S
from mps_aigc_async.ledger.postgres import changes, members
from mps_aigc_async.limits.shared import limits as shared
from mps_aigc_async.limits.shared import strays as shared_strays
from mps_aigc_async.sharing import looks, member

from .crashing_batch import DOUBT_S, Listed, Told, chains, listed_of, sections_of, told_of

CAP: Final = 6
"""Tasks of a kind that may run at once."""
RHYTHM: Final = 0.2
"""The members' rhythm, as a share of the real one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """A run of the batch by one member."""

    url: str
    """The service's."""
    database: str
    name: str
    """The batch's, and its ledger's."""
    requests: int
    machine: str
    """A name of the member's machine; empty for this one."""
    folder: str
    """For the results."""
    told: str
    """The file for what the member was told."""
    works: bool
    """Whether the member is a worker of the batch, which is queued."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The outcomes that a member was told, once it has run the batch to its end."""

    outcomes: list[Told]
    listed: list[Listed]


def requests(name: str, number: int) -> list[ImageRequest | ImageToVideo]:
    """The batch of this name: two images and a chain, and so on. Each prompt begins with its job's id."""
    return [
        chain if each % 3 == 2 else ImageRequest(**chain.image.model_dump(exclude_none=True) | {"id": chain.id})
        for each, chain in enumerate(chains(name, number))
    ]


@contextmanager
def quick(machine: str) -> Iterator[None]:
    """Let the members look at each other more often, with all of their times in proportion; and let a member be on a
    machine of another name."""
    with ExitStack() as stack:
        for module in (changes, members, shared, shared_strays, looks):
            stack.enter_context(patch.object(module, "APART_S", 2.0 * RHYTHM))
        stack.enter_context(patch.object(looks, "GAP_S", looks.GAP_S * RHYTHM))
        stack.enter_context(patch.object(members, "TRUST_S", members.TRUST_S * RHYTHM))
        stack.enter_context(patch.object(workers, "WATCH_S", workers.WATCH_S * RHYTHM))
        for name in ("HEARTBEAT_S", "STALLED_S", "LOOK_S"):
            stack.enter_context(patch.object(request_queue, name, getattr(request_queue, name) * RHYTHM))
        stack.enter_context(patch.dict(UNKNOWN_SLOT_S, dict.fromkeys(UNKNOWN_SLOT_S, DOUBT_S)))
        if machine:
            stack.enter_context(patch.object(member, "boot_id", lambda: machine))
        yield


async def run(orders: Orders) -> None:
    concurrency = {"maxImageTasks": CAP, "maxVideoTasks": CAP, "pollIntervalMs": 100}
    sections = {**sections_of("mps", orders.url), "concurrency": concurrency, "limitStore": orders.database}
    config = Config.parse({**sections, "catalog": "off"})
    async with AigcClient(config, ledger=f"{orders.database}?ledger={orders.name}") as client:
        told = await (work if orders.works else ask)(client, orders)
        listed = [listed_of(job) for job in await client.unknown()]
    heard = json.dumps(asdict(Heard(told, listed)))
    half = Path(f"{orders.told}.half")
    half.write_text(heard, encoding="utf-8")
    half.rename(orders.told)


async def ask(client: AigcClient, orders: Orders) -> list[Told]:
    """Run the whole batch."""
    batch = client.run(requests(orders.name, orders.requests), save_to=orders.folder)
    return [told_of(outcome) async for outcome in batch]


async def work(client: AigcClient, orders: Orders) -> list[Told]:
    """Work until all requests have ended. A request that two workers ended may come twice: its latest end counts."""
    worker = client.worker(save_to=orders.folder)
    running = asyncio.create_task(worker.run())
    ends = {outcome.job_id: told_of(outcome) async for outcome in client.outcomes()}
    worker.stop()
    await running
    return list(ends.values())


# --- forking ----------------------------------------------------------------------------------------------------------


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the members
    _say("ready")
    for line in sys.stdin:
        orders = Orders(**json.loads(line))
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(_exit_code(orders))
        _say(str(child))


def _exit_code(orders: Orders) -> int:
    try:
        with quick(orders.machine):
            asyncio.run(run(orders))
    except BaseException:  # noqa: BLE001 — of any class: this process must not go on as its parent
        traceback.print_exc()
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
