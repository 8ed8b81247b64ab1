"""`demo`: a storyboard of twelve shots on the emulator, by the same code as `run`."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import typer

from ..config import Config
from ..ledger.lock import WriterLock
from ..ledger.snapshot import LEDGER_FILE, open_snapshot
from ..model.errors import ConfigError
from .batch_source import JsonLines
from .emulator import PUBLISHED_KEYS, require_rendering
from .run import run_batch
from .screen import Exit, is_quiet, program, say

ACCOUNT: Final = "demo"
"""The account of a demo's ledger. The folder of an earlier demo is recognised by it."""


def demo(*, out: Path, speed: float) -> None:
    """Create a storyboard of 12 shots, each an image and the video that begins with it. Needs no keys."""
    require_rendering()
    with as_file(files("mps_aigc_async.cli") / "storyboard.jsonl") as storyboard:
        _clear(out, storyboard)
        code = _play(storyboard, out, speed)
    if code is Exit.WELL and not is_quiet():
        _suggest_next(out)
    raise typer.Exit(code)


def _play(storyboard: Path, out: Path, speed: float) -> Exit:
    how_to_go_on = f"a demo's service ends with the demo; start again: {program()} demo --out {shlex.quote(str(out))}"
    with _emulator(speed) as (url, process):
        return run_batch(
            JsonLines(storyboard), _config(url), out, how_to_go_on=how_to_go_on, before_leaving=process.kill
        )


def _config(url: str) -> Config:
    """The demo's config. No file and no environment variable of the user changes it."""
    secret_id, secret_key = PUBLISHED_KEYS
    return Config.parse(
        {
            "account": ACCOUNT,
            "tencentCloud": {"secretId": secret_id, "secretKey": secret_key, "endpoint": url},
            "mps": {
                "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
                "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0", "duration": 5},
            },
            "concurrency": {"maxImageTasks": 4, "maxVideoTasks": 3, "pollIntervalMs": 250},
            # The storyboard gives each video its image's shape, for the emulator. Kling takes the frame's shape.
            "catalog": "off",
        }
    )


def _clear(out: Path, storyboard: Path) -> None:
    """Remove the files of an earlier demo from this folder, and no others. The tasks ended with that demo's emulator.

    The files are found by name: an interrupted demo may have saved files that are not in its ledger yet. Raises
    ConfigError for a folder with a ledger that is no demo's, LedgerError if another demo is writing there.
    """
    ledger = out / LEDGER_FILE
    if not ledger.exists():
        return
    with open_snapshot(ledger) as snapshot:
        account = snapshot.owner()["account"]
    if account != ACCOUNT:
        raise ConfigError(f"{out} holds the ledger of a batch of yours: give the demo another folder with --out")
    lock = WriterLock(ledger)
    try:
        shots = [json.loads(line)["id"] for line in storyboard.read_text(encoding="utf-8").splitlines()]
        results = [
            file for shot in shots for file in (out / f"{shot}.png", out / f"{shot}.mp4", *out.glob(f".{shot}.*.part"))
        ]
        for file in (*results, *(out / f"{LEDGER_FILE}{suffix}" for suffix in ("-wal", "-shm", ""))):
            file.unlink(missing_ok=True)
    finally:
        lock.release()


@contextmanager
def _emulator(speed: float) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run an emulator in a process of its own during the block; yield its URL and the process."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TENCENTCLOUD_", "MPS_AIGC_"))
    }
    with subprocess.Popen(  # noqa: S603 — this interpreter, our own module
        [sys.executable, "-m", "mps_aigc_async", "emulator", "--port", "0", "--speed", str(speed)],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
        # A Ctrl-C at the terminal must reach the demo alone: its creates in flight still need the emulator.
        start_new_session=True,
    ) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url.startswith("http"):
                raise ConfigError("the emulator did not start; run `mps-aigc emulator` alone to see why")
            yield url, process
        finally:
            process.terminate()


def _suggest_next(out: Path) -> None:
    say(
        f"""
{out} now holds 12 images (shot-01.png …), the 12 videos that begin with them (shot-01.mp4 …), and {LEDGER_FILE},
the record of every job. Next steps:
  the state of the jobs, from the ledger:      {program()} status {out}
  the same service for a batch of your own:    {program()} emulator --speed 60
  a batch, there or with your own keys:        {program()} run BATCH.jsonl --out DIR"""
    )
