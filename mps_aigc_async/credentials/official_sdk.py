"""Credentials in objects of the official SDK (tencentcloud-sdk-python), recognised by their attributes, without import.

The SDK's classes (3.1.194, 2026-10) are of three sorts:
- `Credential` has plain attributes: read once;
- `STSAssumeRoleCredential`, `CVMRoleCredential` and `OIDCRoleArnCredential` have properties that may do blocking HTTP:
  read in a thread, at each refresh;
- `EnvironmentVariableCredential`, `ProfileCredential` and `DefaultCredentialProvider` have `get_credential()`. The
  method may do blocking HTTP too and returns an object of the other sorts.
"""

import asyncio
import inspect
from typing import Final, Protocol, cast

from pydantic import SecretStr

from ..model.errors import ConfigError
from .credentials import Credentials, CredentialSource, strip_key


class OfficialKeys(Protocol):
    """An object with keys, computed or plain."""

    @property
    def secret_id(self) -> object: ...
    @property
    def secret_key(self) -> object: ...
    @property
    def token(self) -> object: ...


class OfficialProvider(Protocol):
    """An object that finds an object with keys."""

    def get_credential(self) -> object: ...


AnyCredentials = Credentials | CredentialSource | OfficialKeys | OfficialProvider
"""The forms in which a client takes credentials."""

_IDS: Final = ("secret_id", "secretId")
_KEYS: Final = ("secret_key", "secretKey")
"""Newer and older versions' names."""


def recognise(credentials: AnyCredentials) -> Credentials | CredentialSource:
    """Turn a user's credentials into fixed keys, or into a source of changing keys. Raises ConfigError for others."""
    if isinstance(credentials, Credentials):
        if not credentials.secret_id or not credentials.secret_key:
            raise ConfigError("credentials: these Credentials lack the secret_id or the secret_key")
        return credentials
    if isinstance(credentials, type):  # a class would pass for a function, and for an object with properties
        raise ConfigError(f"credentials: {credentials.__name__} is a class: give an object made from it")
    if _has(credentials, _IDS) and _has(credentials, _KEYS):
        return OfficialSource(credentials) if _computes(credentials) else _fixed_keys(credentials)
    if hasattr(credentials, "get_credential"):
        return OfficialSource(credentials)
    if callable(credentials):
        return credentials
    raise ConfigError(
        f"credentials: {type(credentials).__name__} is none: give Credentials, an `async def` that returns them, or an "
        "object of the official SDK's credential classes"
    )


def _fixed_keys(holder: object) -> Credentials:
    """The keys of an object with plain attributes. Raises ConfigError if they are missing or no keys."""
    keys, fault = Credentials("", SecretStr("")), ""
    try:
        keys = _keys_of(holder)
    except ConfigError as error:
        fault = error.message
    if fault:  # outside of the handler: the frames below have the keys in their variables
        raise ConfigError(f"credentials: {fault}")
    if not keys.secret_id or not keys.secret_key:
        raise ConfigError(f"credentials: this {type(holder).__name__} has no keys")
    return keys


class OfficialSource:
    """A source that reads the present keys of such an object.

    Each class keeps the expiry of its keys private, so `expires_at` stays None. The key ring asks for such keys every
    few minutes and after a refusal. Asking costs nothing while the object thinks its keys good.
    """

    def __init__(self, holder: object) -> None:
        self._holder = holder
        self._reading: asyncio.Task[Credentials] | None = None

    def __repr__(self) -> str:
        return f"<OfficialSource of {type(self._holder).__name__}>"

    async def __call__(self) -> Credentials:
        """Read the keys in a thread, one thread at a time. If a thread hangs, later calls wait for it too: more threads
        would fill the pool that saves files."""
        reading = self._reading
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = self._reading = asyncio.create_task(asyncio.to_thread(self._read), name=f"read {self!r}")
            # Retrieve the exception: if the waiter gave up, asyncio would log it as "never retrieved", with its text.
            reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(reading)

    def _read(self) -> Credentials:
        holder = self._holder
        if not _has(holder, _IDS):
            holder = cast("OfficialProvider", holder).get_credential()
        return _keys_of(holder)


def _has(holder: object, names: tuple[str, ...]) -> bool:
    return any(inspect.getattr_static(holder, name, None) is not None for name in names)


def _computes(holder: object) -> bool:
    """Whether reading the object's keys runs code. The check itself runs none."""
    static = (inspect.getattr_static(holder, name, None) for name in _IDS)
    return not isinstance(next(attribute for attribute in static if attribute is not None), str)


def _keys_of(holder: object) -> Credentials:
    """The object's keys, or empty ones if it has none. All three are of one moment: a refresh between two reads would
    mix old and new keys."""
    at_once = getattr(holder, "get_credential_info", None)
    if at_once is not None:
        secret_id, secret_key, token = at_once()
        return _credentials(secret_id, secret_key, token)
    while True:  # older versions have no such method
        secret_id = _first(holder, _IDS)
        secret_key, token = _first(holder, _KEYS), getattr(holder, "token", None)
        if _first(holder, _IDS) == secret_id:
            return _credentials(secret_id, secret_key, token)


def _first(holder: object, names: tuple[str, ...]) -> object:
    return next((getattr(holder, name) for name in names if hasattr(holder, name)), None)


def _credentials(secret_id: object, secret_key: object, token: object) -> Credentials:
    return Credentials(_text(secret_id), SecretStr(_text(secret_key)), SecretStr(_text(token)) if token else None)


def _text(value: object) -> str:
    return strip_key(SecretStr(value)).get_secret_value() if isinstance(value, str) else ""
