"""Chains that run ahead of a step: as many as keep the slots busy, and no more than the URLs' life allows."""

import asyncio
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import ImageRequest, Kind, VodOptions
from mps_aigc_async.jobs.lookahead import Lookahead, Lookaheads, chains_ahead
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.testing import run
from mps_aigc_async.wire.vod import Vod


@given(st.integers(1, 5000), st.integers(1, 500), st.integers(1, 500))
def test_no_more_chains_run_ahead_than_the_urls_life_allows(images: int, videos: int, audios: int) -> None:
    slots = {Kind.IMAGE: images, Kind.VIDEO: videos, Kind.AUDIO: audios}
    for kind, busy in ((Kind.VIDEO, images + videos), (Kind.AUDIO, images + videos + audios)):
        for capacity in (1, slots[kind]):
            ahead = chains_ahead(kind, slots, capacity, 12 * 3600)
            assert 1 <= ahead <= busy
            assert ahead == 1 or ahead * 300 / capacity <= 12 * 3600 / 2


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 500))
def test_chains_whose_urls_never_expire_run_ahead_as_far_as_slots_are_busy(
    images: int, videos: int, capacity: int
) -> None:
    slots = {Kind.IMAGE: images, Kind.VIDEO: videos, Kind.AUDIO: 1}
    assert chains_ahead(Kind.VIDEO, slots, capacity, inf) >= min(images + videos, capacity)
    assert chains_ahead(Kind.VIDEO, slots, 1, inf) == images + videos


def test_a_chain_whose_image_is_kept_counts_among_those_that_do_not_expire() -> None:
    slots = {kind: ProcessSlots(10) for kind in Kind}
    vod = Vod()
    ahead = Lookaheads.of(slots, 3600.0, lambda step: vod.keeps(step, None))
    lasting = ImageRequest(prompt="x", vod=VodOptions(storage_mode="Permanent"))
    assert ahead.over(lasting, Kind.VIDEO) is ahead.lasting[Kind.VIDEO]
    assert ahead.over(ImageRequest(prompt="x"), Kind.VIDEO) is ahead.expiring[Kind.VIDEO]
    ending = ImageRequest(prompt="x", vod=VodOptions(storage_mode="Permanent", expire_time="2026-10-01T10:00:00Z"))
    assert ahead.over(ending, Kind.VIDEO) is ahead.expiring[Kind.VIDEO]


def test_chains_of_all_models_together_run_no_further_ahead_than_their_urls_live() -> None:
    async def main() -> None:
        slots = {kind: ProcessSlots(1000) for kind in Kind}
        ahead = Lookahead(Kind.VIDEO, slots, 12 * 3600.0)
        chains = [asyncio.create_task(ahead.acquire([f"image {n % 9}", "video"])) for n in range(200)]
        await asyncio.sleep(1)
        assert sum(chain.done() for chain in chains) == chains_ahead(Kind.VIDEO, dict.fromkeys(Kind, 1000), 1, 43200)
        for chain in chains:
            chain.cancel()
        await asyncio.wait(chains)

    run(main())


def test_chains_run_ahead_of_a_crowded_models_videos_by_the_models_own_cap() -> None:
    async def main() -> None:
        slots = {kind: ProcessSlots(1000) for kind in Kind}
        videos = slots[Kind.VIDEO]
        for number in range(100):
            videos.adopt(f"{number}", "H3" if number == 0 else "02")
        videos.note_refusal("H3")
        ahead = Lookahead(Kind.VIDEO, slots, 12 * 3600.0)
        chains = [asyncio.create_task(ahead.acquire(["image", "H3"])) for _ in range(200)]
        others = [asyncio.create_task(ahead.acquire(["image", "02"])) for _ in range(200)]
        await asyncio.sleep(1)
        assert sum(chain.done() for chain in chains) == chains_ahead(Kind.VIDEO, dict.fromkeys(Kind, 1000), 1, 43200)
        assert all(chain.done() for chain in others)
        for chain in chains:
            chain.cancel()
        await asyncio.wait(chains)

    run(main())
