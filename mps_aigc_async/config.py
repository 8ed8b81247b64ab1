"""The documented JSON and the environment, as values.

Documented keys (AIGC guide of 2026-05-29, "配置文件参考") keep their names exactly; ours beside them are optional. An
unknown key is refused by name: a misspelt limit must not silently be no limit.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from .catalog import Strictness
from .credentials.credentials import Credentials, fault_in, strip_key, without_scheme
from .credentials.keyfiles import is_placeholder, profile_keys, profiles, warn_of_readers
from .limits import DEFAULT_JITTER_S
from .model.config_values import (
    Account,
    Bucket,
    Id,
    Length,
    Line,
    Milliseconds,
    QueryPath,
    Rate,
    Region,
    Seconds,
    Tasks,
)
from .model.defaults import AudioDefaults, Defaults, ImageDefaults, VideoDefaults
from .model.errors import ConfigError
from .model.plain_text import visible_line
from .model.requests import CosStore
from .model.states import Kind
from .network.addresses import without_secrets
from .network.transport import parse_endpoint
from .policy.deadlines import TASK_DEADLINE_S
from .wire.relay import BASE_URL, QUERY_PATH

PLACEHOLDER_BUCKET: Final = "your-bucket-name-1234567890"
"""The bucket of the guide's example: counts as unset."""

ENVIRONMENT: Final = {
    "TENCENTCLOUD_SECRET_ID": ("tencentCloud", "secretId"),
    "TENCENTCLOUD_SECRET_KEY": ("tencentCloud", "secretKey"),
    "TENCENTCLOUD_TOKEN": ("tencentCloud", "token"),
    "TENCENTCLOUD_REGION": ("tencentCloud", "region"),
    "MPS_AIGC_ENDPOINT": ("tencentCloud", "endpoint"),
    "MPS_AIGC_RELAY_KEY": ("relay", "apiKey"),
}
"""Environment variables that win over the file, and the key each stands for."""


_URLS: Final = frozenset({"endpoint", "base_url", "query_path"})
"""The settings that are URLs, or the end of one."""


class Section(BaseModel):
    """A part of the config file: camelCase there, snake_case here.

    Values have their JSON type: neither `true` nor `"8"` is a number, and `"no"` is not false.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """URLs without user names and queries, which may be secrets: also of a value that was not checked."""
        for name, value in super().__repr_args__():
            yield name, without_secrets(value) if name in _URLS and isinstance(value, str) else value


class TencentCloud(Section):
    """Keys and where to send. Keys are better kept in the environment."""

    secret_id: str = Field(default="", repr=False)
    secret_key: SecretStr = SecretStr("")
    token: SecretStr | None = None
    """Session token of temporary credentials."""
    region: Region | None = None
    endpoint: Line | None = None
    """Another base URL than the service's own; plain http only towards loopback."""


class CosOutput(Section):
    """Where the service stores results in COS; sent as StoreCosParam. The guide's example bucket counts as unset."""

    bucket: Bucket = ""
    region: Region = ""
    output_dir: Line | None = None


class ImageGeneration(Section):
    """Defaults of image requests that name no model of their own."""

    enabled: bool = True
    model_name: Line | None = None
    model_version: Line | None = None


class VideoGeneration(Section):
    """Defaults of video requests that name no model of their own."""

    enabled: bool = True
    model_name: Line | None = None
    model_version: Line | None = None
    duration: Length | None = None
    enable_audio: bool | None = None


class AudioGeneration(Section):
    """Defaults of audio requests that name no model of their own. Ours: the guide has no such section."""

    enabled: bool = True
    model_name: Line | None = None
    model_version: Line | None = None


class Generation(Section):
    """The `mps` section."""

    image_generation: ImageGeneration = Field(default_factory=ImageGeneration)
    video_generation: VideoGeneration = Field(default_factory=VideoGeneration)
    audio_generation: AudioGeneration = Field(default_factory=AudioGeneration)


class Concurrency(Section):
    """Tasks running at the service at once, and how often each is asked about. Defaults: the guide's example."""

    max_image_tasks: Tasks = 2
    max_video_tasks: Tasks = 1
    max_audio_tasks: Tasks = 1
    """Ours, its default too: the documents name no cap on audio tasks."""
    poll_interval_ms: Milliseconds = 5000
    """Between two polls of a task, on average over its life."""
    poll_strategy: Literal["fixed", "adaptive"] = "adaptive"
    """`fixed`: every interval. `adaptive`: about as often, at the ages at which tasks of the model have been seen to
    end. Either asks less often where the action's rate gives no more."""


class Pacing(Section):
    """Send times."""

    jitter_ms: Annotated[float, Field(ge=0, le=1000)] = DEFAULT_JITTER_S * 1000
    """Delivery jitter to survive: 25 ms leaves 97.6% of the rate (measured 2026-11)."""


class TaskTimeouts(Section):
    """Seconds until our waiting ends; the job stays in the ledger and can be gone on with."""

    image_seconds: Seconds = TASK_DEADLINE_S[Kind.IMAGE]
    """Seconds after an image's task was first seen running when it is given up. Its wait in the service's queue has a
    deadline of its own, `queue_seconds`."""
    video_seconds: Seconds = TASK_DEADLINE_S[Kind.VIDEO]
    """The same for a video's; 48 hours at the least for one that waits for off-peak hours."""
    audio_seconds: Seconds = TASK_DEADLINE_S[Kind.AUDIO]
    """The same for an audio's."""
    queue_seconds: Seconds | None = None
    """Seconds that a task of any kind may wait in the service's queue before it was seen running: by default 12 hours,
    or the kind's own time above if that is longer. 48 hours at the least for a video that waits for off-peak hours."""
    save_seconds: Seconds | None = None
    """For fetching one result, all attempts together. By default as long as its URL lives: it is paid for."""


class Vod(Section):
    """What only the vod backend needs."""

    sub_app_id: Id | None = None
    """The application's id: VOD requires it of accounts since 2023-12-25."""


class Relay(Section):
    """What only the relay backend needs. Its key is better kept in $MPS_AIGC_RELAY_KEY."""

    base_url: Line = BASE_URL
    api_key: SecretStr = SecretStr("")
    query_path: QueryPath = QUERY_PATH
    """Where a task is asked about; a query may follow the path. Not documented by the relay: taken from others of its
    family."""
    sessions: Literal["unproven", "trusted"] = "unproven"
    """Whether the relay refuses a second create of one `session_id`. `trusted`: by your word it does, for 3 days, so
    that a create that was not answered is sent again with its session. `unproven`: such a create is not sent again by
    itself, until the relay has refused a session that was sent before (noted in the ledger, for its base URL)."""


class Config(Section):
    """Everything that can be set.

    >>> Config.parse({"concurrency": {"maxImageTasks": 8}}).concurrency.max_image_tasks
    8
    >>> Config.parse({"concurency": {}})
    Traceback (most recent call last):
        ...
    mps_aigc_async.model.errors.ConfigError: config: concurency: unknown key (known: account, backend, ...)
    """

    backend: Literal["mps", "vod", "relay"] = "mps"
    """The service that makes the images and videos: MPS, VOD, or the relay that hands on to VOD."""
    vod: Vod = Field(default_factory=Vod)
    relay: Relay = Field(default_factory=Relay)
    account: Account | None = None
    """Whose limits and ledger rows these are; by default derived from the SecretId. Required where keys change."""
    tencent_cloud: TencentCloud = Field(default_factory=TencentCloud)
    cos_output: CosOutput = Field(default_factory=CosOutput)
    mps: Generation = Field(default_factory=Generation)
    concurrency: Concurrency = Field(default_factory=Concurrency)
    limits: dict[str, Rate] = Field(default_factory=dict)
    """Calls per second by action, where the account's differ from the documented ones."""
    pacing: Pacing = Field(default_factory=Pacing)
    timeouts: TaskTimeouts = Field(default_factory=TaskTimeouts)
    catalog: Strictness = "warn"
    """What becomes of a request that the documents say its model cannot serve: `strict` refuses it before anything is
    sent, `warn` warns once (CatalogWarning) and sends it, `off` does not look."""

    _source: str = PrivateAttr(default="config")
    """Where it came from, for messages."""

    @classmethod
    def load(cls, path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the config file; the environment wins over it.

        Without `path`: the file that $MPS_AIGC_CONFIG names, else ./config.json if it is there, else the environment
        alone. Raises ConfigError naming the file, the key and the fix.
        """
        environ = os.environ if environ is None else environ
        named = path or environ.get("MPS_AIGC_CONFIG")
        file = Path(named or "config.json")
        data = _read(file) if named or file.is_file() else {}
        if data:
            keys = _section(data, "tencentCloud", file)
            relay = _section(data, "relay", file)
            given = [keys.get("secretKey"), keys.get("token"), relay.get("apiKey")]
            secrets = [secret for secret in given if isinstance(secret, str)]
            warn_of_readers(file, [SecretStr(secret) for secret in secrets], stacklevel=2)
        for variable, (section, key) in ENVIRONMENT.items():
            if value := environ.get(variable):
                data = data | {section: {**_section(data, section, file), key: value}}
        return cls.parse(
            data, source=str(file) if named or file.is_file() else "no ./config.json, and in the environment"
        )

    @classmethod
    def parse(cls, data: Mapping[str, Any], source: str = "config") -> Self:
        """The decoded JSON as a Config. Raises ConfigError."""
        config, fault = None, ""
        try:
            config = cls.model_validate(data)
        except ValidationError as error:
            fault = _explain(error)
        if config is None:  # raised out here: pydantic's error keeps its input, which may be a secret
            raise ConfigError(f"{source}: {fault}")
        config._source = source  # noqa: SLF001 — of our own class
        if config.tencent_cloud.endpoint:
            _check_url(config.tencent_cloud.endpoint, f"{source}: {_key_of(('tencentCloud', 'endpoint'))}")
        _check_url(config.relay.base_url, f"{source}: relay.baseUrl")
        return config

    def credentials(self, home: Path | None = None) -> Credentials:
        """The keys; with none here, those of the profile that the official tools share (`~/.tencentcloud/credentials`).

        Raises ConfigError if they are missing or still the example's. `home` is another home than the user's.
        """
        if self.backend == "relay":
            return self._relay_key()
        keys = self.tencent_cloud
        secret_id, secret_key = strip_key(SecretStr(keys.secret_id)), strip_key(keys.secret_key)
        places = ""
        if is_placeholder(secret_id) and is_placeholder(secret_key):
            found = profile_keys(home, stacklevel=2)
            if found is not None:
                return found
            places = f", or keep both keys in [default] of {' or '.join(str(file) for file in profiles(home))}"
        for name, value, variable in (
            ("secretId", secret_id, "TENCENTCLOUD_SECRET_ID"),
            ("secretKey", secret_key, "TENCENTCLOUD_SECRET_KEY"),
        ):
            if is_placeholder(value):
                what = "still the example's placeholder" if value else "missing"
                raise ConfigError(
                    f"{self._source}: tencentCloud.{name} is {what}: put your key there, or set ${variable}{places} "
                    "(keys: https://console.cloud.tencent.com/cam/capi)"
                )
        token = strip_key(keys.token or SecretStr(""))
        self._check_key("tencentCloud", "secretId", secret_id)
        self._check_key("tencentCloud", "secretKey", secret_key)
        self._check_key("tencentCloud", "token", token)
        return Credentials(secret_id.get_secret_value(), secret_key, token or None)

    def _check_key(self, section: str, name: str, value: SecretStr) -> None:
        if fault := fault_in(value):
            raise ConfigError(f"{self._source}: {_key_of((section, name))} {fault}")

    def _relay_key(self) -> Credentials:
        key = without_scheme(self.relay.api_key)
        if is_placeholder(key):
            what = "still a placeholder" if key else "missing"
            raise ConfigError(f"{self._source}: relay.apiKey is {what}: put your key there, or set $MPS_AIGC_RELAY_KEY")
        self._check_key("relay", "apiKey", key)
        # A bearer has no id: its digest tells one account from another, and is of no use to anybody.
        known = hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:16]
        return Credentials(f"relay-{known}", key)

    def defaults(self) -> Defaults:
        """What requests that name no model take."""
        image, video, audio = self.mps.image_generation, self.mps.video_generation, self.mps.audio_generation
        return Defaults(
            image=ImageDefaults(enabled=image.enabled, model_name=image.model_name, model_version=image.model_version),
            video=VideoDefaults(
                enabled=video.enabled,
                model_name=video.model_name,
                model_version=video.model_version,
                duration=video.duration,
                enable_audio=video.enable_audio,
            ),
            audio=AudioDefaults(enabled=audio.enabled, model_name=audio.model_name, model_version=audio.model_version),
        )

    def store(self) -> CosStore | None:
        """Where the service is to store results, if a real bucket is named. Warns once about the example's."""
        cos = self.cos_output
        if self.backend != "mps" and cos.bucket not in ("", PLACEHOLDER_BUCKET):
            warnings.warn(f"cosOutput is MPS's: ignored by the {self.backend} backend", stacklevel=3)
            return None
        if cos.bucket == PLACEHOLDER_BUCKET:
            warnings.warn(
                f"cosOutput.bucket is the example's {PLACEHOLDER_BUCKET!r}: ignored, results stay at their URLs "
                "(name your own bucket, or remove cosOutput)",
                stacklevel=3,
            )
            return None
        if not cos.bucket:
            return None
        if not cos.region:
            raise ConfigError("cosOutput.region is missing: COS needs the bucket's region, such as ap-guangzhou")
        return CosStore(bucket=cos.bucket, region=cos.region, path=cos.output_dir)


def _read(file: Path) -> dict[str, Any]:
    data, fault = None, ""
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the config {file}: {error.strerror}; config.example.json shows one") from error
    except json.JSONDecodeError as error:
        fault = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError):
        fault = "not UTF-8, or nested too deep"
    if fault:  # raised out here: the decoder's error keeps the whole document, keys included
        raise ConfigError(f"{file} is not valid JSON: {fault}")
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: expected an object at the top, got {type(data).__name__}")
    return data


def _section(data: Mapping[str, Any], section: str, file: Path) -> dict[str, Any]:
    known = data.get(section, {})
    if not isinstance(known, dict):
        raise ConfigError(f"{file}: {section}: expected an object, got {type(known).__name__}")
    return known


def _explain(error: ValidationError) -> str:
    """Each fault by its key, without the value: it may be a secret."""
    return "; ".join(
        f"{_key_of(detail['loc'])}: "
        + (
            _unknown_key(detail["loc"])
            if detail["type"] == "extra_forbidden"
            else detail["msg"].removeprefix("Value error, ")
        )
        for detail in error.errors(include_url=False, include_input=False)
    )


_VARIABLES: Final = {key: variable for variable, key in ENVIRONMENT.items()}


def _key_of(where: tuple[int | str, ...]) -> str:
    """The key, and the environment variable that may stand for it."""
    key = visible_line(".".join(str(part) for part in where))
    variable = _VARIABLES.get((str(where[0]), str(where[-1]))) if len(where) == 2 else None
    return f"{key} (or ${variable})" if variable else key


def _check_url(url: str, where: str) -> None:
    """Raise ConfigError that names the key, and shows no more of the URL than its host: it may hold a password."""
    try:
        parse_endpoint(url)
    except ConfigError as error:
        fault = error.message
    else:
        return
    raise ConfigError(f"{where}: {fault}")


def _unknown_key(where: tuple[int | str, ...]) -> str:
    section: type[BaseModel] = Config
    for part in where[:-1]:
        names = {field.alias: field.annotation for field in section.model_fields.values()}
        inner = names.get(str(part))
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return "unknown key"
        section = inner
    return f"unknown key (known: {', '.join(sorted(field.alias or '' for field in section.model_fields.values()))})"
