"""The official tools' profile: found and read as the official SDK does, and never shown."""

import os
import traceback
import warnings
from pathlib import Path

import pytest
from pydantic import SecretStr
from tencentcloud.common.credential import ProfileCredential

from mps_aigc_async import AigcClient, Config, ConfigError, Credentials
from mps_aigc_async.credentials import keyfiles

SECRET = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
PROFILE = f"[default]\nsecret_id = AKIDPROFILE\nsecret_key = {SECRET}\n"


@pytest.fixture(autouse=True)
def _no_system_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfiles, "SYSTEM_PROFILE", tmp_path / "etc" / "credentials")


def profile(home: Path, text: str | bytes = PROFILE, mode: int = 0o600) -> Path:
    file = home / ".tencentcloud" / "credentials"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def secret_in(error: BaseException) -> bool:
    """Whether it is shown with the error and the variables of all frames but the test's own."""
    assert error.__traceback__ is not None
    ours = error.with_traceback(error.__traceback__.tb_next)
    return SECRET in "".join(traceback.TracebackException.from_exception(ours, capture_locals=True).format())


@pytest.mark.parametrize("keys", [{}, {"secretId": "您的 SecretId", "secretKey": "您的 SecretKey"}, {"token": "left"}])
def test_a_profile_is_used_where_the_config_has_no_keys(tmp_path: Path, keys: dict[str, str]) -> None:
    profile(tmp_path)
    found = Config.parse({"tencentCloud": keys}).credentials(tmp_path)
    assert found == Credentials("AKIDPROFILE", SecretStr(SECRET))


def test_the_configs_keys_and_the_environments_come_first(tmp_path: Path) -> None:
    profile(tmp_path, "not even INI")
    environ = {"TENCENTCLOUD_SECRET_ID": "AKIDENV", "TENCENTCLOUD_SECRET_KEY": "k"}
    assert Config.load(environ=environ).credentials(tmp_path) == Credentials("AKIDENV", SecretStr("k"))


def test_half_a_pair_in_the_config_is_not_filled_up_from_another_place(tmp_path: Path) -> None:
    profile(tmp_path)
    with pytest.raises(ConfigError, match=r"tencentCloud\.secretKey is missing"):
        Config.parse({"tencentCloud": {"secretId": "AKIDEXAMPLE"}}).credentials(tmp_path)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (f"\ufeff{PROFILE}token = session\n", ("AKIDPROFILE", SECRET, "session")),
        ("[default]\nSECRET_ID=AKIDPROFILE\nsecret_key: 100%sure\nrole_arn=r\n", ("AKIDPROFILE", "100%sure", None)),
        ("[other]\nsecret_id=x\nsecret_key=y\n" + PROFILE, ("AKIDPROFILE", SECRET, None)),
        ("[other]\nsecret_id=x\nsecret_key=y\n", None),
        ("[default]\nsecret_id=x\n", None),
        ("[default]\nsecret_id=x\nsecret_key=\n", None),
        ("", None),
    ],
)
def test_it_is_read_as_the_official_sdk_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, keys: tuple[str, str, str | None] | None
) -> None:
    profile(tmp_path, text)
    found = keyfiles.profile_keys(tmp_path)
    if keys is None:
        assert found is None
    else:
        token = None if keys[2] is None else SecretStr(keys[2])
        assert found == Credentials(keys[0], SecretStr(keys[1]), token)
    if text.startswith("[default]"):  # it stumbles over a missing section, and over a byte order mark
        monkeypatch.setenv("HOME", str(tmp_path))
        theirs = ProfileCredential().get_credential()
        assert (theirs and (theirs.secret_id, theirs.secret_key)) == (keys and keys[:2])


def test_without_one_at_home_the_systems_is_read(tmp_path: Path) -> None:
    keyfiles.SYSTEM_PROFILE.parent.mkdir()
    keyfiles.SYSTEM_PROFILE.write_text(PROFILE.replace("PROFILE", "SYSTEM"))
    keyfiles.SYSTEM_PROFILE.chmod(0o600)
    found = keyfiles.profile_keys(tmp_path)
    assert found is not None
    assert found.secret_id == "AKIDSYSTEM"
    profile(tmp_path, "")
    assert keyfiles.profile_keys(tmp_path) is None  # the first that exists, as the official SDK has it


@pytest.mark.parametrize("text", [None, "", "[other]\n"])
def test_with_none_anywhere_all_places_are_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        profile(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        Config.load(environ={}).credentials(tmp_path)
    for place in (
        "./config.json",
        "tencentCloud.secretId is missing",
        "put your key into the config, or set $TENCENTCLOUD_SECRET_ID",
        f"[default] of {tmp_path / '.tencentcloud' / 'credentials'} or {keyfiles.SYSTEM_PROFILE}",
    ):
        assert place in str(error.value)


@pytest.mark.parametrize(
    "text", [f"secret_key = {SECRET}", f"[default]\n{SECRET}", f"[default]\nsecret_key={SECRET}\xff".encode("latin-1")]
)
def test_one_that_is_not_ini_is_told_without_its_text(tmp_path: Path, text: str | bytes) -> None:
    file = profile(tmp_path, text)
    with pytest.raises(ConfigError, match="not INI") as error:
        keyfiles.profile_keys(tmp_path)
    assert str(file) in str(error.value)
    assert not secret_in(error.value)


def test_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".tencentcloud" / "credentials").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"cannot read the keys in .*credentials: Is a directory"):
        keyfiles.profile_keys(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="other systems keep permissions elsewhere")
@pytest.mark.parametrize(("mode", "warns"), [(0o644, True), (0o600, False), (0o640, False)])
def test_one_that_everybody_can_read_is_warned_of(tmp_path: Path, mode: int, warns: bool) -> None:
    file = profile(tmp_path, mode=mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Config.parse({}).credentials(tmp_path)
    said = [str(warning.message) for warning in caught]
    assert bool(said) is warns
    assert all(f"chmod 600 {file}" in text and SECRET not in text for text in said)
    assert all(warning.filename == __file__ for warning in caught)


def test_a_client_finds_it_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = Credentials("AKIDPROFILE", SecretStr(SECRET))
    assert keys.account in repr(AigcClient(Config.parse({})))
