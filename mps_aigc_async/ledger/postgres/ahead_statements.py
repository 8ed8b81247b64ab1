"""The table of the chains that run ahead of a later step, over all members of a ledger: its statements.

A row for each chain and kind of step. A row counts while a member runs the chain, and `KEPT_S` longer if the member has
left. A chain waits in the table until it `is_ahead`: fewer chains than its member allows run ahead or stand before it,
so members take turns.

One transaction at a time changes rows (`LOCK`), so the count is exact. After this lock, a transaction locks nothing but
rows of the table: no two transactions wait for each other.
"""

# ruff: noqa: S608 — the statements are put together from constant names

from collections.abc import Sequence
from typing import Final

KEPT_S: Final = 60
"""Seconds for which a chain counts whose member has left. Other members notice a dead one after 12 s at most, and
workers fetch its requests then."""

TABLE: Final = "mps_aigc_ledger.chains_ahead"

LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('mps_aigc_ledger.chains_ahead ' || %(ledger)s::text, 0))"

_COUNTS: Final = f"(stored.member IS NOT NULL OR stored.left_at > clock_timestamp() - interval '{KEPT_S} s')"

_MINE: Final = "stored.ledger = %(ledger)s AND stored.owner = %(chains_of)s"
_OF_KIND: Final = f"{_MINE} AND stored.kind = %(kind)s"
_THESE: Final = f"{_OF_KIND} AND stored.name = ANY(%(names)s::text[]) AND stored.member = %(me)s"

ENTER: Final = f"""INSERT INTO {TABLE} AS stored (ledger, owner, kind, name, most, member)
    SELECT %(ledger)s, %(chains_of)s, %(kind)s, name, most, %(me)s
    FROM unnest(%(names)s::text[], %(mosts)s::text[]::bigint[]) WITH ORDINALITY AS given (name, most, position)
    ORDER BY position
    ON CONFLICT (ledger, owner, name, kind) DO UPDATE
    SET most = excluded.most, member = excluded.member, left_at = NULL, is_ahead = stored.is_ahead AND {_COUNTS}
    WHERE (stored.most, stored.member) IS DISTINCT FROM (excluded.most, excluded.member)"""

_RANKED: Final = f"""(
        SELECT ctid AS place, name, member, is_ahead, most, row_number() OVER (ORDER BY is_ahead DESC, seq) AS rank
        FROM {TABLE} AS stored WHERE {_OF_KIND} AND {_COUNTS}
    ) AS ranked"""

IS_NEWS: Final = f"""SELECT count(*) < cardinality(%(names)s::text[]) FROM {_RANKED}
    WHERE name = ANY(%(names)s::text[]) AND NOT is_ahead AND member = %(me)s AND rank > most"""
"""Whether one of the named chains need not wait any more, or has lost its row. Takes no lock: most looks end here."""

ADVANCE: Final = f"""UPDATE {TABLE} AS stored SET is_ahead = true WHERE stored.ctid = ANY(ARRAY(
    SELECT place FROM {_RANKED} WHERE NOT is_ahead AND member = %(me)s AND rank <= most))"""
"""Let the member's chains run ahead whose turn it is. Under `LOCK` no row moves to another `ctid`. By their names the
rows would be compared each with each: the planner takes a table for small that has just been filled."""

READ: Final = f"SELECT stored.name, stored.kind FROM {TABLE} AS stored WHERE {_THESE} AND stored.is_ahead"
"""The named chains that run ahead, also if an earlier try of the transaction had let them already."""

END: Final = f"DELETE FROM {TABLE} AS stored WHERE {_THESE}"

LEAVE: Final = f"UPDATE {TABLE} AS stored SET member = NULL, left_at = clock_timestamp() WHERE {_THESE}"

IS_AHEAD: Final = f"""NOT EXISTS (SELECT FROM unnest(%(ahead_of)s::text[]) AS needed (kind)
    WHERE NOT EXISTS (SELECT FROM {TABLE} AS chain WHERE chain.ledger = %(ledger)s AND chain.owner = %(chains_of)s
        AND chain.kind = needed.kind AND chain.name = %(chain)s AND chain.is_ahead AND chain.member IS NOT NULL))"""
"""Whether a chain may create its first step: a member runs it ahead of each of these kinds."""


def abandonment(of_member: str) -> Sequence[str]:
    """The statements that leave chains to other members, for the end of a transaction. `of_member` is a condition on a
    row's `member`."""
    of_ledger = "stored.ledger = %(ledger)s"
    return (
        LOCK,
        f"DELETE FROM {TABLE} AS stored WHERE {of_ledger} AND (NOT {_COUNTS} OR NOT stored.is_ahead AND {of_member})",
        f"UPDATE {TABLE} AS stored SET member = NULL, left_at = clock_timestamp() WHERE {of_ledger} AND {of_member}",
    )
