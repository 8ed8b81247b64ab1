"""`kill -9` of a program that has planned more than the service runs at once: all of it goes on without the program."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, Config, JobState
from mps_aigc_async.ledger.snapshot import open_snapshot

from ..watching import Calls
from .serving import served

CAP, PLANNED = 20, 41
"""`CAP` images run at the service when the program is killed, and as many as `PLANNED` are only planned."""


def config_of(url: str, cap: int) -> dict[str, object]:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": url}
    return {"tencentCloud": keys, "concurrency": {"maxImageTasks": cap, "pollIntervalMs": 100}}


def test_all_that_was_planned_and_submitted_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, folder = tmp_path / "orders.db", tmp_path / "films"
    # The first tasks run until after the kill: 60 s at this speed take 3 s, and the others next to nothing.
    seconds = {f"scene {number}": 60.0 if number < CAP else 1.0 for number in range(CAP + PLANNED)}
    with served(speed=20, task_seconds=seconds) as emulator:
        calls = Calls(emulator, monkeypatch)

        def created() -> int:
            return emulator.statistics().created["image"]

        arguments = [json.dumps(config_of(emulator.url, CAP)), str(ledger), str(folder), str(CAP + PLANNED)]
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.client.enqueuing_program", *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        with program:
            assert program.stdout is not None
            assert program.stdout.readline() == "stored\n"
            calls.until(lambda: created() >= CAP)
            program.kill()
        with open_snapshot(ledger) as snapshot:
            states = [state for _, _, state in snapshot.states()]
        assert states.count(JobState.PLANNED) > PLANNED / 2  # a slow machine may have created a few more
        assert len(states) == CAP + PLANNED

        async def resume() -> list[bool]:
            async with AigcClient(Config.parse(config_of(emulator.url, 2 * CAP)), ledger=ledger) as client:
                return [outcome.ok for outcome in await client.resume()]

        outcomes = asyncio.run(resume())
        # The answer to a create may have been on its way when the program was killed: such a create is unknown.
        unknown = states.count(JobState.INTENT)
        assert sorted(outcomes) == [False] * unknown + [True] * (CAP + PLANNED - unknown)
        assert created() == CAP + PLANNED
        assert len(list(folder.iterdir())) == CAP + PLANNED - unknown
