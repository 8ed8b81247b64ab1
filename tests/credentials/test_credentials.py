"""Keys, and what may be written down of them."""

import dataclasses
import re
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mps_aigc_async.credentials.credentials import Credentials, fault_in, strip_key, without_scheme
from mps_aigc_async.model.errors import ConfigError


def keys(least: int = 0) -> st.SearchStrategy[str]:
    """Texts that an HTTP header can carry."""
    return st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=least, max_size=40)


def test_the_secret_and_the_token_are_in_no_repr() -> None:
    keys = Credentials("AKIDEXAMPLE", SecretStr("very-secret"), SecretStr("session-token"))
    hidden = "SecretStr('**********')"
    assert repr(keys) == str(keys) == f"Credentials(secret_id='AKIDEXAMPLE', secret_key={hidden}, token={hidden})"


def test_keys_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Credentials("id", SecretStr("key")).secret_key = SecretStr("other")  # type: ignore[misc] # what is tested


@given(secret_id=keys(20), secret_key=keys(), token=st.none() | keys())
def test_an_accounts_name_depends_on_its_id_and_does_not_tell_it(
    secret_id: str, secret_key: str, token: str | None
) -> None:
    account = Credentials(secret_id, SecretStr(secret_key), None if token is None else SecretStr(token)).account
    assert account == Credentials(secret_id, SecretStr("another-key")).account
    assert secret_id not in account
    assert account.startswith(secret_id[:4])


@given(first=keys(8), second=keys(8))
def test_two_accounts_have_two_names(first: str, second: str) -> None:
    key = SecretStr("k")
    assert (Credentials(first, key).account == Credentials(second, key).account) == (first == second)


def test_the_name_of_an_account_stays_what_ledgers_hold() -> None:
    assert Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE")).account == "AKID…PLE#7a898e50"


@pytest.mark.parametrize(
    ("key", "token", "named"),
    [("KEYEXAMPLE", None, "secret_key is a str"), (SecretStr("KEYEXAMPLE"), "TOKENEXAMPLE", "token is a str")],
)
def test_a_secret_in_plain_text_is_refused_without_showing_it(key: Any, token: Any, named: str) -> None:  # noqa: ANN401 — a user's mistake
    with pytest.raises(ConfigError, match=named) as caught:
        Credentials("AKIDEXAMPLE", key, token)
    assert "EXAMPLE" not in str(caught.value)


def test_an_end_has_its_zone_and_makes_no_other_keys() -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    keys = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), expires_at=end)
    assert keys == Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))
    assert keys.expires_at == end
    with pytest.raises(ConfigError, match="names no time zone"):
        Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), expires_at=end.replace(tzinfo=None))


KEY = "sk-Abc+/=_-0123456789"


@pytest.mark.parametrize(
    "pasted",
    [
        KEY, f" {KEY} ", f"{KEY}\n", f"{KEY}\r\n", f"\t{KEY}\u00a0", f"\ufeff{KEY}", f"\u200b{KEY}\u200d", f'"{KEY}"',
        f"'{KEY}'\n", f"`{KEY}`", f"“{KEY}”", f"「{KEY}」", f'\ufeff "\u200b{KEY}" \r\n', f"\x00{KEY}\x1a",
        f"\"'{KEY}'\"",
    ],
)  # fmt: skip
def test_what_a_copied_key_brings_along_is_left_out(pasted: str) -> None:
    assert strip_key(SecretStr(pasted)).get_secret_value() == KEY


@pytest.mark.parametrize(
    "pasted",
    [
        f"Bearer {KEY}", f"bearer {KEY}", f"BEARER\t{KEY}\n", f'"Bearer {KEY}"', f'Bearer "{KEY}"',
        f"Authorization: Bearer {KEY}", f"authorization:bearer  {KEY}", f"\ufeffBearer {KEY}",
    ],
)  # fmt: skip
def test_a_bearers_key_needs_no_scheme(pasted: str) -> None:
    assert without_scheme(SecretStr(pasted)).get_secret_value() == KEY


@pytest.mark.parametrize("key", ["", '"', "'a", 'a"', "bearer-key-1", "Bearers", "«»"])
def test_what_belongs_to_a_key_stays(key: str) -> None:
    assert without_scheme(SecretStr(key)).get_secret_value() == key.replace("«»", "")


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        (" ", "a blank"), ("\u3000", "a blank"), ("\n", "a line end"), ("\r", "a line end"), ("\t", "a blank"),
        ("\x00", "a control character"), ("\x7f", "a control character"), ("\u200b", "the character U+200B"),
        ("密", "the character U+5BC6"), ("é", "the character U+00E9"), ("\udcff", "the character U+DCFF"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["secret_id", "secret_key", "token"])
def test_keys_that_no_header_can_carry_are_refused_by_name_and_not_shown(place: str, odd: str, what: str) -> None:
    values = {"secret_id": "AKIDEXAMPLE", "secret_key": "KEYEXAMPLE", "token": "TOKENEXAMPLE"}
    values[place] = f"first-half{odd}second-half"
    with pytest.raises(ConfigError, match=rf"^{place} has {re.escape(what)} in it.*copy it again") as caught:
        Credentials(values["secret_id"], SecretStr(values["secret_key"]), SecretStr(values["token"]))
    assert "half" not in str(caught.value)
    if place != "secret_id":  # a repr of credentials shows the id
        text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert "SecretStr('**********')" in text


@given(text=st.text(max_size=30))
def test_any_text_is_stripped_once_and_for_all(text: str) -> None:
    once = strip_key(SecretStr(text))
    assert strip_key(once) == once
    assert (fault_in(once) == "") == all("!" <= char <= "~" for char in once.get_secret_value())
