"""VOD's usage data and quotas: the questions of DescribeAigcUsageData and DescribeAigcQuotas, and their answers.

Source: both actions of the VOD API, version 2018-07-17, as of the official SDK 3.1.194 (2026-10).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..model.states import Kind
from ..model.usage import Days, Quota, ServiceUsage
from . import answers
from .usage import (
    LONGEST_DAYS,
    Question,
    UsageAnswer,
    lines_of,
    merge,
    span_params,
    type_line,
    whole,
    without_specification,
)
from .vod_tasks import CREATES

USAGE: Final = "DescribeAigcUsageData"
QUOTAS: Final = "DescribeAigcQuotas"

KINDS: Final[Mapping[str, Kind]] = {kind.title(): kind for kind in CREATES}
"""The kinds that this package makes on VOD, by AigcType. QuotaType has the same words for images and videos."""

QUOTA_TYPES: Final = ("Image", "Video")
"""The documented QuotaTypes, without text."""

MOST_QUOTAS: Final = 100
"""Most quotas of a page (`Limit`)."""


@dataclass(frozen=True, slots=True)
class QuotaPage:
    """A page of the account's quotas."""

    quotas: tuple[Quota, ...]
    total: int
    """Of all pages; 0 if the answer states none."""


def questions(days: Days, now: float) -> Iterator[Question[UsageAnswer]]:
    """The calls for these days: an answer is of one type. Items are of a day, or of 5 minutes for a single day."""
    for part in days.portions(LONGEST_DAYS):
        for word in KINDS:
            yield Question(USAGE, {**span_params(part, now), "AigcType": word}, partial(read, part, word))


def read(days: Days, word: str, response: Mapping[str, object]) -> UsageAnswer:
    """The lines of an answer for one AigcType."""
    specifications = merge(_lines(days, word, response.get("AigcUsageDataSet")))
    return UsageAnswer(without_specification(specifications), specifications)


def _lines(days: Days, word: str, entries: object) -> Iterator[ServiceUsage]:
    for entry in answers.entries(entries):
        if isinstance(entry, dict):
            specification = answers.as_text(entry.get("Specification"))
            yield from lines_of(entry.get("DataSet"), type_line(word, KINDS, specification), days)


def quotas_question(word: str, offset: int) -> Question[QuotaPage]:
    """The call for a page of the quotas of one QuotaType."""
    params = {"QuotaType": word, "Limit": MOST_QUOTAS, "Offset": offset}
    return Question(QUOTAS, params, partial(read_quotas, word))


def read_quotas(word: str, response: Mapping[str, object]) -> QuotaPage:
    """The quotas of an answer. The ApiToken of a text quota is a key, and is not read."""
    quotas = tuple(
        _quota(word, entry) for entry in answers.entries(response.get("QuotaSet")) if isinstance(entry, dict)
    )
    return QuotaPage(quotas, whole(response.get("TotalCount")) or 0)


def _quota(word: str, entry: Mapping[str, object]) -> Quota:
    type_word = answers.as_text(entry.get("QuotaType")) or word
    return Quota(
        type=type_word,
        kind=type_line(type_word, KINDS).kind,
        limit=whole(entry.get("QuotaLimit")),
        usage=whole(entry.get("Usage")),
    )
