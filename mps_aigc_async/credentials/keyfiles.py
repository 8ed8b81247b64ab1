"""Files that hold keys: the profile that the official tools share, and a warning of who can read one."""

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
from .credentials import Credentials, fault_in, stripped

_PLACEHOLDER: Final = re.compile(r"^\s*$|^您的|^your[-_ ]|^<.*>$", re.IGNORECASE)
"""What stands in examples where a key belongs: 「您的 SecretId」 in the guide."""

PROFILE: Final = Path(".tencentcloud", "credentials")
"""In the user's home, and below /etc without its dot: where the official SDK's ProfileCredential looks (3.1.194,
2026-10). It takes the first of the two that exists, reads its section [default], and knows no variable for another."""
SYSTEM_PROFILE: Final = Path("/etc/tencentcloud/credentials")


def is_placeholder(secret: SecretStr) -> bool:
    """Whether nothing, or an example's text, stands where a key belongs."""
    return _PLACEHOLDER.search(secret.get_secret_value()) is not None


def warn_of_readers(file: Path, secrets: Iterable[SecretStr], stacklevel: int) -> None:
    """A key in a file that everybody can read is no secret on a machine that is shared."""
    if all(is_placeholder(secret) for secret in secrets):
        return
    if os.name == "posix" and file.stat().st_mode & stat.S_IROTH:
        shown = visible_line(str(file))
        warnings.warn(
            f"{shown} holds a key and can be read by everybody on this machine: chmod 600 {shown}, or keep the key in "
            "$TENCENTCLOUD_SECRET_KEY",
            stacklevel=stacklevel + 1,
        )


def profiles(home: Path | None) -> tuple[Path, Path]:
    """Where a profile is looked for, in this order; without `home`, in the user's own."""
    # Not Path.home: that raises for a user without one, as containers have them.
    return (Path(os.path.expanduser("~")) if home is None else home) / PROFILE, SYSTEM_PROFILE  # noqa: PTH111 — as said


def profile_keys(home: Path | None, stacklevel: int = 1) -> Credentials | None:
    """The keys of the official tools' profile, if there is one with both. Raises ConfigError for one that cannot be
    read."""
    file = next((file for file in profiles(home) if _exists(file)), None)
    if file is None:
        return None
    section = {name: stripped(secret) for name, secret in _default_section(file).items()}
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
    """Path.exists raises for a folder that may not be looked into: there is none then, for the official SDK too."""
    return os.path.exists(file)  # noqa: PTH110 — as said


def _default_section(file: Path) -> dict[str, SecretStr]:
    # No interpolation: as the official SDK reads it, a % stands for itself.
    profile, fault = configparser.ConfigParser(interpolation=None), ""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            profile.read_file(lines)
    except OSError as error:
        raise ConfigError(f"cannot read the keys in {file}: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError):
        fault = "not INI: expected [default] with secret_id = … and secret_key = …"
    if fault:  # raised out here, and without the parser's words: they hold the lines that it could not read
        raise ConfigError(f"{file}: {fault}")
    if not profile.has_section("default"):
        return {}
    return {name: SecretStr(value) for name, value in profile.items("default")}
