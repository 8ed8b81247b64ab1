"""The URL of a database, as users write it: `postgresql://user:password@host:port/database?ledger=NAME`."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from ..model.errors import ConfigError

SCHEMES: Final = ("postgresql", "postgres")

DEFAULT_LEDGER: Final = "default"
"""The ledger of a URL that names none."""

_NAME: Final = re.compile(r"[\w.·-]{1,100}")

_OTHER_URL: Final = re.compile(
    r"""[\s'"<]*(([a-z][\w.+-]+:)+/|postgres(ql)?(:|//?\S*@))|.*\bpassword\s*=""", re.IGNORECASE | re.DOTALL
)
"""The beginning of a URL, also of one without its colon or slashes, in quotes, or behind a prefix (`jdbc:`), and
libpq's other form, `host=… password=…`; `C:/` is a drive."""

_URL: Final = re.compile(r"(?i)\bpostgres(?:ql)?(?::|/)\S*")

_ADVICE: Final = (
    "write postgresql://USER:PASSWORD@HOST:5432/DATABASE?ledger=NAME, with `@`, `/`, `:`, `#` and `%` in the password "
    "as %40, %2F, %3A, %23 and %25"
)


def is_database_url(text: str) -> bool:
    """Whether a ledger or a limit store is given by a database's URL, and not by a path."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def require_path(place: str | Path) -> None:
    """Check that a text is no URL: as a path, it would name a folder after a password. An empty one, of a variable that
    is not set, would be the working folder. Raises ConfigError."""
    if place == "":
        raise ConfigError("the place is an empty text: write a path or a postgresql:// URL")
    if _OTHER_URL.match(str(place)):
        raise ConfigError(
            "a URL of another form is neither a file nor a database: name a file by its path alone, or a database by a "
            f"text (no Path) that begins with postgresql://; {_ADVICE}"
        )


def without_passwords(text: str) -> str:
    """A text in which each database's URL that may have a password is cut off.

    >>> without_passwords("cannot read postgresql://app:secret@db/media: no such file")
    'cannot read postgresql://… no such file'
    >>> without_passwords("cannot read postgresql://db/media")
    'cannot read postgresql://db/media'
    """
    return _URL.sub(_cut, text)


def _cut(match: re.Match[str]) -> str:
    url = match[0]
    has_secrets = ("@" in url or "?" in url) and "USER:PASSWORD@" not in url  # the advice shows the form
    return "postgresql://…" if has_secrets else url


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database, and the ledger that is meant in it."""

    dsn: str = field(repr=False)
    """The URL for the driver, with its password."""
    shown: str
    """The URL for messages: without password and parameters."""
    ledger: str
    secrets: frozenset[str] = field(repr=False)
    """The parts of the URL that no message may repeat."""

    def __str__(self) -> str:
        return self.shown

    def of(self, ledger: str) -> "DatabaseUrl":
        """Another ledger in the same database. Raises ConfigError."""
        return replace(self, ledger=_ledger_name(ledger))

    def masked(self, text: str) -> str:
        """A message of the driver or the server without the URL's secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def database_url(text: str) -> DatabaseUrl:
    """Read a database's URL. Raises ConfigError, which does not repeat the URL."""
    try:
        url = urlsplit(text)
        _require_ports(url)
        # libpq takes a `+` as it stands, unlike a form.
        parameters = parse_qsl(url.query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise ConfigError(f"the database's URL cannot be read: {_ADVICE}") from None
    if url.scheme not in SCHEMES or not url.path.strip("/") or url.fragment:
        raise ConfigError(f"the database's URL has no database, or a `#` in it: {_ADVICE}")
    if url.netloc.count("@") > 1 or "@" in url.path or ("@" in url.query and "@" not in url.netloc):
        # A part of the password would be shown as the host or the database, and libpq would look it up in the DNS.
        raise ConfigError(f"the database's URL has an `@` out of place: {_ADVICE}")
    ledgers = [value for name, value in parameters if name == "ledger"] or [DEFAULT_LEDGER]
    ledger = _ledger_name(ledgers[0] if len(ledgers) == 1 else "")
    rest = urlencode([(name, value) for name, value in parameters if name != "ledger"], quote_via=quote)
    hidden = {url.password or "", unquote(url.password or "")}
    hidden |= {value for name, value in parameters if name in ("password", "sslpassword", "passfile")}
    hidden |= {quote(text, safe="") for text in hidden}
    return DatabaseUrl(
        dsn=f"{url.scheme}://{url.netloc}{url.path}?{rest}".removesuffix("?"),  # urlunsplit drops `//` without a host
        shown=f"postgresql://{_address(url)}{url.path}",
        ledger=ledger,
        secrets=frozenset(hidden - {""}),
    )


def _ledger_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "the ledger's name in the database's URL stands there once, in letters, digits, `.`, `-`, `_`: ?ledger=NAME"
        )
    return name


def _address(url: SplitResult) -> str:
    """The hosts and ports of a URL."""
    return url.netloc.rpartition("@")[2]


def _require_ports(url: SplitResult) -> None:
    """Check the port of each host: libpq tries several hosts in turn. Raises ValueError."""
    for host in _address(url).split(","):
        _ = url._replace(netloc=host).port
