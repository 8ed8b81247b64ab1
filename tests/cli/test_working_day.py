"""A producer's day as one transcript: plan, run, stop, edit, redo, retry, deliver, report. Created as planned."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from mps_aigc_async.emulator import Emulator
from mps_aigc_async.ledger.snapshot import open_snapshot

from ..watching import Calls
from .conftest import Json, Shell, served

SHOTS = 40
PRICES: Json = {"image": [{"each": 0.2}], "video": [{"second": 0.5}]}
MODELS: Json = {
    "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
    "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0", "duration": 5},
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with served(speed=1000) as running:
        yield running


def shot(number: int, picture: str = "a lake", film: str = "wind") -> dict[str, Json]:
    return {"id": f"shot-{number:03}", "image": {"prompt": f"{picture} {number}"}, "video": {"prompt": film}}


class Day:
    """The commands of a day, with the creates that the service has got so far."""

    def __init__(self, shell: Shell, emulator: Emulator) -> None:
        self.shell = shell
        self._emulator = emulator
        self._created = self.created

    @property
    def created(self) -> tuple[int, int]:
        numbers = self._emulator.statistics().created
        return numbers["image"], numbers["video"]

    def plan(self, *options: str, code: int = 0) -> dict[str, Any]:
        told = self.shell.call("plan", "batch.jsonl", "--out", "out", "--json", *options)
        assert told.exit_code == code, told.output
        assert self.created == self._created, "a plan sends nothing"
        plan: dict[str, Any] = json.loads(told.stdout)
        return plan

    def run(self, plan: dict[str, Any], *command: str, code: int = 0, fewer: tuple[int, int] = (0, 0)) -> str:
        """Run a command that creates what the plan says, without steps that a failure leaves out (`fewer`)."""
        told = self.shell.call(*(command or ("run", "batch.jsonl")), "--out", "out")
        assert told.exit_code == code, told.output
        tasks = {
            kind: sum(work["tasks"] for work in plan["creates"] if work["kind"] == kind) for kind in ("image", "video")
        }
        before, self._created = self._created, self.created
        assert (self._created[0] - before[0], self._created[1] - before[1]) == (
            tasks["image"] - fewer[0], tasks["video"] - fewer[1],
        )  # fmt: skip
        return told.output

    def until_stopped(self, calls: Calls, *, videos: int) -> None:
        """Begin a run, and stop it by Ctrl-C after some videos."""
        with self.shell.start("run", "batch.jsonl", "--out", "out") as process:
            calls.until(lambda: self._emulator.statistics().created["video"] >= videos)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130, stderr
        assert "creates 40 images and 200 s of video; costs 108.00 CNY; done in" in stderr
        self._created = self.created


def shown(shell: Shell) -> list[str]:
    """The names of the requests in the order of the page."""
    with open_snapshot(shell.folder / "out" / "ledger.db") as snapshot:
        return [name for name, _ in snapshot.requests()]


def test_a_working_day(shell: Shell, emulator: Emulator, calls: Calls) -> None:
    shell.configure(emulator.url, prices=PRICES, mps=MODELS)
    day = Day(shell, emulator)
    shots = [shot(number) for number in range(SHOTS)]
    shell.batch(*shots)
    plan = day.plan()
    assert (plan["requests"], plan["images"], plan["video_seconds"], plan["cost"]) == (
        {"new": 40}, 40, 200, pytest.approx(108),
    )  # fmt: skip
    assert plan["finish_s"] > 0

    day.until_stopped(calls, videos=3)
    made = day.created
    plan = day.plan()
    assert sum(work["tasks"] for work in plan["creates"]) == 80 - sum(made)
    day.run(plan)
    assert day.created == (40, 40)

    shots[1], shots[2], shots[3] = shot(1, picture="a hill"), shot(2, film="rain"), shot(3, film="snow")
    del shots[10]
    shots += [shot(50), shot(51, picture="fail-later")]
    shell.batch(*shots)
    plan = day.plan(code=2)
    assert plan["requests"] == {"new": 2, "kept": 36, "conflict": 3}
    nothing: dict[str, Any] = {"creates": []}
    assert "3 requests have other content" in day.run(nothing, code=2)

    plan = day.plan("--redo-changed")
    assert (plan["images"], plan["video_seconds"]) == (3, 25)
    day.run(plan, "run", "batch.jsonl", "--redo-changed", code=1, fewer=(0, 1))

    plan = day.plan("--redo", "shot-005")
    assert (plan["images"], plan["video_seconds"]) == (1, 5)
    assert "shot-005@2.mp4" in day.run(plan, "redo", "shot-005")

    plan = day.plan("--retry-failed")
    assert (plan["images"], plan["video_seconds"]) == (1, 5)
    day.run(plan, "run", "batch.jsonl", "--retry-failed", code=1, fewer=(0, 1))

    delivered = shell.folder / "delivered"
    delivered.mkdir()
    for number in (20, 21, 22, 23, 24):
        file = shell.folder / "out" / f"shot-{number:03}.mp4"
        file.rename(delivered / file.name)
    plan = day.plan()
    assert plan["creates"] == []
    assert plan["requests"] == {"kept": 40, "failed": 1}
    day.run(plan, code=1)

    assert shell.call("report", "out").exit_code == 0
    names = shown(shell)
    assert names[:5] == ["shot-000", "shot-001@2", "shot-001", "shot-002@2", "shot-002"]
    assert [name for name in names if "@" not in name][-3:] == ["shot-039", "shot-050", "shot-051"]


def test_bounds_hold_over_runs_and_a_part_of_the_batch_keeps_its_places(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, prices=PRICES, mps=MODELS)
    day = Day(shell, emulator)
    shell.batch(*(shot(number) for number in range(8)))
    command = ("run", "batch.jsonl", "--out", "out")
    commands: list[tuple[tuple[str, ...], tuple[int, int]]] = [
        (("--only", "shot-00[56]", "--limit", "1"), (1, 1)),
        (("--max-images", "3"), (3, 3)),
        (("--max-images", "3"), (3, 3)),
        (("--max-video-seconds", "24"), (4, 4)),
        (("--max-cost", "13.5"), (5, 5)),
        ((), (8, 8)),
    ]
    for options, made in commands:
        told = shell.call(*command, *options)
        assert told.exit_code == 0, told.output
        assert day.created == made
        assert ("not finished: the budget is reached" in told.stderr) == ("--max" in " ".join(options))
    assert shown(shell) == [f"shot-{number:03}" for number in range(8)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "film-*"], "no request of the batch matches --only film-*"),
        (["--max-cost", "9"], "has no price: add it to prices.image"),
        (["--redo", ""], "an empty id names none"),
        (["--redo", "shot-000", "--redo", "shot-000@1"], "names a request twice"),
        (["--keep", "--redo-changed"], "choose one"),
    ],
)
def test_options_that_cannot_be_followed_send_nothing(
    shell: Shell, emulator: Emulator, options: list[str], words: str
) -> None:
    shell.configure(emulator.url)
    shell.batch(shot(0))
    told = shell.call("run", "batch.jsonl", "--out", "out", *options)
    assert told.exit_code in (1, 2), told.output
    assert words in " ".join(told.output.split())
    assert sum(emulator.statistics().created.values()) == 0


def test_a_plan_in_words_names_the_models_without_a_price(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, prices={"image": [{"each": 0.2}]}, mps=MODELS)
    shell.batch(shot(0), shot(1))
    told = shell.call("run", "batch.jsonl", "--out", "out", "--dry-run")
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines() == [
        "2 new",
        "  create 2 images with Hunyuan 3.0: 0.40 CNY",
        "  create 2 videos with Kling 3.0, 10 s: no price",
        "creates 2 images and 10 s of video; costs 0.40 CNY, and no price for Kling 3.0; "
        "done in 0:06:00 at the earliest",
    ]
    assert not (shell.folder / "out").exists()
