"""The statements of the shared paces: one row for each stream of sends, and the rates that the open members know.

One UPDATE reserves a send time. Its row is locked while it runs, so the members' reservations follow one another, and
each begins an interval of (window + J)/N after the one before. All expressions of an UPDATE see the row as it was; the
same expression may so stand in it several times. PostgreSQL reads its clock anew for each: some microseconds, which J
covers.

Late sends without a guard. In one process, the guard of `stream` sees when each send really went out, and a late send
keeps its time. Here the others do not see it. A send up to J/5 late needs nothing: N sends before it are at least
window + J − J/5 away, and 4/5 of J are left for the network. A send up to 3/5 of J late goes out, and its member moves
the stream's next time by the excess. The interleaving to close: the N-th place after it, which must wait, is taken
already. So the send may be that late only if the places taken reached over less than half a window when its own was
taken. A send that is later is void, and reserved anew.

A process may also stand still between its last look at the time and the write (garbage collection, a busy machine).
Such a send is out, and moves the next time, too.

Most accounts have one member at a time, whose loop may be busy. A member that has been the only one to reserve for
QUIET windows is *lone*: it keeps its late sends' times (at most LATE_S late), by a guard of
its own. The interleaving to close: a second member reserves while sends of the lone one are still to come late. Its
first send time is therefore a window, J and LATE_S behind the row's next time. The lone member's sends of
before are all out a window earlier, its next reservation follows in the row and tells that it is alone no more.
In the other direction, the send times of the other member lie QUIET windows back when a member becomes lone, and a
send that late is void.
"""

from typing import Final

from ..share import DOUBLES, FLAT, SLOWEST
from ..stream import WINDOW_S
from .store import Schema

LATE_S: Final = 0.25
"""Most seconds that a lone member's send may be late (`pace.LATE_S`)."""

QUIET: Final = 10
"""Windows without another member's reservation after which a member is lone."""

IMPLAUSIBLE_S: Final = 600.0
"""A next send time that is further ahead without a pause is of another clock, thus lost state. For a rate below one
call per second it is so many of its windows."""

PACES: Final = Schema(
    "paces",
    1,
    (
        """CREATE TABLE mps_aigc_paces (
            stream TEXT PRIMARY KEY, rate DOUBLE PRECISION NOT NULL, jitter_s DOUBLE PRECISION NOT NULL,
            due DOUBLE PRECISION NOT NULL, next_at DOUBLE PRECISION NOT NULL, held_until DOUBLE PRECISION NOT NULL,
            member TEXT NOT NULL, mixed_at DOUBLE PRECISION NOT NULL,
            flat_at DOUBLE PRECISION NOT NULL, cut DOUBLE PRECISION NOT NULL, cut_at DOUBLE PRECISION NOT NULL,
            share_version BIGINT NOT NULL
        )""",
        """CREATE TABLE mps_aigc_rates (
            stream TEXT NOT NULL, member TEXT NOT NULL, rate DOUBLE PRECISION NOT NULL,
            jitter_s DOUBLE PRECISION NOT NULL, PRIMARY KEY (stream, member)
        )""",
    ),
    at_boot=("DELETE FROM mps_aigc_paces", "DELETE FROM mps_aigc_rates"),
)
"""`due` is the latest reservation, `mixed_at` the send time of the latest one that followed another member's."""

_WINDOW: Final = f"({WINDOW_S} * greatest(1.0, 1.0 / rate))"

_LONG_AGO: Final = -1e9
"""A time of `cut_at` long before any clock."""

JOIN: Final = """
    INSERT INTO mps_aigc_rates (stream, member, rate, jitter_s) VALUES (%(stream)s, %(member)s, %(rate)s, %(jitter_s)s)
    ON CONFLICT (stream, member) DO UPDATE SET rate = excluded.rate, jitter_s = excluded.jitter_s
"""

BEGIN: Final = f"""
    INSERT INTO mps_aigc_paces (stream, rate, jitter_s, due, next_at, held_until, member, mixed_at,
        flat_at, cut, cut_at, share_version)
    SELECT %(stream)s, %(rate)s, %(jitter_s)s, began_at, began_at + %(window)s + %(jitter_s)s, began_at, '', began_at,
        1.0, 0.0, {_LONG_AGO}, 0
    FROM mps_aigc_schemas WHERE name = 'paces'
    ON CONFLICT (stream) DO NOTHING
"""  # noqa: S608 — constants
"""The row of a new stream. The file's first second may follow sends that a lost file knew of."""

_LOWEST: Final = """coalesce((SELECT min(r.rate) FROM mps_aigc_rates AS r
        WHERE r.stream = p.stream AND r.member <> %(without)s), rate)"""
_WIDEST: Final = """coalesce((SELECT max(r.jitter_s) FROM mps_aigc_rates AS r
        WHERE r.stream = p.stream AND r.member <> %(without)s), jitter_s)"""

AGREE: Final = f"""
    UPDATE mps_aigc_paces AS p SET rate = {_LOWEST}, jitter_s = {_WIDEST},
        next_at = CASE WHEN {_LOWEST} < rate OR {_WIDEST} < jitter_s
            THEN greatest(next_at, due + {_WINDOW} + jitter_s) ELSE next_at END
    WHERE stream = %(stream)s
"""  # noqa: S608 — constants
"""Take the lowest rate and the largest jitter of the members that are open, but for one that leaves. Earlier sends may
be closer together, or later, than a lower rate or a smaller jitter allows for: a pause of a window follows them."""

LEAVE: Final = "DELETE FROM mps_aigc_rates WHERE stream = %(stream)s AND member = %(without)s"

STREAMS: Final = "SELECT stream FROM mps_aigc_rates WHERE member = %(without)s ORDER BY stream"

_WINDOWS_SINCE_CUT: Final = f"(greatest(0.0, {{now}} - cut_at) / {_WINDOW})"
_CURVE: Final = f"""CASE WHEN {_WINDOWS_SINCE_CUT} < {FLAT}
        THEN 1.0 - cut * power(1.0 - {_WINDOWS_SINCE_CUT} / {FLAT}, 3)
        ELSE 1.0 + power(({_WINDOWS_SINCE_CUT} - {FLAT}) / {DOUBLES}, 3) END"""
SHARE: Final = f"least(1.0, greatest({SLOWEST}, flat_at * {_CURVE}))"
"""`share.RateShare.at`, of the row's state."""

_INTERVAL: Final = f"(({_WINDOW} + jitter_s) / greatest(1.0, rate))"

_NEXT: Final = f"""CASE WHEN next_at > greatest({{now}}, held_until) + {IMPLAUSIBLE_S} * {_WINDOW}
        THEN {{now}} + {_WINDOW} + jitter_s ELSE next_at END"""
_OTHER_WAS_LONE: Final = f"member <> %(member)s AND {{now}} > mixed_at + {QUIET} * {_WINDOW}"
_START: Final = f"""greatest({{now}} + %(ahead)s, held_until, %(floor)s,
        {_NEXT} + CASE WHEN {_OTHER_WAS_LONE} THEN {_WINDOW} + jitter_s + {LATE_S} ELSE 0.0 END)"""

RESERVE: Final = f"""
    UPDATE mps_aigc_paces SET
        due = {_START},
        next_at = {_START} + {_INTERVAL} / {SHARE},
        mixed_at = CASE WHEN member = %(member)s THEN mixed_at ELSE {_START} END,
        member = %(member)s
    WHERE stream = %(stream)s
    RETURNING due, {{now}}, rate, jitter_s, held_until, flat_at, cut, cut_at, share_version,
        CASE WHEN {{now}} > mixed_at + {QUIET} * {_WINDOW} THEN 1 ELSE 0 END
"""  # noqa: S608 — constants

LOOK: Final = """
    SELECT due, {now}, rate, jitter_s, held_until, flat_at, cut, cut_at, share_version, 0
    FROM mps_aigc_paces WHERE stream = %(stream)s
"""

HOLD: Final = """
    UPDATE mps_aigc_paces SET held_until = greatest(held_until, {now} + %(seconds)s) WHERE stream = %(stream)s
"""

DELAY: Final = "UPDATE mps_aigc_paces SET next_at = next_at + %(late)s WHERE stream = %(stream)s"
"""Put off the later send times, because a send went out late."""

CUT: Final = f"""
    UPDATE mps_aigc_paces SET flat_at = %(flat_at)s, cut = %(cut)s, cut_at = %(cut_at)s,
        share_version = share_version + 1, next_at = greatest(next_at, {{now}} + {_INTERVAL} * %(pause)s)
    WHERE stream = %(stream)s AND share_version = %(version)s RETURNING share_version
"""  # noqa: S608 — constants
"""Store a share, if nobody has changed it since it was read at this version."""
