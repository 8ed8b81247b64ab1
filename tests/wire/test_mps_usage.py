"""DescribeUsageData: the question, and its answer in odd forms."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st
from tencentcloud.mps.v20190612 import models

from mps_aigc_async.model.states import Kind
from mps_aigc_async.model.usage import Days
from mps_aigc_async.wire.mps_usage import questions, read
from mps_aigc_async.wire.usage import UsageAnswer

DAYS = Days(date(2026, 11, 1), date(2026, 11, 2))
NOW = datetime(2026, 11, 27, tzinfo=UTC).timestamp()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Data", "TaskType", "Summary", "Details", "Specification", "Time", "Count", "Usage"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def item(day: int, count: object, usage: object) -> dict[str, object]:
    return {"Time": f"2026-11-{day:02}T00:00:00+08:00", "Count": count, "Usage": usage}


def figures(answer: UsageAnswer) -> list[tuple[str, date | None, int | None, float | None]]:
    return [(line.type, line.day, line.tasks, line.amount) for line in answer.totals]


def test_a_question_has_the_official_fields_and_names_every_region() -> None:
    """Without ProcessRegions the service reports ap-guangzhou alone."""
    (question,) = questions(DAYS, NOW)
    assert question.action == "DescribeUsageData"
    request = models.DescribeUsageDataRequest()
    request._deserialize(dict(question.params))
    assert request._serialize() == question.params
    assert request.Types == ["AIGCImage", "AIGCVideo"]
    documented = models.DescribeUsageDataRequest.__init__.__doc__ or ""
    assert all(f"<li>{region}：" in documented for region in request.ProcessRegions)
    assert documented.partition("ProcessRegions")[2].count("<li>") == len(request.ProcessRegions)


def test_a_longer_span_is_several_questions() -> None:
    asked = list(questions(Days(date(2026, 1, 1), date(2026, 11, 26)), NOW))
    assert [(one.params["StartTime"], one.params["EndTime"]) for one in asked] == [
        ("2026-01-01T00:00:00+08:00", "2026-03-31T23:59:59+08:00"),
        ("2026-04-01T00:00:00+08:00", "2026-06-29T23:59:59+08:00"),
        ("2026-06-30T00:00:00+08:00", "2026-09-27T23:59:59+08:00"),
        ("2026-09-28T00:00:00+08:00", "2026-11-26T23:59:59+08:00"),
    ]


def test_an_answer_by_type_day_and_specification() -> None:
    details = [{"Specification": "Hunyuan.720P", "Data": [item(1, 2, 6), item(2, 0, 0)]}]
    data = [
        {"TaskType": "AIGCImage", "Summary": [item(1, 2, 6), item(2, 0, 0)], "Details": details},
        {"TaskType": "AIGCVideo", "Summary": [item(2, 1, 5)], "Details": None},
    ]
    answer = read(DAYS, {"Data": data})
    assert figures(answer) == [("AIGCImage", date(2026, 11, 1), 2, 6), ("AIGCVideo", date(2026, 11, 2), 1, 5)]
    assert [line.kind for line in answer.totals] == [Kind.IMAGE, Kind.VIDEO]
    assert [(line.specification, line.tasks, line.amount) for line in answer.specifications] == [("Hunyuan.720P", 2, 6)]


def test_without_a_summary_the_details_are_the_sum() -> None:
    details = [{"Specification": name, "Data": [item(1, 1, 5)]} for name in ("a", "b")]
    assert figures(read(DAYS, {"Data": [{"TaskType": "AIGCVideo", "Details": details}]})) == [
        ("AIGCVideo", date(2026, 11, 1), 2, 10)
    ]


def test_the_parts_of_several_regions_add_up() -> None:
    data = [{"TaskType": "AIGCImage", "Summary": [item(1, 1, 2)]}] * 2
    assert figures(read(DAYS, {"Data": data})) == [("AIGCImage", date(2026, 11, 1), 2, 4)]


def test_unknown_types_and_unreadable_numbers_are_kept() -> None:
    data = [
        {"TaskType": "AIGCPoem", "Summary": [item(1, "3", 4.5)], "New": {}},
        {"Summary": item(2, None, "many")},
    ]
    assert figures(read(DAYS, {"Data": data})) == [
        ("", date(2026, 11, 2), None, None),
        ("AIGCPoem", date(2026, 11, 1), 3, 4.5),
    ]


@given(JSON)
def test_no_answer_is_too_odd(data: object) -> None:
    read(DAYS, {"Data": data})
    read(DAYS, {"Data": [{"TaskType": "AIGCImage", "Summary": data, "Details": data}]})
