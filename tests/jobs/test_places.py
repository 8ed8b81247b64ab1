"""Places over all members of a ledger, on a real server and the emulator: images are not paid for and outlived, however
many workers make them."""

# ruff: noqa: S608 — the statements are put together from constants

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from math import inf

import psycopg
import pytest

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch_progress import outcomes_of
from mps_aigc_async.engine.workers import queue
from mps_aigc_async.jobs import lookahead
from mps_aigc_async.jobs.lookahead import Lookahead
from mps_aigc_async.jobs.places import Place
from mps_aigc_async.ledger import MemoryLedger
from mps_aigc_async.ledger.postgres import chains_ahead
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.model.states import Kind
from mps_aigc_async.sharing.database_url import DatabaseUrl, database_url
from mps_aigc_async.testing import run
from mps_aigc_async.wire.mps import Mps

from ..support import KEYS

AHEAD = 4
"""The most chains ahead of their videos, in the world of `_short_lives`."""

TABLE = "mps_aigc_ledger.chains_ahead"


@pytest.fixture
def _short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs that live for 8 usual videos; on a slow machine, too, the real ones of 0.4 s are made in time."""
    monkeypatch.setattr(Mps, "url_life_s", 42.0)
    monkeypatch.setattr(lookahead, "NEAR_END_S", 0.1)
    monkeypatch.setattr(lookahead, "USUAL_S", {Kind.VIDEO: 5.0, Kind.AUDIO: 5.0})
    monkeypatch.setattr(chains_ahead, "LOOK_S", 0.05)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=600, image_seconds=(60, 60), video_seconds=(240, 240)) as emulator:
        yield emulator


@pytest.fixture
def url(database: str) -> DatabaseUrl:
    return database_url(f"{database}?ledger=spring")


def text_of(url: DatabaseUrl) -> str:
    return f"{url.dsn}?ledger={url.ledger}"


def client_of(emulator: Emulator, url: DatabaseUrl, images: int = 20) -> AigcClient:
    concurrency = {"maxImageTasks": images, "maxVideoTasks": 1, "pollIntervalMs": 100}
    config = Config.parse({"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": concurrency})
    return AigcClient(config, ledger=text_of(url))


def chain(name: str) -> ImageToVideo:
    return ImageToVideo(id=name, image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="it freezes"))


def most_ahead(emulator: Emulator) -> int:
    """The most images created before their videos at any time."""
    ahead = most = 0
    for arrival in emulator.arrivals:
        if arrival.task_id is not None and arrival.action.startswith("CreateAigc"):
            ahead += 1 if "Image" in arrival.action else -1
            most = max(most, ahead)
    return most


@pytest.mark.usefixtures("_short_lives")
async def test_no_image_outlives_its_url_however_many_workers_make_images(emulator: Emulator, url: DatabaseUrl) -> None:
    """Three workers, each with room for the 4 chains whose images one video slot can use in time."""
    await queue([chain(f"shot-{number}") for number in range(12)], text_of(url))
    async with AsyncExitStack() as stack:
        workers = [(await stack.enter_async_context(client_of(emulator, url))).worker() for _ in range(3)]
        running = [asyncio.create_task(worker.run()) for worker in workers]
        outcomes = [outcome async for outcome in outcomes_of(url)]
        for worker in workers:
            worker.stop()
        await asyncio.gather(*running)
    assert [outcome.error for outcome in outcomes if not outcome.ok] == []
    assert emulator.statistics().created == {"image": 12, "video": 12, "audio": 0}
    assert most_ahead(emulator) == AHEAD


class Others:
    """The chains of other members, as rows."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._connection = psycopg.connect(url.dsn, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def fill(self) -> None:
        """Run ahead with as many chains as may, in the place of all others."""
        self.clear()
        self._connection.execute(
            f"INSERT INTO {TABLE} (ledger, owner, kind, name, most, member, is_ahead) "
            f"SELECT ledger, owner, 'video', n::text, 1, 'x', true FROM generate_series(1, {AHEAD}) AS n, "
            "(SELECT DISTINCT ledger, owner FROM mps_aigc_ledger.jobs) AS owners".encode()
        )

    def clear(self) -> None:
        self._connection.execute(f"DELETE FROM {TABLE}".encode())

    async def see(self, condition: str) -> None:
        """Return once a row fulfils a condition."""
        statement = f"SELECT 1 FROM {TABLE} WHERE {condition}".encode()
        async with asyncio.timeout(20):
            while not self._connection.execute(statement).fetchall():  # noqa: ASYNC110 — the server tells nobody
                await asyncio.sleep(0)


@pytest.fixture
def others(url: DatabaseUrl) -> Iterator[Others]:
    others = Others(url)
    yield others
    others.close()


async def has_created(emulator: Emulator, kind: str) -> None:
    async with asyncio.timeout(20):
        while not emulator.statistics().created[kind]:  # noqa: ASYNC110 — the emulator tells nobody
            await asyncio.sleep(0)


@pytest.mark.usefixtures("_short_lives")
async def test_a_chain_that_others_no_longer_count_waits_for_its_place_again(
    emulator: Emulator, url: DatabaseUrl, others: Others
) -> None:
    """The others take a client for gone while its chain waits for an image slot, and run ahead in its place."""
    async with asyncio.timeout(20), client_of(emulator, url, images=1) as client:
        image = asyncio.create_task(client.generate(ImageRequest(id="first", prompt="a hill")))
        await has_created(emulator, "image")
        result = asyncio.create_task(client.generate(chain("second")))
        await others.see("name = 'second' AND is_ahead")
        others.fill()
        await others.see("name = 'second' AND NOT is_ahead")
        assert emulator.statistics().created == {"image": 1, "video": 0, "audio": 0}
        others.clear()
        assert (await result).video.urls
        await image
    assert emulator.statistics().created == {"image": 2, "video": 1, "audio": 0}


@pytest.mark.usefixtures("_short_lives")
async def test_a_chain_that_has_begun_is_left_to_others_and_waits_for_no_place(
    emulator: Emulator, url: DatabaseUrl, others: Others
) -> None:
    async with client_of(emulator, url) as client:
        work = asyncio.create_task(client.generate(chain("shot")))
        await has_created(emulator, "image")
        work.cancel()
        await others.see("name = 'shot' AND is_ahead AND member IS NULL")
    others.fill()
    async with asyncio.timeout(20), client_of(emulator, url) as client:
        assert (await client.generate(chain("shot"))).video.urls
    assert emulator.statistics().created == {"image": 1, "video": 1, "audio": 0}


class Unasked(MemoryLedger):
    """A ledger that must not be asked for room."""

    async def run_ahead(self, name: str, kind: Kind, most: Callable[[], int]) -> None:
        raise AssertionError(f"{name} was counted ahead of its {kind}, at most {most()}")


def test_chains_whose_urls_never_expire_are_counted_by_no_ledger() -> None:
    async def main() -> None:
        slots = {kind: ProcessSlots(1) for kind in Kind}
        place = Place(Unasked(), "shot", Kind.VIDEO, Lookahead(Kind.VIDEO, slots, inf))
        await place.acquire(["image", "video"], ignore, ignore, has_begun=False)
        place.end()
        with pytest.raises(AssertionError, match="ahead of its video, at most 72"):
            await Place(Unasked(), "shot", Kind.VIDEO, Lookahead(Kind.VIDEO, slots, 12 * 3600.0 + 600.0)).acquire(
                ["image", "video"], ignore, ignore, has_begun=False
            )

    run(main())


def test_a_chain_that_has_begun_waits_for_no_place_in_its_client() -> None:
    async def main() -> None:
        slots = {kind: ProcessSlots(1) for kind in Kind}
        ahead = Lookahead(Kind.VIDEO, slots, inf)
        chains = [asyncio.create_task(ahead.acquire(["image", "video"])) for _ in range(9)]
        await asyncio.sleep(1)
        assert not all(chain.done() for chain in chains)
        async with asyncio.timeout(1):
            await Place(MemoryLedger(), "shot", Kind.VIDEO, ahead).acquire(
                ["image", "video"], ignore, ignore, has_begun=True
            )
        for chain in chains:
            chain.cancel()
        await asyncio.wait(chains)

    run(main())
