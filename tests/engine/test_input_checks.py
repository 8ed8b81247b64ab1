"""`checkInputs`: the URLs of a request are looked at before anything is paid for."""

import asyncio
import pickle
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import (
    AigcClient,
    CatalogWarning,
    Config,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    VideoRequest,
)
from mps_aigc_async.catalog import judging
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine import input_checks
from mps_aigc_async.model.errors import TransportError
from mps_aigc_async.model.requests import Request
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..network.test_input_looks import HTML, PNG, Answer, Site, never, redirect, reply, site_of, whole

GIF = b"GIF89a" + bytes(100)
WEBP = b"RIFF\x01\x02\x03\x04WEBPVP8 " + bytes(100)
SECRET = "?sign=s3cr3t"


def of_size(mib: float, head: bytes = PNG) -> bytes:
    """An answer with the head of a file of many MiB."""
    whole_size = int(mib * (1 << 20))
    content_range = f"Content-Range: bytes 0-1023/{whole_size}"
    return reply("206 Partial Content", content_range, "Content-Length: 1024", body=head[:1024])


@pytest.fixture(autouse=True)
def _warnings_anew() -> Iterator[None]:
    judging._warnings_given.clear()
    yield
    judging._warnings_given.clear()


def config_of(emulator: Emulator, *, check_inputs: bool = True, **sections: Any) -> Config:  # noqa: ANN401 — JSON
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": emulator.url}
    switch = {"checkInputs": True} if check_inputs else {}
    caps = {"maxImageTasks": 2, "maxVideoTasks": 1, "pollIntervalMs": 100}
    return Config.parse({"tencentCloud": keys, "concurrency": caps, **switch, **sections})


@asynccontextmanager
async def client_and_site(
    answers: dict[str, Answer],
    *,
    check_inputs: bool = True,
    **sections: Any,  # noqa: ANN401 — JSON
) -> AsyncIterator[tuple[Site, Emulator, AigcClient]]:
    """A site of inputs, an emulator that takes any frame, and a client."""
    async with (
        site_of(answers) as site,
        Emulator(speed=1000, fetch_frames=False) as emulator,
        AigcClient(config_of(emulator, check_inputs=check_inputs, **sections)) as client,
    ):
        yield site, emulator, client


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply("404 Not Found", "Content-Length: 0"), "cannot be fetched by the service: HTTP 404"),
        (reply("403 Forbidden", "Content-Length: 0"), "cannot be fetched by the service: HTTP 403"),
        (redirect(f"/a.png{SECRET}"), "cannot be fetched by the service: its redirects lead in a circle"),
        (whole(HTML), "is text and no media file"),
        (whole(GIF), "is a gif file, and the documents list jpeg, png and webp"),
        (whole(b""), "is an empty file"),
    ],
)
async def test_a_fault_refuses_the_request_and_names_field_url_fault_and_fix(answer: bytes, why: str) -> None:
    async with client_and_site({f"/a.png{SECRET}": answer}) as (site, emulator, client):
        with pytest.raises(InvalidRequest) as raised:
            await client.generate(VideoRequest(prompt="x", first_frame=f"{site.url}/a.png{SECRET}"))
        with pytest.raises(InvalidRequest):
            await client.submit(VideoRequest(prompt="x", first_frame=f"{site.url}/a.png{SECRET}"))
        assert emulator.statistics().arrivals == {}
    (fault,) = raised.value.faults
    assert fault.where == "first_frame"
    assert fault.why.startswith(f"{site.url}/a.png {why}")
    assert 'set "checkInputs" to false' in str(raised.value)
    assert "s3cr3t" not in str(raised.value) + repr(raised.value) + repr(pickle.dumps(raised.value))


async def test_each_fault_of_a_chain_is_named_and_its_image_is_not_paid_for() -> None:
    async with client_and_site({"/large": of_size(12), "/fine": whole()}) as (site, emulator, client):
        chain = ImageToVideo(
            image=ImageRequest(prompt="x", images=(f"{site.url}/fine", f"{site.url}/none")),
            video=VideoRequest(prompt="x", images=(f"{site.url}/large",)),
        )
        with pytest.raises(InvalidRequest, match="at most 10 MiB are allowed") as raised:
            await client.generate(chain)
        assert emulator.statistics().arrivals == {}
    assert [fault.where for fault in raised.value.faults] == ["image.images.1", "video.images.0"]


async def test_the_rules_are_those_of_the_model_that_the_config_names() -> None:
    vega = {"imageGeneration": {"modelName": "wand-vega-image", "modelVersion": "1.0-pro"}}
    async with client_and_site({"/a": of_size(21)}, mps=vega) as (site, _, client):
        with pytest.raises(InvalidRequest, match=r"has 21\.0 MiB, and at most 20 MiB are allowed"):
            await client.generate(ImageRequest(prompt="x", images=(f"{site.url}/a",)))


async def test_a_bad_input_is_the_outcome_of_its_item_alone() -> None:
    async with client_and_site({"/a": whole()}) as (site, emulator, client):
        batch = [VideoRequest(prompt="x", first_frame=f"{site.url}/{name}") for name in ("a", "none", "a")]
        outcomes = [outcome async for outcome in client.run(batch)]
        assert emulator.statistics().created["video"] == 2
    assert [type(outcome.error) for outcome in outcomes if not outcome.ok] == [InvalidRequest]
    assert sorted(site.targets) == ["/a", "/none"]


async def twice(client: AigcClient, request: VideoRequest) -> None:
    for _ in range(2):
        assert (await client.generate(request)).urls


# --- warnings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (of_size(12), r"has 12\.0 MiB, and at most 10 MiB are recommended \(official SDK"),
        (whole(WEBP), "is a webp file, and the field's own document lists jpeg and png"),
        (reply("503 Service Unavailable", "Content-Length: 0"), "could not be looked at: HTTP 503"),
        (b"", "could not be looked at: ServerDisconnectedError"),
    ],
)
async def test_a_doubt_is_a_warning_given_once_and_the_request_is_sent(answer: bytes, why: str) -> None:
    async with client_and_site({f"/a{SECRET}": answer}) as (site, emulator, client):
        url = f"{site.url}/a{SECRET}"
        with pytest.warns(CatalogWarning, match=f"^first_frame: {site.url}/a {why}.*; the request is sent") as record:
            await twice(client, VideoRequest(prompt="x", first_frame=url))
        assert emulator.statistics().created["video"] == 2
    assert len(record) == 1
    assert "s3cr3t" not in str(record[0].message)


async def test_a_warning_that_is_an_error_refuses_the_request() -> None:
    async with client_and_site({"/a": of_size(12)}) as (site, emulator, client):
        with warnings.catch_warnings():
            warnings.simplefilter("error", CatalogWarning)
            with pytest.raises(InvalidRequest, match="are recommended"):
                await client.generate(VideoRequest(prompt="x", first_frame=f"{site.url}/a"))
        assert emulator.statistics().arrivals == {}


async def test_a_documented_file_is_sent_without_a_word() -> None:
    async with client_and_site({"/a": whole(), "/film": whole(b"\0\1\2")}) as (site, _, client):
        request = VideoRequest(prompt="x", first_frame=f"{site.url}/a", audios=(f"{site.url}/film",))
        assert (await client.generate(request)).urls  # a warning would be an error here
    assert sorted(site.targets) == ["/a", "/film"]


# --- when a look is made ----------------------------------------------------------------------------------------------


async def test_without_the_key_nothing_is_looked_at() -> None:
    async with client_and_site({}, check_inputs=False) as (site, _, client):
        assert (await client.generate(VideoRequest(prompt="x", first_frame=f"{site.url}/none"))).urls
    assert site.requests == []


async def test_a_chains_own_results_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    files_seen: list[Request] = []

    async def look_at(files: list[Any], _: object) -> None:
        files_seen.extend(files)

    monkeypatch.setattr(input_checks, "_look_at", look_at)
    async with client_and_site({}) as (_, _, client):
        result = await client.generate(ImageToVideo(image=ImageRequest(prompt="x"), video=VideoRequest(prompt="x")))
        assert (await client.generate(VideoRequest(prompt="x", first_frame=result.image))).urls
    assert files_seen == []


async def test_a_request_that_has_begun_is_not_looked_at(tmp_path: Path) -> None:
    async with site_of({"/a": whole()}) as site, Emulator(speed=1000, fetch_frames=False) as emulator:
        request = VideoRequest(id="one", prompt="x", first_frame=f"{site.url}/a")
        for _ in range(2):
            async with AigcClient(config_of(emulator), ledger=tmp_path / "ledger.db") as client:
                assert (await client.generate(request)).urls
            site.answers.clear()
        assert emulator.statistics().created["video"] == 1
    assert site.targets == ["/a"]


async def test_a_look_occupies_no_slot_and_delays_no_other_request() -> None:
    async with client_and_site({"/slow": never}) as (site, emulator, client):
        slow = asyncio.create_task(client.generate(VideoRequest(prompt="x", first_frame=f"{site.url}/slow")))
        while not site.requests:  # noqa: ASYNC110 - until the look is under way
            await asyncio.sleep(0)
        assert (await client.generate(VideoRequest(prompt="y"))).urls  # in the only slot
        assert emulator.statistics().created["video"] == 1
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert emulator.statistics().created["video"] == 1


async def test_closing_the_client_ends_a_look() -> None:
    async with client_and_site({"/slow": never}) as (site, emulator, client):
        slow = asyncio.create_task(client.generate(VideoRequest(prompt="x", first_frame=f"{site.url}/slow")))
        while not site.requests:  # noqa: ASYNC110 - until the look is under way
            await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(Exception, match="closed"):
            await slow
        assert emulator.statistics().arrivals == {}


class _Unreachable:
    """A transport to a service that is not on loopback; nothing is ever delivered."""

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        del request, gate, sent
        raise TransportError("never delivered", ending=Ending.UNKNOWN)

    async def close(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "192.168.0.7", "[fd00::1]", "169.254.169.254"])
async def test_a_private_url_is_a_fault_towards_a_real_service(host: str) -> None:
    config = Config.parse({"tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}, "checkInputs": True})
    async with AigcClient(config, endpoint="https://emulator.invalid", transport=_Unreachable) as client:
        with pytest.raises(InvalidRequest, match="its host is in a private network"):
            await client.generate(VideoRequest(prompt="x", first_frame=f"http://{host}/a.png"))
