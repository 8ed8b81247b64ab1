"""Waiting until another member has changed a job's row."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import Final

from ...concurrency.owner import TaskOwner
from ...sharing.database_url import DatabaseUrl
from ...sharing.listener import listen
from ...sharing.looks import APART_S
from ..record import JobRecord
from .moves import CHANNEL


class Changes:
    """Wakes the callers that wait for a change of a row: by a notice, and every 2 s for a look."""

    def __init__(self, url: DatabaseUrl, read: Callable[[str], Awaitable[JobRecord | None]]) -> None:
        self._url: Final = url
        self._read = read
        self._work = TaskOwner()
        self._waits: dict[str, set[asyncio.Event]] = {}

    async def differs_from(self, job: JobRecord) -> None:
        """Return once the row is another than the caller has read: a change since that read counts as well."""
        if not len(self._work):
            self._work.start(listen(self._url, CHANNEL, self._on_notice), "ledger notices")
        key, event = self._digest(job.job_id), asyncio.Event()
        self._waits.setdefault(key, set()).add(event)
        try:
            while await self._read(job.job_id) == job:
                with suppress(TimeoutError):
                    async with asyncio.timeout(APART_S):
                        await event.wait()
                event.clear()
        finally:
            self._waits[key].discard(event)
            if not self._waits[key]:
                del self._waits[key]

    def _on_notice(self, digest: str) -> None:
        for event in self._waits.get(digest, ()):
            event.set()

    def _digest(self, job_id: str) -> str:
        """The notice of a job's row, as `moves` announces it."""
        return sha256(f"{self._url.ledger} {job_id}".encode()).hexdigest()

    async def close(self) -> None:
        """Stop listening."""
        await self._work.close()
