"""A process of a batch, with the trouble that it can get."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from .batch import Listed, Orders, Stopped, Told

ROOT: Final = Path(__file__).parents[2]
_START_S: Final = 60.0
"""A busy machine takes seconds to import the package."""


@dataclass(frozen=True, slots=True)
class Said:
    """The output of a process until its end."""

    told: Sequence[Told]
    listed: Sequence[Listed]
    stopped: Stopped | None
    log: str


class BatchProcess:
    """A process that is ready to begin. Start it with `BatchProcess.start`; its end has to be awaited."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[bytes] = []
        self._begun = asyncio.Event()
        self._ready = asyncio.Event()
        self.has_ledger = False
        """Whether its ledger is open, for certain."""
        self._read = asyncio.gather(self._follow(), self._log())

    @classmethod
    async def start(cls, orders: Orders) -> "BatchProcess":
        """A process whose imports are done."""
        pipe = asyncio.subprocess.PIPE
        process = cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.chaos.batch",
                json.dumps(asdict(orders)),
                cwd=ROOT,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                limit=1 << 20,
            )
        )
        await asyncio.wait_for(process._ready.wait(), _START_S)
        return process

    async def begin(self) -> None:
        """Let it begin; return when it is about to open its ledger, or has ended."""
        await self.tell("go")
        ended = asyncio.ensure_future(self._process.wait())
        begun = asyncio.create_task(self._begun.wait())
        await asyncio.wait({ended, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def tell(self, line: str) -> None:
        """Change the machine that it runs on, as `batch` understands it."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(f"{line}\n".encode())
            await self._process.stdin.drain()

    def send(self, number: signal.Signals) -> None:
        # Not by asyncio's `send_signal`: that may reap a process that has just ended, whose exit code is lost then.
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends by itself in this time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
        return self.has_ended

    async def end(self) -> tuple[int, Said]:
        """Return the exit code and all output of the process; kill it if it runs."""
        if not self.has_ended:
            self.send(signal.SIGKILL)
        code = await self._process.wait()
        _, log = await self._read
        return code, _said(self._lines, log)

    async def _follow(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            match line:
                case b"ready\n":
                    self._ready.set()
                case b"begun\n":
                    self._begun.set()
                case b"open\n" | b"closing\n":
                    self.has_ledger = line == b"open\n"
                case _:
                    self._lines.append(line)
        self._ready.set()

    async def _log(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode(errors="replace")


def _said(lines: Sequence[bytes], log: str) -> Said:
    # A line that a kill cut off says nothing.
    values = [json.loads(line) for line in lines if line.endswith(b"}\n")]
    stopped = [Stopped(**value) for value in values if "stopped" in value]
    return Said(
        told=[Told(**value | {"tasks": tuple(value["tasks"])}) for value in values if "request" in value],
        listed=[Listed(**value) for value in values if "job" in value],
        stopped=stopped[-1] if stopped else None,
        log=log,
    )
