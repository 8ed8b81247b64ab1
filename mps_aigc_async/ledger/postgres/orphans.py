"""The rows of orphans in PostgreSQL: read, and dropped by the user's word."""

from typing import Final

from ...model.errors import LedgerError
from ...model.states import Kind
from ...sharing.connection import Connection, Lost, Refused, Row
from ...sharing.database_url import DatabaseUrl
from ..orphans import Orphan
from .schema import DURABLE

ORPHANS: Final = """SELECT job_id, task_id, kind, model, at FROM mps_aigc_ledger.orphans AS orphan
    WHERE ledger = %(ledger)s AND (%(owners)s::text[] IS NULL OR owner = ANY(%(owners)s))
    AND NOT EXISTS (SELECT FROM mps_aigc_ledger.jobs WHERE jobs.ledger = orphan.ledger
        AND jobs.owner = orphan.owner AND jobs.task_id = orphan.task_id)
    ORDER BY at, task_id"""
"""A task that the user has attached to a job is an orphan no more."""

_DROP: Final = """DELETE FROM mps_aigc_ledger.orphans
    WHERE ledger = %(ledger)s AND task_id = ANY(%(task_ids)s) RETURNING task_id"""


def orphan_of(row: Row) -> Orphan:
    """The orphan of a row of ORPHANS."""
    job_id, task_id, kind, model, at = row
    return Orphan(str(job_id), str(task_id), Kind(kind), str(model), float(at))


async def drop_orphans(url: DatabaseUrl, task_ids: list[str]) -> list[str]:
    """Take tasks out of the list of orphans; return those that were in it. Raises LedgerError."""
    connection = Connection(url)
    try:
        _, rows = await connection.run(DURABLE, (_DROP, {"ledger": url.ledger, "task_ids": task_ids}))
    except (Lost, Refused) as error:
        raise LedgerError(f"cannot write the ledger {url.ledger}: {error}") from None
    finally:
        await connection.close()
    return [str(task_id) for (task_id,) in rows]
