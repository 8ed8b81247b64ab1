"""DescribeAigcUsageData and DescribeAigcQuotas: the questions, and their answers in odd forms."""

from datetime import UTC, date, datetime

from hypothesis import given
from tencentcloud.vod.v20180717 import models

from mps_aigc_async.model.states import Kind
from mps_aigc_async.model.usage import Days, Quota
from mps_aigc_async.wire.vod_usage import questions, quotas_question, read, read_quotas

from .test_mps_usage import JSON, item

DAYS = Days(date(2026, 11, 1), date(2026, 11, 2))
NOW = datetime(2026, 11, 27, tzinfo=UTC).timestamp()


def test_the_questions_have_the_official_fields_and_one_type_each() -> None:
    asked = list(questions(DAYS, NOW))
    assert [one.params["AigcType"] for one in asked] == ["Image", "Video", "Audio"]
    for question in asked:
        request = models.DescribeAigcUsageDataRequest()
        request._deserialize(dict(question.params))
        assert request._serialize() == question.params
    quotas = models.DescribeAigcQuotasRequest()
    quotas._deserialize(dict(quotas_question("Image", 100).params))
    assert (quotas.QuotaType, quotas.Limit, quotas.Offset) == ("Image", 100, 100)


def test_the_sums_are_those_of_all_specifications_and_the_day_before_is_left_out() -> None:
    """The item of a day before the span is in the document's own example."""
    before = {"Time": "2026-10-31T00:00:00+08:00", "Count": 7, "Usage": 7}
    data = [
        {"Specification": "Kling3.0_720P", "DataSet": [before, item(1, 1, 5), item(2, 1, 5)]},
        {"Specification": "a new one", "DataSet": [item(1, 2, 20)]},
    ]
    answer = read(DAYS, "Video", {"AigcUsageDataSet": data})
    assert [(line.kind, line.day, line.tasks, line.amount) for line in answer.totals] == [
        (Kind.VIDEO, date(2026, 11, 1), 3, 25),
        (Kind.VIDEO, date(2026, 11, 2), 1, 5),
    ]
    assert {line.specification for line in answer.specifications} == {"Kling3.0_720P", "a new one"}


def test_items_of_5_minutes_add_up_to_their_day() -> None:
    items = [{"Time": f"2026-11-01T00:{minute:02}:00+08:00", "Count": 1, "Usage": 2} for minute in range(0, 60, 5)]
    (line,) = read(DAYS, "Image", {"AigcUsageDataSet": [{"Specification": "x", "DataSet": items}]}).totals
    assert (line.day, line.tasks, line.amount) == (date(2026, 11, 1), 12, 24)


def test_quotas_and_no_token_of_theirs() -> None:
    entries = [
        {"QuotaType": "Image", "QuotaLimit": 100, "Usage": "7", "ApiToken": "sk-secret"},
        {"QuotaType": "Poem", "QuotaLimit": None},
        "odd",
    ]
    page = read_quotas("Image", {"QuotaSet": entries, "TotalCount": 2})
    assert page.quotas == (
        Quota(type="Image", kind=Kind.IMAGE, limit=100, usage=7),
        Quota(type="Poem", kind=None, limit=None, usage=None),
    )
    assert page.total == 2
    assert "sk-secret" not in repr(page)


@given(JSON)
def test_no_answer_is_too_odd(data: object) -> None:
    read(DAYS, "Image", {"AigcUsageDataSet": data})
    read(DAYS, "Image", {"AigcUsageDataSet": [{"Specification": data, "DataSet": data}]})
    read_quotas("Image", {"QuotaSet": data, "TotalCount": data})
