"""`usage` and `quotas` on the emulator: the service's count beside the ledger's, and the difference of a lost task."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mps_aigc_async import (
    AccountError,
    AigcClient,
    Attach,
    AudioRequest,
    Config,
    CreateOutcomeUnknown,
    ImageRequest,
    InvalidRequest,
    JobRecord,
    JobState,
    Kind,
    LedgerError,
    Quota,
    ServiceError,
    UsageReport,
    VideoRequest,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.engine.usage import amount_of
from mps_aigc_async.model.results import Usage
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.testing.virtual_time import EPOCH
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..support import KEYS, client_of, in_memory

TODAY = date(2026, 1, 1)  # virtual time begins at 08:00 in UTC+8
MODELS = {
    "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
    "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0", "duration": 4},
}
BATCH: Sequence[ImageRequest | VideoRequest] = [
    ImageRequest(id="two", prompt="a lake", output_count=2),
    ImageRequest(id="one", prompt="a hill"),
    VideoRequest(id="long", prompt="wind", duration=10),
    VideoRequest(id="default", prompt="rain"),  # the config's duration is sent
    VideoRequest(id="failed", prompt="fail-later"),
]


def config_of(backend: str = "mps", **more: object) -> Config:
    return Config.parse(
        {
            "backend": backend,
            "tencentCloud": KEYS,
            "relay": {"baseUrl": KEYS["endpoint"], "apiKey": "RELAYEXAMPLE"},
            "mps": MODELS,
            "catalog": "off",
            **more,
        }
    )


async def make_batch(client: AigcClient) -> None:
    outcomes = [outcome async for outcome in client.run(BATCH)]
    assert [outcome.job_id for outcome in outcomes if not outcome.ok] == ["failed"]


def figures(report: UsageReport, kind: Kind) -> tuple[float | None, ...]:
    """The service's tasks and amount, then the ledger's."""
    (line,) = [line for line in report.totals if line.kind is kind]
    return line.service_tasks, line.service_amount, line.ledger_tasks, line.ledger_amount


@pytest.mark.parametrize("backend", ["mps", "vod"])
@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
def test_after_a_batch_both_counts_are_the_same(backend: str, durable: bool, tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        ledger = tmp_path / "jobs.db" if durable else None
        async with client_of(service, config_of(backend), ledger=ledger) as client:
            await make_batch(client)
            report = await client.usage(TODAY)
            assert figures(report, Kind.IMAGE) == (2, 3, 2, 3)
            assert figures(report, Kind.VIDEO) == (2, 14, 2, 14)  # without the failed task
            assert {(line.kind, line.model, line.amount) for line in report.ledger} == {
                (Kind.IMAGE, "Hunyuan 3.0", 3),
                (Kind.VIDEO, "Kling 3.0", 14),
            }
            assert {(line.kind, line.specification, line.amount) for line in report.specifications} == {
                (Kind.IMAGE, "Hunyuan3.0", 3),
                (Kind.VIDEO, "Kling3.0", 14),
            }
            assert (report.ledger_is_durable, report.unknown_jobs) == (durable, 0)
        async with client_of(service, config_of(backend)) as other:
            report = await other.usage(TODAY)
            assert figures(report, Kind.IMAGE) == (2, 3, 0, 0)
            assert figures(report, Kind.VIDEO) == (2, 14, 0, 0)
            assert figures(await other.usage(TODAY, ledger=ledger), Kind.VIDEO)[2:] == ((2, 14) if durable else (0, 0))

    run(main())


def test_a_lost_answer_is_the_difference_until_its_task_is_attached() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcVideoTask", fault="reset_after", times=1)
        async with client_of(service, config_of()) as client:
            lost = VideoRequest(id="lost", prompt="wind", duration=6)
            with pytest.raises(CreateOutcomeUnknown):
                await client.generate(lost)
            await asyncio.sleep(3600)
            report = await client.usage(TODAY)
            assert figures(report, Kind.VIDEO) == (1, 6, 0, 0)
            assert report.unknown_jobs == 1
            (task,) = service.statistics(wall()).tasks
            await client.settle("lost/video", Attach(task.task_id))
            await client.generate(lost)
            report = await client.usage(TODAY)
            assert figures(report, Kind.VIDEO) == (1, 6, 1, 6)
            assert report.unknown_jobs == 0

    run(main())


def test_days_are_those_of_utc_8_and_a_span_of_a_year_is_read_in_portions() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config_of()) as client:
            await client.generate(ImageRequest(prompt="a lake"))
            await asyncio.sleep(15 * 3600 + 1800)  # 23:30 in UTC+8, 15:30 UTC
            await client.generate(ImageRequest(prompt="before midnight"))
            await asyncio.sleep(1800)
            await client.generate(ImageRequest(prompt="after midnight"))
            report = await client.usage(TODAY)
            days = [(line.day, line.service_amount, line.ledger_amount) for line in report.daily]
            assert days == [(date(2026, 1, 1), 2, 2), (date(2026, 1, 2), 1, 1)]
            assert figures(await client.usage(TODAY, TODAY), Kind.IMAGE) == (2, 2, 2, 2)
            moment = datetime(2026, 1, 1, 16, 0, tzinfo=UTC)
            assert figures(await client.usage(moment), Kind.IMAGE) == (1, 1, 1, 1)
            await asyncio.sleep(300 * 86_400)
            assert figures(await client.usage(TODAY), Kind.IMAGE) == (3, 3, 3, 3)
            arrivals = [arrival for arrival in service.arrivals if arrival.action == "DescribeUsageData"]
            assert [arrival.code for arrival in arrivals] == [None] * (3 + 4)
            with pytest.raises(InvalidRequest, match="more than 365 days ago"):
                await client.usage(date(2024, 1, 1))
            assert len([one for one in service.arrivals if one.action == "DescribeUsageData"]) == len(arrivals)

    run(main())


def test_vod_reports_one_day_in_5_minutes_and_several_in_days() -> None:
    async def main() -> None:
        async with client_of(in_memory(), config_of("vod")) as client:
            await make_batch(client)
            one = await client.usage(TODAY, TODAY)
            await asyncio.sleep(2 * 86_400)
            several = await client.usage(TODAY)
            assert one.service == several.service
            assert one.specifications == several.specifications

    run(main())


def test_tasks_of_another_region_are_counted_too() -> None:
    """Without ProcessRegions the service reports ap-guangzhou alone."""

    async def main() -> None:
        async with client_of(in_memory(process_region="ap-singapore"), config_of()) as client:
            await client.generate(ImageRequest(prompt="a lake"))
            assert figures(await client.usage(TODAY), Kind.IMAGE) == (1, 1, 1, 1)
            start, end = "2026-01-01T00:00:00+08:00", "2026-01-01T23:59:59+08:00"
            params = {"StartTime": start, "EndTime": end, "Types": ["AIGCImage"]}
            alone = await client.call("DescribeUsageData", params)
            assert "'Count': 1" not in str(alone)

    run(main())


def test_audio_is_counted_by_the_ledger_and_not_reported_by_mps() -> None:
    async def main() -> None:
        async with client_of(in_memory(), config_of()) as client:
            await client.generate(AudioRequest(prompt="rain", scene_type="music"))
            report = await client.usage(TODAY)
            assert figures(report, Kind.AUDIO) == (None, None, 1, 3)

    run(main())


def test_the_subapp_is_sent() -> None:
    async def main() -> None:
        service = in_memory(sub_app_id=77, vod_quotas={"Image": 1000, "Text": 5})
        async with client_of(service, config_of("vod", vod={"subAppId": 77})) as client:
            await make_batch(client)
            assert figures(await client.usage(TODAY), Kind.IMAGE) == (2, 3, 2, 3)
            assert await client.quotas() == (Quota(type="Image", kind=Kind.IMAGE, limit=1000, usage=3),)
        async with client_of(service, config_of("vod", vod={"subAppId": 78})) as client:
            with pytest.raises(ServiceError):
                await client.usage(TODAY)

    run(main())


class ManyQuotas(InMemoryTransport):
    """VOD with a number of quotas of each type; notes the pages that were asked for."""

    def __init__(self, total: int) -> None:
        super().__init__(in_memory(), wall, latency_s=0.1)
        self._total = total
        self.offsets: list[int] = []

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        await gate()
        sent()
        fields = json.loads(request.body)
        self.offsets.append(fields["Offset"])
        quota = {"QuotaType": fields["QuotaType"], "QuotaLimit": 1, "Usage": 0}
        quotas = [quota] * min(fields["Limit"], self._total - fields["Offset"])
        return HttpAnswer(200, {}, json.dumps({"Response": {"QuotaSet": quotas, "TotalCount": self._total}}).encode())


@pytest.mark.parametrize(("total", "pages"), [(0, 1), (100, 1), (250, 3), (10**9, 100)])
def test_all_pages_of_quotas_are_read_and_an_endless_list_ends(total: int, pages: int) -> None:
    async def main() -> None:
        transport = ManyQuotas(total)
        async with client_of(in_memory(), config_of("vod"), transport=lambda: transport) as client:
            quotas = await client.quotas()
        assert [quota.kind for quota in quotas] == sorted([Kind.IMAGE, Kind.VIDEO] * min(total, 10_000))
        assert transport.offsets == [100 * page for page in range(pages)] * 2

    run(main())


def test_backends_without_the_data_refuse_before_anything_is_sent() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, config_of("relay")) as client:
            with pytest.raises(InvalidRequest, match="the relay reports no use"):
                await client.usage(TODAY)
            with pytest.raises(InvalidRequest, match="only the vod backend has quotas, and the config's is relay"):
                await client.quotas()
        async with client_of(service, config_of("mps")) as client:
            with pytest.raises(InvalidRequest, match="only the vod backend has quotas, and the config's is mps"):
                await client.quotas()
            with pytest.raises(InvalidRequest, match="without a time zone"):
                await client.usage(datetime(2026, 1, 1))  # noqa: DTZ001 — the refused value
        assert len(service.arrivals) == 0

    run(main())


def test_a_refusal_of_the_service_is_raised(tmp_path: Path) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeUsageData", fault="error", code="UnauthorizedOperation", times=1)
        async with client_of(service, config_of()) as client:
            with pytest.raises(ServiceError, match="UnauthorizedOperation"):
                await client.usage(TODAY)
            await client.usage(TODAY)
            (tmp_path / "no.db").write_text("no ledger", encoding="utf-8")
            with pytest.raises(LedgerError):
                await client.usage(TODAY, ledger=tmp_path / "no.db")

    run(main())


def test_keys_without_the_right_to_read_use_go_on_creating() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeUsageData", fault="error", code="UnauthorizedOperation", times=1)
        async with client_of(service, config_of()) as client:
            batch = asyncio.create_task(make_batch(client))
            await asyncio.sleep(0.01)
            with pytest.raises(AccountError):
                await client.usage(TODAY)
            await batch
            assert figures(await client.usage(TODAY), Kind.IMAGE) == (2, 3, 2, 3)

    run(main())


def test_a_wrong_span_opens_no_ledger(tmp_path: Path) -> None:
    async def main() -> None:
        async with client_of(in_memory(), config_of()) as client:
            with pytest.raises(InvalidRequest, match="must be before"):
                await client.usage(TODAY, date(2025, 12, 1), ledger=tmp_path / "new.db")
        assert not list(tmp_path.iterdir())

    run(main())


def test_closing_the_client_ends_the_reading() -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeUsageData", fault="hang", times=1)
        async with client_of(service, config_of()) as client:
            reading = asyncio.create_task(client.usage(TODAY))
            await asyncio.sleep(1)
        with pytest.raises(Exception, match="closed"):
            await reading

    run(main())


def job(kind: Kind, content: str = '{"prompt":"x","duration":5}', **fields: object) -> JobRecord:
    return JobRecord(
        job_id=f"a/{kind}",
        kind=kind,
        content=content,
        planned_at=EPOCH,
        state=JobState.DONE,
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("record", "amount"),
    [
        (job(Kind.IMAGE, urls=("https://a/1", "https://a/2")), 2),
        (job(Kind.IMAGE, file_ids=("7",), bare_file_ids=("7",)), 1),
        (job(Kind.VIDEO), 5),
        (job(Kind.VIDEO, filled_in={"duration": 10}, content="{}"), 10),
        (job(Kind.VIDEO, usage=Usage(output_seconds=6.1)), 6.1),  # the service's own figure comes first
        (job(Kind.VIDEO, usage=Usage(input_tokens=3)), 5),
        (job(Kind.VIDEO, content='{"prompt":"x"}'), None),
        (job(Kind.VIDEO, content='{"duration":true}'), None),
        (job(Kind.VIDEO, content="damaged"), None),
        (job(Kind.AUDIO, duration=3.5), 3.5),
        (job(Kind.AUDIO, duration=3.5, durations=(3.5, 30)), 33.5),  # two songs of one task
        (job(Kind.AUDIO, duration=3.5, durations=(3.5, None)), None),
        (job(Kind.AUDIO), None),
    ],
)
def test_the_amount_of_a_job_is_known_or_not_and_never_guessed(record: JobRecord, amount: float | None) -> None:
    assert amount_of(record) == amount
