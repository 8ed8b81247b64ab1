"""The emulator's settings: their names as keyword arguments, and values that are rejected at once."""

from typing import get_type_hints

import pytest

from mps_aigc_async.emulator import Bucket, Emulator, Settings
from mps_aigc_async.emulator.services.settings import SettingsFields


def test_the_keyword_arguments_are_the_fields_with_the_same_types() -> None:
    assert get_type_hints(SettingsFields) == get_type_hints(Settings)


def test_an_emulator_hands_its_keyword_arguments_to_the_settings() -> None:
    assert Emulator(speed=60, relay_sessions=False).service.settings == Settings(speed=60, relay_sessions=False)
    assert Emulator().service.settings == Settings()


def test_a_bucket_has_one_of_the_accesses() -> None:
    with pytest.raises(ValueError, match=r"the bucket b-1 must have an access of .*'public-read'.*: 'public'"):
        Settings(buckets={"b-1": Bucket("public")})  # type: ignore[arg-type]


def test_an_emulator_rejects_an_argument_that_is_no_setting() -> None:
    with pytest.raises(TypeError, match="sped"):
        Emulator(sped=60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
