"""`demo`: a storyboard of twelve shots on the emulator, by the very path that `run` takes."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Final

import typer

from ..config import Config
from ..ledger.lock import WriterLock
from ..ledger.snapshot import LEDGER_FILE, open_snapshot
from ..model.errors import ConfigError
from .emulator import PUBLISHED_KEYS, require_rendering
from .run import carry_out
from .screen import Exit, program, say

ACCOUNT: Final = "demo"
"""Whose ledger a demo's is: how an earlier demo's folder is known again."""

SPEED: Final = 80.0
"""A storyboard of 12 takes an hour at the documented durations; at this speed well under half a minute."""


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for what the demo makes.")] = Path(
        "demo-output"
    ),
    speed: Annotated[float, typer.Option("--speed", min=1, max=1000, help="1 is the real service's pace.")] = SPEED,
) -> None:
    """Make a storyboard of 12 shots, each an image and the video that begins with it. Needs no keys.

    The service is an emulator on this machine; everything else is what `run` does.
    """
    require_rendering()
    with as_file(files("mps_aigc_async.cli") / "storyboard.jsonl") as storyboard:
        _clear(out, storyboard)
        code = _play(storyboard, out, speed)
    if code is Exit.WELL:
        _tell_what_next(out)
    raise typer.Exit(code)


def _play(storyboard: Path, out: Path, speed: float) -> Exit:
    with _emulator(speed) as (url, process):
        return carry_out(
            storyboard,
            _config(url),
            out,
            on_again=f"but a demo's service ends with it; afresh: {program()} demo --out {shlex.quote(str(out))}",
            before_leaving=process.kill,
        )


def _config(url: str) -> Config:
    """Whole and by itself: no file and no environment of the user's has a say in a demo."""
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
            # The storyboard gives each video its image's shape, by which the emulator draws; Kling takes the frame's.
            "catalog": "off",
        }
    )


def _clear(out: Path, storyboard: Path) -> None:
    """Remove what an earlier demo made in this folder, and nothing else: its tasks ended with its emulator.

    By name, for an interrupted demo may have saved what its ledger does not know yet. ConfigError for a
    folder with a ledger that is no demo's, LedgerError if another demo is writing there.
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
        made = [
            file for shot in shots for file in (out / f"{shot}.png", out / f"{shot}.mp4", *out.glob(f".{shot}.*.part"))
        ]
        for file in (*made, *(out / f"{LEDGER_FILE}{suffix}" for suffix in ("-wal", "-shm", ""))):
            file.unlink(missing_ok=True)
    finally:
        lock.release()


@contextmanager
def _emulator(speed: float) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """An emulator in a process of its own, and its URL. It ends with the block."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("TENCENTCLOUD_", "MPS_AIGC_"))
    }
    with subprocess.Popen(  # noqa: S603 — this interpreter, our own module
        [sys.executable, "-m", "mps_aigc_async", "emulator", "--port", "0", "--speed", str(speed)],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
        # A Ctrl-C at the terminal is the demo's to answer: its creates in flight still need the emulator.
        start_new_session=True,
    ) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url.startswith("http"):
                raise ConfigError("the emulator did not start; `mps-aigc emulator` alone tells more")
            yield url, process
        finally:
            process.terminate()


def _tell_what_next(out: Path) -> None:
    say(
        f"""
{out} now holds 12 images (shot-01.png …), the 12 videos that begin with them (shot-01.mp4 …), and {LEDGER_FILE},
the record of every job. What to try next:
  how the jobs stand, from the ledger alone:   {program()} status {out}
  the same service for a batch of your own:    {program()} emulator --speed 60
  a batch, there or with your own keys:        {program()} run BATCH.jsonl --out DIR"""
    )
