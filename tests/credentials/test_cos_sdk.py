"""Signed GETs, with the official SDK's own client as the oracle."""

import logging
import sys
import time
from collections.abc import Callable
from functools import wraps
from traceback import TracebackException
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from qcloud_cos import CosConfig, CosS3Client, cos_auth

from mps_aigc_async import ConfigError
from mps_aigc_async.credentials import cos_sdk
from mps_aigc_async.credentials.cos_sdk import can_sign, signed_get
from mps_aigc_async.credentials.credentials import Credentials

NOW = 1_790_000_000.0
HOST = "shots-1250000000.cos.ap-guangzhou.myqcloud.com"
KEYS = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))
TEMPORARY = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), SecretStr("to/ken+="))

names = st.text("abcXYZ019-_.~ 图é+&=%?#/()", min_size=1, max_size=20).filter(
    lambda name: not name.startswith("/") and "./" not in name and "//" not in name
)


def by_the_sdk(credentials: Credentials, key: str, life_s: int) -> str:
    token = credentials.token.get_secret_value() if credentials.token else None
    config = CosConfig(
        Region="ap-guangzhou",
        SecretId=credentials.secret_id,
        SecretKey=credentials.secret_key.get_secret_value(),
        Token=token,
    )
    parameters = {"x-cos-security-token": token} if token else {}
    url: str = CosS3Client(config).get_presigned_url("shots-1250000000", key, "GET", life_s, Params=parameters)
    return url


@pytest.mark.parametrize("credentials", [KEYS, TEMPORARY])
@given(key=names, life_s=st.integers(1, 10**6))
@settings(max_examples=50, deadline=None)
def test_a_signed_url_is_that_of_the_sdk(credentials: Credentials, key: str, life_s: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: NOW)  # the SDK reads the machine's clock
        expected = by_the_sdk(credentials, key, life_s)
    bare = f"https://{HOST}/{quote(key, safe='/-_.~')}"
    assert signed_get(bare, credentials, now=NOW, life_s=life_s) == expected


def test_the_signature_lives_from_the_time_that_is_given() -> None:
    assert "q-sign-time=940%3B1060&" in signed_get(f"https://{HOST}/a.png", KEYS, now=1000.0, life_s=60)


@pytest.mark.parametrize("credentials", [KEYS, TEMPORARY])
def test_no_log_has_the_keys_or_the_signature(credentials: Credentials, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = signed_get(f"https://{HOST}/a.png", credentials, now=NOW, life_s=60)
    signature = url.partition("q-signature=")[2].partition("&")[0]
    for secret in (*credentials.secrets, signature):
        assert secret not in caplog.text


def test_the_sdks_own_signer_and_clock_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    signed_get(f"https://{HOST}/a.png", KEYS, now=1000.0, life_s=60)
    caplog.set_level(logging.DEBUG)
    assert "q-sign-time=940" not in by_the_sdk(KEYS, "a.png", 60)
    assert "sign_key" in caplog.text


def test_a_damaged_extra_is_told_like_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qcloud_cos", None)  # an import of it raises ImportError
    monkeypatch.setattr(cos_sdk, "can_sign", lambda: True)
    with pytest.raises(ConfigError, match=r"cannot sign a URL \(ModuleNotFoundError\): install") as caught:
        signed_get(f"https://{HOST}/a.png", KEYS, now=NOW, life_s=60)
    assert caught.value.__cause__ is None


def test_without_the_extra_the_error_says_how_to_read_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_sign()
    no_spec: Callable[[str], None] = lambda _name: None  # noqa: E731 — a stand-in for find_spec
    monkeypatch.setattr(cos_sdk, "find_spec", no_spec)
    assert not can_sign()
    with pytest.raises(ConfigError, match=r"pip install '\.\[cos\]' .*; or set cosOutput\.access to \"public\""):
        signed_get(f"https://{HOST}/a.png", KEYS, now=NOW, life_s=60)


def decorated(signer: Callable[..., object]) -> Callable[..., object]:
    @wraps(signer)
    def call(*arguments: object) -> object:
        return signer(*arguments)

    return call


def broken(_self: object, _request: object) -> None:
    raise OSError(KEYS.secret_key.get_secret_value())


@pytest.mark.parametrize("signer", [decorated(broken), broken, len])
def test_a_later_sdk_that_cannot_sign_is_told_without_the_keys(
    signer: Callable[..., object], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cos_auth.CosS3Auth, "__call__", signer)
    with pytest.raises(ConfigError, match=r"cannot sign a URL \(\w+\): install cos-python-sdk-v5") as raised:
        signed_get(f"https://{HOST}/a.png", TEMPORARY, now=NOW, life_s=60)
    text = "".join(TracebackException.from_exception(raised.value, capture_locals=True).format())
    frames = text.partition("in signed_get")[2]  # not this test's own variables
    for secret in ("KEYEXAMPLE", "to/ken+="):
        assert secret not in frames
        assert secret not in caplog.text
    assert raised.value.__context__ is None
