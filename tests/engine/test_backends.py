"""One word switches a batch between MPS, VOD and the relay: same requests, same outcomes, nothing made twice."""

import asyncio
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from mps_aigc_async import (
    AigcClient,
    AigcError,
    AudioRequest,
    Config,
    ConfigError,
    ContentViolation,
    CreateOutcomeUnknown,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    JobState,
    Kind,
    LedgerError,
    ReferenceImage,
    RetryPolicy,
    ServiceError,
    TaskFailed,
    TaskNotFound,
    TaskState,
    VideoRequest,
    VodFile,
    VodOptions,
)
from mps_aigc_async.emulator import Emulator, Service
from mps_aigc_async.model.states import Ending
from mps_aigc_async.testing import run, wall

from ..session_services import RelayService, serving
from ..support import KEYS, Heard, client_of, in_memory

BACKENDS = ("mps", "vod", "relay")
CREATES = {
    "mps": ("CreateAigcImageTask", "CreateAigcVideoTask"),
    "vod": ("vod:CreateAigcImageTask", "vod:CreateAigcVideoTask"),
    "relay": ("relay:aigc-image", "relay:aigc-video"),
}
MODELS = {
    "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
    "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0"},
}


def config_of(backend: str, **more: Any) -> Config:  # noqa: ANN401 — JSON
    return Config.parse(
        {
            "backend": backend,
            "tencentCloud": KEYS,
            "relay": {"baseUrl": KEYS["endpoint"], "apiKey": "RELAYEXAMPLE", "sessions": "trusted"},
            "mps": MODELS,
            "concurrency": {"maxImageTasks": 20, "maxVideoTasks": 10},
            "catalog": "off",
            **more,
        }
    )


def shots(number: int) -> list[ImageToVideo]:
    return [
        ImageToVideo(id=f"shot-{n}", image=ImageRequest(prompt=f"picture {n}"), video=VideoRequest(prompt=f"film {n}"))
        for n in range(number)
    ]


def made(service: Service) -> Counter[str]:
    """How many tasks there are of each prompt."""
    return Counter(task.prompt for task in service.statistics().tasks)


@pytest.mark.parametrize(
    ("backend", "envelope"), [("mps", "detail"), ("vod", "detail"), ("relay", "detail"), ("relay", "wrapped")]
)
def test_fifty_chains_with_ambiguous_creates(tmp_path: Path, backend: str, envelope: str) -> None:
    """2% of the creates are accepted and not answered, and 2% are lost on the way there."""

    async def main() -> None:
        service = in_memory(relay_envelope=envelope)
        for action in CREATES[backend]:
            service.faults.add(action=action, fault="reset_after", times=None, probability=0.02)
            service.faults.add(action=action, fault="reset_before", times=None, probability=0.02)
        wide = {"maxImageTasks": 20, "maxVideoTasks": 10, "pollIntervalMs": 30_000}
        async with client_of(service, config_of(backend, concurrency=wide), ledger=tmp_path / "ledger.db") as client:
            outcomes = [outcome async for outcome in client.run(shots(50))]
            unknown = await client.unknown()
        assert max(made(service).values()) == 1
        lost = [outcome for outcome in outcomes if not outcome.ok]
        assert {type(outcome.error) for outcome in lost} <= {CreateOutcomeUnknown}
        assert len(lost) == len(unknown) < 12
        if backend == "vod":  # found by its session in the account's list
            assert unknown == []
        if backend == "relay":  # only those that the service has: the others were created by the repeated session
            assert all(job.recorded_error().accepted for job in unknown)  # type: ignore[attr-defined] # of its class
            assert {job.prompt for job in unknown} <= set(made(service))

    run(main())


@pytest.mark.parametrize("backend", ["vod", "relay"])
def test_a_create_lost_on_the_way_is_created_by_its_repeated_session(backend: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action=CREATES[backend][0], fault="reset_before", times=2)
        async with client_of(service, config_of(backend)) as client:
            heard = Heard(client)
            result = await client.generate(ImageRequest(id="a", prompt="a cat"))
            assert result.urls
            assert heard.names("a/image") == [
                "Planned", "Paced", "Retried", "Paced", "Retried", "Paced", "Submitted", "Done",
            ]  # fmt: skip
            left = (result.expires_at.timestamp() if result.expires_at else 0) - wall()
            assert 7 * 24 * 3600 - 20 < left <= 7 * 24 * 3600
        assert made(service) == {"a cat": 1}

    run(main())


def test_an_accepted_create_without_an_answer_is_found_on_vod_and_listed_on_the_relay() -> None:
    async def main() -> None:
        for backend in ("vod", "relay"):
            service = in_memory()
            service.faults.add(action=CREATES[backend][0], fault="reset_after", times=1)
            async with client_of(service, config_of(backend)) as client:
                request = ImageRequest(id="a", prompt="a cat")
                if backend == "vod":
                    assert (await client.generate(request)).urls
                    assert await client.counts() == {JobState.DONE: 1}
                else:
                    for _ in range(2):  # known to be accepted: it is not asked about again
                        with pytest.raises(CreateOutcomeUnknown, match="accepted the create") as raised:
                            await client.generate(request)
                    assert raised.value.accepted
                    assert [job.job_id for job in await client.unknown()] == ["a/image"]
            assert made(service) == {"a cat": 1}

    run(main())


@pytest.mark.parametrize("backend", ["vod", "relay"])
def test_an_unknown_create_is_asked_about_again_by_the_next_process(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        request = ImageRequest(id="a", prompt="a cat")
        service.faults.add(action=CREATES[backend][0], fault="reset_before", times=6)
        async with client_of(service, config_of(backend), ledger=ledger) as client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(request)
            (job,) = await client.unknown()
            assert 40 < len(job.session_id) <= 50
        async with client_of(service, config_of(backend), ledger=ledger) as client:
            assert (await client.generate(request)).urls
        assert made(service) == {"a cat": 1}

    run(main())


def test_the_urls_of_a_task_that_is_found_days_later_end_when_they_do(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        request = ImageRequest(id="a", prompt="a cat")
        service.faults.add(action=CREATES["vod"][0], fault="reset_after", times=1)
        service.faults.add(action=CREATES["vod"][0], fault="reset_before", times=5)
        async with client_of(service, config_of("vod"), ledger=ledger) as client:
            began = wall()
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(request)
        await asyncio.sleep(2 * 24 * 3600)
        async with client_of(service, config_of("vod"), ledger=ledger) as client:
            found = await client.generate(request)
            assert found.expires_at is not None
            assert found.finished_at is not None
            assert found.expires_at - found.finished_at == timedelta(days=7)  # the service's own word: ExpireTime
            assert began <= found.finished_at.timestamp() <= began + 600
        assert made(service) == {"a cat": 1}

    run(main())


@pytest.mark.parametrize("backend", ["vod", "relay"])
def test_after_three_days_a_session_is_no_longer_trusted(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "ledger.db"
        request = ImageRequest(id="a", prompt="a cat")
        service.faults.add(action=CREATES[backend][0], fault="reset_after", times=1)
        service.faults.add(action=CREATES[backend][0], fault="reset_before", times=5)
        async with client_of(service, config_of(backend), ledger=ledger) as client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(request)
            await asyncio.sleep(3 * 24 * 3600)
            sent = service.statistics(wall()).arrivals[CREATES[backend][0]]
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(request)
            assert service.statistics(wall()).arrivals[CREATES[backend][0]] == sent
        assert made(service) == {"a cat": 1}

    run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_failures_mean_the_same_on_each(backend: str) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config_of(backend)) as client:
            with pytest.raises(ContentViolation):
                await client.generate(ImageRequest(prompt="forbidden-content"))
            with pytest.raises(TaskFailed, match="could not generate"):
                await client.generate(VideoRequest(prompt="fail-later"))
            task = await client.submit(VideoRequest(prompt="waves"))
            assert (await task.status()).known
            assert (await task.wait()).task_id == task.task_id
            assert client.statistics().slots[Kind.VIDEO].taken == 0

    run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_throttled_create_is_sent_again_slower(backend: str) -> None:
    async def main() -> None:
        service = in_memory()
        action = CREATES[backend][0]
        if backend == "relay":
            service.faults.add(action=action, fault="error", code="RequestLimitExceeded", status=429, times=2)
        else:
            service.faults.add(action=action, fault="error", code="RequestLimitExceeded", times=2)
        async with client_of(service, config_of(backend)) as client:
            assert (await client.generate(ImageRequest(prompt="a cat"))).urls
        assert made(service) == {"a cat": 1}

    run(main())


@pytest.mark.parametrize(
    ("backend", "request_", "says"),
    [
        ("mps", ImageRequest(prompt="x", vod=VodOptions(seed=7)), r"vod\.seed: MPS does not support it"),
        ("vod", ImageRequest(prompt="x", operator="me"), "operator: VOD does not support it"),
        ("vod", AudioRequest(prompt="x", resource_id="5"), "resource_id: VOD does not support it"),
        ("mps", AudioRequest(prompt="x", scene_type="sfx", duration=5), "duration: MPS does not support it"),
        ("relay", ImageRequest(prompt="x", output_count=2), "output_count: the relay does not support it"),
        ("relay", ImageRequest(prompt="x", vod=VodOptions(seed=7)), r"vod\.seed: the relay does not support it"),
        ("relay", ImageRequest(prompt="x", vod=VodOptions(files=(VodFile(base64="eA=="),))), "not by base64"),
        (
            "relay",
            ImageRequest(prompt="x", vod=VodOptions(files=(VodFile(file_id="1", object_id="a"),))),
            r"vod\.files: .*object_id",
        ),
        (
            "relay",
            ImageRequest(prompt="x", images=(ReferenceImage(image="https://a/1.png", reference_type="mask"),)),
            "images: the relay does not support reference_type",
        ),
        ("relay", AudioRequest(prompt="x"), "audio: the relay makes images and videos only; use the mps or the vod"),
        ("relay", ImageRequest(prompt="x", model_name="GEM"), "model_version: the relay requires it"),
    ],
)
def test_what_a_backend_cannot_be_asked_for_is_refused_by_its_name(
    backend: str, request_: ImageRequest | AudioRequest, says: str
) -> None:
    client = AigcClient(config_of(backend))
    with pytest.raises(InvalidRequest, match=says):
        client.check(request_)


def test_each_backend_has_its_own_endpoint_keys_and_limits() -> None:
    def shown(**given: Any) -> str:  # noqa: ANN401 — JSON
        keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}
        return repr(AigcClient(Config.parse({"tencentCloud": keys, **given})))

    assert "at mps.tencentcloudapi.com" in shown()
    assert "at vod.tencentcloudapi.com" in shown(backend="vod")
    assert "at api.quickrouter.ai" in shown(backend="relay", relay={"apiKey": "sk-123456789"})
    assert "sk-123456789" not in shown(backend="relay", relay={"apiKey": "sk-123456789"})
    with pytest.raises(ConfigError, match=r"relay\.apiKey is missing.*MPS_AIGC_RELAY_KEY"):
        shown(backend="relay")
    with pytest.raises(ConfigError, match=r"DescribeTaskDetails names no action: is DescribeTaskDetail meant"):
        shown(backend="vod", limits={"DescribeTaskDetails": 50})
    with pytest.raises(ConfigError, match="backend"):
        shown(backend="cos")
    with pytest.warns(UserWarning, match="cosOutput is MPS's"):
        shown(backend="vod", cosOutput={"bucket": "mine", "region": "ap-guangzhou"})


def test_vod_names_its_application_in_every_call() -> None:
    async def main() -> None:
        service = in_memory(sub_app_id=1500000001)
        async with client_of(service, config_of("vod", vod={"subAppId": 1500000001})) as client:
            assert (await client.generate(ImageRequest(prompt="a cat"))).urls

    run(main())


@pytest.mark.parametrize("backend", BACKENDS)
async def test_over_real_sockets_a_chain_is_made_and_saved(tmp_path: Path, backend: str) -> None:
    async with Emulator(speed=1000) as emulator:
        here = {"tencentCloud": {**KEYS, "endpoint": emulator.url}}
        relay = {"relay": {"baseUrl": emulator.url, "apiKey": "RELAYEXAMPLE"}}
        concurrency = {"maxImageTasks": 2, "maxVideoTasks": 2, "pollIntervalMs": 100}
        config = config_of(backend, **here, **relay, concurrency=concurrency)
        async with AigcClient(config, ledger=tmp_path / "ledger.db") as client:
            result = await client.generate(shots(1)[0], save_to=tmp_path)
            with pytest.raises(TaskNotFound):
                await client.attach("image", "4-nobody").wait()
        assert [file.name for file in (*result.image.files, *result.video.files)] == ["shot-0.png", "shot-0.mp4"]
        assert emulator.statistics().created == {"image": 1, "video": 1, "audio": 0}
    other = config_of("mps" if backend != "mps" else "vod", **here)
    with pytest.raises(LedgerError, match="belongs to"):
        async with AigcClient(other, ledger=tmp_path / "ledger.db"):
            pass


@pytest.mark.parametrize("code", ["InvalidParameter.VoilationContent", "InvalidParameterValue.ModelName"])
def test_a_repeat_that_is_refused_for_good_leaves_the_first_unknown(code: str) -> None:
    """It proves nothing of the first one, which may run; so that trying again what failed must not pay for it twice."""

    async def main() -> None:
        service = in_memory()
        service.faults.add(action=CREATES["vod"][0], fault="reset_after")
        service.faults.add(action=CREATES["vod"][0], fault="error", code=code)
        async with client_of(service, config_of("vod")) as client:
            heard = Heard(client)
            with pytest.raises(CreateOutcomeUnknown, match=code):
                await client.generate(ImageRequest(id="a", prompt="a cat"))
            assert heard.names("a/image")[-1] == "Unknown"
            assert await client.retry_failed() == []
            assert (await client.generate(ImageRequest(id="a", prompt="a cat"))).urls  # found by its session
            await asyncio.sleep(400)
            assert client.statistics().slots[Kind.IMAGE].taken == 0
        assert made(service) == {"a cat": 1}

    run(main())


@pytest.mark.parametrize("code", ["FailedOperation.UserArrears", "RequestLimitExceeded"])
def test_whatever_ends_the_asking_the_caller_gets_the_unknown_create(code: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action=CREATES["vod"][0], fault="reset_after")
        service.faults.add(action=CREATES["vod"][0], fault="error", code=code, times=200)  # more than half an hour's
        async with client_of(service, config_of("vod")) as client:
            heard = Heard(client)
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(ImageRequest(id="a", prompt="a cat"))
            assert heard.names("a/image")[-1] == "Unknown"
            assert len(await client.unknown()) == 1

    run(main())


def test_a_proof_is_not_asked_for_again_and_its_task_is_looked_for_by_the_next_call() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action=CREATES["vod"][0], fault="reset_after")
        service.faults.add(action="vod:DescribeTasks", fault="http_status", times=200)
        async with client_of(service, config_of("vod")) as client:
            request = ImageRequest(id="a", prompt="a cat")
            with pytest.raises(CreateOutcomeUnknown, match="has accepted") as raised:
                await client.generate(request)
            assert raised.value.accepted
            assert service.statistics(wall()).arrivals["vod:CreateAigcImageTask"] == 2
            service.faults.clear()
            assert (await client.generate(request)).urls
            assert service.statistics(wall()).arrivals["vod:CreateAigcImageTask"] == 2
            assert client.statistics().slots[Kind.IMAGE].taken == 0
        assert made(service) == {"a cat": 1}

    run(main())


def test_a_session_is_not_sent_after_its_life_however_long_its_slot_was_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(video_seconds=(5000, 5000)), tmp_path / "ledger.db"
        small = {"maxImageTasks": 1, "maxVideoTasks": 1}
        config = config_of("vod", concurrency=small, timeouts={"videoSeconds": 9000})
        doubtful = VideoRequest(id="a", prompt="a cat")
        service.faults.add(action=CREATES["vod"][1], fault="reset_after", times=1)
        service.faults.add(action=CREATES["vod"][1], fault="reset_before", times=5)
        async with client_of(service, config, ledger=ledger) as client:
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(doubtful)
            await asyncio.sleep(3 * 24 * 3600 - 3600 - 1000)
            other = asyncio.create_task(client.generate(VideoRequest(prompt="waves")))
            await asyncio.sleep(1)
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(doubtful)
            await other
        assert made(service) == {"a cat": 1, "waves": 1}

    run(main())


def test_an_unknown_create_that_is_asked_about_again_holds_one_slot() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action=CREATES["relay"][0], fault="reset_before", times=6)
        one = config_of("relay", concurrency={"maxImageTasks": 1, "maxVideoTasks": 1})
        async with client_of(service, one) as client:
            request = ImageRequest(id="a", prompt="a cat")
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(request)
            assert client.statistics().slots[Kind.IMAGE].taken == 1
            began = wall()
            task = await client.submit(request)
            assert wall() - began < 5
            assert client.statistics().slots[Kind.IMAGE].taken == 1
            await task.wait()
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


@pytest.mark.parametrize("backend", ["vod", "relay"])
def test_what_only_mps_lists_is_refused_on_other_backends_before_it_is_sent(backend: str) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config_of(backend)) as client:
            for asking in (
                client.task_list(),
                client.task_details("4-1"),
                client.call("DescribeAigcTaskList", {}),
                client.call("DescribeAigcImageTask", {"TaskId": "4-1"}),
            ):
                with pytest.raises(InvalidRequest, match="only MPS has: use the mps backend"):
                    await asking
        assert len(service.arrivals) == 0

    run(main())


EFFECT: dict[str, object] = {
    "scene_type": "template_effect",
    "file_infos": [{"type": "Url", "category": "Image", "url": "https://a.example/1.png"}],
    "ext_info": {"AdditionalParameters": {"template": "morphlab"}},
}
"""The example of the relay's page "特效模板创建任务", shortened."""


def relay_at(url: URL) -> Config:
    return Config.parse({"backend": "relay", "relay": {"baseUrl": str(url), "apiKey": "sk-EXAMPLE"}})


class TemplateRelay(RelayService):
    """A relay that notes the routes of its creates."""

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:  # noqa: ANN401 — any reply
        self.routes = [*getattr(self, "routes", []), f"{method} {path}"]
        return super().handle(method, path, headers, body)


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("CreateTemplateEffectTask", "template-effect"),
        ("CreateAigcImageTask", "aigc-image"),
        ("CreateAigcVideoTask", "aigc-video"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
async def test_over_a_socket_the_relays_routes_are_called_by_their_actions(
    action: str, path: str, wrapped: bool
) -> None:
    service = TemplateRelay(wrapped=wrapped, now=time.time)
    async with serving(service) as url, AigcClient(relay_at(url)) as client:
        answer = await client.call(action, EFFECT)
        assert "task-0" in str(answer)
        raw = await client.call("DescribeTaskDetail", {"TaskId": "task-0"})
        assert raw["Status"] == "FINISH"
        assert (await client.status(Kind.IMAGE, "task-0")).state is TaskState.DONE
    assert service.bodies == [EFFECT]
    query = "GET /tencent-vod/v1/query/task-0"
    assert service.routes == [f"POST /tencent-vod/v1/{path}", query, query]


@pytest.mark.parametrize("fate", ["504", "drop", "lost", "no id", "page", "RequestLimitExceeded", "invalid_request"])
async def test_a_relays_template_effect_is_billed_and_never_sent_again_blindly(fate: str) -> None:
    service = RelayService(fates=[fate], honours=False, now=time.time)
    async with serving(service) as url, AigcClient(relay_at(url), retry=RetryPolicy(base_s=0.001)) as client:
        began = asyncio.get_running_loop().time()
        if fate == "RequestLimitExceeded":  # refused for now, for certain
            assert "task-0" in str(await client.call("CreateTemplateEffectTask", EFFECT))
        else:
            with pytest.raises(AigcError) as error:
                await client.call("CreateTemplateEffectTask", EFFECT)
            assert error.value.action == "CreateTemplateEffectTask"
            is_refused = fate == "invalid_request"
            assert error.value.ending is (Ending.REFUSED if is_refused else Ending.UNKNOWN)
        if fate != "RequestLimitExceeded":
            await asyncio.gather(*(client.call("CreateTemplateEffectTask", EFFECT) for _ in range(3)))
            assert asyncio.get_running_loop().time() - began > 2 * 1.0 / 20, "paced at VOD's 20 a second"
    assert len(service.bodies) == (2 if fate == "RequestLimitExceeded" else 4)
    assert len(service.tasks) <= 4


def test_a_relay_without_the_route_refuses_the_call_for_certain() -> None:
    """The emulator has no such route, and answers as relays of the family do."""

    async def main() -> None:
        service = in_memory()
        async with client_of(service, config_of("relay")) as client:
            with pytest.raises(ServiceError) as error:
                await client.call("CreateTemplateEffectTask", EFFECT)
            assert (error.value.code, error.value.ending) == ("not_found", Ending.REFUSED)
        assert len(service.arrivals) == 1

    run(main())


def test_a_relays_unknown_action_is_refused_with_a_list_of_its_actions() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config_of("relay")) as client:
            for action in ("DescribeTasks", "CreateAigcAudioTask", "DescribeMediaInfos"):
                with pytest.raises(InvalidRequest) as error:
                    await client.call(action, {})
                assert f"{action}: the relay has no such action: " in error.value.message
                assert "CreateTemplateEffectTask, DescribeTaskDetail" in error.value.message
            for params in ({}, {"TaskId": 5}, {"TaskId": "t", "SubAppId": 1}, {"TaskId": "\ud83c"}, {"TaskId": ""}):
                with pytest.raises(InvalidRequest):
                    await client.call("DescribeTaskDetail", params)
        assert len(service.arrivals) == 0

    run(main())


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
@pytest.mark.parametrize("action", ["CreateAigcVideoTask", "DescribeTaskDetail"])
def test_parameters_that_are_no_object_are_refused_before_anything_is_sent(backend: str, action: str) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config_of(backend)) as client:
            for params in (None, [], [("Prompt", "x")], "x", 5):
                with pytest.raises(InvalidRequest, match="the parameters are an object"):
                    await client.call(action, params)  # type: ignore[arg-type]
        assert len(service.arrivals) == 0

    run(main())


def test_an_action_that_no_header_can_carry_is_refused() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            for action in ("Describé", "Describe\nTasks", "Describe Tasks", "", "图"):
                with pytest.raises(InvalidRequest, match="is no action's name"):
                    await client.call(action, {})

    run(main())
