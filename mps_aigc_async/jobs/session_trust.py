"""Whether a service refuses a second create of one session: by its documents, by the user's word, or shown by itself.

A relay may have several upstream accounts, and some of them ignore `session_id`: then a create that is sent again makes
a second task, which is paid for. So a relay is trusted on its own showing only: it has refused a session that was sent
before. Nothing is sent to find that out. The proof comes when the user has an unknown create made again
(its session is kept), or in a run with `relay.sessions: "trusted"`.

A proof holds for this base URL, kind, model and account, because a relay chooses its upstream by them. The ledger
keeps the proof under the endpoint's name, so that another endpoint does not inherit it. Two tasks of one session
contradict every proof, also the user's word: then nothing is sent again in this ledger.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ..ledger import AccountLedger, JobRecord, Ledger
from ..model.errors import LedgerError
from ..model.states import Kind
from ..wire.dialect import SessionRule

_log: Final = logging.getLogger("mps_aigc_async")

IGNORED: Final = "session ignored: "
"""The prefix of a fact about a session with two tasks; the job and both TaskIds follow."""

REFUSED: Final = "session refused: "
"""The prefix of a fact about a proof; the account (where a client has several), the kind and the model follow."""


@dataclass(slots=True, eq=False)
class Evidence:
    """The evidence that a service has given. The clients of an opened ledger share it."""

    proofs: set[str] = field(default_factory=set)
    """The scopes in which a session was refused."""
    is_contradicted: bool = False


class SessionTrust:
    """The reasons that a ledger has to send an unknown create again."""

    def __init__(
        self, rule_of: Callable[[Kind], SessionRule], endpoint: str, ledger: Ledger, evidence: Evidence | None = None
    ) -> None:
        self._rule_of = rule_of
        self._endpoint = endpoint
        self._ledger = ledger
        self._account = ledger.account if isinstance(ledger, AccountLedger) else ""
        """The account, where a client has several: a relay may choose its upstream by the key, too."""
        self._evidence = evidence or Evidence()

    def __repr__(self) -> str:
        evidence = self._evidence
        contradiction = ", contradicted" * evidence.is_contradicted
        return f"<SessionTrust {len(evidence.proofs)} proofs{contradiction}>"

    async def load(self) -> None:
        """Load the evidence of earlier processes about this endpoint."""
        facts = [name for name, endpoint in (await self._ledger.facts()).items() if endpoint == self._endpoint]
        self._evidence.proofs.update(name for name in facts if name.startswith(REFUSED))
        self._evidence.is_contradicted = self._evidence.is_contradicted or any(
            name.startswith(IGNORED) for name in facts
        )

    def holds_for(self, job: JobRecord) -> bool:
        """Whether a second create of the job's session would be refused."""
        rule = self._rule_of(job.kind)
        if self._evidence.is_contradicted or rule is SessionRule.NONE:
            return False
        return rule is not SessionRule.UNPROVEN or self._scope(job) in self._evidence.proofs

    def reason_against(self, job: JobRecord) -> str:
        """Why a job's create is not sent again, for its error; empty if there is no such reason."""
        rule = self._rule_of(job.kind)
        if rule is SessionRule.NONE:
            return ""
        if self._evidence.is_contradicted:
            return "the service has made two tasks of one session"
        if rule is SessionRule.UNPROVEN:
            return (
                "this relay has not shown that it refuses a second create of one session; if it does, set "
                '"relay": {"sessions": "trusted"} in the config'
            )
        return ""

    async def prove(self, job: JobRecord) -> None:
        """The service has refused the job's session, which had been sent before."""
        scope, rule = self._scope(job), self._rule_of(job.kind)
        if rule is SessionRule.NONE or scope in self._evidence.proofs:
            return
        self._evidence.proofs.add(scope)
        if rule is not SessionRule.DOCUMENTED:
            await self._keep(scope)

    async def contradict(self, job: JobRecord, first: str, second: str) -> None:
        """Record that a session has two tasks."""
        _log.error(
            "the service has made two tasks of one session of %s, %s and %s, and both are paid for: no create is sent "
            "again by its session any more with this ledger",
            job.job_id,
            first,
            second,
        )
        self._evidence.is_contradicted = True
        await self._keep(f"{IGNORED}{job.job_id}, {first}, {second}")

    def _scope(self, job: JobRecord) -> str:
        """The creates that a proof by this job is good for."""
        account = f"{self._account}: " if self._account else ""
        return f"{REFUSED}{account}{job.kind} {job.sent_fields().get('model_name') or ''}".rstrip()

    async def _keep(self, name: str) -> None:
        try:
            await self._ledger.keep_fact(name, self._endpoint)
        except LedgerError as error:
            _log.warning("%s: the next process will not know this fact about the service: %s", error, name)
