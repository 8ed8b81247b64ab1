"""Hostile text in every channel of every command: nothing that a command prints or logs steers a terminal."""

import asyncio
import io
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from mps_aigc_async.cli import app, report
from mps_aigc_async.cli.batch_jobs import BatchJobs
from mps_aigc_async.cli.progress import Bars
from mps_aigc_async.cli.tally import Tally
from mps_aigc_async.model.errors import TransportError
from mps_aigc_async.model.events import Retried
from mps_aigc_async.model.states import Ending, Kind
from mps_aigc_async.testing import forget_limits

from ..hostile import ATTACK, STEERS
from ..jobs.test_odd_values import OddService, serving
from .conftest import CODES, SECRET_ID, SECRET_KEY, Json, Line, Shell

HALF: Final = ATTACK + "\udcff"
"""The same as a byte that is no UTF-8 makes it in an argument or a file's name."""


NAME: Final = HALF.replace("/", "")


@pytest.fixture
def hostile(shell: Shell, caplog: pytest.LogCaptureFixture) -> "Hostile":
    return Hostile(shell, caplog)


class Hostile:
    """Runs commands, and looks through all that they print and log."""

    def __init__(self, shell: Shell, logs: pytest.LogCaptureFixture) -> None:
        self.shell = shell
        self._logs = logs

    def call(self, *args: str, stdin: str | None = None) -> Result:
        """A command that prints, and whose every error is told in its own words."""
        forget_limits()  # as in a process of its own
        result = CliRunner().invoke(app, args, input=stdin, catch_exceptions=False)
        told = "".join([result.output, *self._logs.messages])
        assert result.output
        found = STEERS.search(told)
        assert found is None, told[max(0, found.start() - 100) :][:200]
        assert "Traceback" not in told
        return result

    def configure(self, url: str, **sections: Json) -> None:
        cloud = {"secretId": SECRET_ID, "secretKey": SECRET_KEY, "endpoint": url}
        config = {"tencentCloud": cloud, "concurrency": {"pollIntervalMs": 100}, "timeouts": {"saveSeconds": 0.1}}
        path = self.shell.folder / "config.json"
        path.write_text(json.dumps(config | sections), encoding="utf-8")
        path.chmod(0o600)


@contextmanager
def served(service: OddService) -> Iterator[str]:
    """The service in a thread of its own, so that a command can have this one."""
    started, loop, stop, urls = threading.Event(), asyncio.new_event_loop(), asyncio.Event(), list[str]()

    async def serve() -> None:
        async with serving(service) as url:
            urls.append(url)
            started.set()
            await stop.wait()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


# --- arguments --------------------------------------------------------------------------------------------------------


COMMANDS: Final = ("demo", "run", "image", "video", "audio", "status", "report", "settle", "models", "emulator")


@pytest.mark.parametrize("text", [ATTACK, HALF], ids=["attack", "half"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_an_option_that_does_not_exist(command: str, text: str, hostile: Hostile) -> None:
    result = hostile.call(*filter(None, [command, f"--{text}"]))
    assert result.exit_code == 2
    assert "[31mA" in result.output


@pytest.mark.parametrize("text", [ATTACK, HALF], ids=["attack", "half"])
@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "settle"])
def test_arguments_beyond_the_last(command: str, text: str, hostile: Hostile) -> None:
    assert hostile.call(command, "a", "b", text, text).exit_code == 2


@pytest.mark.parametrize("text", [ATTACK, HALF], ids=["attack", "half"])
@pytest.mark.parametrize(
    "args",
    [
        ("X",),
        ("demo", "--speed", "X"),
        ("emulator", "--port", "X"),
        ("emulator", "--seed", "X"),
        ("video", "a", "--duration", "X"),
        ("run", "X", "--out", "made"),
        ("run", "batch.jsonl", "--out", "/proc/X/made"),
        ("run", "batch.jsonl", "--out", "made", "--config", "X"),
        ("image", "a", "--config", "X"),
        ("image", "a", "--ledger", "/proc/X"),
        ("image", "a", "--out", "/proc/X"),
        ("image", "X", "--image", "X.png"),
        ("video", "a", "--first-frame", "X"),
        ("video", "a", "--first-frame", "data:X"),
        ("status", "X"),
        ("status", "X", "4-1"),
        ("status", "image", "X"),
        ("report", "X"),
        ("settle", "X"),
        ("settle", "X", "X", "--drop"),
        ("settle", "made", "X", "--attach", "X"),
        ("models", "X"),
    ],
    ids=" ".join,
)
def test_a_value_that_is_refused(args: tuple[str, ...], text: str, hostile: Hostile) -> None:
    hostile.configure("http://127.0.0.1:9")
    hostile.shell.batch({"image": {"prompt": "a"}})
    assert hostile.call(*(arg.replace("X", text) for arg in args)).exit_code in (1, 2)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        {"id": ATTACK, "image": {"prompt": ""}},
        {ATTACK: 1},
        {"image": {ATTACK: 1, "prompt": "a"}},
        {"image": {"prompt": "a", "resolution": [ATTACK]}},
        {"image": {"prompt": "a", "images": [ATTACK]}},
        {"video": {"prompt": "a", "first_frame": f"/{ATTACK}"}},
        {"image": {"prompt": "a", "vod": {"media_name": ATTACK}}},
        ATTACK.encode(),
        json.dumps({"id": "a\ud800", "image": {"prompt": "a"}}).encode(),
        json.dumps({"image": {"prompt": "a\nerror: paid\x1b[31m", "aspect_ratio": 1}}).encode(),
        f'{{"{ATTACK[-12:]}": 1, "{ATTACK[-12:]}": 2}}'.encode(),
        b'{"image": {"prompt": "\x1b[31m"}}',
    ],
)
def test_a_line_of_a_batch_that_is_refused(line: Line, hostile: Hostile) -> None:
    hostile.configure("http://127.0.0.1:9")
    result = hostile.call("run", hostile.shell.batch(line), "--out", "made")
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 2


@pytest.mark.parametrize(
    "sections",
    [
        {ATTACK: 1},
        {"limits": {ATTACK: "x"}},
        {"limits": {f"CreateAigcImageTas{ATTACK[:2]}": 1}},
        {"account": ATTACK},
        {"backend": ATTACK},
        {"concurrency": {ATTACK: 1}},
        {"relay": {"baseUrl": ATTACK, "queryPath": ATTACK}},
        {"mps": {"imageGeneration": {"modelName": ATTACK}}},
        {"cosOutput": {"bucket": ATTACK, "region": ATTACK}},
    ],
)
def test_a_config_that_is_refused(sections: dict[str, Json], hostile: Hostile) -> None:
    hostile.configure("http://127.0.0.1:9", **sections)
    assert hostile.call("image", "a").exit_code == 2


@pytest.mark.parametrize("name", ["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_REGION",
                                  "TENCENTCLOUD_TOKEN", "MPS_AIGC_ENDPOINT", "MPS_AIGC_CONFIG"])  # fmt: skip
def test_an_environment_that_is_refused(name: str, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile.configure("http://127.0.0.1:9")
    monkeypatch.setenv(name, HALF)
    assert hostile.call("image", "a").exit_code == 2


def test_files_with_hostile_names(hostile: Hostile) -> None:
    with served(OddService("mps")) as url:
        hostile.configure(url)
        (hostile.shell.folder / "config.json").rename(f"{NAME}.json")
        Path(f"{NAME}.json").chmod(0o644)  # warned of, by its name
        batch = hostile.shell.batch({"id": "a", "image": {"prompt": "a"}}, name=f"{NAME}.jsonl")
        run = hostile.call("run", batch, "--config", f"{NAME}.json", "--out", f"{NAME}.out")
    assert run.exit_code == 1  # its URL leads nowhere
    assert "can be read by everybody" in run.output
    assert "report page: �[31mA" in run.output
    for command in ("status", "report", "settle"):
        hostile.call(command, f"{NAME}.out")


# --- the service ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", ["failed", "done", "unknown"])
def test_whatever_the_service_says(ended: str, hostile: Hostile) -> None:
    told: dict[str, dict[str, Any]] = {
        "failed": {"Status": "FAIL", "Message": ATTACK},
        "done": {"ImageUrls": [f"http://h/{ATTACK}"]},
    }
    service = OddService("mps", request_id=ATTACK, ended=told.get(ended, {}))
    if ended == "unknown":
        service.task_id = f"4-{ATTACK}"
    prompt = f"🐈 {ATTACK}"
    with served(service) as url:
        hostile.configure(url, catalog="warn")
        batch = hostile.shell.batch(
            {"id": f"cat {ATTACK[1:20]}"[:100].replace("\x1b", "").replace("\x07", ""),
             "image": {"prompt": prompt, "model_name": f"Hunyuan{ATTACK}", "resolution": ATTACK}}
        )  # fmt: skip
        run = hostile.call("run", batch, "--out", "made")
        again = hostile.call("run", batch, "--out", "made", "--retry-failed")
        status = hostile.call("status", "made")
        listed = hostile.call("settle", "made")
        hostile.call("report", "made")
        hostile.call("status", "image", "4-AigcImage-0123")
        for command in ("image",) if ended == "done" else ("image", "video", "audio"):
            hostile.call(command, prompt, "--model-name", ATTACK)
            hostile.call(command, prompt, "--ledger", "single.db")
    assert {run.exit_code, again.exit_code} == {1}
    if ended == "unknown":
        assert status.exit_code == 1
        assert "🐈 �[31mA" in listed.stdout
        assert "[red]L[/red]" in listed.stdout
        assert len([line for line in listed.stdout.splitlines() if line]) == 2


@pytest.mark.parametrize("state", ["unknown", "failed", "submitted", "done", "planned"])
def test_rows_that_another_version_has_written(state: str, hostile: Hostile) -> None:
    with served(OddService("mps", ended={"Status": "FAIL", "Message": "no"})) as url:
        hostile.configure(url)
        batch = hostile.shell.batch({"id": "a", "image": {"prompt": "a"}})
        hostile.call("run", batch, "--out", "made")
        attack = f"{ATTACK}\r\nerror: pay again"
        error = {"type": "TaskFailed", "message": attack, "code": attack, "action": attack, "request_id": attack}
        with closing(sqlite3.connect("made/ledger.db")) as rows, rows:
            rows.execute(
                "UPDATE jobs SET job_id = ?, task_id = ?, request_id = ?, urls = ?, error = ?, content = ?, state = ?",
                (f"{attack}/image", attack, attack, json.dumps([attack]), json.dumps(error),
                 json.dumps({"prompt": attack}), state),
            )  # fmt: skip
        hostile.call("status", "made")
        hostile.call("report", "made")
        listed = hostile.call("settle", "made")
        assert not any(line.startswith("error:") for line in listed.output.splitlines())
        hostile.call("run", batch, "--out", "made")
        hostile.call("settle", "made", f"{attack}/image", "--drop")


# --- faults of the program, and the bars ------------------------------------------------------------------------------


@pytest.mark.usefixtures("shell")
def test_a_fault_of_the_program_shows_frames_and_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path, **_: object) -> Path:
        raise RuntimeError(f"{SECRET_KEY} {ATTACK} in {folder}")

    monkeypatch.setattr(report, "write", broken)
    result = CliRunner().invoke(app, ["report", ATTACK], catch_exceptions=False)
    assert result.exit_code == 1
    assert result.stderr.endswith("error: RuntimeError: a fault of this program; please report it\n")
    assert "in report" in result.stderr
    assert SECRET_KEY not in result.output
    assert not STEERS.search(result.output)


def test_the_bars_on_a_terminal_show_no_more() -> None:
    output = io.StringIO()
    asked = BatchJobs()
    asked.add("a/image", Kind.IMAGE)
    tally = Tally(asked)
    bars = Bars(tally, Console(file=output, force_terminal=True, width=200, markup=False, highlight=False))
    error = TransportError(ATTACK, ending=Ending.UNKNOWN)
    error.message = ATTACK  # as an error of another version's is restored
    tally.on_event(Retried(at=0, job_id="a", kind=Kind.IMAGE, error=error, delay_s=1))
    with bars:
        bars.note(f"note {ATTACK}")
        bars._live.update(bars._picture(None), refresh=True)
    shown = CODES.sub("", output.getvalue()).replace("\r", "")
    assert "note �[31mA�]0;B" in shown
    assert not STEERS.search(shown)
