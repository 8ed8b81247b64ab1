"""The error for a batch line that no request fits."""

from typing import Any

import pytest

from mps_aigc_async.model.errors import InvalidRequest
from mps_aigc_async.model.parsing import parse


def refusal(match: str, **line: Any) -> InvalidRequest:  # noqa: ANN401 - JSON
    """Parse a line, and return the InvalidRequest that it raises: its text matches and is a single line."""
    with pytest.raises(InvalidRequest, match=match) as error:
        parse(line)
    assert "\n" not in str(error.value)
    return error.value
