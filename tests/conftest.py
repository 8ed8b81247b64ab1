"""Settings for the whole suite."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import settings

from mps_aigc_async.jobs import sessions
from mps_aigc_async.limits.shared import host, opening
from mps_aigc_async.testing import forget_limits

from . import real_sleeps
from .postgres_server import PostgresServer, postgres_server

# Machines are noisy: how long one example takes says nothing about the code. The same code gets the same examples, so
# that it passes twice or fails twice; `make test-all` explores others with `--hypothesis-profile=explore`.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("suite")

LONGEST: Final = (
    "test_chaos.py", "test_client.py", "test_commands.py", "test_interrupts.py", "test_machine.py", "test_opening.py",
    "test_sharing.py", "test_sharing_crashes.py",
)  # fmt: skip
"""The files that one core is at for longest: begun first, they keep no other core waiting at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    with real_sleeps.recorded() as sleepers:
        yield
    if sleepers:
        raise real_sleeps.RealSleep(f"sleeps on real time, in {', '.join(dict.fromkeys(sleepers))}: wait for an event")


_place: Final = host._place


def _default_folder() -> Path:
    if host._place is _place:
        raise AssertionError("a test counts in the limits of this machine's user: name a limitStore")
    return host.default_folder()


@pytest.fixture(scope="session", autouse=True)
def _tests_touch_no_limits_of_the_users_own() -> Iterator[None]:
    """By default, clients of a real endpoint count with all other processes of the user."""
    with patch.object(opening, "default_folder", _default_folder):
        yield


@pytest.fixture(autouse=True)
def _a_test_begins_with_no_account() -> None:
    """A port of an earlier test's server is handed out again: the tasks that ran there would hold the slots."""
    forget_limits()


@pytest.fixture
def list_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a list of tasks that stays empty: the later looks take a minute, which is real time on a socket."""
    monkeypatch.setattr(sessions, "LOOK_AGAIN_S", ())


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, one for each process of the tests."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database."""
    with postgres.database() as url:
        yield url
