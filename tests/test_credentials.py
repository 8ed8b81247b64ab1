"""Keys, and what may be written down of them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.credentials import Credentials


def test_the_secret_and_the_token_are_in_no_repr() -> None:
    keys = Credentials("AKIDEXAMPLE", "very-secret", "session-token")
    assert repr(keys) == str(keys) == "Credentials(secret_id='AKIDEXAMPLE')"


def test_keys_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Credentials("id", "key").secret_key = "other"  # type: ignore[misc] # what is tested


@given(secret_id=st.text(min_size=20, max_size=40), secret_key=st.text(), token=st.none() | st.text())
def test_an_accounts_name_depends_on_its_id_and_does_not_tell_it(
    secret_id: str, secret_key: str, token: str | None
) -> None:
    account = Credentials(secret_id, secret_key, token).account
    assert account == Credentials(secret_id, "another key").account
    assert secret_id not in account
    assert account.startswith(secret_id[:4])


@given(first=st.text(min_size=8), second=st.text(min_size=8))
def test_two_accounts_have_two_names(first: str, second: str) -> None:
    assert (Credentials(first, "k").account == Credentials(second, "k").account) == (first == second)


def test_the_name_of_an_account_stays_what_ledgers_hold() -> None:
    assert Credentials("AKIDEXAMPLE", "KEYEXAMPLE").account == "AKID…PLE#7a898e50"
