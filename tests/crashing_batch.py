"""The batch that is killed: `python -m tests.crashing_batch URL LEDGER NAME`, the same command again until it ends.

It says "begun" when its imports are done and the ledger is not yet open, and at its end what came out: a line of JSON
for each outcome, then one for each job that `client.unknown()` lists.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from unittest.mock import patch

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, Outcome, VideoRequest
from mps_aigc_async.assembly import BatchItem
from mps_aigc_async.creates import UNKNOWN_SLOT_S
from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.results import steps_made

CHAINS = 40
CAPS = {"image": 10, "video": 8}
SPEED = 300.0
"""The emulator's: images of 0.2 to 0.6 s, videos of 0.6 to 1 s."""

_IN_DOUBT = "mps_aigc_async.creates.UNKNOWN_SLOT_S"
_MARGIN_S = 0.5
"""Counted from the intent, a create's slot outlives the longest task by this much, as the real minutes do: the create
goes out a little later than its intent is written."""

_TROUBLE = {3: ("image", "fail-later"), 6: ("video", "fail-later"), 9: ("video", "forbidden-content")}
"""Every tenth chain's: a kill must not confuse failed with unknown either."""


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome, as far as the ledger can confirm it."""

    request: str
    error: str | None
    """The error's class."""
    tasks: tuple[str, ...]
    """The TaskIds of the results, a failed chain's image among them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A job of unknown outcome, as the user sees it listed."""

    job: str
    prompt: str
    intent_at: float | None


def chains(name: str) -> list[ImageToVideo]:
    """The batch of this name. Each prompt begins with its job's id, by which the service's tasks are told apart."""
    return [_chain(f"{name}-{number:02}", *_TROUBLE.get(number % 10, ("", ""))) for number in range(CHAINS)]


def _chain(name: str, troubled: str, word: str) -> ImageToVideo:
    prompts = {kind: f"{name}/{kind} {word if kind == troubled else ''}".rstrip() for kind in ("image", "video")}
    return ImageToVideo(
        id=name, image=ImageRequest(prompt=prompts["image"]), video=VideoRequest(prompt=prompts["video"])
    )


async def main(url: str, ledger: str, name: str) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": url}
    concurrency = {"maxImageTasks": CAPS["image"], "maxVideoTasks": CAPS["video"], "pollIntervalMs": 200}
    config = Config.parse({"tencentCloud": keys, "concurrency": concurrency})
    _say("begun")
    # The tasks are as many times shorter than the real ones: so is the time for which a create in doubt keeps its slot.
    with patch.dict(_IN_DOUBT, {kind: seconds / SPEED + _MARGIN_S for kind, seconds in UNKNOWN_SLOT_S.items()}):
        async with AigcClient(config, ledger=ledger) as client:
            outcomes = [outcome async for outcome in client.run(chains(name))]
            unknown = await client.unknown()
    for outcome in outcomes:
        _say(json.dumps(asdict(_told(outcome))))
    for job in unknown:
        _say(json.dumps(asdict(_listed(job))))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _told(outcome: Outcome[BatchItem]) -> Told:
    return Told(
        request=outcome.job_id,
        error=None if outcome.error is None else type(outcome.error).__name__,
        tasks=tuple(made.task_id for made in steps_made(outcome.result or outcome.partial)),
    )


def _listed(job: JobRecord) -> Listed:
    return Listed(job=job.job_id, prompt=job.prompt, intent_at=job.intent_at)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
