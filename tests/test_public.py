"""The public surface: names, the examples in docstrings and README, and a quick, quiet import."""

import asyncio
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mps_aigc_async
from mps_aigc_async.emulator import Emulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)

PROMISED = {
    "AccountError", "AigcClient", "AigcError", "Attach", "AudioRequest", "AudioResult", "CatalogWarning",
    "ClientClosed", "ClientError", "Config", "ConfigError", "ContentViolation", "CosStore", "CreateAgain",
    "CreateOutcomeUnknown", "CredentialSource", "Credentials", "DamagedRow", "DownloadError", "Drop", "Event",
    "ImageRequest", "ImageResult", "ImageToVideo", "ImageToVideoResult", "InvalidRequest", "JobDropped", "JobRecord",
    "JobState", "Kind", "LedgerError", "ListedTask", "NoTaskId", "Outcome", "PaceStatistics", "Redirected",
    "ReferenceImage", "ReferenceVideo", "ResultExpired", "RetryPolicy", "Run", "ServiceError", "SlotStatistics",
    "Statistics", "Subject", "Task", "TaskBlocked", "TaskDetails", "TaskFailed", "TaskFault", "TaskFilter", "TaskList",
    "TaskNotFound", "TaskState", "TaskStatus", "TaskTimeout", "Throttled", "Timeouts", "TooManyTasks",
    "TransportError", "UnexpectedError", "Unreachable", "Usage", "VideoRequest", "VideoResult", "VideoToAudio",
    "VideoToAudioResult",
    "VodFile", "VodOptions", "catalog", "events",
}  # fmt: skip


def test_the_public_names_are_the_promised_ones() -> None:
    assert set(mps_aigc_async.__all__) == PROMISED
    assert mps_aigc_async.__all__ == sorted(mps_aigc_async.__all__)
    assert all(hasattr(mps_aigc_async, name) for name in mps_aigc_async.__all__)


def modules() -> list[str]:
    found = pkgutil.walk_packages(mps_aigc_async.__path__, "mps_aigc_async.")
    return [module.name for module in found if not module.name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_the_examples_in_docstrings_run(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0


def test_importing_pulls_in_nothing_that_the_core_does_without_and_says_nothing() -> None:
    extras = {"typer", "rich", "jinja2", "PIL", "av", "numpy", "noto_cjk_sans_otc", "hypothesis", "pytest"}
    rooms = {f"mps_aigc_async.{room}" for room in ("cli", "emulator", "report", "testing")}
    unneeded = extras | rooms | {"aiohttp.web"}  # the server side of aiohttp is the emulator's
    code = f"import sys, mps_aigc_async; print(sorted({unneeded!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


async def run_example(code: str, folder: Path, environment: dict[str, str]) -> str:
    (folder / "example.py").write_text(code, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "example.py",
        cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_readmes_twenty_lines_run(tmp_path: Path) -> None:
    (code,) = [block for block in BLOCKS if "asyncio.run(main())" in block]
    async with Emulator(speed=1000) as emulator:
        environment = {
            "PATH": "",
            "PYTHONPATH": str(ROOT),
            "TENCENTCLOUD_SECRET_ID": "AKIDEXAMPLE",
            "TENCENTCLOUD_SECRET_KEY": "KEYEXAMPLE",
            "MPS_AIGC_ENDPOINT": emulator.url,
        }
        config = '{"concurrency": {"maxImageTasks": 4, "maxVideoTasks": 4, "pollIntervalMs": 100}}'
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
        printed = await run_example(code, tmp_path, environment)
        again = await run_example(code, tmp_path, environment)
        # The second run continued: nothing was left.
        assert emulator.statistics().created == {"image": 5, "video": 5, "audio": 0}
    assert len(printed.splitlines()) == len(again.splitlines()) == 5
    assert len(list((tmp_path / "out").glob("*.mp4"))) == 5


async def test_readmes_test_passes() -> None:
    (code,) = [block for block in BLOCKS if "test_my_app" in block]
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 — README's own words
    test = names["test_my_app"]
    assert callable(test)
    await test()


async def test_readmes_refresh_is_awaited_for_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [block for block in BLOCKS if "async def refresh" in block]

    class Vault:
        async def issue(self) -> dict[str, object]:
            return {"TmpSecretId": "AKIDEXAMPLE", "TmpSecretKey": "KEYEXAMPLE", "Token": "t", "ExpiredTime": 4e9}

    (tmp_path / "config.json").write_text('{"account": "team"}', encoding="utf-8")
    monkeypatch.setenv("MPS_AIGC_CONFIG", str(tmp_path / "config.json"))
    async with Emulator(speed=1000) as emulator:
        monkeypatch.setenv("MPS_AIGC_ENDPOINT", emulator.url)
        names: dict[str, object] = {"my_vault": Vault()}
        exec(compile(code, "README.md", "exec"), names)  # noqa: S102 — README's own words
        client = names["client"]
        assert isinstance(client, mps_aigc_async.AigcClient)
        async with client:
            assert (await client.submit(mps_aigc_async.ImageRequest(prompt="a lake"))).task_id


def test_readmes_batch_lines_are_good() -> None:
    import json

    from mps_aigc_async.model.parsing import parse

    (lines,) = re.findall(r"```json\n(.*?)```", README, flags=re.DOTALL)
    assert [parse(json.loads(line)).id for line in lines.splitlines()] == [
        "shot-001", "shot-002", "shot-003", "shot-004", "shot-005", "theme",
    ]  # fmt: skip


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_readmes_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
