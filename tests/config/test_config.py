"""The config file and the environment: every fault named by its key and file, never by its value."""

import json
import logging
import os
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mps_aigc_async import AigcClient, ImageRequest, VideoRequest
from mps_aigc_async.catalog import judge
from mps_aigc_async.config import ENVIRONMENT, PLACEHOLDER_BUCKET, Config
from mps_aigc_async.config.config import GUIDE_MODELS
from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.engine.backends import endpoint_of
from mps_aigc_async.model.contents import digest
from mps_aigc_async.model.defaults import AudioDefaults, Defaults
from mps_aigc_async.model.errors import ConfigError
from mps_aigc_async.model.requests import CosStore

EXAMPLE = Path(__file__).parent.parent.parent / "config.example.json"
SECRET = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"


def example() -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return decoded


def written(folder: Path, data: object, name: str = "config.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(data), encoding="utf-8")
    file.chmod(0o600)
    return file


def refused(data: Any, says: str) -> ConfigError:  # noqa: ANN401 - JSON
    with pytest.raises(ConfigError, match=says) as error:
        Config.parse(data)
    return error.value


# --- the documented file ----------------------------------------------------------------------------------------------


def test_the_example_loads_once_its_keys_are_filled_in(tmp_path: Path) -> None:
    data = example()
    data["tencentCloud"] |= {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}
    config = Config.load(written(tmp_path, data), {})
    assert config.credentials() == Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))
    assert config.tencent_cloud.region == "ap-guangzhou"
    assert config.concurrency.model_dump() == {
        "max_image_tasks": 2,
        "max_video_tasks": 1,
        "max_audio_tasks": 1,
        "poll_interval_ms": 5000,
        "poll_strategy": "adaptive",
    }
    defaults = config.defaults()
    assert (defaults.image.enabled, defaults.image.model_name, defaults.image.model_version) == (True, "Hunyuan", "3.0")
    assert (defaults.video.enabled, defaults.video.model_name, defaults.video.model_version) == (True, "Kling", "3.0")
    assert (defaults.video.duration, defaults.video.enable_audio) == (5, True)


def test_nothing_set_is_the_examples_caps_and_no_models() -> None:
    config = Config.parse({})
    assert config.concurrency == Config.parse({"concurrency": example()["concurrency"]}).concurrency
    assert config.defaults().image.model_name is None
    assert config.defaults().video.duration is None
    assert config.store() is None
    assert config.account is None
    assert config.limits == {}
    assert (config.pacing.jitter_ms, config.timeouts.image_seconds, config.timeouts.video_seconds) == (25, 1800, 1800)


def test_ours_are_read() -> None:
    config = Config.parse(
        {
            "account": "team",
            "limits": {"CreateAigcVideoTask": 5, "DescribeAigcVideoTask": 0.5},
            "pacing": {"jitterMs": 40},
            "timeouts": {"imageSeconds": 60, "videoSeconds": 90.5, "audioSeconds": 30},
            "concurrency": {"maxAudioTasks": 4},
            "mps": {"audioGeneration": {"enabled": False, "modelName": "GL", "modelVersion": "3.0-pro"}},
            "tencentCloud": {"token": "t", "endpoint": "http://127.0.0.1:8080"},
        }
    )
    assert (config.account, config.pacing.jitter_ms) == ("team", 40)
    assert config.limits == {"CreateAigcVideoTask": 5, "DescribeAigcVideoTask": 0.5}
    assert (config.timeouts.image_seconds, config.timeouts.video_seconds) == (60, 90.5)
    assert (config.timeouts.audio_seconds, config.concurrency.max_audio_tasks) == (30, 4)
    assert config.defaults().audio == AudioDefaults(enabled=False, model_name="GL", model_version="3.0-pro")
    assert config.tencent_cloud.endpoint == "http://127.0.0.1:8080"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"account": "团队"}', encoding="utf-8-sig")
    assert Config.load(file, {}).account == "团队"


# --- where results are stored -----------------------------------------------------------------------------------------


def test_the_examples_bucket_warns_once_and_stores_nothing() -> None:
    assert example()["cosOutput"]["bucket"] == PLACEHOLDER_BUCKET
    with pytest.warns(UserWarning, match=r"cosOutput\.bucket is the example's") as caught:
        assert Config.parse({"cosOutput": example()["cosOutput"]}).store() is None
    assert len(caught) == 1


def test_a_real_bucket_is_a_store() -> None:
    cos = {"bucket": "out-1250000000", "region": "ap-guangzhou", "outputDir": "/aigc/"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = Config.parse({"cosOutput": cos}).store()
    assert store == CosStore(bucket="out-1250000000", region="ap-guangzhou", path="/aigc/")


def test_a_bucket_without_its_region_is_refused() -> None:
    config = Config.parse({"cosOutput": {"bucket": "out-1250000000"}})
    with pytest.raises(ConfigError, match=r"cosOutput\.region is missing"):
        config.store()


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["", "  ", "您的 SecretId", "您的SecretKey", "your-secret-id", "YOUR_SECRET", "your key", "<secret id>"]
)
@pytest.mark.parametrize(
    ("key", "variable"), [("secretId", "TENCENTCLOUD_SECRET_ID"), ("secretKey", "TENCENTCLOUD_SECRET_KEY")]
)
def test_a_placeholder_key_is_named_with_its_variable(key: str, variable: str, value: str) -> None:
    config = Config.parse({"tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", key: value}})
    what = "placeholder" if value.strip() else "missing"
    with pytest.raises(ConfigError, match=rf"tencentCloud\.{key} is .*{what}.*\${variable}"):
        config.credentials()


@pytest.mark.parametrize("key", ["secretId", "secretKey"])
def test_a_missing_key_is_named(key: str) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}
    del keys[key]
    with pytest.raises(ConfigError, match=rf"tencentCloud\.{key} is missing"):
        Config.parse({"tencentCloud": keys}).credentials()


@pytest.mark.parametrize(("token", "known"), [("session", "session"), ("", None), (None, None)])
def test_the_token_of_temporary_keys(token: str | None, known: str | None) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "token": token}
    assert Config.parse({"tencentCloud": keys}).credentials() == Credentials(
        "AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), None if known is None else SecretStr(known)
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
def test_keys_read_with_their_lines_end_are_keys_or_refused(end: str) -> None:
    environ = {
        "TENCENTCLOUD_SECRET_ID": f"AKIDEXAMPLE{end}",
        "TENCENTCLOUD_SECRET_KEY": f"KEYEXAMPLE{end}",
        "TENCENTCLOUD_TOKEN": f"session{end}",
    }
    try:
        keys = Config.load(None, environ).credentials()
    except ConfigError:
        return
    assert keys == Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"), SecretStr("session"))


# --- the environment and the file -------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, with an empty environment."""
    for name in [*ENVIRONMENT, "MPS_AIGC_CONFIG"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_environment_wins_over_the_file_key_by_key(tmp_path: Path) -> None:
    keys = {"secretId": "file-id", "secretKey": "file-key", "region": "ap-guangzhou", "token": "file-token"}
    environ = {
        "TENCENTCLOUD_SECRET_ID": "env-id",
        "TENCENTCLOUD_SECRET_KEY": "env-key",
        "TENCENTCLOUD_TOKEN": "env-token",
        "TENCENTCLOUD_REGION": "ap-beijing",
        "MPS_AIGC_ENDPOINT": "http://127.0.0.1:1",
    }
    file = written(tmp_path, {"tencentCloud": keys, "account": "team"})
    config = Config.load(file, environ)
    assert config.credentials() == Credentials("env-id", SecretStr("env-key"), SecretStr("env-token"))
    assert (config.tencent_cloud.region, config.tencent_cloud.endpoint) == ("ap-beijing", "http://127.0.0.1:1")
    assert config.account == "team"

    config = Config.load(file, {"TENCENTCLOUD_SECRET_KEY": "env-key", "TENCENTCLOUD_SECRET_ID": ""})
    assert config.credentials() == Credentials("file-id", SecretStr("env-key"), SecretStr("file-token"))


def test_the_environment_alone_is_enough() -> None:
    config = Config.load(environ={"TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key"})
    assert config.credentials() == Credentials("id", SecretStr("key"))


def test_without_a_file_the_guides_models_are_the_defaults_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mps_aigc_async")
    config = Config.load(environ={"TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key"})
    defaults = config.defaults()
    image, video = defaults.apply(ImageRequest(prompt="x")), defaults.apply(VideoRequest(prompt="x"))
    assert (image.model_name, image.model_version) == ("Hunyuan", "3.0")
    assert isinstance(video, VideoRequest)
    assert (video.model_name, video.model_version, video.duration) == ("Kling", "3.0", 5)
    assert video.enable_audio is None
    assert defaults.audio.model_name is None
    assert [record.getMessage() for record in caplog.records] == [config.assumption]
    own = ImageRequest(prompt="x", model_name="Qwen")
    assert defaults.apply(own) == own

    caplog.clear()
    for other in (Config.load(written(tmp_path, {}), {}), Config.load(environ={}), Config.parse({}), Config()):
        assert (other.defaults(), other.assumption) == (Defaults(), "")
    assert caplog.records == []


def test_the_guides_models_are_no_part_of_a_requests_name() -> None:
    request = ImageRequest(prompt="a cat")
    assert digest(request) == "image-de4d7d1a2f60"
    assert digest(Config.load(environ={}).defaults().apply(request)) != digest(request)


def test_the_guides_models_are_its_examples() -> None:
    guide = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    for section, values in GUIDE_MODELS["mps"].items():
        assert values.items() <= guide["mps"][section].items()
    for step in (ImageRequest(prompt="x"), VideoRequest(prompt="x")):
        judge(Config.load(environ={}).defaults().complete(step), "strict")


def test_the_processes_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", "process-id")
    assert Config.load().tencent_cloud.secret_id == "process-id"


def test_a_named_file_comes_before_the_variables_and_that_before_the_folders(tmp_path: Path) -> None:
    named, by_variable = written(tmp_path, {"account": "named"}, "a"), written(tmp_path, {"account": "variable"}, "b")
    environ = {"MPS_AIGC_CONFIG": str(by_variable)}
    assert Config.load(environ={}).account is None
    written(tmp_path, {"account": "folder"})
    assert Config.load(environ={}).account == "folder"
    assert Config.load(environ=environ).account == "variable"
    assert Config.load(named, environ).account == "named"
    assert Config.load(str(named), environ).account == "named"


@pytest.mark.parametrize(("path", "environ"), [("gone.json", {}), (None, {"MPS_AIGC_CONFIG": "gone.json"})])
def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path, path: str | None, environ: dict[str, str]) -> None:
    written(tmp_path, {})
    with pytest.raises(ConfigError, match=r"cannot read the config gone\.json: No such file"):
        Config.load(path, environ)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the config .*: Is a directory"):
        Config.load(tmp_path, {})


def test_malformed_json_is_told_by_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(f'{{\n  "tencentCloud": {{"secretId": "{SECRET}"\n}}')
    with pytest.raises(ConfigError, match=r"config\.json is not valid JSON: line 3, column 2: ") as error:
        Config.load(file, {})
    assert_secret(error.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(b'{"account": "\xff"}')
    with pytest.raises(ConfigError, match=r"config\.json is not valid JSON: not UTF-8"):
        Config.load(file, {})


@pytest.mark.parametrize(("data", "name"), [([], "list"), ("x", "str"), (None, "NoneType"), (5, "int")])
def test_another_thing_than_an_object_is_refused(tmp_path: Path, data: object, name: str) -> None:
    with pytest.raises(ConfigError, match=f"expected an object at the top, got {name}"):
        Config.load(written(tmp_path, data), {})


def test_a_file_nested_too_deep_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="not valid JSON"):
        Config.load(file, {})


def test_a_fault_is_told_with_its_file(tmp_path: Path) -> None:
    file = written(tmp_path, {"concurrency": {"maxImageTasks": 0}})
    with pytest.raises(ConfigError, match=r"config\.json: concurrency\.maxImageTasks: .*greater than or equal to 1"):
        Config.load(file, {})


@pytest.mark.parametrize("section", ["keys", ["a"], 5, None])
def test_a_section_that_is_none_meets_the_environment(tmp_path: Path, section: object) -> None:
    file = written(tmp_path, {"tencentCloud": section})
    with pytest.raises(ConfigError, match="tencentCloud: "):
        Config.load(file, {"TENCENTCLOUD_SECRET_ID": SECRET})


# --- unknown keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "known"),
    [
        (
            (),
            "account, accounts, backend, catalog, checkInputs, concurrency, cosOutput, limitStore, limits, mps, "
            "pacing, prices, relay, tencentCloud, timeouts, vod",
        ),
        (("tencentCloud",), "endpoint, region, secretId, secretKey, token"),
        (("cosOutput",), "access, bucket, endpoint, outputDir, region"),
        (("mps",), "audioGeneration, imageGeneration, videoGeneration"),
        (("mps", "imageGeneration"), "enabled, modelName, modelVersion"),
        (("mps", "audioGeneration"), "enabled, modelName, modelVersion"),
        (("mps", "videoGeneration"), "duration, enableAudio, enabled, modelName, modelVersion"),
        (("concurrency",), "maxAudioTasks, maxImageTasks, maxVideoTasks, pollIntervalMs, pollStrategy"),
        (("pacing",), "jitterMs"),
        (("timeouts",), "audioSeconds, imageSeconds, queueSeconds, saveSeconds, videoSeconds"),
    ],
    ids=lambda where: ".".join(where) if isinstance(where, tuple) else "",
)
def test_an_unknown_key_is_refused_by_name_with_the_known_ones(where: tuple[str, ...], known: str) -> None:
    data: dict[str, Any] = {"maxTask": SECRET}
    for section in reversed(where):
        data = {section: data}
    error = refused(data, r"config: ")
    assert str(error) == f"config: {'.'.join([*where, 'maxTask'])}: unknown key (known: {known})"
    assert_secret(error)


def test_every_fault_is_told_at_once() -> None:
    error = refused({"tencentCloud": {"secretKye": "x"}, "concurrency": {"maxImageTasks": "many"}}, "secretKye")
    assert "concurrency.maxImageTasks: " in str(error)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"concurrency": {"maxImageTasks": 0}}, "concurrency.maxImageTasks"),
        ({"concurrency": {"maxAudioTasks": 0}}, "concurrency.maxAudioTasks"),
        ({"timeouts": {"audioSeconds": 0}}, "timeouts.audioSeconds"),
        ({"mps": {"audioGeneration": {"modelName": 5}}}, "mps.audioGeneration.modelName"),
        ({"concurrency": {"maxVideoTasks": -1}}, "concurrency.maxVideoTasks"),
        ({"concurrency": {"maxVideoTasks": 1.5}}, "concurrency.maxVideoTasks"),
        ({"concurrency": {"pollIntervalMs": 99}}, "concurrency.pollIntervalMs"),
        ({"concurrency": None}, "concurrency"),
        ({"limits": {"CreateAigcImageTask": 0}}, "limits.CreateAigcImageTask"),
        ({"limits": {"CreateAigcImageTask": -1}}, "limits.CreateAigcImageTask"),
        ({"limits": {"CreateAigcImageTask": "fast"}}, "limits.CreateAigcImageTask"),
        ({"limits": {"CreateAigcImageTask": float("nan")}}, "limits.CreateAigcImageTask"),
        ({"limits": []}, "limits"),
        ({"limitStore": "hosts"}, "limitStore"),
        ({"limitStore": "mysql://u:secret@host/db"}, "limitStore"),
        ({"limitStore": "postgresql://host"}, "limitStore"),
        ({"pacing": {"jitterMs": -1}}, "pacing.jitterMs"),
        ({"pacing": {"jitterMs": 1001}}, "pacing.jitterMs"),
        ({"timeouts": {"imageSeconds": 0}}, "timeouts.imageSeconds"),
        ({"timeouts": {"videoSeconds": float("nan")}}, "timeouts.videoSeconds"),
        ({"mps": {"videoGeneration": {"duration": 0}}}, "mps.videoGeneration.duration"),
        ({"mps": {"videoGeneration": {"enableAudio": "perhaps"}}}, "mps.videoGeneration.enableAudio"),
        ({"mps": {"imageGeneration": {"modelName": 5}}}, "mps.imageGeneration.modelName"),
        ({"account": ""}, "account"),
        ({"limits": {"CreateAigcImageTask": float("inf")}}, "limits.CreateAigcImageTask"),
        ({"timeouts": {"imageSeconds": float("inf")}}, "timeouts.imageSeconds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_out_of_bounds_is_refused_by_its_key(data: dict[str, Any], key: str) -> None:
    assert str(refused(data, "^config: ")).startswith(f"config: {key}: ")


@pytest.mark.parametrize("url", ["http://mps.tencentcloudapi.com", "http://10.0.0.1:8080", "mps.tencentcloudapi.com"])
def test_an_endpoint_that_would_leak_is_refused(url: str) -> None:
    refused({"tencentCloud": {"endpoint": url}}, "endpoint.*https")
    with pytest.raises(ConfigError, match="endpoint"):
        Config.load(environ={"MPS_AIGC_ENDPOINT": url})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:1", "https://mps.tencentcloudapi.com"])
def test_an_endpoint_on_loopback_or_over_tls_is_taken(url: str) -> None:
    assert Config.load(environ={"MPS_AIGC_ENDPOINT": url}).tencent_cloud.endpoint == url


# --- secrets ----------------------------------------------------------------------------------------------------------


def assert_secret(error: BaseException) -> None:
    """The secret is nowhere that an error is looked at: its text, its traceback, its chain."""
    assert SECRET not in f"{error} {error!r}"
    assert SECRET not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "data",
    [
        {"tencentCloud": {"secretKye": SECRET}},
        {"tencentCloud": {"secretKey": SECRET, "region": 5, "secret_key": SECRET}},
    ],
)
def test_a_secret_is_not_in_the_hidden_part_of_an_errors_chain(data: dict[str, Any]) -> None:
    error: BaseException | None = refused(data, "config: ")
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "data",
    [
        {"tencentCloud": SECRET},
        {"tencentCloud": [SECRET]},
        {"tencentCloud": {"secretId": [SECRET]}},
        {"tencentCloud": {"secretKey": {"value": SECRET}}},
        {"tencentCloud": {"secretKey": 5, "token": [SECRET]}},
        {"tencentCloud": {"secretKye": SECRET}},
        {"tencentCloud": {"endpoint": f"https://user:{SECRET}@host"}},
        {"tencentCloud": {"endpoint": f"http://user:{SECRET}@host"}},
        {"tencentCloud": {"endpoint": f"ftp://user:{SECRET}@host"}},
        {"concurrency": {"maxImageTasks": SECRET}},
        {"mps": SECRET},
        {"limits": {"x": SECRET}},
    ],
)
def test_a_wrong_value_is_not_shown(data: dict[str, Any], tmp_path: Path) -> None:
    assert_secret(refused(data, "(config|endpoint)"))
    with pytest.raises(ConfigError) as error:
        Config.load(written(tmp_path, data), {})
    assert_secret(error.value)


def test_keys_are_in_no_repr() -> None:
    config = Config.parse({"tencentCloud": {"secretId": SECRET, "secretKey": SECRET, "token": SECRET}})
    for shown in (repr(config), str(config), repr(config.tencent_cloud), str(config.tencent_cloud)):
        assert SECRET not in shown
    keys = Config.parse({"tencentCloud": {"secretId": "AKID", "secretKey": SECRET, "token": SECRET}}).credentials()
    assert SECRET not in f"{keys} {keys!r}"


# --- anything ---------------------------------------------------------------------------------------------------------

any_text = st.text(st.characters(), max_size=8)  # half characters included: JSON can write them
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)


def places(data: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:  # noqa: ANN401 - JSON
    """The path of every value in the documented file, sections included."""
    inner = data.items() if isinstance(data, dict) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


OURS: dict[str, Any] = {
    "account": "team",
    "limits": {"CreateAigcImageTask": 5},
    "pacing": {"jitterMs": 5},
    "timeouts": {"imageSeconds": 5, "videoSeconds": 5, "audioSeconds": 5},
    "concurrency": {"maxAudioTasks": 1},
    "mps": {"audioGeneration": {"enabled": True, "modelName": "GL", "modelVersion": "3.0-pro"}},
    "tencentCloud": {"token": "t", "endpoint": "https://host"},
}


def with_value(data: dict[str, Any], path: tuple[str, ...], value: Any) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return value
    key, *rest = path
    return {**data, key: with_value(data[key], tuple(rest), value)}


@pytest.mark.parametrize("full", [example(), OURS], ids=["documented", "ours"])
@given(draw=st.data(), value=json_values)
def test_any_json_anywhere_is_a_config_or_a_config_error(full: dict[str, Any], draw: st.DataObject, value: Any) -> None:  # noqa: ANN401 - JSON
    data = with_value(full, draw.draw(st.sampled_from(places(full))), value)
    try:
        config = Config.parse(data)
    except ConfigError as error:
        assert "config: " in str(error) or "endpoint" in str(error)  # noqa: PT017 - either way is right
    else:
        assert config.concurrency.max_image_tasks >= 1


@given(data=json_values)
def test_any_json_file_is_a_config_or_a_config_error(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: ANN401 - JSON
    file = written(tmp_path_factory.getbasetemp(), data, "any.json")
    try:
        assert isinstance(Config.load(file, os.environ), Config)
    except ConfigError as error:
        assert "any.json" in str(error)  # noqa: PT017 - either way is right


@given(data=st.binary(max_size=40))
def test_any_file_is_a_config_or_a_config_error(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.json"
    file.write_bytes(data)
    try:
        assert isinstance(Config.load(file, {}), Config)
    except ConfigError as error:
        assert "bytes.json" in str(error)  # noqa: PT017 - either way is right


# --- who else can read it ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="other systems keep permissions elsewhere")
@pytest.mark.parametrize(
    ("mode", "keys", "warns"),
    [
        (0o644, {"secretId": "AKIDEXAMPLE", "secretKey": SECRET}, True),
        (0o644, {"secretId": "AKIDEXAMPLE", "token": SECRET}, True),
        (0o600, {"secretId": "AKIDEXAMPLE", "secretKey": SECRET}, False),
        (0o640, {"secretId": "AKIDEXAMPLE", "secretKey": SECRET}, False),
        (0o644, {"secretId": "AKIDEXAMPLE"}, False),
        (0o644, {"secretId": "您的 SecretId", "secretKey": "您的 SecretKey"}, False),
        (0o644, {"secretKey": ""}, False),
    ],
)
def test_a_key_that_everybody_can_read_is_warned_of(
    tmp_path: Path, mode: int, keys: dict[str, str], warns: bool
) -> None:
    file = written(tmp_path, {"tencentCloud": keys})
    file.chmod(mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Config.load(file, {})
    said = [str(warning.message) for warning in caught]
    assert [text for text in said if SECRET in text] == []
    assert bool(said) is warns
    assert all(f"chmod 600 {file}" in text for text in said)


# --- pasted values ----------------------------------------------------------------------------------------------------

KEY = "sk-Abc+/=_-0123456789"


@pytest.mark.parametrize(
    "pasted", [f"Bearer {KEY}", f"bearer\t{KEY}\n", f'"{KEY}"', f"\ufeff{KEY}\u200b", f"“Bearer {KEY}”\r\n"]
)
def test_a_relays_key_is_cured_of_what_was_copied_with_it(pasted: str) -> None:
    plain = Config.parse({"backend": "relay", "relay": {"apiKey": KEY}}).credentials()
    for config in (
        Config.parse({"backend": "relay", "relay": {"apiKey": pasted}}),
        Config.load(None, {"MPS_AIGC_RELAY_KEY": pasted}).model_copy(update={"backend": "relay"}),
    ):
        assert config.credentials() == plain
    assert plain.secret_key.get_secret_value() == KEY


def test_a_bearer_without_its_key_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"relay\.apiKey is missing"):
        Config.parse({"backend": "relay", "relay": {"apiKey": "Bearer "}}).credentials()


@pytest.mark.parametrize(
    ("section", "key", "variable"),
    [
        ("tencentCloud", "secretId", "TENCENTCLOUD_SECRET_ID"),
        ("tencentCloud", "secretKey", "TENCENTCLOUD_SECRET_KEY"),
        ("tencentCloud", "token", "TENCENTCLOUD_TOKEN"),
        ("relay", "apiKey", "MPS_AIGC_RELAY_KEY"),
    ],
)
@pytest.mark.parametrize("odd", ["\n", " ", "\u200b", "é", "\x00", "钥"])
def test_a_key_that_no_header_can_carry_is_refused_by_its_name(section: str, key: str, variable: str, odd: str) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}
    data: dict[str, Any] = {"backend": "relay" if section == "relay" else "mps", "tencentCloud": keys}
    value = f"first-half{odd}second-half"
    for config in (
        Config.parse({**data, section: {**data.get(section, {}), key: value}}),
        Config.load(
            None, {"TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key", variable: value}
        ).model_copy(update={"backend": data["backend"]}),
    ):
        with pytest.raises(ConfigError, match=rf"{section}\.{key} \(or \${variable}\) has .* in it") as caught:
            AigcClient(config)
        assert "half" not in str(caught.value)


def test_a_profiles_key_is_cured_or_refused_by_its_file(tmp_path: Path) -> None:
    profile = tmp_path / ".tencentcloud" / "credentials"
    profile.parent.mkdir()
    profile.write_text('[default]\nsecret_id = "AKIDEXAMPLE"\nsecret_key = \u200bKEYEXAMPLE\n', encoding="utf-8")
    profile.chmod(0o600)
    assert Config.parse({}).credentials(tmp_path) == Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))
    profile.write_text("[default]\nsecret_id = AKIDEXAMPLE\nsecret_key = KEY EXAMPLE\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"credentials: secret_key has a blank in it"):
        Config.parse({}).credentials(tmp_path)


def test_credentials_without_keys_are_refused_before_anything_is_sent() -> None:
    for keys in (Credentials("", SecretStr("KEYEXAMPLE")), Credentials("AKIDEXAMPLE", SecretStr(""))):
        with pytest.raises(ConfigError, match="lack the secret_id or the secret_key"):
            AigcClient(Config.parse({}), credentials=keys)


# --- where to ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/tencent-vod/v1/query/{task_id}", "/v1/tasks/{task_id}/status", "/v1/query?task={task_id}&x=1",
        "/v1/a%20b/{task_id}", " /v1/{task_id}\n",
    ],
)  # fmt: skip
def test_a_query_path_is_a_path_that_holds_the_task_id(path: str) -> None:
    assert Config.parse({"relay": {"queryPath": path}}).relay.query_path == path.strip()


@pytest.mark.parametrize(
    "path",
    [
        "", " ", "v1/{task_id}", "/v1/query", "/v1/{id}", "/v1/{task_id}/{id}", "/v1/{task_id}}", "/v1/{taskId}",
        "https://relay.example/v1/{task_id}", "/v1/a b/{task_id}", "/v1/\n{task_id}", "/v1/\r\nX-Evil: 1/{task_id}",
        "/v1/查询/{task_id}", "/v1/../{task_id}", "/v1/./{task_id}", "/v1/%2e%2E/{task_id}", "//evil.example/{task_id}",
        "/v1//{task_id}", "/v1/{task_id}#x", "/v1\\{task_id}", "/v1/%zz/{task_id}", "/v1/\u200b{task_id}",
        "/v1/{task_id}/..",
    ],
)  # fmt: skip
def test_a_query_path_that_cannot_be_sent_as_it_is_is_refused_by_its_name(path: str) -> None:
    error = refused({"relay": {"queryPath": path}}, r"^config: relay\.queryPath: ")
    assert str(error).isprintable()


@pytest.mark.parametrize("url", ["https://relay.example", "https://relay.example/", " https://relay.example:8443\n"])
def test_a_relays_url_is_scheme_host_and_port(url: str) -> None:
    config = Config.parse({"backend": "relay", "relay": {"baseUrl": url}})
    assert str(endpoint_of(config, None)) == url.strip().rstrip("/") + "/"


@pytest.mark.parametrize(
    "url",
    [
        "https://relay.example/v1", "https://relay.example/v1/", "http://relay.example", "relay.example", "",
        "https://me:PASSWORD@relay.example", "https://relay.example?key=PASSWORD", "ftp://relay.example",
        "https://relay.exa\nmple", "https://relay example", "https://",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["relay.baseUrl", "tencentCloud.endpoint"])
def test_a_url_that_is_not_scheme_host_and_port_is_refused_by_its_key(url: str, key: str) -> None:
    section, _, name = key.partition(".")
    if not url and section == "tencentCloud":
        return  # unset
    variable = r" \(or \$MPS_AIGC_ENDPOINT\)" if section == "tencentCloud" else ""
    error = refused({section: {name: url}}, rf"^config: {key}{variable}: .*(https://|https$|without a path|control)")
    assert "PASSWORD" not in "".join(traceback.format_exception(error))


# --- values of another kind -------------------------------------------------------------------------------------------

HUGE = 10**400


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("vod.subAppId", [0, -1, True, False, "123", "", 1.0, 1.5, float("nan"), 1 << 63, HUGE, [1]]),
        ("concurrency.maxImageTasks", [True, "8", 2.0, HUGE, 1_000_001, float("inf"), None]),
        ("concurrency.pollIntervalMs", [True, "5000", 5000.0, 3_600_001, HUGE]),
        ("pacing.jitterMs", [True, "25", HUGE]),
        ("timeouts.videoSeconds", [True, "60", -1, 1e9, HUGE, float("inf")]),
        ("timeouts.saveSeconds", [True, 0, 1e9]),
        ("limits.CreateAigcImageTask", [True, "5", 0, 1e-9, 1e9, HUGE, None]),
        ("mps.imageGeneration.modelName", [5, True, "Hun\nyuan", "Hunyuan\x1b[31m", "Hunyuan\ud83c"]),
        ("mps.videoGeneration.modelVersion", [2.0, "2\n0", "2\ud83c"]),
        ("mps.audioGeneration.modelName", [5, "\u202eTme", "Tme\ud83c"]),
        ("mps.imageGeneration.enabled", [1, 0, "true", "no", "off"]),
        ("mps.videoGeneration.enableAudio", [1, "false"]),
        ("mps.videoGeneration.duration", [True, "5", 5.0, 3601, HUGE]),
        ("tencentCloud.region", [5, True, "ap guangzhou", "ap-guang\nzhou", "ap-guangzhou\r\nX-Evil: 1", "广州"]),
        ("cosOutput.region", [5, "ap guangzhou", "广州"]),
        ("cosOutput.bucket", [5, "my bucket", "out/a", "https://out.cos.example", "桶"]),
        ("cosOutput.outputDir", [5, "/a\n/b", "/\u202eb"]),
        ("account", [5, True, "", "  ", "a\nb", "a\x1b[31mb", "\u202eb", "a\ud83c"]),
        ("catalog", [True, "Strict"]),
        ("backend", [True, "MPS", None]),
    ],
)
def test_a_value_of_another_kind_or_out_of_bounds_is_refused_by_its_key(key: str, values: list[Any]) -> None:
    variable = r"( \(or \$[A-Z_]+\))?"
    for value in values:
        data: Any = value
        for part in reversed(key.split(".")):
            data = {part: data}
        error = refused(data, rf"^config: {key}{variable}: ")
        assert str(error).isprintable()


def test_blanks_around_a_value_are_left_out() -> None:
    cos = {"bucket": " out-1250000000\n", "region": "ap-guangzhou ", "outputDir": " /aigc/ "}
    cloud = {"region": "ap-beijing\n", "endpoint": " https://mps.tencentcloudapi.com\n"}
    mps = {"imageGeneration": {"modelName": " Hunyuan\n", "modelVersion": "3.0\r\n"}}
    config = Config.parse({"cosOutput": cos, "tencentCloud": cloud, "mps": mps})
    assert (config.defaults().image.model_name, config.defaults().image.model_version) == ("Hunyuan", "3.0")
    assert config.store() == CosStore(bucket="out-1250000000", region="ap-guangzhou", path="/aigc/")
    assert (config.tencent_cloud.region, str(endpoint_of(config, None))) == (
        "ap-beijing",
        "https://mps.tencentcloudapi.com/",
    )


@pytest.mark.parametrize("value", ["ap-guang\nzhou", "ap guangzhou", "ap-\udcff"])
def test_a_fault_in_the_environment_names_its_variable(value: str) -> None:
    with pytest.raises(ConfigError, match=r"tencentCloud\.region \(or \$TENCENTCLOUD_REGION\): is no region's name"):
        Config.load(None, {"TENCENTCLOUD_REGION": value})
