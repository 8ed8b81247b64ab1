"""The config's `accounts`: each entry's own sections, over those of the whole config."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, Field, SecretStr

from ..model.config_values import Account, Rate, Region, Tasks
from ..model.errors import ConfigError
from .sections import CosOutput, Section, Vod

_KEYS: Final = frozenset({"secret_id", "secret_key"})
_SECRETS: Final = (("tencentCloud", "secretKey"), ("tencentCloud", "token"), ("relay", "apiKey"))


class AccountKeys(Section):
    """The `tencentCloud` of an account. A value `$NAME` stands for the environment variable NAME."""

    secret_id: str = Field(default="", repr=False)
    secret_key: SecretStr = SecretStr("")
    token: SecretStr | None = None
    region: Region | None = None


class AccountRelay(Section):
    """The `relay` of an account. A value `$NAME` stands for the environment variable NAME."""

    api_key: SecretStr = SecretStr("")


class AccountConcurrency(Section):
    """The caps of an account."""

    max_image_tasks: Tasks = 1
    max_video_tasks: Tasks = 1
    max_audio_tasks: Tasks = 1


class AccountEntry(Section):
    """One of several accounts. A key that it lacks is that of the whole config."""

    account: Account
    """The account's name, for its limits and its rows in the ledger: choose any, and keep it."""
    tencent_cloud: AccountKeys = Field(default_factory=AccountKeys)
    relay: AccountRelay = Field(default_factory=AccountRelay)
    vod: Vod = Field(default_factory=Vod)
    cos_output: CosOutput = Field(default_factory=CosOutput)
    concurrency: AccountConcurrency = Field(default_factory=AccountConcurrency)
    limits: dict[str, Rate] = Field(default_factory=dict)

    def sections_over(self, config: BaseModel) -> dict[str, object]:
        """The sections of a config in which this account differs from the whole config."""
        changes: dict[str, object] = {}
        for name in self.model_fields_set - {"account", "limits"}:
            ours, theirs = getattr(self, name), getattr(config, name)
            update = {field: getattr(ours, field) for field in ours.model_fields_set}
            if _KEYS & update.keys():  # half a pair of keys is never completed by another account's half
                update = {"secret_id": "", "secret_key": SecretStr(""), "token": None, **update}
            changes[name] = theirs.model_copy(update=update)
        return changes


def with_variables(data: Mapping[str, Any], environ: Mapping[str, str], source: str) -> dict[str, Any]:
    """The decoded config with the values of the variables that its accounts name. Raises ConfigError for one that is
    not set."""
    accounts = data.get("accounts")
    if not isinstance(accounts, list):
        return dict(data)
    return {
        **data,
        "accounts": [_entry(entry, environ, f"{source}: accounts[{n}]") for n, entry in enumerate(accounts)],
    }


def _entry(entry: Any, environ: Mapping[str, str], where: str) -> Any:  # noqa: ANN401 — not validated yet
    if not isinstance(entry, dict):
        return entry
    return {name: _section(section, environ, f"{where}.{name}") for name, section in entry.items()}


def secrets_in(data: Mapping[str, Any]) -> Iterator[str]:
    """The secrets in the entries of a decoded config that is not validated yet. The name of a variable is none."""
    accounts = data.get("accounts")
    entries = [entry for entry in accounts if isinstance(entry, dict)] if isinstance(accounts, list) else []
    sections = [(entry.get(section), name) for entry in entries for section, name in _SECRETS]
    for values, name in sections:
        value = values.get(name) if isinstance(values, dict) else None
        if isinstance(value, str) and not value.startswith("$"):
            yield value


def _section(section: Any, environ: Mapping[str, str], where: str) -> Any:  # noqa: ANN401 — not validated yet
    if not isinstance(section, dict):
        return _value(section, environ, where)
    return {key: _value(value, environ, f"{where}.{key}") for key, value in section.items()}


def _value(value: Any, environ: Mapping[str, str], where: str) -> Any:  # noqa: ANN401 — not validated yet
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    if not value[1:].isidentifier():
        raise ConfigError(f"{where}: a value that begins with $ names an environment variable: write it as $NAME")
    if not environ.get(value[1:]):
        raise ConfigError(f"{where}: the environment variable {value} is not set")
    return environ[value[1:]]


def require_names(accounts: Sequence[AccountEntry], source: str) -> None:
    """Raise ConfigError for two accounts of one name: their limits and rows would be one account's."""
    names: dict[str, int] = {}
    for number, entry in enumerate(accounts):
        if (first := names.setdefault(entry.account, number)) != number:
            raise ConfigError(
                f"{source}: accounts[{number}].account: accounts[{first}] has the same name, {entry.account}: choose "
                "another"
            )
