"""300 image-to-video chains, at most 20 images and 10 videos at once, in virtual time: how soon can all be done?

Every contestant meets a service whose tasks take the same time for the same job, in any order: the documented usual
times, drawn log-normal. All use our client, one each, so that paces and latency are equal. The first is our client
with its defaults. The others poll at fixed intervals, all but one of them every 5 s, as documented: those differ in the
order of the work only.

The lower bound holds for ANY schedule, also for one that knows all durations and each end at once. Let the images
take a₁ ≤ a₂ ≤ … and the videos v. The k-th image ends after a_k at the earliest: k images have then ended, and the
longest of them takes at least a_k. So no more than k videos can run before a_{k+1}, nor more than C ever, and up to the
makespan M the videos can get no more time than C slots have, the k-th from a_k on:

    Σ v ≤ Σ_{k ≤ C} (M - a_k),   that is   M ≥ (Σ v + Σ_{k ≤ C} a_k) / C

No paces are in it: the creates' rates let the first 20 images and 10 videos begin at once. Two more arguments hold (the
images' slots, then the shortest video; the longest chain), and the largest of the three is the bound.

Beside the bound stand two models of a client that takes the jobs in their order, since it cannot know their durations:
its last videos end one after the other, and slots stand idle with nothing left to do. The first model learns of each
end at once, the second at the task's next poll; neither spends any time on a call. The models explain the time above
the bound: the part of the order, and the part of the polls.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from math import floor, log
from multiprocessing import get_context
from operator import truediv
from random import Random
from statistics import median

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Service
from mps_aigc_async.testing import run
from tests.support import KEYS, client_of, in_memory

from .record import keep
from .table import show

CHAINS, IMAGES_AT_ONCE, VIDEOS_AT_ONCE = 300, 20, 10
SEEDS = range(5)
MODELLED = 300
"""Draws that the models are computed for: how lucky were the few?"""
AIM = 1.03
"""Of the makespan to the bound."""
POLL_S = 5.0
LATENCY_S = 0.05
"""Of a call, there and back."""


@dataclass(frozen=True)
class Usual:
    """Log-normal durations, clipped to the range that the guide of 2026-05-29 calls usual, in seconds."""

    median: float
    sigma: float
    least: float
    most: float

    def draw(self, random: Random) -> float:
        return min(self.most, max(self.least, random.lognormvariate(log(self.median), self.sigma)))


IMAGE = Usual(median=104, sigma=0.334, least=60, most=180)
VIDEO = Usual(median=232, sigma=0.155, least=180, most=300)


@dataclass(frozen=True)
class Durations:
    """Seconds at the service, of each chain's image and video."""

    images: Sequence[float]
    videos: Sequence[float]

    @classmethod
    def draw(cls, seed: int) -> "Durations":
        random = Random(seed)
        return cls([IMAGE.draw(random) for _ in range(CHAINS)], [VIDEO.draw(random) for _ in range(CHAINS)])

    def by_prompt(self) -> Mapping[str, float]:
        images = {chain.image.prompt: seconds for chain, seconds in zip(chains(), self.images, strict=True)}
        videos = {chain.video.prompt: seconds for chain, seconds in zip(chains(), self.videos, strict=True)}
        return {**images, **videos}


def chains() -> list[ImageToVideo]:
    return [
        ImageToVideo(image=ImageRequest(prompt=f"picture {number}"), video=VideoRequest(prompt=f"film {number}"))
        for number in range(CHAINS)
    ]


def bound(durations: Durations) -> float:
    """A makespan that no schedule can beat: see above."""
    images, videos = durations.images, durations.videos
    by_videos = (sum(videos) + sum(sorted(images)[:VIDEOS_AT_ONCE])) / VIDEOS_AT_ONCE
    by_images = sum(images) / IMAGES_AT_ONCE + min(videos)
    return max(by_videos, by_images, *(image + video for image, video in zip(images, videos, strict=True)))


def at_once(seconds: float) -> float:
    return seconds


def at_next_poll(seconds: float) -> float:
    return (floor(seconds / POLL_S) + 1) * POLL_S


def as_they_come(durations: Durations, told: Callable[[float], float]) -> float:
    """The makespan of the order given; of a task that takes `seconds` one is told after `told(seconds)`."""
    images = _ends([(0.0, told(seconds)) for seconds in durations.images], IMAGES_AT_ONCE)
    videos = sorted(zip(images, map(told, durations.videos), strict=True))
    return max(_ends(videos, VIDEOS_AT_ONCE))


def _ends(jobs: Iterable[tuple[float, float]], slots: int) -> list[float]:
    """When each job (ready, seconds) ends; they take the slots in their order."""
    free, ends = [0.0] * slots, list[float]()
    for ready, seconds in jobs:
        ends.append(max(ready, free[0]) + seconds)
        heapq.heapreplace(free, ends[-1])
    return ends


Model = Callable[[Durations], float]

MODELS: Mapping[str, Model] = {
    "bound of any schedule": bound,
    "as they come, told at once": lambda durations: as_they_come(durations, at_once),
    "as they come, told at the next poll": lambda durations: as_they_come(durations, at_next_poll),
}


# The contestants


async def ours(client: AigcClient) -> None:
    async for outcome in client.run(chains()):
        assert outcome.ok, outcome.error


async def one_after_another(client: AigcClient) -> None:
    """The guide's main(), once for each slot that a video may have: an image, its video, the next image.

    The guide's also asks at once after a create: a poll more for each task, and no other time.
    """
    waiting = iter(chains())

    async def slot() -> None:
        for chain in waiting:
            image = await client.generate(chain.image)
            await client.generate(_continued(chain.video, image.urls))

    await asyncio.gather(*(slot() for _ in range(VIDEOS_AT_ONCE)))


async def two_phases(client: AigcClient) -> None:
    """All images, then all videos; the client's slots are the semaphores."""
    batch = chains()
    images = await asyncio.gather(*(client.generate(chain.image) for chain in batch))
    films = [_continued(chain.video, image.urls) for chain, image in zip(batch, images, strict=True)]
    await asyncio.gather(*(client.generate(film) for film in films))


async def all_at_once(client: AigcClient) -> None:
    """A coroutine for each chain, and a semaphore (the client's slots) for each kind."""

    async def one(chain: ImageToVideo) -> None:
        image = await client.generate(chain.image)
        await client.generate(_continued(chain.video, image.urls))

    await asyncio.gather(*(one(chain) for chain in chains()))


def _continued(video: VideoRequest, urls: Sequence[str]) -> VideoRequest:
    return video.model_copy(update={"first_frame": urls[0]})


@dataclass(frozen=True)
class Contestant:
    work: Callable[[AigcClient], Coroutine[None, None, None]]
    concurrency: Mapping[str, object] = field(default_factory=dict)
    """Keys of its config beside the caps and the documented interval."""

    def config(self) -> Config:
        usual = {
            "maxImageTasks": IMAGES_AT_ONCE,
            "maxVideoTasks": VIDEOS_AT_ONCE,
            "pollIntervalMs": 1000 * POLL_S,
            "pollStrategy": "fixed",
        }
        return Config.parse({"tencentCloud": KEYS, "concurrency": {**usual, **self.concurrency}})


CONTESTANTS: Mapping[str, Contestant] = {
    "ours": Contestant(ours, {"pollStrategy": "adaptive"}),
    "ours, fixed polls": Contestant(ours),
    "ours, fixed polls every 2 s": Contestant(ours, {"pollIntervalMs": 2000}),
    "every chain at once": Contestant(all_at_once),
    "two phases": Contestant(two_phases),
    "one chain after another": Contestant(one_after_another),
}


# The measuring


@dataclass(frozen=True)
class Figures:
    makespan: float
    """Until the last result is in the caller's hands."""
    ratio: float
    """Of it to the bound."""
    idle: float
    """The share of the videos' slots, from beginning to end, in which no task ran."""
    oldest_url: float
    """Seconds since an image's end when its video was created, at most."""
    polls: int


async def main() -> None:
    games = [(name, seed) for name in CONTESTANTS for seed in SEEDS]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        played = dict(zip(games, processes.map(_played, games), strict=True))
    measured = {name: [played[name, seed] for seed in SEEDS] for name in CONTESTANTS}
    models = _modelled(SEEDS)
    _show(models, measured)
    _show_models(_modelled(range(MODELLED)))
    kept = {name: [asdict(each) for each in figures] for name, figures in measured.items()}
    keep("makespan", {"models": models, "contestants": kept})


def _played(game: tuple[str, int]) -> Figures:
    """In a process of its own: virtual time is as fast as the core that it has."""
    name, seed = game
    return run(_play(CONTESTANTS[name], Durations.draw(seed)))


def _modelled(seeds: Iterable[int]) -> dict[str, list[float]]:
    """Each model's makespans."""
    draws = [Durations.draw(seed) for seed in seeds]
    return {name: [model(durations) for durations in draws] for name, model in MODELS.items()}


async def _play(contestant: Contestant, durations: Durations) -> Figures:
    caps = {"image": IMAGES_AT_ONCE, "video": VIDEOS_AT_ONCE}
    service = in_memory(task_seconds=durations.by_prompt(), max_running=caps)
    clock = asyncio.get_running_loop().time
    async with client_of(service, contestant.config(), latency_s=LATENCY_S) as client:
        began = clock()
        await contestant.work(client)
        makespan = clock() - began
    return _figures(service, makespan, durations)


def _figures(service: Service, makespan: float, durations: Durations) -> Figures:
    assert not any(arrival.code for arrival in service.arrivals)
    assert makespan >= bound(durations)
    tasks = service._tasks.values()  # noqa: SLF001 — the truth that no client may see
    lives = {task.order.prompt: (task.created_at, task.ends_at) for task in tasks}
    assert len(tasks) == len(lives) == 2 * CHAINS  # each once
    return Figures(
        makespan=makespan,
        ratio=makespan / bound(durations),
        idle=1 - sum(durations.videos) / VIDEOS_AT_ONCE / makespan,
        oldest_url=max(lives[f"film {number}"][0] - lives[f"picture {number}"][1] for number in range(CHAINS)),
        polls=sum(arrival.action.startswith("Describe") for arrival in service.arrivals),
    )


def _show(models: Mapping[str, Sequence[float]], measured: Mapping[str, Sequence[Figures]]) -> None:
    modelled = [
        (name, _spread("{:.0f} s", times), _spread("{:.3f}", ratios), "-", "-", "-")
        for (name, times), ratios in zip(models.items(), _to_bound(models), strict=True)
    ]
    played = [
        (
            name,
            _spread("{:.0f} s", [each.makespan for each in figures]),
            _spread("{:.3f}", [each.ratio for each in figures]),
            _spread("{:.1%}", [each.idle for each in figures]),
            _spread("{:.0f} s", [each.oldest_url for each in figures]),
            _spread("{:.0f}", [each.polls for each in figures]),
        )
        for name, figures in measured.items()
    ]
    caps = f"at most {IMAGES_AT_ONCE} images and {VIDEOS_AT_ONCE} videos at once"
    show(
        f"{CHAINS} chains, {caps}; {len(SEEDS)} draws: median (worst)",
        ("who", "makespan", "to the bound", "video slots idle", "oldest URL used", "polls"),
        [*modelled, *played],
    )


def _show_models(models: Mapping[str, Sequence[float]]) -> None:
    rows = [
        (name, _spread("{:.3f}", ratios), f"{sum(ratio <= AIM for ratio in ratios) / len(ratios):.1%}")
        for name, ratios in zip(models, _to_bound(models), strict=True)
    ]
    show(f"The models alone, {MODELLED} draws: median (worst)", ("who", "to the bound", f"within {AIM:g}"), rows)


def _to_bound(models: Mapping[str, Sequence[float]]) -> list[list[float]]:
    """Each model's makespans as ratios to the first one's, which is the bound."""
    bounds, *_ = models.values()
    return [list(map(truediv, makespans, bounds)) for makespans in models.values()]


def _spread(form: str, values: Sequence[float]) -> str:
    return f"{form.format(median(values))} ({form.format(max(values))})"
