"""Keys, and what may be written down of them."""

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mps_aigc_async.credentials import Credentials
from mps_aigc_async.errors import ConfigError


def test_the_secret_and_the_token_are_in_no_repr() -> None:
    keys = Credentials("AKIDEXAMPLE", SecretStr("very-secret"), SecretStr("session-token"))
    hidden = "SecretStr('**********')"
    assert repr(keys) == str(keys) == f"Credentials(secret_id='AKIDEXAMPLE', secret_key={hidden}, token={hidden})"


def test_keys_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Credentials("id", SecretStr("key")).secret_key = SecretStr("other")  # type: ignore[misc] # what is tested


@given(secret_id=st.text(min_size=20, max_size=40), secret_key=st.text(), token=st.none() | st.text())
def test_an_accounts_name_depends_on_its_id_and_does_not_tell_it(
    secret_id: str, secret_key: str, token: str | None
) -> None:
    account = Credentials(secret_id, SecretStr(secret_key), None if token is None else SecretStr(token)).account
    assert account == Credentials(secret_id, SecretStr("another key")).account
    assert secret_id not in account
    assert account.startswith(secret_id[:4])


@given(first=st.text(min_size=8), second=st.text(min_size=8))
def test_two_accounts_have_two_names(first: str, second: str) -> None:
    key = SecretStr("k")
    assert (Credentials(first, key).account == Credentials(second, key).account) == (first == second)


def test_the_name_of_an_account_stays_what_ledgers_hold() -> None:
    assert Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE")).account == "AKID…PLE#7a898e50"


def test_an_end_has_its_zone_and_makes_no_other_keys() -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    keys = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), expires_at=end)
    assert keys == Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))
    assert keys.expires_at == end
    with pytest.raises(ConfigError, match="names no time zone"):
        Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), expires_at=end.replace(tzinfo=None))
