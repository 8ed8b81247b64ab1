"""The public surface: the names, the examples in docstrings, and a quick, quiet import. `tests/pages` has the pages."""

import doctest
import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys

import pytest

import mps_aigc_async

PROMISED = {
    "AccountError", "AigcClient", "AigcError", "Attach", "AudioRequest", "AudioResult", "Budget", "BudgetReached",
    "CatalogWarning", "ClientClosed", "ClientError", "Config", "ConfigError", "ContentViolation", "CosStore",
    "CreateAgain", "CreateOutcomeUnknown", "CredentialSource", "Credentials", "DamagedRow", "DownloadError", "Drop",
    "Event", "Failure", "ImageRequest", "ImageResult", "ImageToVideo", "ImageToVideoResult", "InvalidRequest", "Job",
    "JobCancelled", "JobDropped", "JobRecord", "JobState", "Kind", "LedgerError", "LedgerUsage", "ListedTask",
    "NoTaskId", "Origin", "Outcome", "PaceStatistics", "Plan", "PlannedWork", "Quota", "Redirected", "ReferenceImage",
    "ReferenceVideo", "ResultExpired", "RetryPolicy", "Run", "ServiceError", "ServiceUsage", "SlotStatistics",
    "Standing", "Statistics", "Subject", "Success", "SyncClient", "SyncJob", "SyncRun", "SyncTask", "Task",
    "TaskBlocked", "TaskDetails", "TaskFailed", "TaskFault", "TaskFilter", "TaskList", "TaskNotFound", "TaskState",
    "TaskStatus", "TaskTimeout", "Throttled", "Timeouts", "TooManyTasks", "TransportError", "UnexpectedError",
    "Unreachable", "Usage", "UsageComparison", "UsageReport", "VideoRequest", "VideoResult", "VideoToAudio",
    "VideoToAudioResult", "VodFile", "VodOptions", "catalog", "events", "read_table",
}  # fmt: skip


def test_the_public_names_are_the_promised_ones() -> None:
    assert set(mps_aigc_async.__all__) == PROMISED
    assert mps_aigc_async.__all__ == sorted(mps_aigc_async.__all__)
    assert all(hasattr(mps_aigc_async, name) for name in mps_aigc_async.__all__)


def test_a_name_that_is_not_public_is_missing() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        mps_aigc_async.nonsense  # type: ignore[attr-defined]  # noqa: B018 — the access is the test
    assert set(mps_aigc_async.__all__) <= set(dir(mps_aigc_async))


def modules() -> list[str]:
    found = pkgutil.walk_packages(mps_aigc_async.__path__, "mps_aigc_async.")
    return [module.name for module in found if not module.name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_the_examples_in_docstrings_run(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0


def test_importing_pulls_in_nothing_that_the_core_does_without_and_says_nothing() -> None:
    extras = {
        "typer",
        "rich",
        "jinja2",
        "PIL",
        "av",
        "numpy",
        "noto_cjk_sans_otc",
        "qcloud_cos",
        "hypothesis",
        "pytest",
    }
    rooms = {f"mps_aigc_async.{room}" for room in ("cli", "emulator", "report", "testing")}
    unneeded = extras | rooms | {"aiohttp.web"}  # the server side of aiohttp is the emulator's
    code = f"import sys; from mps_aigc_async import AigcClient; print(sorted({unneeded!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_version_is_that_of_the_package() -> None:
    assert mps_aigc_async.__version__ == importlib.metadata.version("mps-aigc-async")
