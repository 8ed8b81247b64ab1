"""The rows of jobs as they are read from PostgreSQL."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from ...model.errors import DamagedRow
from ...sharing.connection import Row
from ..record import JobRecord
from ..schema import COLUMNS, from_row

_log: Final = logging.getLogger("mps_aigc_async")

FIELDS: Final = f"{', '.join(COLUMNS)}, token, coalesce(member, '')"
"""The columns of a job's row, with its fence."""

JOBS: Final = "mps_aigc_ledger.jobs"

_WIDTH: Final = len(COLUMNS) + 2


def record_of(row: Row) -> JobRecord:
    """The job of a row that begins with FIELDS. Raises DamagedRow."""
    return replace(from_row(row[: len(COLUMNS)]), token=row[_WIDTH - 2], driver=row[_WIDTH - 1])


def readable(rows: Iterable[Row]) -> Iterator[JobRecord]:
    """The jobs of these rows; damaged rows are logged and skipped."""
    for row in rows:
        try:
            yield record_of(row)
        except DamagedRow as error:
            _log.error("%s", error)
