"""A reader's folder: a config, the keys, the programs, and an emulator as the service."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .blocks import ROOT, blocks_in

QUICK: Final = {"maxImageTasks": 4, "maxVideoTasks": 4, "maxAudioTasks": 2, "pollIntervalMs": 100}
"""The one change to a reader's config: the emulator's tasks take less than a second."""

CHECKED_BY_FORM: Final = ("git", "make", "pip", "pytest", "ruff", "mypy", "basedpyright", "lint-imports")
"""Programs that do nothing here: they need a network, take minutes, or would run the tests from inside a test.
`forms` checks their arguments."""

VAULT: Final = """
async def issue() -> dict[str, object]:
    return {"TmpSecretId": "AKIDEXAMPLE", "TmpSecretKey": "KEYEXAMPLE", "Token": "t", "ExpiredTime": 4e9}
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """Runs programs as a reader would."""

    path: Path
    environment: Mapping[str, str]

    async def run(self, *command: str) -> str:
        """The output of a command. Fails the test unless it exits with 0."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.path,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def python(self, code: str) -> str:
        """Run a script with warnings as errors."""
        (self.path / "example.py").write_text(code, encoding="utf-8")
        return await self.run(sys.executable, "-W", "error", "example.py")

    async def shell(self, text: str) -> str:
        """Run a shell block; the first command that fails ends it."""
        return await self.run("/bin/sh", "-euc", text)


def furnish(path: Path, url: str) -> Folder:
    """A folder with a reader's files, whose commands talk to the emulator at `url`."""
    example = json.loads((ROOT / "config.example.json").read_text(encoding="utf-8"))
    (path / "config.example.json").write_text(json.dumps({**example, "concurrency": QUICK}), encoding="utf-8")
    (path / "config.json").write_text(json.dumps({"account": "team-7", "concurrency": QUICK}), encoding="utf-8")
    (path / "my_vault.py").write_text(VAULT, encoding="utf-8")
    (path / "shots.jsonl").write_text(readme_batch(), encoding="utf-8")
    programs = path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in CHECKED_BY_FORM:
        _program(programs / name, "exit 0")
    _program(programs / "mps-aigc", f'exec "{sys.executable}" -m mps_aigc_async "$@"')
    _program(programs / "python", "exit 0")  # `python -m tests.…` and `python -m benchmarks`: by form
    return Folder(
        path,
        {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(path),
            "PYTHONPATH": f"{ROOT}:{path}",
            "TENCENTCLOUD_SECRET_ID": "AKIDEXAMPLE",
            "TENCENTCLOUD_SECRET_KEY": "KEYEXAMPLE",
            "MPS_AIGC_ENDPOINT": url,
        },
    )


def readme_batch() -> str:
    """The batch file of README."""
    (block,) = (
        block
        for block in blocks_in("README.md", (ROOT / "README.md").read_text(encoding="utf-8"))
        if block.language == "json"
    )
    return block.text


def _program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)
