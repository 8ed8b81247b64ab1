"""The batch that is killed. `python -m tests.crashing_batch` runs batches by orders, a line of JSON each, until its
standard input ends.

The program does the imports once and runs each batch in a fork, which takes 10 ms: a dozen kills would else spend most
of their time on starting Python. A batch that ends by itself writes its outcomes into a file beside its ledger, as
lines of JSON: a line for each outcome, then a line for each job that `client.unknown()` lists.
"""

import asyncio
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, Outcome, VideoRequest
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.jobs.unknown_creates import UNKNOWN_SLOT_S
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.requests import Request
from mps_aigc_async.model.results import Result, steps_made

from .standins.book import FAILING, FORBIDDEN
from .standins.relay import KEY
from .standins.tc3 import SECRET_ID, SECRET_KEY
from .standins.vod import SUB_APP_ID

CAP: Final = 8
"""Tasks of a kind that may run at once."""
DOUBT_S: Final = 1.5
"""Seconds that an unknown create keeps its slot, instead of minutes: longer than any task of the stand-ins."""

PATIENCE_S: Final = 120.0
"""A batch left alone takes a few seconds: one that takes this long hangs."""

_TROUBLE: Final = {3: ("image", FAILING), 6: ("video", FAILING), 9: ("video", FORBIDDEN)}
"""Every tenth chain's: a kill must not confuse failed with unknown either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """A run of a batch."""

    sections: Mapping[str, object]
    """The config's, beside `concurrency`."""
    ledger: str
    name: str
    chains: int
    kill_after_s: float | None
    """Seconds after the fork when the run is killed; None to leave it alone."""


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome, as far as the ledger can confirm it."""

    request: str
    error: str | None
    """The error's class."""
    tasks: tuple[str, ...]
    """The TaskIds of the results, a failed chain's image among them."""
    saved: int
    """How many files they have."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A job of unknown outcome, as the user sees it listed."""

    job: str
    prompt: str
    intent_at: float | None


def sections_of(backend: str, url: str) -> dict[str, object]:
    """The config's sections that choose a stand-in as the service."""
    keys = {"secretId": SECRET_ID, "secretKey": SECRET_KEY, "endpoint": url}
    match backend:
        case "mps":
            return {"tencentCloud": keys}
        case "vod":
            return {"backend": "vod", "tencentCloud": keys, "vod": {"subAppId": SUB_APP_ID}}
        case "relay-trusted":
            return {"backend": "relay", "relay": {"baseUrl": url, "apiKey": KEY, "sessions": "trusted"}}
        case _:
            return {"backend": "relay", "relay": {"baseUrl": url, "apiKey": KEY}}


def chains(name: str, number: int) -> list[ImageToVideo]:
    """The batch of this name. Each prompt begins with its job's id, by which the service's tasks are told apart."""
    return [_chain(f"{name}-{each:02}", *_TROUBLE.get(each % 10, ("", ""))) for each in range(number)]


def _chain(name: str, troubled: str, word: str) -> ImageToVideo:
    prompts = {kind: f"{name}/{kind} {word if kind == troubled else ''}".rstrip() for kind in ("image", "video")}
    return ImageToVideo(
        id=name,
        image=ImageRequest(prompt=prompts["image"], model_name="Hunyuan", model_version="3.0"),
        video=VideoRequest(prompt=prompts["video"], model_name="Kling", model_version="3.0"),
    )


def results_file(ledger: Path) -> Path:
    return ledger.with_suffix(".results")


async def run(orders: Orders) -> None:
    ledger = Path(orders.ledger)
    # The stand-ins' tasks take a fraction of a second: so does the time between two polls.
    concurrency = {"maxImageTasks": CAP, "maxVideoTasks": CAP, "pollIntervalMs": 100}
    config = Config.parse({**orders.sections, "concurrency": concurrency, "catalog": "off"})
    with patch.dict(UNKNOWN_SLOT_S, dict.fromkeys(UNKNOWN_SLOT_S, DOUBT_S)):
        async with AigcClient(config, ledger=ledger) as client:
            batch = client.run(chains(orders.name, orders.chains), save_to=ledger.parent / orders.name)
            told = [told_of(outcome) async for outcome in batch]
            listed = [listed_of(job) for job in await client.unknown()]
    lines = [*(json.dumps(asdict(outcome)) for outcome in told), *(json.dumps(asdict(job)) for job in listed)]
    results_file(ledger).write_text("\n".join(lines), encoding="utf-8")


def told_of(outcome: Outcome[BatchItem, Result] | Outcome[Request, Result]) -> Told:
    made = steps_made(outcome.result or outcome.partial)
    return Told(
        request=outcome.job_id,
        error=None if outcome.error is None else type(outcome.error).__name__,
        tasks=tuple(step.task_id for step in made),
        saved=sum(len(step.files) for step in made),
    )


def listed_of(job: JobRecord) -> Listed:
    return Listed(job=job.job_id, prompt=job.prompt, intent_at=job.intent_at)


# --- forking ----------------------------------------------------------------------------------------------------------


def main() -> None:
    _say("ready")
    for line in sys.stdin:
        orders = Orders(**json.loads(line))
        ended = _forked(orders)
        _say(json.dumps({"code": ended, "at": time.time()}))


def _forked(orders: Orders) -> int:
    """Run a batch in a process of its own; return its exit code, -9 if it was killed."""
    ended, held = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(_exit_code(orders))
    os.close(held)
    moment = PATIENCE_S if orders.kill_after_s is None else orders.kill_after_s
    has_ended, _, _ = select.select([ended], [], [], moment)  # readable when the child's end of the pipe is closed
    os.close(ended)
    if not has_ended:
        os.kill(child, signal.SIGKILL)  # no code has waited for the child, so its number is still its own
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _exit_code(orders: Orders) -> int:
    try:
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
