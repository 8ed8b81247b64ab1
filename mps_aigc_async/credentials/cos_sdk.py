"""Signed GETs of objects in COS, by the signer of the official COS SDK (extra `cos`).

The SDK's signer (cos-python-sdk-v5 1.9.44, 2026) reads the machine's clock, and writes the signing key and the
signature into its log at level DEBUG. A wrong clock would make every signature useless, and the log would give the key
away. So the signer's own code runs here with the service's time and with a log that keeps nothing.
"""

import re
from functools import partial
from importlib.util import find_spec
from types import FunctionType, SimpleNamespace
from typing import Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from ..model.errors import ConfigError
from ..model.unexpected import report
from .credentials import Credentials

HOW_TO_READ: Final = (
    "signing needs its extra: pip install '.[cos]' in a clone of mps-aigc-async; or set cosOutput.access to \"public\" "
    "if everybody may read the bucket"
)
"""The two ways to results in a bucket, for messages."""

_TOKEN: Final = "x-cos-security-token"  # noqa: S105 — a parameter's name
"""The parameter that carries the session token of temporary keys ("Request signature", COS, 2026-11)."""

_TO_QUOTE: Final = re.compile(r"[^!-~]+")
"""Characters that a URL cannot carry unquoted. The service may name a key with blanks or Chinese letters in it."""


def can_sign() -> bool:
    """Whether the COS SDK is installed."""
    return find_spec("qcloud_cos") is not None


def signed_get(url: str, credentials: Credentials, *, now: float, life_s: float) -> str:
    """Sign a GET of a bare object URL from `now` on (Unix seconds), for `life_s` seconds.

    The first call imports the SDK, which takes a quarter of a second: call this in a thread. Raises ConfigError without
    the extra, and with an SDK whose signer is not the one that this module knows.
    """
    if not can_sign():
        raise ConfigError(f"the result is in a private bucket of your own: {HOW_TO_READ}")
    try:
        return _signed(url, credentials, now, life_s)
    except Exception as error:  # noqa: BLE001 — a later SDK may fail in any way
        report(error, "signing a URL")
        name = type(error).__name__
    # Raised outside the handler: the variables of the SDK's frames are the keys, and must be in no exception chain.
    raise ConfigError(f"the installed COS SDK cannot sign a URL ({name}): install cos-python-sdk-v5 1.9.44")


def _signed(url: str, credentials: Credentials, now: float, life_s: float) -> str:
    # The extra is imported where it is used.
    from qcloud_cos import CosConfig, cos_auth  # noqa: PLC0415

    parts = urlsplit(url)
    path = _TO_QUOTE.sub(lambda odd: quote(odd[0], errors="surrogatepass"), parts.path)
    bare = f"{parts.scheme}://{parts.netloc}{path}"
    token = credentials.token.get_secret_value() if credentials.token is not None else None
    config = CosConfig(
        Domain=parts.netloc,
        Scheme=parts.scheme,
        SecretId=credentials.secret_id,
        SecretKey=credentials.secret_key.get_secret_value(),
        Token=token,
    )
    parameters = {_TOKEN: token} if token else {}
    auth = cos_auth.CosS3Auth(config, unquote(path), parameters, int(life_s))
    globals_of_signer = {
        **vars(cos_auth),
        "time": SimpleNamespace(time=lambda: now),
        "logger": SimpleNamespace(debug=_keep_nothing),
    }
    sign = partial(FunctionType(cos_auth.CosS3Auth.__call__.__code__, globals_of_signer), auth)
    request = sign(SimpleNamespace(method="GET", url=bare, headers={}))
    signature = dict(field.split("=", 1) for field in request.headers["Authorization"].split("&"))
    return f"{bare}?{urlencode({**signature, **parameters})}"


def _keep_nothing(*_args: object) -> None:
    """Take a line of the log and keep nothing of it."""
