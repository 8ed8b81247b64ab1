"""Every command says what it does; the emulator and the demo do it."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import av
import pytest
from PIL import Image

from mps_aigc_async.cli import demo
from mps_aigc_async.cli.batch import check_batch
from mps_aigc_async.cli.batch_source import JsonLines
from mps_aigc_async.config import Config
from mps_aigc_async.ledger.lock import WriterLock
from mps_aigc_async.model.errors import ConfigError, LedgerError
from mps_aigc_async.model.states import Kind

from ..report.batches import NOW, done, planned, submitted, write_ledger
from .conftest import SECRET_ID, SECRET_KEY, Shell, image

STORYBOARD = Path(demo.__file__).with_name("storyboard.jsonl")


@pytest.mark.parametrize(
    "command",
    ["demo", "run", "image", "video", "audio", "status", "report", "settle", "usage", "models", "emulator"],
)
def test_help(shell: Shell, command: str) -> None:
    result = shell.call(command, "--help")
    assert result.exit_code == 0
    assert f" {command} [OPTIONS]" in result.stdout
    assert f"│ {command} " in shell.call("--help").stdout


HELP = [["--help"], ["-h"], ["--version"], ["run", "--help"], ["image", "-h"], ["settle", "-h"], ["queue", "-h"]]


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_and_version_load_no_client(words: list[str]) -> None:
    """A shell waits for them: they answer before the packages of the client are loaded."""
    code = (
        "import atexit, sys; from mps_aigc_async.__main__ import main; "
        "atexit.register(lambda: print(sorted({'aiohttp', 'asyncio', 'pydantic', 'sqlite3'} & set(sys.modules)))); "
        f"sys.argv = {['mps-aigc', *words]!r}; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    *shown, loaded = done.stdout.splitlines()
    assert (loaded, done.stderr) == ("[]", "")
    assert any("Usage: mps-aigc" in line or line == f"mps-aigc {version('mps-aigc-async')}" for line in shown)


def test_the_shell_completes_ids_from_the_ledger(shell: Shell) -> None:
    write_ledger(shell.folder / "out", [planned(name, Kind.IMAGE) for name in ("shot-1", "shot-2", "other")])
    completed = complete(shell, "redo --out out sh")
    assert completed == ["shot-1", "shot-2"]
    assert complete(shell, "run batch.jsonl -o out --redo o") == ["other"]
    assert complete(shell, "settle out ") == []
    assert complete(shell, "redo --out missing sh") == []
    assert complete(shell, "redo --ledger postgresql://nobody@nowhere.invalid/x sh") == []


def complete(shell: Shell, line: str) -> list[str]:
    """The words that bash is offered for the last word of a command line."""
    words = f"mps-aigc {line}"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_MPS_AIGC_COMPLETE": "complete_bash"}
    code = "import sys; from mps_aigc_async.__main__ import main; sys.argv = ['mps-aigc']; main()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=shell.folder, env={**shell.environment, **asked}
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_terminal_alone_wraps_the_help(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns, lines that were wrapped at 120 in the source would end in the middle."""
    monkeypatch.setenv("COLUMNS", "600")
    (line,) = [line for line in shell.call("run", "--help").stdout.splitlines() if "The whole file is checked" in line]
    assert line.rstrip().endswith("no longer in the file.")


def test_no_arguments_is_help_and_version_is_the_packages(shell: Shell) -> None:
    assert "Exit codes: 0 success" in " ".join(shell.call().output.split())
    assert shell.call("--version").stdout == f"mps-aigc {version('mps-aigc-async')}\n"
    assert shell.call("nonsense").exit_code == 2


def test_the_emulator_by_itself_serves_a_client_that_goes_by_its_lines(shell: Shell) -> None:
    with shell.start("emulator", "--port", "0", "--speed", "600", "--image-tasks", "2") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip("\n") for _ in range(5)]
        environment = dict(line.removeprefix("  export ").split("=") for line in lines[2:])
        assert lines[0] == environment["MPS_AIGC_ENDPOINT"]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            shell.configure(None, tencentCloud={}, concurrency={"pollIntervalMs": 100})
            result = shell.call("run", shell.batch(*(image(str(number)) for number in range(3))), "--out", "made")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert result.exit_code == 0, result.output
    # asyncio's debug mode tells of slow callbacks, which a busy machine has.
    told = [line for line in stderr.splitlines() if not line.startswith("Executing <")]
    assert (process.returncode, told) == (0, [])
    assert "ended" in stdout


def test_the_emulator_does_not_show_the_users_keys(shell: Shell) -> None:
    keys = {"TENCENTCLOUD_SECRET_ID": SECRET_ID, "TENCENTCLOUD_SECRET_KEY": SECRET_KEY}
    with shell.start("emulator", "--port", "0", environment=keys) as process:
        assert process.stdout is not None
        stdout = "".join(process.stdout.readline() for _ in range(4))
        process.send_signal(signal.SIGTERM)
        stdout += process.communicate(timeout=60)[0]
    assert stdout.startswith("http://127.0.0.1:")
    assert "the keys in your environment" in stdout
    assert SECRET_KEY not in stdout
    assert SECRET_ID not in stdout


def test_the_emulator_tells_where_its_buckets_are(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = shell.call("emulator", "--port", "0", "--cos-port", port)
    assert refused.exit_code == 2
    assert f"cannot listen on port {port}: " in refused.stderr
    assert "--cos-port" in refused.stderr
    with shell.start("emulator", "--port", "0", "--cos-port", port) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(7)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert sum(f"http://127.0.0.1:{port} " in line and "`cosOutput`" in line for line in lines) == 1


def test_the_emulators_bad_input(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = shell.call("emulator", "--port", port)
    assert refused.exit_code == 2
    assert f"cannot listen on port {port}: " in refused.stderr
    assert shell.call("emulator", "--speed", "0").exit_code == 2
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", SECRET_ID)
    assert "set both, or neither" in shell.call("emulator").stderr


@pytest.mark.parametrize("command", ["demo", "emulator"])
def test_a_missing_extra_is_named(shell: Shell, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.cli.emulator.find_spec", lambda name: None if name == "av" else name)
    result = shell.call(command)
    assert result.exit_code == 2
    assert "missing (av): pip install '.[emulator]' in a clone of mps-aigc-async" in result.stderr


def test_what_is_done_and_not_saved_is_told_with_its_end(shell: Shell) -> None:
    write_ledger(shell.folder, [done(submitted(planned("a", Kind.IMAGE), NOW))])
    result = shell.call("status", ".")
    assert result.exit_code == 1
    saves = "1 result is paid for and not saved: `mps-aigc run BATCH.jsonl --out .` saves it"
    assert f"{saves}; the first of their URLs was to expire at 2026-01-0" in result.stdout  # 12 hours later


def test_a_report_by_itself(shell: Shell) -> None:
    folder = Path("made")
    folder.mkdir()
    write_ledger(folder, [planned("a", Kind.IMAGE)])
    result = shell.call("report", "made")
    assert (result.exit_code, result.stdout) == (0, "made/index.html\n")
    assert "the image of a" in (folder / "index.html").read_text(encoding="utf-8")
    missing = shell.call("report", "nowhere")
    assert missing.exit_code == 2
    assert "there is no ledger nowhere/ledger.db" in missing.stderr


def test_the_storyboard_is_a_dozen_chains_in_two_languages() -> None:
    assert check_batch(JsonLines(STORYBOARD), Config().defaults().check).totals == {Kind.IMAGE: 12, Kind.VIDEO: 12}
    shots = [json.loads(line) for line in STORYBOARD.read_text(encoding="utf-8").splitlines()]
    assert [shot["id"] for shot in shots] == [f"shot-{number:02}" for number in range(1, 13)]
    for shot in shots:
        assert re.search(r"[a-z] · [一-鿿]", shot["image"]["prompt"])
        assert shot["video"]["aspect_ratio"] == shot["image"]["aspect_ratio"]


def test_the_demo(shell: Shell) -> None:
    """The real environment is no demo's: neither its keys nor its endpoint."""
    foreign = {
        "TENCENTCLOUD_SECRET_ID": SECRET_ID,
        "TENCENTCLOUD_SECRET_KEY": SECRET_KEY,
        "MPS_AIGC_ENDPOINT": "https://mps.example.invalid",
        "MPS_AIGC_CONFIG": "nowhere.json",
    }
    with shell.start("demo", "--speed", "250", environment=foreign) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    out = Path("demo-output")
    assert sorted(path.name for path in out.iterdir() if path.suffix in {".png", ".mp4"}) == sorted(
        f"shot-{number:02}{suffix}" for number in range(1, 13) for suffix in (".png", ".mp4")
    )
    for path in out.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
    for path in out.glob("*.mp4"):
        with av.open(str(path)) as film:
            assert sum(1 for _ in film.decode(video=0)) > 20
    assert "report page: demo-output/index.html\n" in stdout
    assert '<img src="shot-12.png"' in (out / "index.html").read_text(encoding="utf-8")
    assert "mps_aigc_async status demo-output" in stdout
    assert shell.call("status", "demo-output").exit_code == 0
    the_emulator_has_ended(out / "ledger.db")
    what_the_demo_made_can_be_cleared(out)


def the_emulator_has_ended(ledger: Path) -> None:
    with sqlite3.connect(ledger) as database:
        endpoint = database.execute("SELECT is_for FROM belongs_to WHERE what = 'endpoint'").fetchone()[0]
    database.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(endpoint).port or 0), timeout=5)


def what_the_demo_made_can_be_cleared(out: Path) -> None:
    """As a second demo does before it begins."""
    (out / "notes.txt").write_text("the user's own")
    lock = WriterLock(out / "ledger.db")
    with pytest.raises(LedgerError, match="is being written by process"):
        demo._clear(out, STORYBOARD)
    lock.release()
    demo._clear(out, STORYBOARD)
    assert {path.name for path in out.iterdir()} == {"notes.txt", "index.html"}


def test_the_demo_touches_no_batch_of_the_users(shell: Shell, tmp_path: Path) -> None:
    del shell
    owner = {"account": "AKID…1", "backend": "mps", "endpoint": "https://mps.tencentcloudapi.com/"}
    write_ledger(tmp_path, [], owner)
    with pytest.raises(ConfigError, match="a batch of yours"):
        demo._clear(tmp_path, STORYBOARD)
    assert (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("end", [253402300799.0, 2e20, "soon"])
def test_an_end_that_no_calendar_has_hides_no_unsaved_result(shell: Shell, end: float | str) -> None:
    ledger = write_ledger(shell.folder, [done(submitted(planned("a", Kind.IMAGE), NOW))])
    with sqlite3.connect(ledger) as database:
        database.execute("UPDATE jobs SET expires_at = ?", (end,))
    database.close()
    result = shell.call("status", ".")
    assert result.exit_code == 1
    assert "1 result is paid for and not saved" in result.stdout
