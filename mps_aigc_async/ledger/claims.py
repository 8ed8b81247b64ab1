"""Claims on jobs where several members share a ledger: their tokens, and the errors for a claim that does not hold."""

import secrets

from ..model.errors import LedgerError


class JobTaken(LedgerError):
    """Another member has taken the job, or has changed its row. Nothing was written.

    Read the job again. A TaskId that no row could take is among the ledger's orphans, and the message says so."""


class ClaimInDoubt(LedgerError):
    """The ledger was not reached for some seconds, and another member may have taken the job meanwhile.

    The ledger itself is not lost: `renew` asks the database, and `confirm` answers again."""


def new_token() -> str:
    """A new fence for a row."""
    return secrets.token_hex(8)
