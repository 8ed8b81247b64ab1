"""Batches into a private bucket of the user's own: all results are saved, all first frames fetched, nothing expires."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from traceback import TracebackException

import aiohttp
import pytest
from pydantic import SecretStr

from mps_aigc_async import (
    AccountError,
    AigcClient,
    AigcError,
    Config,
    ConfigError,
    CosStore,
    DownloadError,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    InvalidRequest,
    JobRecord,
    Outcome,
    VideoRequest,
)
from mps_aigc_async.credentials import cos_sdk
from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.emulator import Bucket, Emulator, FaultName, Piece, Service, Settings
from mps_aigc_async.emulator.tasks.place import Access
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model.results import Result
from mps_aigc_async.testing import in_memory_client, run
from mps_aigc_async.testing.in_memory import ENDPOINT, InMemoryTransport
from mps_aigc_async.testing.virtual_time import wall

from .support import KEYS

BUCKET = "shots-1250000000"
COS = {"bucket": BUCKET, "region": "ap-guangzhou", "outputDir": "/out/"}
MEDIA = {"image/png": b"\x89PNG\r\n\x1a\n and more", "video/mp4": b"\0\0\0\x18ftypisom and more"}
CAPS = {"maxImageTasks": 6, "maxVideoTasks": 6, "pollIntervalMs": 100}
KEY, TOKEN = "KEYEXAMPLE", "session-token"


def drawn(piece: Piece) -> bytes:
    """A result's bytes: drawing 60 of them would take half a minute."""
    return MEDIA[piece.content_type]


def chains(count: int) -> list[ImageToVideo]:
    return [
        ImageToVideo(id=f"shot-{number}", image=ImageRequest(prompt="a lake"), video=VideoRequest(prompt="ripples"))
        for number in range(count)
    ]


def config_for(emulator: Emulator, **cos: str) -> Config:
    return Config.parse(
        {
            "account": "studio",
            "tencentCloud": {**KEYS, "endpoint": emulator.url},
            "cosOutput": {**COS, "endpoint": emulator.cos_url, **cos},
            "concurrency": CAPS,
        }
    )


def in_memory_config(**concurrency: int) -> Config:
    caps = {"maxImageTasks": 4, "maxVideoTasks": 2, **concurrency}
    return Config.parse({"account": "studio", "cosOutput": COS, "concurrency": caps})


async def outcomes_of(
    client: AigcClient, requests: Iterable[BatchItem], ledger: Path, folder: Path
) -> list[Outcome[BatchItem, Result]]:
    return [outcome async for outcome in client.run(requests, ledger=ledger, save_to=folder)]


def everything_is_there(outcomes: list[Outcome[BatchItem, Result]], folder: Path, count: int) -> None:
    assert [outcome.error for outcome in outcomes] == [None] * count
    for medium in ("png", "mp4"):
        assert len(list(folder.glob(f"*.{medium}"))) == count


def texts_of(ledger: Path) -> str:
    with closing(sqlite3.connect(ledger)) as database:
        return "\n".join(database.iterdump())


def with_variables(error: BaseException) -> str:
    """A traceback with the variables of each frame, as tools that collect errors show it."""
    return "".join(TracebackException.from_exception(error, capture_locals=True).format())


class Keys:
    """Temporary keys of the service: each pair lives for `life_s` seconds, and the next call makes new ones."""

    def __init__(self, service: Service, life_s: float, wall: Callable[[], float] = wall) -> None:
        self._service = service
        self._life_s = life_s
        self._wall = wall
        self.count = 0

    async def __call__(self) -> Credentials:
        self.count += 1
        secret_id, secret_key, token = f"AKIDTEMPORARY{self.count}", f"{KEY}{self.count}", f"{TOKEN}-{self.count}"
        ends = self._wall() + self._life_s
        self._service.issue(secret_id, secret_key, token, ends)
        return Credentials(secret_id, SecretStr(secret_key), SecretStr(token), datetime.fromtimestamp(ends, UTC))


# --- thirty chains ----------------------------------------------------------------------------------------------------


async def test_thirty_chains_into_a_private_bucket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ledger, folder = tmp_path / "jobs.db", tmp_path / "out"
    async with Emulator(speed=600, media=drawn) as emulator, AigcClient(config_for(emulator)) as client:
        outcomes = await outcomes_of(client, chains(30), ledger, folder)
        bucket = emulator.statistics().buckets[BUCKET]
    everything_is_there(outcomes, folder, 30)
    for outcome in outcomes:
        assert outcome.result is not None
        for one in (outcome.result.image, outcome.result.video):  # type: ignore[union-attr] # chains all
            assert one.never_expires
            assert one.expires_at is None
            assert "?" not in one.urls[0]
    # Each image and video was downloaded once, and each image was fetched as a frame: all by signatures.
    assert (bucket.objects, bucket.answers) == (60, 90)
    assert dict(bucket.refusals) == {"NoSuchKey": 1}  # the probe
    for text in (texts_of(ledger), caplog.text):
        assert "q-signature" not in text
        assert KEY not in text


def test_thirty_chains_with_temporary_keys_that_end_in_mid_batch(tmp_path: Path) -> None:
    """Images last 1 to 3 minutes and videos 3 to 5, so the batch takes an hour and more; keys live for 15 minutes."""
    service = Service(Settings(media=drawn))
    keys = Keys(service, life_s=900)
    ledger, folder = tmp_path / "jobs.db", tmp_path / "out"

    async def main() -> list[Outcome[BatchItem, Result]]:
        transport = lambda: InMemoryTransport(service, wall, latency_s=0.05)  # noqa: E731 — one for the client
        async with AigcClient(
            in_memory_config(), endpoint=ENDPOINT, credentials=keys, transport=transport, wall=wall
        ) as client:
            return await outcomes_of(client, chains(30), ledger, folder)

    everything_is_there(run(main()), folder, 30)
    assert keys.count > 3
    bucket = service.statistics().buckets[BUCKET]
    # In memory the service judges a frame's signature without a GET: a refused one would have failed its video.
    assert (bucket.objects, bucket.answers, dict(bucket.refusals)) == (60, 60, {})
    assert TOKEN not in texts_of(ledger)


def test_keys_of_unknown_end_that_have_ended_are_fetched_anew(tmp_path: Path) -> None:
    """Nothing but downloads goes on, so that no refusal by the service itself tells that the keys have ended."""
    service = Service(Settings(media=drawn))
    lives, number = (10**6, 5.0, 10**6), 0

    async def source() -> Credentials:
        nonlocal number
        keys = (f"AKIDTEMPORARY{number}", f"{KEY}{number}", f"{TOKEN}-{number}")
        service.issue(*keys, wall() + lives[number])
        number += 1
        return Credentials(keys[0], SecretStr(keys[1]), SecretStr(keys[2]))

    async def main() -> list[bool]:
        transport = lambda: InMemoryTransport(service, wall, latency_s=0.05)  # noqa: E731 — one for the client
        async with AigcClient(
            in_memory_config(),
            ledger=tmp_path / "l.db",
            endpoint=ENDPOINT,
            credentials=source,
            transport=transport,
            wall=wall,
        ) as client:
            image = await client.generate(ImageRequest(id="a", prompt="a lake"))
            await asyncio.sleep(300)
            await client.signed_url(image)  # the keys are 300 s old: others are fetched, and end soon
            await asyncio.sleep(10)
            return [outcome.ok async for outcome in client.save_unsaved(save_to=tmp_path)]

    assert run(main()) == [True]
    assert number == 3
    assert dict(service.statistics().buckets[BUCKET].refusals) == {"ExpiredToken": 1}


def test_a_create_that_is_sent_again_with_other_keys_has_an_input_signed_by_them(tmp_path: Path) -> None:
    service = Service(Settings(media=drawn))
    pairs = [(f"AKIDTEMPORARY{number}", f"{KEY}{number}", f"{TOKEN}-{number}") for number in range(2)]
    left = iter(pairs)

    async def source() -> Credentials:
        secret_id, secret_key, token = next(left)
        service.issue(secret_id, secret_key, token, wall() + 10**6)
        return Credentials(secret_id, SecretStr(secret_key), SecretStr(token))

    async def main() -> bool:
        transport = lambda: InMemoryTransport(service, wall, latency_s=0.05)  # noqa: E731 — one for the client
        async with AigcClient(
            in_memory_config(), endpoint=ENDPOINT, credentials=source, transport=transport, wall=wall
        ) as client:
            image = await client.generate(ImageRequest(prompt="a lake"))
            service.issue(*pairs[0], wall())  # ends: the service refuses the create, and COS the frame
            video = await client.generate(VideoRequest(prompt="x", first_frame=image), save_to=tmp_path)
            return video.is_saved

    assert run(main())


def test_results_of_last_month_are_still_saved(tmp_path: Path) -> None:
    service = Service(Settings(media=drawn))
    ledger, folder = tmp_path / "jobs.db", tmp_path / "out"

    async def make() -> None:
        async with in_memory_client(service, in_memory_config(), ledger=ledger) as client:
            await client.generate(ImageRequest(id="a", prompt="a lake"))

    async def save() -> list[bool]:
        async with in_memory_client(service, in_memory_config(), ledger=ledger) as client:
            return [outcome.ok async for outcome in client.save_unsaved(save_to=folder)]

    async def month() -> list[bool]:
        await make()
        await asyncio.sleep(30 * 24 * 3600)
        return await save()

    assert run(month()) == [True]


# --- on request -------------------------------------------------------------------------------------------------------


async def test_a_signed_url_can_be_fetched_by_anybody_and_a_bare_one_cannot() -> None:
    async with Emulator(speed=600, media=drawn) as emulator, AigcClient(config_for(emulator)) as client:
        image = await client.generate(ImageRequest(prompt="a lake"))
        url = await client.signed_url(image, expires=60)
        assert url.startswith(f"{image.urls[0]}?")
        assert await client.signed_url(image.urls[0])
        async with aiohttp.ClientSession() as anybody:
            async with anybody.get(url) as answer:
                assert (answer.status, answer.content_type) == (200, "image/png")
            async with anybody.get(image.urls[0]) as answer:
                assert answer.status == 403


@pytest.mark.parametrize("expires", [0, -1, float("nan"), float("inf"), 10**9])
async def test_a_signature_lives_for_a_sensible_time(expires: float) -> None:
    async with Emulator() as emulator, AigcClient(config_for(emulator)) as client:
        with pytest.raises(InvalidRequest, match="expires is"):
            await client.signed_url(f"{emulator.cos_url}/{BUCKET}/a.png", expires=expires)


async def test_a_result_of_an_earlier_client_is_a_first_frame(tmp_path: Path) -> None:
    async with Emulator(speed=600, media=drawn) as emulator:
        async with AigcClient(config_for(emulator)) as client:
            image = await client.generate(ImageRequest(prompt="a lake"))
        async with AigcClient(config_for(emulator), ledger=tmp_path / "l.db") as client:
            await client.generate(VideoRequest(prompt="x", first_frame=image))
            await client.generate(VideoRequest(prompt="y", first_frame=image.urls[0]))
    assert "q-signature" not in texts_of(tmp_path / "l.db")


async def test_a_requests_own_bucket_is_read_too(tmp_path: Path) -> None:
    store = CosStore(bucket="other-1250000000", region="ap-guangzhou")
    request = ImageToVideo(image=ImageRequest(prompt="a lake", store=store), video=VideoRequest(prompt="ripples"))
    async with Emulator(speed=600, media=drawn) as emulator, AigcClient(config_for(emulator)) as client:
        result = await client.generate(request, save_to=tmp_path)
        assert (result.image.is_saved, result.video.is_saved) == (True, True)
        buckets = emulator.statistics().buckets
        assert (buckets["other-1250000000"].objects, buckets[BUCKET].objects) == (1, 1)


# --- refusals, before anything is paid twice --------------------------------------------------------------------------


@pytest.mark.parametrize("access", ["missing", "unusable"])
async def test_a_bucket_that_mps_cannot_use_stops_the_batch_at_its_first_create(tmp_path: Path, access: Access) -> None:
    async with Emulator(speed=600, media=drawn, buckets={BUCKET: Bucket(access)}) as emulator:
        async with AigcClient(config_for(emulator)) as client:
            with pytest.raises(AccountError, match="Cos"):
                await outcomes_of(client, chains(30), tmp_path / "l.db", tmp_path)
        assert sum(emulator.statistics().created.values()) == 0


async def test_a_missing_bucket_is_known_before_the_first_create(tmp_path: Path) -> None:
    async with Emulator(speed=600, media=drawn, buckets={BUCKET: Bucket("missing")}) as emulator:
        async with AigcClient(config_for(emulator)) as client:
            with pytest.raises(AccountError, match=r"Cos\.NoSuchBucket: .*nothing was created"):
                await outcomes_of(client, chains(2), tmp_path / "l.db", tmp_path)
        assert not [one for one in emulator.arrivals if one.action.startswith("Create")]


@pytest.mark.parametrize("access", ["missing", "unusable"])
async def test_a_requests_own_bucket_that_mps_cannot_use_fails_that_request_alone(
    tmp_path: Path, access: Access
) -> None:
    own = CosStore(bucket="other-1250000000", region="ap-guangzhou")
    requests = [ImageRequest(id="own", prompt="x", store=own), ImageRequest(id="config", prompt="x")]
    buckets = {"other-1250000000": Bucket(access)}
    emulator = Emulator(speed=600, media=drawn, buckets=buckets)
    async with emulator, AigcClient(config_for(emulator)) as client:
        outcomes = await outcomes_of(client, requests, tmp_path / "l.db", tmp_path)
    assert {outcome.job_id: outcome.ok for outcome in outcomes} == {"own": False, "config": True}


async def test_a_chain_into_a_missing_bucket_is_refused_before_its_first_step_is_paid_for(tmp_path: Path) -> None:
    own = CosStore(bucket="other-1250000000", region="ap-guangzhou")
    request = ImageToVideo(id="c", image=ImageRequest(prompt="x"), video=VideoRequest(prompt="y", store=own))
    emulator = Emulator(speed=600, media=drawn, buckets={"other-1250000000": Bucket("missing")})
    async with emulator, AigcClient(config_for(emulator)) as client:
        (outcome,) = await outcomes_of(client, [request], tmp_path / "l.db", tmp_path)
        assert isinstance(outcome.error, InvalidRequest)
        assert "store: the results in the bucket other-1250000000" in str(outcome.error)
        assert sum(emulator.statistics().created.values()) == 0


async def test_a_batch_that_its_bucket_stopped_is_all_planned_and_goes_on_when_there_is_one(tmp_path: Path) -> None:
    ledger = tmp_path / "l.db"
    async with Emulator(speed=600, media=drawn, buckets={BUCKET: Bucket("missing")}) as emulator:
        async with AigcClient(config_for(emulator)) as client:
            with pytest.raises(AccountError, match="Cos"):
                await outcomes_of(client, chains(6), ledger, tmp_path)
        with closing(sqlite3.connect(ledger)) as database:
            states = database.execute("SELECT DISTINCT state FROM jobs").fetchall()
        assert states == [("planned",)]
        async with AigcClient(config_for(emulator, bucket="better-1250000000")) as client:
            everything_is_there(await outcomes_of(client, chains(6), ledger, tmp_path), tmp_path, 6)
        assert sum(emulator.statistics().created.values()) == 12


def test_without_the_extra_no_client_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cos_sdk, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"cosOutput: .*pip install '\.\[cos\]'"):
        in_memory_client(config=in_memory_config())


def test_without_the_extra_a_requests_own_bucket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cos_sdk, "find_spec", lambda _name: None)
    client = in_memory_client(config=Config.parse({}))
    with pytest.raises(InvalidRequest, match=r"store: .*pip install '\.\[cos\]'"):
        client.check(ImageRequest(prompt="x", store=CosStore(bucket=BUCKET, region="ap-guangzhou")))


async def test_a_public_bucket_needs_no_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cos_sdk, "find_spec", lambda _name: None)
    emulator = Emulator(speed=600, media=drawn, buckets={BUCKET: Bucket("public-read")})
    async with emulator, AigcClient(config_for(emulator, access="public")) as client:
        everything_is_there(await outcomes_of(client, chains(2), tmp_path / "l.db", tmp_path), tmp_path, 2)


def test_keys_that_may_not_read_the_bucket_are_told_how(tmp_path: Path) -> None:
    service = Service(Settings(media=drawn))
    service.faults.add(action="Cos", fault="http_status", status=403, times=None)

    async def main() -> None:
        async with in_memory_client(service, in_memory_config()) as client:
            with pytest.raises(
                DownloadError, match=r"HTTP 403; .*own bucket, and do not expire: the keys need c"
            ) as raised:
                await client.generate(ImageRequest(prompt="a lake"), save_to=tmp_path)
            text = with_variables(raised.value)  # before the assertion, whose own words are variables too
            assert "q-signature" not in text

    run(main())


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code"), [("error", "InvalidParameter"), ("error", "AuthFailure"), ("http_status", ""), ("not_json", "")]
)
async def test_a_failed_creates_traceback_shows_no_signed_url_among_its_variables(fault: FaultName, code: str) -> None:
    """The signed URL of a frame holds the session token of temporary keys."""
    async with Emulator(speed=600, media=drawn) as emulator:
        keys = Keys(emulator.service, life_s=3600, wall=emulator.now)
        async with AigcClient(config_for(emulator), credentials=keys) as client:
            image = await client.generate(ImageRequest(prompt="a lake"))
            emulator.faults.add(action="CreateAigcVideoTask", fault=fault, code=code)
            with pytest.raises(AigcError) as raised:
                await client.generate(VideoRequest(prompt="ripples", first_frame=image))
    text = with_variables(raised.value)
    assert "Call(action='CreateAigcVideoTask'" in text  # variables are shown
    assert TOKEN not in text
    assert "q-signature" not in text


# --- a clock that is wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off_s", [-7200.0, 7200.0])
async def test_signatures_live_by_the_services_time(tmp_path: Path, off_s: float) -> None:
    async with Emulator(speed=600, media=drawn) as emulator:
        async with AigcClient(config_for(emulator), wall=lambda: emulator.now() + off_s) as client:
            result = await client.generate(chains(1)[0], save_to=tmp_path)
            assert result.video.is_saved
        refusals = emulator.statistics().buckets[BUCKET].refusals
    assert dict(refusals) == {"NoSuchKey": 1}  # the probe


@pytest.mark.parametrize("off_s", [-7200.0, 7200.0])
async def test_a_new_client_signs_by_the_services_time_too(tmp_path: Path, off_s: float) -> None:
    ledger = tmp_path / "l.db"
    async with Emulator(speed=600, media=drawn) as emulator:
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            image = await client.generate(ImageRequest(id="a", prompt="a lake"))
        async with AigcClient(config_for(emulator), ledger=ledger, wall=lambda: emulator.now() + off_s) as client:
            url = await client.signed_url(image)
            async with aiohttp.ClientSession() as anybody, anybody.get(url) as answer:
                assert answer.status == 200
        async with AigcClient(config_for(emulator), ledger=ledger, wall=lambda: emulator.now() + off_s) as client:
            assert [outcome.ok async for outcome in client.save_unsaved(save_to=tmp_path)] == [True]


# --- a config that is edited between two runs -------------------------------------------------------------------------


@pytest.mark.parametrize("cos", [{}, {"cosOutput": {**COS, "bucket": "other-1250000000"}}])
def test_results_stay_in_the_bucket_of_their_create(tmp_path: Path, cos: dict[str, object]) -> None:
    """The task ends in a process whose config names another bucket, or none."""
    service = Service(Settings(media=drawn))
    ledger, edited = tmp_path / "jobs.db", Config.parse({"account": "studio", **cos})

    async def main() -> list[Outcome[JobRecord, Result]]:
        async with in_memory_client(service, in_memory_config(), ledger=ledger) as client:
            await client.submit(ImageRequest(id="a", prompt="a lake"))
        async with in_memory_client(service, edited, ledger=ledger) as client:
            return [outcome async for outcome in client.save_unsaved(save_to=tmp_path)]

    (outcome,) = run(main())
    assert outcome.error is None
    assert isinstance(outcome.result, ImageResult)
    assert (outcome.result.never_expires, outcome.result.is_saved) == (True, True)


async def test_a_bucket_that_was_refused_is_not_asked_for_again(tmp_path: Path) -> None:
    """The row of a refused create has the bucket that was refused; the config names another one by then."""
    ledger, buckets = tmp_path / "l.db", {"other-1250000000": Bucket("unusable")}
    async with Emulator(speed=600, media=drawn, buckets=buckets) as emulator:
        async with AigcClient(config_for(emulator, bucket="other-1250000000")) as client:
            with pytest.raises(AccountError):
                await outcomes_of(client, chains(1), ledger, tmp_path)
        async with AigcClient(config_for(emulator)) as client:
            everything_is_there(await outcomes_of(client, chains(1), ledger, tmp_path), tmp_path, 1)
        assert set(emulator.statistics().buckets) - {"other-1250000000"} == {BUCKET}
