"""A terminal's view of the command line: commands in this process or in one of their own, against a served emulator."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest
from typer.testing import CliRunner, Result

from mps_aigc_async.cli import app
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.testing import forget_limits

from ..watching import Calls

SECRET_ID = "AKIDOFTHETESTS"
SECRET_KEY = "THEKEYTHATMUSTNEVERSHOW"

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"
Line: TypeAlias = "Json | bytes"

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@contextmanager
def served(speed: float = 600.0) -> Iterator[Emulator]:
    """An emulator with a loop and a thread of its own, so that a command can have this one."""
    emulator = Emulator(speed=speed, secret_id=SECRET_ID, secret_key=SECRET_KEY)
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with emulator:
            started.set()
            await stop.wait()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield emulator
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with served() as running:
        yield running


@pytest.fixture
def calls(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(emulator, monkeypatch)


@dataclass
class Shell:
    """Runs commands in a folder of their own. Every output is looked through for the secret."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def configure(self, url: str | None, **sections: Json) -> Path:
        """Write config.json and return its path."""
        cloud: dict[str, Json] = {"secretId": SECRET_ID, "secretKey": SECRET_KEY}
        if url is not None:
            cloud["endpoint"] = url
        concurrency = {"maxImageTasks": 4, "maxVideoTasks": 4, "pollIntervalMs": 100}
        config = {"tencentCloud": cloud, "concurrency": concurrency} | sections
        path = self.folder / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        path.chmod(0o600)
        return path

    def batch(self, *lines: Line, name: str = "batch.jsonl") -> str:
        """Write a batch file and return its name. Bytes are lines as they are."""
        written = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (self.folder / name).write_bytes(b"\n".join(written) + b"\n")
        return name

    def call(self, *args: str, stdin: str | None = None) -> Result:
        """A command in this process, which knows as little of the commands before as a process of its own."""
        forget_limits()
        result = CliRunner().invoke(app, args, input=stdin, catch_exceptions=False)
        assert SECRET_KEY not in result.output
        assert not CODES.search(result.output)
        return result

    def start(
        self, *args: str, stdout: int = subprocess.PIPE, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        """A command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "mps_aigc_async", *args],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE if stdout == subprocess.PIPE else stdout,
            text=True,
            encoding="utf-8",
            env={**self.environment, **(environment or {})},
        )


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in [name for name in os.environ if name.startswith(("TENCENTCLOUD_", "MPS_AIGC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "argv", ["mps-aigc"])  # messages show the command, and pytest may have any path
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, dict(os.environ))


def image(name: str, prompt: str = "a lake") -> dict[str, Json]:
    return {"id": name, "image": {"prompt": prompt}}


def chain(name: str) -> dict[str, Json]:
    return {"id": name, "image": {"prompt": "a lake 湖"}, "video": {"prompt": "wind 风", "duration": 1}}


def read_to_end(terminal: int) -> bytes:
    """The output of a process on a terminal, up to its end."""
    shown = b""
    try:
        while more := os.read(terminal, 4096):
            shown += more
    except OSError:  # Linux's way of saying that the other end was closed
        pass
    finally:
        os.close(terminal)
    return shown
