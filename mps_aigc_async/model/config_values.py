"""The values that the config's keys may have: bounds of numbers, and texts that can be sent unchanged.

Blanks around a text are left out. Any other fault is refused by its key, before anything is sent.
"""

import re
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, Field

Tasks = Annotated[int, Field(ge=1, le=1_000_000)]
"""Tasks running at once."""
Seconds = Annotated[float, Field(gt=0, le=30 * 24 * 3600)]
"""At most 30 days: VOD knows a task for 3 days, and no result's URL is documented to live for 30."""
Rate = Annotated[float, Field(ge=0.001, le=10_000)]
"""Calls per second. The highest documented limit is 100 per second. A number above the upper bound would be no limit at
all; with a number below the lower bound a batch would never end."""
Milliseconds = Annotated[int, Field(ge=100, le=3_600_000)]
"""Milliseconds between two polls: at most an hour, since a result's URL lives 12 hours."""
Money = Annotated[float, Field(ge=0, le=1_000_000)]
"""A price."""
Length = Annotated[int, Field(ge=1, le=3600)]
"""Seconds of a video. The longest documented video has 16 seconds."""
Id = Annotated[int, Field(ge=1, lt=1 << 63)]
"""An id that the service assigns: a number of 64 bits in its documents."""


def _line(text: str) -> str:
    """Strip the blanks around a text."""
    text = text.strip()
    if not text.isprintable():
        raise ValueError("has a line end or another control character in it")
    return text


def _account(name: str) -> str:
    if not name.strip() or not name.isprintable():  # not stripped: existing ledgers hold the name as written
        raise ValueError("is empty, or has a line end or another control character in it: give it any name that stays")
    return name


def _region(region: str) -> str:
    if not re.fullmatch("[A-Za-z0-9-]*", region := region.strip()):
        raise ValueError("is no region's name, such as ap-guangzhou: it has letters, digits and hyphens only")
    return region


def _bucket(bucket: str) -> str:
    if not re.fullmatch("[A-Za-z0-9.-]*", bucket := bucket.strip()):
        raise ValueError("is no bucket's name, such as results-1250000000: it has letters, digits and hyphens only")
    return bucket


def _query_path(path: str) -> str:
    """Check a path and its query, if any; both are sent unchanged."""
    path = path.strip()
    literal = path.replace("{task_id}", "")
    if not path.startswith("/"):
        raise ValueError("begins with / and has no host: that is relay.baseUrl's")
    if literal == path or "{" in literal or "}" in literal:
        raise ValueError("must hold {task_id} where the TaskId belongs, and nothing else in braces")
    if not re.fullmatch(r"[!-~]*", literal) or re.search(r'[#"<>\\^`|]|%(?![0-9A-Fa-f]{2})', literal):
        raise ValueError("has a blank, a # or another character that no URL's path can hold: write it as %XX")
    parts = unquote(path.partition("?")[0]).split("/")[1:]
    if "" in parts[:-1] or {".", ".."} & set(parts):
        raise ValueError("has an empty part, . or .. in it, which servers resolve to another path")
    return path


Line = Annotated[str, AfterValidator(_line)]
Account = Annotated[str, AfterValidator(_account)]
Region = Annotated[str, AfterValidator(_region)]
Bucket = Annotated[str, AfterValidator(_bucket)]
QueryPath = Annotated[str, AfterValidator(_query_path)]
