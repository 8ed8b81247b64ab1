"""The client over real sockets, and a whole batch there: nothing refused, lost or made twice."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    ClientClosed,
    Config,
    ConfigError,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobState,
    Kind,
    LedgerError,
    TaskNotFound,
    VideoRequest,
)
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.engine.batch import SAVING, BatchItem
from mps_aigc_async.model.events import Event, Submitted
from mps_aigc_async.model.results import steps_made

from ..support import configured


def config_for(emulator: Emulator, images: int = 2, videos: int = 1, poll_ms: int = 100) -> Config:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": emulator.url}
    concurrency = {"maxImageTasks": images, "maxVideoTasks": videos, "pollIntervalMs": poll_ms}
    # Client and server share a busy machine, which delays more than a network does: rates are for the benchmarks.
    return Config.parse({"tencentCloud": keys, "concurrency": concurrency, "pacing": {"jitterMs": 250}})


def prompts(number: int) -> list[ImageRequest]:
    return [ImageRequest(prompt=f"picture {index}") for index in range(number)]


@pytest.fixture
def small_heap() -> Iterator[None]:
    """Client and server share this process: collecting all that the session has imported would stop both for longer
    than the jitter that the pace allows for, between a send and its arrival."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("small_heap")
async def test_a_hundred_images_at_a_cap_of_fifty_on_a_strict_server() -> None:
    """The makespan is measured in benchmarks; here: nothing refused, nothing twice, the cap kept."""
    async with Emulator(image_seconds=(2.0, 6.0), max_running={"image": 50}) as emulator:
        async with AigcClient(config_for(emulator, images=50, poll_ms=1000)) as client:
            outcomes = [outcome async for outcome in client.run(prompts(100))]
        seen = emulator.statistics()
    assert sum(outcome.ok for outcome in outcomes) == 100
    assert seen.created["image"] == 100
    assert seen.refused == {}
    assert seen.most_running["image"] <= 50
    assert seen.most_per_second["CreateAigcImageTask"] <= 20
    assert seen.most_per_second["DescribeAigcImageTask"] <= 20


@pytest.mark.usefixtures("small_heap")
async def test_the_documented_caps_are_never_exceeded_and_everything_is_saved(tmp_path: Path) -> None:
    async with Emulator(speed=400) as emulator:
        heard: list[Event] = []
        async with AigcClient(config_for(emulator), ledger=tmp_path / "ledger.db") as client:
            client.on_event(heard.append)
            shots = [
                ImageToVideo(
                    id=f"镜头 {n}", image=ImageRequest(prompt=f"{n}"), video=VideoRequest(prompt="x", duration=1)
                )
                for n in range(6)
            ]
            outcomes = [outcome async for outcome in client.run(shots, save_to=tmp_path)]
            assert await client.counts() == {JobState.SAVED: 12}
        seen = emulator.statistics()
    assert all(outcome.ok for outcome in outcomes)
    assert seen.most_running == {"image": 2, "video": 1, "audio": 0}
    assert seen.refused == {}
    assert sorted(path.name for path in tmp_path.glob("*.[mp][pn][4g]")) == sorted(
        f"镜头 {n}.{suffix}" for n in range(6) for suffix in ("mp4", "png")
    )
    assert list(tmp_path.glob(".*.part")) == []
    counts = Counter(type(event).__name__ for event in heard)
    assert [counts[name] for name in ("Planned", "Paced", "Submitted", "Done", "Saved")] == [12] * 5


async def test_a_second_run_creates_nothing_and_fetches_a_file_that_is_missing(tmp_path: Path) -> None:
    batch = prompts(3)
    async with Emulator(speed=1000) as emulator:
        for _ in range(2):
            async with AigcClient(config_for(emulator)) as client:
                ledger = tmp_path / "ledger.db"
                outcomes = [outcome async for outcome in client.run(batch, ledger=ledger, save_to=tmp_path)]
            files = sorted(tmp_path.glob("*.png"))
            assert len(files) == 3
            assert all(outcome.ok for outcome in outcomes)
            files[1].unlink()
        assert emulator.statistics().created["image"] == 3


async def test_a_link_that_is_set_anew_in_mid_run_parts_no_files_from_their_ledger(tmp_path: Path) -> None:
    one, other, link = tmp_path / "one", tmp_path / "other", tmp_path / "link"
    one.mkdir()
    other.mkdir()
    link.symlink_to(one)

    def set_anew(event: Event) -> None:
        if isinstance(event, Submitted):
            link.unlink()
            link.symlink_to(other)

    async with (
        Emulator(speed=1000) as emulator,
        AigcClient(config_for(emulator), ledger=link / "ledger.db") as client,
    ):
        client.on_event(set_anew)
        outcomes = [outcome async for outcome in client.run(prompts(3), save_to=link)]
        saved = [file for outcome in outcomes for step in steps_made(outcome.result) for file in step.files]
    assert len(saved) == 3
    assert {file.parent for file in saved} == {one}
    assert (one / "ledger.db").is_file()
    assert list(other.iterdir()) == []


async def test_bad_items_are_outcomes_and_the_batch_goes_on() -> None:
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator)) as client:
        items = [
            {"image": {"prompt": "fine"}},
            {"image": {"promt": "x"}},
            {"nothing": 1},
            "text",
            ImageRequest(prompt="ok"),
        ]
        outcomes = [outcome async for outcome in client.run(items)]  # type: ignore[arg-type] # the point
        assert sum(outcome.ok for outcome in outcomes) == 2
        errors = [str(outcome.error) for outcome in outcomes if not outcome.ok]
        assert all(isinstance(outcome.error, InvalidRequest) for outcome in outcomes if not outcome.ok)
        assert [error for error in errors if "promt: unknown field" in error]
        assert [error for error in errors if "str is not a request" in error]


async def test_one_request_may_be_a_batch_files_line_and_nothing_else() -> None:
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator)) as client:
        result = await client.generate({"image": {"prompt": "x"}})  # type: ignore[call-overload] # beyond the types, kind
        assert result.urls
        with pytest.raises(InvalidRequest, match="NoneType is not a request"):
            await client.generate(None)  # type: ignore[call-overload] # the point


async def test_a_chain_that_could_not_be_sent_in_full_pays_for_no_image() -> None:
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator)) as client:
        chain = ImageToVideo(image=ImageRequest(prompt="x"), video=VideoRequest(prompt="y", last_frame="local.png"))
        with pytest.raises(InvalidRequest, match=r"last_frame: 'local\.png' is not a URL"):
            client.check(chain)
        with pytest.raises(InvalidRequest, match="last_frame"):
            await client.generate(chain)
        assert emulator.statistics().arrivals == {}


async def test_many_callers_may_save_into_one_new_folder_and_two_into_one_file(tmp_path: Path) -> None:
    async with Emulator(speed=2000) as emulator, AigcClient(config_for(emulator, images=10)) as client:
        requests = [*prompts(9), ImageRequest(id="twice", prompt="x"), ImageRequest(id="twice", prompt="x")]
        saved = await asyncio.gather(*(client.generate(request, save_to=tmp_path / "new") for request in requests))
        assert saved[-1] == saved[-2]
        assert len(list((tmp_path / "new").iterdir())) == 10
        assert emulator.statistics().created["image"] == 10


async def test_a_second_interruption_while_closing_still_closes_everything(tmp_path: Path) -> None:
    async with Emulator(speed=1) as emulator:
        emulator.faults.add(action="CreateAigcImageTask", fault="hang")
        ledger, opened = tmp_path / "ledger.db", asyncio.Event()

        async def program() -> None:
            async with AigcClient(config_for(emulator), ledger=ledger) as client:
                creating = asyncio.create_task(client.generate(ImageRequest(prompt="x")))
                while not emulator.arrivals:  # noqa: ASYNC110 - what is prepared and not sent would be taken back
                    await asyncio.sleep(0)
                opened.set()
                await creating

        running = asyncio.create_task(program())
        await opened.wait()
        running.cancel()
        for _ in range(20):  # turns of the loop, in which closing begins and waits for the create
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
        async with AigcClient(config_for(emulator), ledger=ledger) as client:  # the first one's lock is gone
            assert len(await client.unknown()) == 1


async def test_any_action_can_be_called() -> None:
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator)) as client:
        created = await client.call("CreateAigcImageTask", {"Prompt": "x"})
        described = await client.call("DescribeAigcImageTask", {"TaskId": created["TaskId"]})
        assert described["Status"] in ("WAIT", "RUN", "DONE")
        with pytest.raises(TaskNotFound, match="4-none") as caught:
            await client.call("DescribeAigcImageTask", {"TaskId": "4-none"})
        assert caught.value.action == "DescribeAigcImageTask"
        assert caught.value.request_id


async def test_a_ledger_of_another_account_is_refused_naming_both(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    async with Emulator() as emulator:
        async with AigcClient(config_for(emulator), ledger=ledger) as client:
            await client.submit(ImageRequest(prompt="x"))
        other = config_for(emulator).model_copy(update={"account": "studio-b"})
        with pytest.raises(LedgerError, match=r"belongs to account 'AKID…PLE.*'studio-b'"):
            async with AigcClient(other, ledger=ledger):
                pass


async def test_an_unwritable_folder_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with Emulator() as emulator, AigcClient(config_for(emulator)) as client:
        with pytest.raises(ConfigError, match="cannot write into"):
            await client.generate(ImageRequest(prompt="x"), save_to=tmp_path / "file" / "out")
        with pytest.raises(ConfigError, match="cannot write into"):
            await anext(client.run(prompts(3), save_to=tmp_path / "file" / "out"))
        assert emulator.statistics().arrivals == {}


async def test_the_secret_is_nowhere_to_be_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = "SECRET-THAT-MUST-NOT-LEAVE"
    ledger = tmp_path / "ledger.db"
    with caplog.at_level("DEBUG"):
        async with Emulator(speed=1000, secret_key=secret) as emulator:
            keys = {"secretId": "AKIDEXAMPLE", "secretKey": secret, "endpoint": emulator.url}
            config = Config.parse({"tencentCloud": keys, "concurrency": {"pollIntervalMs": 100}})
            heard: list[Event] = []
            async with AigcClient(config, ledger=ledger) as client:
                client.on_event(heard.append)
                emulator.faults.add(action="CreateAigcVideoTask", fault="http_status", status=502)
                requests: list[BatchItem] = [
                    ImageRequest(prompt="a"),
                    ImageRequest(prompt="forbidden-content"),
                    VideoRequest(prompt="x"),
                ]
                outcomes = [outcome async for outcome in client.run(requests, save_to=tmp_path)]
                seen = [
                    config,
                    client,
                    client.statistics(),
                    *heard,
                    *outcomes,
                    *[outcome.error for outcome in outcomes],
                ]
                shown = " ".join(f"{value!r} {value}" for value in seen)
    assert secret not in shown + caplog.text
    assert "Signature=" not in shown + caplog.text
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


async def test_unusable_keys_are_told_when_the_client_is_made() -> None:
    with pytest.raises(ConfigError, match=r"secretId is still the example's placeholder.*TENCENTCLOUD_SECRET_ID"):
        AigcClient(Config.parse({"tencentCloud": {"secretId": "您的 SecretId", "secretKey": "您的 SecretKey"}}))
    with pytest.raises(ConfigError, match=r"limits\.CreateAigcImagTask names no action: is CreateAigcImageTask meant"):
        AigcClient(configured(limits={"CreateAigcImagTask": 5}))
    with pytest.raises(ConfigError, match="plain http"):
        AigcClient(configured(), endpoint="http://mps.tencentcloudapi.com")


async def test_a_client_not_opened_says_how() -> None:
    client = AigcClient(configured())
    with pytest.raises(ClientClosed, match="async with"):
        await client.generate(ImageRequest(prompt="x"))
    with pytest.raises(ClientClosed, match="async with"):
        client.run([])


async def test_leaving_a_run_early_leaves_nothing_behind() -> None:
    async with Emulator(speed=1000) as emulator, AigcClient(config_for(emulator, images=4)) as client:
        async for _ in client.run(ImageRequest(prompt=f"{n}") for n in range(10**9)):
            break
        gc.collect()
        async with client.run(prompts(1000)) as batch:
            await anext(batch)
        assert batch.in_flight == 0
        made = emulator.statistics().created["image"]
        assert made <= 2 * (2 * (4 + 1 + 1) + SAVING)
        assert client.statistics().slots[Kind.IMAGE].waiting == 0


def test_without_a_config_the_client_finds_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.json"
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": "http://127.0.0.1:9"}
    file.write_text(json.dumps({"tencentCloud": keys}), encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("MPS_AIGC_CONFIG", str(file))
    assert "127.0.0.1:9" in repr(AigcClient())
