"""Files that hold keys: the profile that the official tools share, and a warning if everybody can read a file."""

import configparser
import os
import re
import stat
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ..model.errors import ConfigError
from ..model.plain_text import visible_line
from .credentials import Credentials, fault_in, strip_key

_PLACEHOLDER: Final = re.compile(r"^\s*$|^您的|^your[-_ ]|^<.*>$", re.IGNORECASE)
"""Texts that examples have in the place of a key: 「您的 SecretId」 in the guide."""

PROFILE: Final = Path(".tencentcloud", "credentials")
"""The profile's path below the user's home; below /etc it has no dot. The official SDK's ProfileCredential (3.1.194,
2026-10) reads the section [default] of the first file that exists. No environment variable changes the path."""
SYSTEM_PROFILE: Final = Path("/etc/tencentcloud/credentials")


def is_placeholder(secret: SecretStr) -> bool:
    """Whether the text is empty or an example's placeholder."""
    return _PLACEHOLDER.search(secret.get_secret_value()) is not None


def warn_of_readers(file: Path, secrets: Iterable[SecretStr], stacklevel: int) -> None:
    """Warn about a key in a file that every user of the machine can read."""
    if all(is_placeholder(secret) for secret in secrets):
        return
    if os.name == "posix" and file.stat().st_mode & stat.S_IROTH:
        name = visible_line(str(file))
        warnings.warn(
            f"{name} holds a key and can be read by everybody on this machine: chmod 600 {name}, or keep the key in "
            "the environment",
            stacklevel=stacklevel + 1,
        )


def profiles(home: Path | None) -> tuple[Path, Path]:
    """The paths of profiles, in the order of the search. `home` is the user's home folder by default."""
    # Path.home raises for a user without a home folder, as in some containers.
    folder = Path(os.path.expanduser("~")) if home is None else home  # noqa: PTH111 — see above
    return folder / PROFILE, SYSTEM_PROFILE


def profile_keys(home: Path | None, stacklevel: int = 1) -> Credentials | None:
    """The keys of the official tools' profile; None without a file or without both keys.

    Raises ConfigError for a file that cannot be read.
    """
    file = next((file for file in profiles(home) if _exists(file)), None)
    if file is None:
        return None
    section = {name: strip_key(secret) for name, secret in _default_section(file).items()}
    secret_id, secret_key = section.get("secret_id", SecretStr("")), section.get("secret_key", SecretStr(""))
    token = section.get("token", SecretStr(""))
    warn_of_readers(file, (secret_key, token), stacklevel + 1)
    if is_placeholder(secret_id) or is_placeholder(secret_key):
        return None
    for name, secret in (("secret_id", secret_id), ("secret_key", secret_key), ("token", token)):
        if fault := fault_in(secret):
            raise ConfigError(f"{file}: {name} {fault}")
    return Credentials(secret_id.get_secret_value(), secret_key, token or None)


def _exists(file: Path) -> bool:
    """Whether there is a file, as the official SDK decides it: a folder without permission counts as empty."""
    return os.path.exists(file)  # noqa: PTH110 — Path.exists raises for a folder without permission


def _default_section(file: Path) -> dict[str, SecretStr]:
    # No interpolation, as in the official SDK: a % is a plain character.
    profile, fault = configparser.ConfigParser(interpolation=None), ""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            profile.read_file(lines)
    except OSError as error:
        raise ConfigError(f"cannot read the keys in {file}: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError):
        fault = "not INI: expected [default] with secret_id = … and secret_key = …"
    if fault:  # outside of the handler and without the parser's message: the message quotes the unreadable lines
        raise ConfigError(f"{file}: {fault}")
    if not profile.has_section("default"):
        return {}
    return {name: SecretStr(value) for name, value in profile.items("default")}
