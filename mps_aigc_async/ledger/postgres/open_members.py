"""The members that have a ledger open, for people: the program, the process and the host of each."""

from collections.abc import Sequence
from typing import Final

from ...sharing.connection import Row

OPEN_MEMBERS: Final = """
    SELECT program, pid, host FROM mps_aigc_ledger.members WHERE ledger = %(ledger)s ORDER BY host, program, pid
"""


def in_words(members: Sequence[Row]) -> list[str]:
    """Members by the rows of their program, process id and host.

    >>> in_words([("night-batch", 12, "db-1")])
    ['night-batch (process 12 on db-1)']
    """
    return [f"{program} (process {pid} on {host})" for program, pid, host in members]
