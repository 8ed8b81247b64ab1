"""Settings for the whole suite."""

import pytest
from hypothesis import settings

from mps_aigc_async import sessions

# Machines are noisy: how long one example takes says nothing about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture
def list_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a list of tasks that stays empty: the later looks take a minute, which is real time on a socket."""
    monkeypatch.setattr(sessions, "LOOK_AGAIN_S", ())
