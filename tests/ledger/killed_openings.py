"""The opening of a new ledger, ended at each of its steps: `python -m tests.ledger.killed_openings FOLDER`.

A step is a statement of SQLite's, every few instructions within one, and a file that is opened, linked or removed.
Each opening runs in a fork of this process, which has no threads. Prints how many kills found no ledger, a temporary
one, and a whole one; each is then opened and written by another process, or this one fails.
"""

import asyncio
import json
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mps_aigc_async.ledger import JobRecord, SqliteLedger
from mps_aigc_async.model.states import Kind

OWNER = {"account": "AKID…1"}
KILLED = 9
INSTRUCTIONS = 20
"""Instructions of SQLite's virtual machine between two kill points within a statement."""


async def _use(path: Path) -> None:
    ledger = await SqliteLedger.open(path, OWNER)
    await ledger.put(JobRecord(job_id="a", kind=Kind.IMAGE, content="{}", planned_at=1.0))
    await ledger.close()


def _opened(path: Path) -> None:
    asyncio.run(_use(path))


def _killed_at(step: int, path: Path) -> Callable[[], None]:
    def work() -> None:
        left = iter(range(step))

        def tick(*_: object) -> int:
            if next(left, None) is None:
                os._exit(KILLED)
            return 0

        def hear(event: str, _: object) -> None:
            if event in ("open", "os.link", "os.remove", "os.rename", "os.mkdir"):
                tick()

        def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:  # noqa: ANN401 — handed through
            tick()
            database: sqlite3.Connection = original(*args, **kwargs)
            database.set_trace_callback(tick)
            database.set_progress_handler(tick, INSTRUCTIONS)
            return database

        original = sqlite3.connect
        sys.addaudithook(hear)
        with patch("sqlite3.connect", connect):
            _opened(path)

    return work


def _in_a_fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001 — told by the exit code
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _state(folder: Path) -> str:
    if (folder / "jobs.db").exists():
        return "whole"
    return "temporary" if any(folder.iterdir()) else "none"


def main(folder: Path) -> None:
    found = Counter[str]()
    for step in count():
        place = folder / f"{step}"
        place.mkdir()
        code = _in_a_fork(_killed_at(step, place / "jobs.db"))
        if code == 0:
            break
        assert code == KILLED, f"step {step}: {code}"
        found[_state(place)] += 1
        assert _in_a_fork(partial(_opened, place / "jobs.db")) == 0, f"killed at step {step}"
    print(json.dumps(found))  # noqa: T201 — its answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
