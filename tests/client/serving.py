"""An emulator that another thread serves, and clients of it for code without a loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mps_aigc_async import Config, SyncClient
from mps_aigc_async.emulator import Emulator

from ..support import KEYS


@contextmanager
def served(**settings: Any) -> Iterator[Emulator]:  # noqa: ANN401 — the emulator's
    """An emulator in a loop of its own."""
    is_up, stop = threading.Event(), asyncio.Event()
    running: list[tuple[Emulator, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with Emulator(**settings) as emulator:
            running.append((emulator, asyncio.get_running_loop()))
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert is_up.wait(10.0)
    emulator, loop = running[0]
    try:
        yield emulator
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def config_json(emulator: Emulator, cap: int = 4) -> dict[str, Any]:
    caps = {"maxImageTasks": cap, "pollIntervalMs": 100}
    return {"tencentCloud": {**KEYS, "endpoint": emulator.url}, "concurrency": caps, "pacing": {"jitterMs": 300}}


def client_for(emulator: Emulator, ledger: Path | str | None = None, cap: int = 4) -> SyncClient:
    return SyncClient(Config.parse(config_json(emulator, cap)), ledger=ledger)


def loop_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in {"mps-aigc loop", "mps-aigc reader"}]
