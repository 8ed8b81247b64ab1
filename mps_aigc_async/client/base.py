"""The life of a client: its settings, its opening and its closing."""

import os
import time
from collections.abc import AsyncIterable, Callable, Iterable
from pathlib import Path
from typing import Self, TypeVar

from ..concurrency.callbacks import raise_from_loop
from ..config import Config
from ..credentials.official_sdk import AnyCredentials
from ..engine.account import account_settings
from ..engine.assembly import Engine, EngineSettings
from ..engine.backends import endpoint_of
from ..engine.job_queue import JobQueue
from ..engine.ledgers import LedgerPlace, ledger_place
from ..engine.request_ids import RequestIds
from ..ledger import Ledger
from ..model.errors import ClientClosed, ConfigError
from ..model.events import Events
from ..network.transport import AiohttpTransport, Timeouts, Transport
from ..policy.retries import RetryPolicy

T = TypeVar("T")

Many = Iterable[T] | AsyncIterable[T]
"""Any number of requests, known at once or as they come."""

Place = str | Path | None
"""A path, or a ledger's URL."""


class ClientBase:
    """A client without calls: open it to use its engine."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        endpoint: str | None = None,
        ledger: str | Path | None = None,
        credentials: AnyCredentials | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        transport: Callable[[], Transport] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        config = Config.load() if config is None else config
        if not isinstance(config, Config):
            kind = type(config).__name__
            raise ConfigError(f"AigcClient takes a Config and not {kind}: Config.load(PATH) reads a file")
        base = endpoint_of(config, endpoint)
        self._settings = EngineSettings(
            config=config,
            endpoint=base,
            accounts=account_settings(config, base, credentials),
            retry=retry,
            timeouts=timeouts or Timeouts(),
            transport=transport or (lambda: AiohttpTransport(base, timeouts)),
            wall=wall,
            events=Events(raise_from_loop),
        )
        self._ledger = None if ledger is None else ledger_place(ledger)
        self._ids = RequestIds()
        self._engine: Engine | None = None
        self._queue: JobQueue | None = None
        self._opening_process: int | None = None

    def __repr__(self) -> str:
        state = "open" if self._engine else "closed"
        accounts = ", ".join(account.name for account in self._settings.accounts)
        return f"<AigcClient of {accounts} at {self._settings.endpoint.authority}, {state}>"

    async def __aenter__(self) -> Self:
        while self._engine is not None and self._engine.home.is_gone:  # left open in a loop that has ended
            await self.aclose()
        if self._engine is not None:
            self._usable_engine()
        if self._engine is not None or self._opening_process == os.getpid():
            raise ClientClosed("the client is open already: one `async with` at a time")
        self._opening_process = os.getpid()  # of a fork, the opening never ends
        try:
            self._engine, self._ids = await Engine.open(self._settings), RequestIds()
            await self._engine.resume_ledger(self._ledger)
        except BaseException:
            await self.aclose()
            raise
        finally:
            self._opening_process = None
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop creating, wait at most 10 s for creates in flight, then close. Tasks at the service run on.

        Called from another thread, the client closes in its own running loop. After the end of that loop, and in a
        forked child, the open parts are freed from here. Raises ClientError if that loop exists and does not run.
        """
        while (engine := self._engine) is not None:
            if engine.home.is_here or engine.home.is_gone:
                self._engine = None
                await engine.close()
            else:
                await engine.home.run(self.aclose)

    # --- for the calls ------------------------------------------------------------------------------------------------

    def _require_engine(self) -> Engine:
        engine = self._engine
        if engine is None:
            raise ClientClosed("the client is not open: use it inside `async with AigcClient(…) as client:`")
        return engine

    def _usable_engine(self) -> Engine:
        """Raises ClientError outside of its own loop, before anything is sent."""
        engine = self._require_engine()
        engine.home.require()
        return engine

    def _usable_queue(self) -> JobQueue:
        """The queue of jobs in the client's own ledger. Raises as `_usable_engine`."""
        engine = self._usable_engine()
        if self._queue is None or self._queue.engine is not engine:
            self._queue = JobQueue(engine, self._ledger)
        return self._queue

    def _place_of(self, ledger: str | Path | None) -> LedgerPlace | None:
        """The place of a ledger; for None, of the client's own."""
        return self._ledger if ledger is None else ledger_place(ledger)

    async def _open_ledger(self, ledger: str | Path | None = None) -> Ledger:
        return await self._usable_engine().open_ledger(self._place_of(ledger))
