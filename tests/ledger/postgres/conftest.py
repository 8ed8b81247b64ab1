"""The members of a test, closed at its end."""

from collections.abc import AsyncIterator

import pytest

from .members import World


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    world = World(database)
    yield world
    await world.close()
