"""The config's `accounts`: an entry's own keys over those of the whole config, and the entries that are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import AigcClient, Config
from mps_aigc_async.model.errors import ConfigError

A = {"account": "a", "tencentCloud": {"secretId": "AKIDA", "secretKey": "KEYA"}}
B = {"account": "b", "tencentCloud": {"secretId": "AKIDB", "secretKey": "KEYB"}}


def accounts_of(*entries: dict[str, Any], **sections: Any) -> tuple[Config, ...]:  # noqa: ANN401 — JSON
    return Config.parse({"accounts": list(entries), **sections}).of_accounts()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A config file that only its owner can read."""
    path = tmp_path / "config.json"
    path.touch(mode=0o600)
    return path


def test_a_config_without_accounts_is_its_only_one() -> None:
    config = Config.parse({})
    assert config.of_accounts() == (config,)


def test_an_entry_has_its_own_keys_over_the_common_ones() -> None:
    caps = {"concurrency": {"maxVideoTasks": 8}, "limits": {"CreateAigcImageTask": 10}}
    first, second = accounts_of(
        A,
        {**B, **caps, "cosOutput": {"bucket": "b-125", "region": "ap-guangzhou"}},
        concurrency={"maxImageTasks": 5, "maxVideoTasks": 2, "pollIntervalMs": 1000},
        limits={"CreateAigcVideoTask": 3},
        tencentCloud={"region": "ap-shanghai", "endpoint": "https://mps.example.com"},
    )
    assert (first.account, second.account) == ("a", "b")
    assert first.concurrency.max_video_tasks == 2
    assert second.concurrency.max_video_tasks == 8
    assert second.concurrency.max_image_tasks == 5
    assert second.concurrency.poll_interval_ms == 1000
    assert second.limits == {"CreateAigcVideoTask": 3, "CreateAigcImageTask": 10}
    assert second.tencent_cloud.region == "ap-shanghai"
    assert second.tencent_cloud.endpoint == "https://mps.example.com"
    assert (first.cos_output.bucket, second.cos_output.bucket) == ("", "b-125")
    assert second.credentials().secret_key.get_secret_value() == "KEYB"


def test_half_a_pair_of_keys_is_not_completed_by_the_common_half() -> None:
    common = {"secretId": "AKIDC", "secretKey": "KEYC", "token": "TOKENC"}
    lone, whole = accounts_of({"account": "a", "tencentCloud": {"secretId": "AKIDA"}}, B, tencentCloud=common)
    with pytest.raises(ConfigError, match=r"config: accounts\[0\] \(a\): tencentCloud.secretKey is missing"):
        lone.credentials(home=Path("nowhere"))
    assert whole.credentials().token is None


def test_one_entry_may_have_the_common_keys(file: Path) -> None:
    file.write_text(json.dumps({"accounts": [{"account": "main"}, B]}))
    environ = {"TENCENTCLOUD_SECRET_ID": "AKIDC", "TENCENTCLOUD_SECRET_KEY": "KEYC"}
    main, other = Config.load(file, environ).of_accounts()
    assert main.credentials().secret_id == "AKIDC"
    assert other.credentials().secret_id == "AKIDB"


def test_keys_of_entries_may_come_from_the_environment(file: Path) -> None:
    keys = {"secretId": "$B_SECRET_ID", "secretKey": "$B_SECRET_KEY"}
    file.write_text(json.dumps({"accounts": [A, {"account": "b", "tencentCloud": keys}]}))
    environ = {"B_SECRET_ID": "AKIDB", "B_SECRET_KEY": "KEYB"}
    assert Config.load(file, environ).of_accounts()[1].credentials().secret_id == "AKIDB"
    with pytest.raises(ConfigError, match=r"accounts\[1\].tencentCloud.secretKey: .* \$B_SECRET_KEY is not set"):
        Config.load(file, {"B_SECRET_ID": "AKIDB"})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"accounts": [A, {**B, "account": "a"}]}, r"accounts\[1\].account: accounts\[0\] has the same name, a"),
        ({"accounts": [A], "account": "c"}, "account: where `accounts` has entries, each one has its own name"),
        ({"accounts": [{"tencentCloud": {}}]}, "accounts.0.account: Field required"),
        ({"accounts": [{**A, "acount": "b"}]}, "accounts.0.acount: unknown key: is account meant?"),
        ({"accounts": [{"account": "a", "tencentCloud": {"secretID": "x"}}]}, "unknown key: is secretId meant?"),
        ({"accounts": [{"account": "a", "tencentCloud": {"endpoint": "https://x"}}]}, "endpoint: unknown key"),
        ({"accounts": [{**A, "backend": "vod"}]}, "accounts.0.backend: unknown key"),
        ({"accounts": {"a": A}}, "accounts: Input should be a valid list"),
        ({"accounts": "a"}, "accounts: Input should be a valid list"),
        ({"accounts": [7]}, "accounts.0: Input should be"),
        ({"accounts": [{**A, "concurrency": {"maxImageTasks": 0}}]}, "accounts.0.concurrency.maxImageTasks"),
        (
            {"accounts": [A, {**B, "cosOutput": {"bucket": "b-1", "region": "x", "endpoint": "ftp://h"}}]},
            r"accounts\[1\] \(b\): cosOutput.endpoint: the endpoint is not a URL",
        ),
    ],
)
def test_bad_entries_are_refused_by_their_key(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config.parse(config)


@pytest.mark.parametrize("value", ["${B_SECRET_ID}", "$B-ID", "$"])
def test_a_value_that_names_no_variable_is_not_taken_for_a_key(file: Path, value: str) -> None:
    file.write_text(json.dumps({"accounts": [{"account": "a", "tencentCloud": {"secretId": value}}]}))
    with pytest.raises(ConfigError, match=r"accounts\[0\].tencentCloud.secretId: .* write it as \$NAME"):
        Config.load(file, {"B_SECRET_ID": "AKIDB"})


def test_an_account_may_be_named_by_a_variable(file: Path) -> None:
    file.write_text(json.dumps({"accounts": [{**A, "account": "$NAME"}]}))
    assert Config.load(file, {"NAME": "studio"}).of_accounts()[0].account == "studio"


def test_a_file_with_keys_of_accounts_that_everybody_can_read_is_warned_of(file: Path) -> None:
    keys = {"secretId": "AKIDB", "secretKey": "$KEY"}
    file.write_text(json.dumps({"accounts": [{"account": "b", "tencentCloud": keys}]}))
    file.chmod(0o644)
    Config.load(file, {"KEY": "KEYB"})  # the file names a variable
    file.write_text(json.dumps({"accounts": [B]}))
    with pytest.warns(UserWarning, match="can be read by everybody"):
        Config.load(file, {})


RELAY = {"account": "a", "relay": {"apiKey": "sk-1"}}


@pytest.mark.parametrize(
    "config",
    [
        {"accounts": [A, {**A, "account": "b"}]},
        {"accounts": [A, {"account": "b"}], "tencentCloud": A["tencentCloud"]},
        {"accounts": [{**A, "relay": {"apiKey": "sk-1"}}, {**A, "account": "b", "relay": {"apiKey": "sk-2"}}]},
        {"accounts": [{**A, **RELAY}, {**B, "relay": {"apiKey": "Bearer sk-1"}}], "backend": "relay"},
    ],
)
def test_accounts_with_the_same_keys_are_refused(config: dict[str, Any]) -> None:
    """Their limits would be counted twice. The keys of another backend make no difference."""
    with pytest.raises(ConfigError, match=r"accounts\[1\] \(b\) has the keys of accounts\[0\] \(a\)"):
        AigcClient(Config.parse(config))


def test_no_key_is_in_a_message_or_a_repr() -> None:
    secret = {"secretId": "AKIDSECRET", "secretKey": "KEYSECRET", "token": "TOKENSECRET"}
    config = Config.parse({"accounts": [{"account": "a", "tencentCloud": secret}]})
    assert "SECRET" not in repr(config) + repr(config.of_accounts())
    twice = [{"account": name, "tencentCloud": secret} for name in "ab"]
    with pytest.raises(ConfigError) as caught:
        AigcClient(Config.parse({"accounts": twice}))
    assert "SECRET" not in str(caught.value)
