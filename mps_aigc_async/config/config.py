"""The documented JSON and the environment, as values.

Documented keys (AIGC guide of 2026-05-29, "配置文件参考") keep their names; this package's own keys are optional. An
unknown key is refused by name: a misspelt limit must not silently be no limit.
"""

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, PrivateAttr, SecretStr, ValidationError

from ..catalog import Strictness
from ..catalog.prices import PriceList
from ..credentials.credentials import Credentials, fault_in, strip_key, without_scheme
from ..credentials.keyfiles import is_placeholder, profile_keys, profiles, warn_of_readers
from ..model.config_values import Account, Line, Rate
from ..model.defaults import AudioDefaults, Defaults, ImageDefaults, VideoDefaults
from ..model.errors import ConfigError
from ..model.plain_text import visible_line
from ..model.requests import CosStore
from ..model.spelling import closest
from ..network.transport import parse_endpoint
from ..sharing.database_url import database_url, is_database_url, require_path
from .accounts import AccountEntry, require_names, secrets_in, with_variables
from .sections import (
    Concurrency,
    CosOutput,
    Generation,
    Pacing,
    PriceSection,
    Relay,
    Section,
    TaskTimeouts,
    TencentCloud,
    Vod,
)

PLACEHOLDER_BUCKET: Final = "your-bucket-name-1234567890"
"""The bucket of the guide's example. A config with it has no bucket."""

ENVIRONMENT: Final = {
    "TENCENTCLOUD_SECRET_ID": ("tencentCloud", "secretId"),
    "TENCENTCLOUD_SECRET_KEY": ("tencentCloud", "secretKey"),
    "TENCENTCLOUD_TOKEN": ("tencentCloud", "token"),
    "TENCENTCLOUD_REGION": ("tencentCloud", "region"),
    "MPS_AIGC_ENDPOINT": ("tencentCloud", "endpoint"),
    "MPS_AIGC_RELAY_KEY": ("relay", "apiKey"),
}
"""Environment variables that override the file, each with its key."""


GUIDE_MODELS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    # The guide's complete example (2026-05-29, "配置文件参考"), without its sound, which costs more.
    "mps": {
        "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
        "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0", "duration": 5},
    }
}
"""The defaults of requests where there is no config file. A file names its own, or leaves them to the service."""

HOMES: Final = ("process", "host")
"""The values of `limitStore` that are no place of the user's own."""

_log: Final = logging.getLogger("mps_aigc_async")


class Config(Section):
    """Everything that can be set.

    >>> Config.parse({"concurrency": {"maxImageTasks": 8}}).concurrency.max_image_tasks
    8
    >>> Config.parse({"concurency": {}})
    Traceback (most recent call last):
        ...
    mps_aigc_async.model.errors.ConfigError: config: concurency: unknown key: is concurrency meant? (...)
    """

    backend: Literal["mps", "vod", "relay"] = "mps"
    """The service that makes the images and videos: MPS, VOD, or the relay that forwards to VOD."""
    vod: Vod = Field(default_factory=Vod)
    relay: Relay = Field(default_factory=Relay)
    account: Account | None = None
    """The name of the account; by default derived from the SecretId. Required if keys change."""
    tencent_cloud: TencentCloud = Field(default_factory=TencentCloud)
    cos_output: CosOutput = Field(default_factory=CosOutput)
    mps: Generation = Field(default_factory=Generation)
    concurrency: Concurrency = Field(default_factory=Concurrency)
    limits: dict[str, Rate] = Field(default_factory=dict)
    """Calls per second by action, if the account's differ from the documented limits."""
    pacing: Pacing = Field(default_factory=Pacing)
    prices: PriceSection = Field(default_factory=PriceSection)
    """The user's prices, for plans and bounds on the cost."""
    timeouts: TaskTimeouts = Field(default_factory=TaskTimeouts)
    catalog: Strictness = "warn"
    """The check of requests against the documented abilities of models: `strict` refuses a request before anything is
    sent, `warn` warns once (CatalogWarning) and sends it, `off` checks nothing."""
    check_inputs: bool = False
    """Whether to look at the URL of each input before the create: off, because a look is a request to the URL's host,
    which may treat this machine otherwise than the service."""
    limit_store: Line | None = None
    """Where paces and slots are counted: `process`, `host` (all processes of the user on this machine), the path of a
    folder, or a `postgresql://` URL. By default `host`, and `process` towards loopback."""
    accounts: Annotated[tuple[AccountEntry, ...], Field(strict=False)] = ()  # JSON has lists
    """Several accounts that a client uses as one. The client uses these and no other."""

    _source: str = PrivateAttr(default="config")
    """The source of the values, for messages."""
    _assumption: str = PrivateAttr(default="")

    @classmethod
    def load(cls, path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the config file. The environment overrides it.

        Without `path`: the file in $MPS_AIGC_CONFIG, else ./config.json if it exists, else the environment alone.
        The environment alone names no models: then the guide's are the defaults (GUIDE_MODELS), and the log says so.
        Raises ConfigError that names the file, the key and the fix.
        """
        environ = os.environ if environ is None else environ
        chosen_file = path or environ.get("MPS_AIGC_CONFIG")
        file = Path(chosen_file or "config.json")
        has_file = bool(chosen_file) or file.is_file()
        data = _read(file) if has_file else dict(GUIDE_MODELS)
        if has_file:
            keys = _section(data, "tencentCloud", file)
            relay = _section(data, "relay", file)
            values = [keys.get("secretKey"), keys.get("token"), relay.get("apiKey"), *secrets_in(data)]
            secrets = [secret for secret in values if isinstance(secret, str)]
            warn_of_readers(file, [SecretStr(secret) for secret in secrets], stacklevel=2)
        for variable, (section, key) in ENVIRONMENT.items():
            if value := environ.get(variable):
                data = data | {section: {**_section(data, section, file), key: value}}
        data = with_variables(data, environ, str(file))
        config = cls.parse(data, source=str(file) if has_file else "no ./config.json, and in the environment")
        if not has_file:
            config._assumption = _ASSUMPTION  # noqa: SLF001 — of our own class
            _log.info("%s", _ASSUMPTION)
        return config

    def of_accounts(self) -> "tuple[Config, ...]":
        """The config of each account: this one, unless it has `accounts`."""
        if not self.accounts:
            return (self,)
        return tuple(self._of_account(number, entry) for number, entry in enumerate(self.accounts))

    def _of_account(self, number: int, entry: AccountEntry) -> "Config":
        changes = {"account": entry.account, "accounts": (), "limits": {**self.limits, **entry.limits}}
        config = self.model_copy(update={**changes, **entry.sections_over(self)})
        config._source = f"{self._source}: accounts[{number}] ({entry.account})"  # noqa: SLF001 — of our own class
        return config

    @property
    def assumption(self) -> str:
        """The assumption of `load` without a config file, for the user; empty if there was a file."""
        return self._assumption

    @classmethod
    def parse(cls, data: Mapping[str, Any], source: str = "config") -> Self:
        """Validate decoded JSON. Raises ConfigError."""
        config, fault = None, ""
        try:
            config = cls.model_validate(data)
        except ValidationError as error:
            fault = _explain(error)
        if config is None:  # raised outside of `except`: pydantic's error keeps its input, which may be a secret
            raise ConfigError(f"{source}: {fault}")
        config._source = source  # noqa: SLF001 — of our own class
        if config.accounts and config.account is not None:
            raise ConfigError(f"{source}: account: where `accounts` has entries, each one has its own name")
        require_names(config.accounts, source)
        if config.tencent_cloud.endpoint:
            _check_url(config.tencent_cloud.endpoint, f"{source}: {_key_of(('tencentCloud', 'endpoint'))}")
        for one in config.of_accounts():
            if one.cos_output.endpoint:
                _check_url(one.cos_output.endpoint, f"{one._source}: cosOutput.endpoint")  # noqa: SLF001 — of our own class
        _check_url(config.relay.base_url, f"{source}: relay.baseUrl")
        _check_limit_store(config.limit_store, f"{source}: limitStore")
        return config

    def credentials(self, home: Path | None = None) -> Credentials:
        """The keys of the config, else of the profile that the official tools share (`~/.tencentcloud/credentials`).

        Raises ConfigError if the keys are missing or still the example's. `home` replaces the user's home folder.
        """
        if self.backend == "relay":
            return self._relay_key()
        keys = self.tencent_cloud
        secret_id, secret_key = strip_key(SecretStr(keys.secret_id)), strip_key(keys.secret_key)
        places = ""
        if is_placeholder(secret_id) and is_placeholder(secret_key):
            of_profile = profile_keys(home, stacklevel=2)
            if of_profile is not None:
                return of_profile
            places = f", or keep both keys in [default] of {' or '.join(str(file) for file in profiles(home))}"
        for name, value, variable in (
            ("secretId", secret_id, "TENCENTCLOUD_SECRET_ID"),
            ("secretKey", secret_key, "TENCENTCLOUD_SECRET_KEY"),
        ):
            if is_placeholder(value):
                fault = "still the example's placeholder" if value else "missing"
                raise ConfigError(
                    f"{self._source}: tencentCloud.{name} is {fault}: put your key into the config, or set "
                    f"${variable}{places} (keys: https://console.cloud.tencent.com/cam/capi)"
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
            fault = "still a placeholder" if key else "missing"
            raise ConfigError(
                f"{self._source}: relay.apiKey is {fault}: put your key into the config, or set $MPS_AIGC_RELAY_KEY"
            )
        self._check_key("relay", "apiKey", key)
        # A bearer key has no id: its digest distinguishes accounts, and reveals nothing.
        key_digest = hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:16]
        return Credentials(f"relay-{key_digest}", key)

    def defaults(self) -> Defaults:
        """The defaults of requests without a model."""
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

    def price_list(self) -> PriceList:
        """The user's prices, and the backend's defaults for open fields."""
        return self.prices.price_list(self.backend)

    def store(self) -> CosStore | None:
        """The COS bucket for results, if the config names a real one. Warns about the example's bucket."""
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
            raise ConfigError(
                f"{self._source}: cosOutput.region is missing: COS needs the bucket's region, such as ap-guangzhou"
            )
        return CosStore(bucket=cos.bucket, region=cos.region, path=cos.output_dir)


_ASSUMPTION: Final = (
    "no config file: requests that name no model get the guide's, Hunyuan 3.0 for images and Kling 3.0 with 5 s for "
    "videos; a config file names others"
)


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
    if fault:  # raised outside of `except`: the decoder's error keeps the whole document, keys included
        raise ConfigError(f"{file} is not valid JSON: {fault}")
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: expected an object at the top, got {type(data).__name__}")
    return data


def _section(data: Mapping[str, Any], section: str, file: Path) -> dict[str, Any]:
    value = data.get(section, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: {section}: expected an object, got {type(value).__name__}")
    return value


def _explain(error: ValidationError) -> str:
    """Each fault by its key, without the value, which may be a secret."""
    return "; ".join(
        f"{_key_of(detail['loc'])}: "
        + (
            _unknown_key(detail["loc"])
            if detail["type"] == "extra_forbidden"
            else detail["msg"].removeprefix("Value error, ").replace("valid tuple", "valid list")
        )
        for detail in error.errors(include_url=False, include_input=False)
    )


_VARIABLES: Final = {key: variable for variable, key in ENVIRONMENT.items()}


def _key_of(where: tuple[int | str, ...]) -> str:
    """The name of a key, with the environment variable that overrides it."""
    key = visible_line(".".join(str(part) for part in where))
    variable = _VARIABLES.get((str(where[0]), str(where[-1]))) if len(where) == 2 else None
    return f"{key} (or ${variable})" if variable else key


def _check_url(url: str, where: str) -> None:
    """Raise ConfigError that names the key, and shows only the URL's host: the rest may hold a password."""
    try:
        parse_endpoint(url)
    except ConfigError as error:
        fault = error.message
    else:
        return
    raise ConfigError(f"{where}: {fault}")


def _check_limit_store(store: str | None, where: str) -> None:
    """Raise ConfigError for a limit store that cannot be meant. A mere word would be a folder of that name."""
    if store is None or store in HOMES:
        return
    try:
        if is_database_url(store):
            database_url(store)
            return
        require_path(store)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}") from None
    if not ("/" in store or "\\" in store):
        raise ConfigError(
            f'{where}: write "process", "host", the path of a folder with a "/" in it, or a postgresql:// URL'
        )


def _unknown_key(where: tuple[int | str, ...]) -> str:
    section: type[BaseModel] = Config
    for part in where[:-1]:
        names = {field.alias: field.annotation for field in section.model_fields.values()}
        inner = AccountEntry if isinstance(part, int) else names.get(str(part))
        if part == "accounts":
            continue
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return "unknown key"
        section = inner
    keys = sorted(field.alias or "" for field in section.model_fields.values())
    close = closest(str(where[-1]), keys)
    hint = f": is {close} meant?" if close else ""
    return f"unknown key{hint} (known: {', '.join(keys)})"
