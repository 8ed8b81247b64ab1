"""A process of its own with a client. `python -m tests.sharing_process` runs one order, a line of JSON on its standard
input, and prints a line when its work is done. Once its input ends, it ends too."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mps_aigc_async import AigcClient, Config, ImageRequest, Outcome
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model.results import Result

from .support import KEYS

CAP = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    endpoint: str
    store: str
    name: str
    """The beginning of the requests' ids."""
    count: int
    ledger: str | None = None
    submits: bool = False
    """Whether the client only submits, prints, and stays open."""

    def line(self) -> bytes:
        return f"{json.dumps(asdict(self))}\n".encode()


def sections(endpoint: str, store: str) -> dict[str, object]:
    """A config's. Processes on a busy machine, whose arrivals are judged late now and then."""
    return {
        "tencentCloud": {**KEYS, "endpoint": endpoint},
        "concurrency": {"maxImageTasks": CAP, "pollIntervalMs": 100},
        "pacing": {"jitterMs": 300},
        "limitStore": store,
    }


def requests_of(name: str, count: int) -> list[ImageRequest]:
    return [ImageRequest(id=f"{name}-{number}", prompt="a lake") for number in range(count)]


def errors_of(outcomes: Sequence[Outcome[BatchItem, Result]]) -> list[str]:
    return [repr(outcome.error) for outcome in outcomes if outcome.error is not None]


async def batch(order: Order) -> list[str]:
    """The errors of a batch."""
    config = Config.parse(sections(order.endpoint, order.store))
    async with AigcClient(config, ledger=order.ledger) as client:
        if order.submits:
            for request in requests_of(order.name, order.count):
                await client.submit(request)
            say([])
            await asyncio.to_thread(sys.stdin.read)
        return errors_of([outcome async for outcome in client.run(requests_of(order.name, order.count))])


def say(errors: list[str]) -> None:
    sys.stdout.write(f"{json.dumps(errors)}\n")
    sys.stdout.flush()


def fork(order: Order) -> int:
    """Run a batch in a fork; return its pid. The exit code is the number of requests that failed."""
    pid = os.fork()
    if not pid:
        try:
            os._exit(len(asyncio.run(batch(order))))
        except BaseException:  # noqa: BLE001 — the child must not go on with its parent's work
            os._exit(100)
    return pid


def main(order: Mapping[str, object]) -> None:
    say(asyncio.run(batch(Order(**order))))  # type: ignore[arg-type] # JSON


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
