"""Credentials held by objects of the official SDK (tencentcloud-sdk-python), told by their shape: it is not imported.

Its classes of 3.1.194 (2026-10) are of three sorts:
- `Credential` has plain attributes: read at once, and for good;
- `STSAssumeRoleCredential`, `CVMRoleCredential` and `OIDCRoleArnCredential` have properties that may do blocking HTTP:
  read in a thread, again and again;
- `EnvironmentVariableCredential`, `ProfileCredential` and `DefaultCredentialProvider` have `get_credential()`, which
  may do so as well, and returns one of the others.
"""

import asyncio
import inspect
from typing import Final, Protocol, cast

from pydantic import SecretStr

from ..model.errors import ConfigError
from .credentials import Credentials, CredentialSource, stripped


class OfficialKeys(Protocol):
    """An object with keys, computed or plain."""

    @property
    def secret_id(self) -> object: ...
    @property
    def secret_key(self) -> object: ...
    @property
    def token(self) -> object: ...


class OfficialProvider(Protocol):
    """An object that finds one with keys."""

    def get_credential(self) -> object: ...


AnyCredentials = Credentials | CredentialSource | OfficialKeys | OfficialProvider
"""What a client can be given as its credentials."""

_IDS: Final = ("secret_id", "secretId")
_KEYS: Final = ("secret_key", "secretKey")
"""Newer and older versions' names."""


def recognised(given: AnyCredentials) -> Credentials | CredentialSource:
    """Keys that stay, or a source of keys that change. Raises ConfigError for anything else."""
    if isinstance(given, Credentials):
        if not given.secret_id or not given.secret_key:
            raise ConfigError("credentials: these Credentials lack the secret_id or the secret_key")
        return given
    if isinstance(given, type):  # it would pass for a function, and for an object with properties
        raise ConfigError(f"credentials: {given.__name__} is a class: give an object made from it")
    if _has(given, _IDS) and _has(given, _KEYS):
        if _computes(given):
            return OfficialSource(given)
        keys, fault = Credentials("", SecretStr("")), ""
        try:
            keys = _keys_of(given)
        except ConfigError as error:
            fault = error.message
        if fault:  # raised out here: the frames below have the keys in their variables
            raise ConfigError(f"credentials: {fault}")
        if not keys.secret_id or not keys.secret_key:
            raise ConfigError(f"credentials: this {type(given).__name__} has no keys")
        return keys
    if hasattr(given, "get_credential"):
        return OfficialSource(given)
    if callable(given):
        return given
    raise ConfigError(
        f"credentials: {type(given).__name__} is none: give Credentials, an `async def` that returns them, or an "
        "object of the official SDK's credential classes"
    )


class OfficialSource:
    """A source of what such an object has at the moment.

    When its keys end is private to each class, so that it is not told (`expires_at`): the key ring asks for such keys
    every few minutes, which costs nothing while the object thinks them good, and after a refusal.
    """

    def __init__(self, given: object) -> None:
        self._given = given
        self._reading: asyncio.Task[Credentials] | None = None

    def __repr__(self) -> str:
        return f"<OfficialSource of {type(self._given).__name__}>"

    async def __call__(self) -> Credentials:
        """One thread at a time: one that hangs is waited for again, or they would fill the pool that saves files."""
        reading = self._reading
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = self._reading = asyncio.create_task(asyncio.to_thread(self._read), name=f"read {self!r}")
            # Looked at: one that ends after its waiter gave up must not be told as "never retrieved", with its text.
            reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(reading)

    def _read(self) -> Credentials:
        given = self._given
        if not _has(given, _IDS):
            given = cast("OfficialProvider", given).get_credential()
        return _keys_of(given)


def _has(given: object, names: tuple[str, ...]) -> bool:
    return any(inspect.getattr_static(given, name, None) is not None for name in names)


def _computes(given: object) -> bool:
    """Whether looking at its keys runs code, told without looking."""
    static = (inspect.getattr_static(given, name, None) for name in _IDS)
    return not isinstance(next(found for found in static if found is not None), str)


def _keys_of(given: object) -> Credentials:
    """The keys, or empty ones if it has none. All three of one moment: a refresh between two looks would mix them."""
    at_once = getattr(given, "get_credential_info", None)
    if at_once is not None:
        secret_id, secret_key, token = at_once()
        return _credentials(secret_id, secret_key, token)
    while True:  # older versions have no such method
        secret_id = _first(given, _IDS)
        secret_key, token = _first(given, _KEYS), getattr(given, "token", None)
        if _first(given, _IDS) == secret_id:
            return _credentials(secret_id, secret_key, token)


def _first(given: object, names: tuple[str, ...]) -> object:
    return next((getattr(given, name) for name in names if hasattr(given, name)), None)


def _credentials(secret_id: object, secret_key: object, token: object) -> Credentials:
    return Credentials(_text(secret_id), SecretStr(_text(secret_key)), SecretStr(_text(token)) if token else None)


def _text(value: object) -> str:
    return stripped(SecretStr(value)).get_secret_value() if isinstance(value, str) else ""
