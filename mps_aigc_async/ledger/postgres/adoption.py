"""The adoption of jobs whose members are gone: the judgement and the moves in one transaction.

The lock of `schema.LOCK` lets one adopter work at a time, so no two of them share a job or wait for each other's rows.
A member that has beaten since it was looked at has another counter, and keeps its row and its jobs.
"""

# ruff: noqa: S608 — the statements are put together from constant names

import json
import secrets
from collections.abc import Sequence
from typing import Final

from ...model.error_records import to_record
from ...model.errors import CreateOutcomeUnknown
from ...sharing.connection import Step, Value
from .ahead_statements import abandonment
from .members import Absentee, Beat
from .moves import NOTIFY, Place
from .rows import FIELDS
from .schema import DURABLE, LOCK

_REMOVE: Final = """DELETE FROM mps_aigc_ledger.members WHERE ledger = %(ledger)s AND (id, counter) IN (
    SELECT * FROM unnest(%(ids)s::text[], %(counters)s::text[]::bigint[]))"""

_FREE_CREATES: Final = """UPDATE mps_aigc_ledger.jobs SET author = NULL
    WHERE ledger = %(ledger)s AND author = ANY(%(dead)s::text[]) AND state IN ('intent', 'unknown')"""
"""A process that has ended sends no create any more. A process that only stands still may."""

_OF_NOBODY: Final = """ledger = %(ledger)s AND owner = ANY(%(owners)s)
    AND NOT EXISTS (SELECT FROM mps_aigc_ledger.members WHERE members.id = jobs.member)"""
"""The jobs of these owners whose member is gone or has left, and those that nobody drives."""

# The earliest possible moment of an end: the process may have died at once. The intent may be of an earlier create.
_UNKNOWN: Final = f"""UPDATE mps_aigc_ledger.jobs AS stored
    SET state = 'unknown', member = NULL, error = %(error)s, adoption = %(adoption)s,
        ended_at = greatest(coalesce(intent_at, planned_at), coalesce(ended_at, 0))
    WHERE seq IN (SELECT seq FROM mps_aigc_ledger.jobs
        WHERE {_OF_NOBODY} AND state = 'intent' ORDER BY job_id FOR UPDATE)
    {NOTIFY}"""

_ADOPT: Final = f"""UPDATE mps_aigc_ledger.jobs AS stored SET member = %(me)s, adoption = %(adoption)s
    WHERE seq IN (SELECT seq FROM mps_aigc_ledger.jobs
        WHERE {_OF_NOBODY} AND state = 'submitted' ORDER BY job_id FOR UPDATE)
    {NOTIFY}"""

_ADOPTED: Final = f"""SELECT {FIELDS} FROM mps_aigc_ledger.jobs
    WHERE ledger = %(ledger)s AND owner = ANY(%(owners)s) AND adoption = %(adoption)s
    AND (state = 'submitted' AND member = %(me)s OR state = 'unknown') ORDER BY planned_at, seq"""
"""The jobs of this adoption, also if an earlier try of its transaction had taken them already."""

_LEAVE_CHAINS: Final = abandonment(
    "stored.member IS NOT NULL AND NOT EXISTS (SELECT FROM mps_aigc_ledger.members WHERE members.id = stored.member)"
)

_LOST_AUTHOR: Final = CreateOutcomeUnknown("the client that created the job was gone while the create was under way")


def adoption(absentees: Sequence[Absentee], place: Place, beat: Beat) -> list[Step]:
    """The statements of an adoption. The last one lists the adopted jobs."""
    values: dict[str, Value] = {
        **place.keys,
        "ids": [member.member for member in absentees],
        "counters": [str(member.counter) for member in absentees],
        "dead": [member.member for member in absentees if member.is_dead],
        "error": error_text(),
        "adoption": secrets.token_hex(8),
    }
    moves = (_REMOVE, _FREE_CREATES, _UNKNOWN, _ADOPT, *_LEAVE_CHAINS, _ADOPTED)
    return [DURABLE, LOCK, beat.step, *((statement, values) for statement in moves)]


BEAT: Final = 2
"""The place of the heartbeat among the statements of an adoption."""


def error_text() -> str:
    """The column `error` of a job whose author is gone."""
    return json.dumps(to_record(_LOST_AUTHOR))
