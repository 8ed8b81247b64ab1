"""Claims on jobs where several members share a ledger: their tokens, and the errors for a claim that does not hold."""

import secrets

from ..model.errors import LedgerError


class JobTaken(LedgerError):
    """Another member has taken the job, or has changed its row. Nothing was written.

    Read the job again. A TaskId that no row could take is among the ledger's orphans, and the message says so."""


class ClaimInDoubt(LedgerError):
    """The ledger was not reached for some seconds, and another member may have taken the job meanwhile.

    The ledger itself is not lost: `renew` asks the database, and `confirm` answers again."""


class NotAhead(LedgerError):
    """The chain is not counted among those that run ahead: other members took this one for gone. Nothing was written.

    `run_ahead` counts the chain again; its first step is claimed afterwards."""


class OtherAccount(LedgerError):
    """The job's task runs, or may run, in another account of this client: it is polled with that account's keys."""

    def __init__(self, job_id: str, account: str) -> None:
        super().__init__(f"the job was created in the account {account}", job_id=job_id)
        self.account = account


class ForeignJob(LedgerError):
    """The job belongs to an account, backend or endpoint that this client does not have. Other jobs can be used."""


def new_token() -> str:
    """A new fence for a row."""
    return secrets.token_hex(8)
