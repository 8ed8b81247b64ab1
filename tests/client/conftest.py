"""A client for code without a loop, and the emulator that another thread serves for it."""

from collections.abc import Iterator

import pytest

from mps_aigc_async import SyncClient
from mps_aigc_async.emulator import Emulator

from .serving import client_for, loop_threads, served


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with served(speed=600) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[SyncClient]:
    with client_for(emulator) as client:
        yield client
    assert loop_threads() == []
