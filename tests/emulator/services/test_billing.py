"""Usage data and quotas: spans and their refusals, days and minutes, and the tasks that are counted."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from mps_aigc_async.emulator import Service, Settings

from ..callers import NOW, Fields, InMemory, Json, code_of

DAY = 86_400.0
SPAN: Fields = {"StartTime": "2023-11-15T00:00:00+08:00", "EndTime": "2023-11-15T23:59:59+08:00"}
"""The day of NOW in UTC+8."""
MODEL: Fields = {"ModelName": "Kling", "ModelVersion": "3.0"}


def caller_of(api: str) -> InMemory:
    return InMemory(
        Service(Settings(image_seconds=(60, 60), video_seconds=(180, 180), vod_quotas={"Video": 9})), api=api
    )


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@pytest.mark.parametrize(
    ("api", "action", "code"),
    [
        ("mps", "DescribeUsageData", "InvalidParameter"),
        ("vod", "DescribeAigcUsageData", "InvalidParameterValue"),
    ],
)
def test_spans_that_the_documents_exclude_are_refused(api: str, action: str, code: str) -> None:
    caller = caller_of(api)
    more: Fields = {"AigcType": "Image"} if api == "vod" else {}

    def refusal(start: Json, end: Json) -> str | None:
        fields = {"StartTime": start, "EndTime": end, **more}
        return code_of(caller.call(action, {name: value for name, value in fields.items() if value is not None}))

    assert refusal(None, iso(NOW)) == refusal(iso(NOW), None) == "MissingParameter"
    assert refusal("yesterday", iso(NOW)) == refusal("2023-11-14T00:00:00", iso(NOW)) == f"{code}.StartTime"
    assert refusal(iso(NOW), iso(NOW - 1)) == f"{code}.EndTime"
    assert refusal(iso(NOW), iso(NOW)) is None
    assert refusal(iso(NOW - 90 * DAY), iso(NOW)) is None
    assert refusal(iso(NOW - 90 * DAY - 1), iso(NOW)) == f"{code}.EndTime"
    assert refusal(iso(NOW - 365 * DAY), iso(NOW - 300 * DAY)) is None
    assert refusal(iso(NOW - 365 * DAY - 1), iso(NOW - 300 * DAY)) == f"{code}.StartTime"


def parts(response: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    entries = response[name]
    assert isinstance(entries, list)
    return [entry for entry in entries if isinstance(entry, Mapping)]


def used(items: list[Mapping[str, Json]]) -> list[tuple[Json, Json, Json]]:
    return [(item["Time"], item["Count"], item["Usage"]) for item in items if item["Count"]]


def test_mps_counts_the_images_and_seconds_of_tasks_that_succeeded() -> None:
    caller = caller_of("mps")
    caller.create({"Prompt": "a lake", "OutputImageCount": 3, **MODEL})
    caller.create({"Prompt": "a hill"})
    caller.create({"Prompt": "fail-later"})
    caller.create({"Prompt": "wind", "Duration": 7}, "Video")
    caller.now += 100  # the video still runs
    asked: Fields = {**SPAN, "Types": ["AIGCImage", "AIGCVideo", "Transcode"]}
    images, videos, others = parts(caller.call("DescribeUsageData", asked), "Data")
    assert used(parts(images, "Summary")) == [("2023-11-15T00:00:00+08:00", 2, 4)]
    assert {part["Specification"]: used(parts(part, "Data"))[0][2] for part in parts(images, "Details")} == {
        "Kling3.0": 3,
        "unknown": 1,
    }
    assert used(parts(videos, "Summary")) == used(parts(others, "Summary")) == []
    caller.now += 100
    (videos,) = parts(caller.call("DescribeUsageData", {**SPAN, "Types": ["AIGCVideo"]}), "Data")
    assert used(parts(videos, "Summary")) == [("2023-11-15T00:00:00+08:00", 1, 7)]
    (transcodes,) = parts(caller.call("DescribeUsageData", SPAN), "Data")
    assert transcodes["TaskType"] == "Transcode"  # the documented default


def test_mps_reports_the_default_region_unless_others_are_named() -> None:
    caller = InMemory(Service(Settings(image_seconds=(60, 60), process_region="eu-frankfurt")))
    caller.create()
    caller.now += 100

    def count(**regions: Json) -> int:
        (images,) = parts(caller.call("DescribeUsageData", {**SPAN, "Types": ["AIGCImage"], **regions}), "Data")
        return len(used(parts(images, "Summary")))

    assert (count(), count(ProcessRegions=["eu-frankfurt"]), count(ProcessRegions=["ap-tokyo"])) == (0, 1, 0)
    wrong = caller.call("DescribeUsageData", {**SPAN, "ProcessRegions": ["ap-atlantis"]})
    assert code_of(wrong) == "InvalidParameterValue"


def test_vod_reports_5_minutes_up_to_a_day_and_days_beyond() -> None:
    caller = caller_of("vod")
    caller.create({**MODEL, "Prompt": "wind", "OutputConfig": {"Duration": 6}}, "Video")
    caller.now += 200  # ends at 22:16:20 UTC

    def video_items(**span: Json) -> list[Mapping[str, Json]]:
        (part,) = parts(caller.call("DescribeAigcUsageData", {**SPAN, **span, "AigcType": "Video"}), "AigcUsageDataSet")
        assert part["Specification"] == "Kling3.0"
        return parts(part, "DataSet")

    minutes = video_items()
    assert len(minutes) == 24 * 12
    assert used(minutes) == [("2023-11-15T06:15:00+08:00", 1, 6)]
    days = video_items(EndTime="2023-11-16T23:59:59+08:00")
    assert [item["Time"] for item in days] == [f"2023-11-{day}T00:00:00+08:00" for day in (14, 15, 16)]
    assert used(days) == [("2023-11-15T00:00:00+08:00", 1, 6)]
    assert parts(caller.call("DescribeAigcUsageData", {**SPAN, "AigcType": "Text"}), "AigcUsageDataSet") == []
    assert code_of(caller.call("DescribeAigcUsageData", SPAN)) == "MissingParameter"


def test_mps_and_vod_do_not_count_each_others_tasks() -> None:
    caller = caller_of("mps")
    caller.create()
    caller.api = "vod"
    caller.now += 100
    assert parts(caller.call("DescribeAigcUsageData", {**SPAN, "AigcType": "Image"}), "AigcUsageDataSet") == []


def test_vods_quotas() -> None:
    caller = caller_of("vod")
    caller.create({**MODEL, "Prompt": "wind", "OutputConfig": {"Duration": 6}}, "Video")
    caller.now += 200
    asked: Fields = {"SubAppId": 1, "QuotaType": "Video"}
    (quota,) = parts(answer := caller.call("DescribeAigcQuotas", asked), "QuotaSet")
    assert (quota["QuotaLimit"], quota["Usage"], answer["TotalCount"]) == (9, 6, 1)
    assert parts(caller.call("DescribeAigcQuotas", {**asked, "Offset": 1}), "QuotaSet") == []
    assert parts(caller.call("DescribeAigcQuotas", {**asked, "QuotaType": "Image"}), "QuotaSet") == []
    refused: list[Fields] = [{**asked, "Limit": 101}, {**asked, "QuotaType": "Poem"}]
    assert {code_of(caller.call("DescribeAigcQuotas", fields)) for fields in refused} == {"InvalidParameterValue"}
    missing: list[Fields] = [{"QuotaType": "Video"}, {"SubAppId": 1}]
    assert {code_of(caller.call("DescribeAigcQuotas", fields)) for fields in missing} == {"MissingParameter"}
