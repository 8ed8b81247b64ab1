"""MPS's usage data: the question of DescribeUsageData, and its answer.

Source: DescribeUsageData of the MPS API, version 2019-06-12, as of the official SDK 3.1.194 (2026-10). Its documents
state units for older types only; MPS's price list bills AIGC images by the image and videos by the second.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from ..model.states import Kind
from ..model.usage import Days, ServiceUsage
from . import answers
from .usage import LONGEST_DAYS, Question, UsageAnswer, lines_of, merge, span_params, type_line, without_specification

ACTION: Final = "DescribeUsageData"

KINDS: Final[Mapping[str, Kind]] = {"AIGCImage": Kind.IMAGE, "AIGCVideo": Kind.VIDEO}
"""The documented types of AIGC. There is none for audio."""

REGIONS: Final = (
    "ap-guangzhou", "ap-hongkong", "ap-taipei", "ap-singapore", "ap-mumbai", "ap-jakarta", "ap-seoul", "ap-bangkok",
    "ap-tokyo", "na-siliconvalley", "na-ashburn", "na-toronto", "sa-saopaulo", "eu-frankfurt", "eu-moscow", "aws",
)  # fmt: skip
"""All documented ProcessRegions. Without them MPS reports ap-guangzhou alone, and no document says in which of them a
task is processed."""


def questions(days: Days, now: float) -> Iterator[Question[UsageAnswer]]:
    """The calls for these days."""
    for part in days.portions(LONGEST_DAYS):
        params = {**span_params(part, now), "Types": list(KINDS), "ProcessRegions": list(REGIONS)}
        yield Question(ACTION, params, partial(read, part))


def read(days: Days, response: Mapping[str, object]) -> UsageAnswer:
    """The lines of an answer. The sums of a type without a Summary are those of its Details."""
    answer = UsageAnswer()
    for data in answers.entries(response.get("Data")):
        if isinstance(data, dict):
            line = type_line(answers.as_text(data.get("TaskType")), KINDS)
            details = merge(_details(data.get("Details"), line, days))
            summary = merge(lines_of(data.get("Summary"), line, days))
            answer = answer.with_answer(UsageAnswer(summary or without_specification(details), details))
    return answer


def _details(details: object, line: ServiceUsage, days: Days) -> Iterator[ServiceUsage]:
    for detail in answers.entries(details):
        if isinstance(detail, dict):
            word = answers.as_text(detail.get("Specification"))
            yield from lines_of(detail.get("Data"), type_line(line.type, KINDS, word), days)
