"""The rows of jobs as they are read from PostgreSQL."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from ...model.errors import DamagedRow
from ...sharing.connection import Row
from ..record import JobRecord
from ..schema import COLUMNS, from_row

_log: Final = logging.getLogger("mps_aigc_async")

FIELDS: Final = f"{', '.join(COLUMNS)}, token, coalesce(member, ''), owner"
"""The columns of a job's row, with its fence and its owner."""

JOBS: Final = "mps_aigc_ledger.jobs"

OWNER: Final = len(COLUMNS) + 2
"""The place of the owner in a row that begins with FIELDS."""


def record_of(row: Row) -> JobRecord:
    """The job of a row that begins with FIELDS. Raises DamagedRow."""
    token, driver = row[OWNER - 2 : OWNER]
    return replace(from_row(row[: len(COLUMNS)]), token=token, driver=driver)


def readable(rows: Iterable[Row], read: Callable[[Row], JobRecord] = record_of) -> Iterator[JobRecord]:
    """The jobs of these rows; damaged rows are logged and skipped."""
    for row in rows:
        try:
            yield read(row)
        except DamagedRow as error:
            _log.error("%s", error)
