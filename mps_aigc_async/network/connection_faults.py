"""Permanent faults of a connection, each with its cause and its fix.

Retries of a permanent fault only hide its cause. Every fault that is not named here may pass. Two faults look permanent
and are retried on purpose:

- A name that DNS does not know (NXDOMAIN). Resolvers say so for a moment as well: a laptop that wakes, a VPN that
  connects, a zone that is being published. Some seconds of retries cost nothing.
- A refused connection, or no route: a server that restarts and a network that comes back look the same.
"""

import errno
import socket
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

from ..credentials.masking import one_line

_EXPIRED: Final = (
    "the certificate of {host} has expired: check this machine's clock; if it is right, only the host's owner can "
    "renew the certificate"
)
_NOT_YET: Final = "the certificate of {host} is not valid yet: check this machine's clock"
_OTHER_HOST: Final = "the certificate of {host} is for another host: check the address"
_UNTRUSTED: Final = (
    "the certificate of {host} is not trusted, because this machine does not know the authority that signed it: update "
    "this machine's certificates, or set SSL_CERT_FILE to a file that has the authority's certificate (such as your "
    "company's proxy's), and start the program again"
)
_BAD_CERTIFICATE: Final = "the certificate of {host} is not accepted ({reason}): only the host's owner can correct it"

_CERTIFICATES: Final[Mapping[int, str]] = {
    # OpenSSL's X509_V_ERR_ codes (x509_vfy.h of OpenSSL 3.0, 2026-11).
    2: _UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT
    9: _NOT_YET,
    10: _EXPIRED,
    18: _UNTRUSTED,  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: _UNTRUSTED,  # SELF_SIGNED_CERT_IN_CHAIN
    20: _UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: _UNTRUSTED,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    27: _UNTRUSTED,  # CERT_UNTRUSTED
    62: _OTHER_HOST,  # HOSTNAME_MISMATCH
    64: _OTHER_HOST,  # IP_ADDRESS_MISMATCH
}

_NO_TLS: Final = "{host} does not speak TLS at this port: check the address and its port"
_NO_VERSION: Final = (
    "{host} and this machine have no version of TLS in common ({reason}): TLS 1.2 or later is needed on both sides"
)
_NO_CIPHER: Final = "{host} and this machine do not agree on how to encrypt ({reason}): update the older side's TLS"
_TURNED_AWAY: Final = "{host} refuses this client in the TLS handshake ({reason}): check the address"

_HANDSHAKES: Final[Mapping[str, str]] = {
    # OpenSSL's SSL_R_ reasons as Python names them (sslerr.h of OpenSSL 3.0, 2026-11). All other reasons may pass: an
    # end of the connection, an alert of an internal error, a damaged record.
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "HTTPS_PROXY_REQUEST": _NO_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "UNKNOWN_PROTOCOL": _NO_VERSION,
    "NO_PROTOCOLS_AVAILABLE": _NO_VERSION,
    "VERSION_TOO_LOW": _NO_VERSION,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _NO_CIPHER,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _NO_CIPHER,
    "NO_SHARED_CIPHER": _NO_CIPHER,
    "NO_CIPHERS_AVAILABLE": _NO_CIPHER,
    "DH_KEY_TOO_SMALL": _NO_CIPHER,
    "EE_KEY_TOO_SMALL": _NO_CIPHER,
    "CA_KEY_TOO_SMALL": _NO_CIPHER,
    "CA_MD_TOO_WEAK": _NO_CIPHER,
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": _NO_CIPHER,
    "TLSV1_UNRECOGNIZED_NAME": _TURNED_AWAY,
    "TLSV1_ALERT_ACCESS_DENIED": _TURNED_AWAY,
    "TLSV1_ALERT_UNKNOWN_CA": _TURNED_AWAY,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _TURNED_AWAY,
}

_FORBIDDEN: Final = "a rule of this machine (a firewall, a sandbox) forbids the connection"
_NO_FAMILY: Final = "this machine cannot use addresses of this family (IPv4 or IPv6)"

_ERRNOS: Final[Mapping[int, str]] = {
    # connect(2) and socket(2) of Linux's man-pages 6.9. Other systems lack some of the names.
    getattr(errno, name): cause
    for names, cause in (
        (("EACCES", "EPERM"), _FORBIDDEN),
        (("EAFNOSUPPORT", "EPFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"), _NO_FAMILY),
    )
    for name in names
    if hasattr(errno, name)
}

_PROXY_MAY_PASS: Final = frozenset({408, 421, 425, 429})
"""Statuses below 500 of a proxy that did not open a tunnel this time: too slow, another server's, too early, too many.
Any other status below 500 is the proxy's rule."""

_PROXY_CANNOT: Final = frozenset({501, 505, 511})
"""Permanent statuses of 500 and above: not implemented, an unknown HTTP version, a network that wants a login.

All others are trouble of the proxy or the host. Undocumented statuses (509, 520 to 530, 599) count as 500 (RFC 9110,
15)."""

NO_URL: Final = "this is no URL that can be sent: check the address"
NO_NAME: Final = "the host cannot be a DNS name: each part between two dots has 1 to 63 characters; check the address"


def permanent_cause(error: BaseException) -> str:
    """Return the cause and the fix of a permanent fault, in one sentence; empty if the fault may pass.

    >>> permanent_cause(ConnectionRefusedError(111, "Connection refused"))
    ''
    """
    match error:
        case aiohttp.ClientHttpProxyError():
            return proxy_refusal(error.status)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return NO_URL
        case UnicodeError():  # Python's IDNA codec, before DNS is asked
            return NO_NAME
        case aiohttp.ServerFingerprintMismatch():
            return _BAD_CERTIFICATE.format(host=one_line(error.host), reason="not the pinned one")
        case OSError():
            return _of_connecting(error)
        case _:
            return ""


def _of_connecting(error: OSError) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _of_certificate(error.certificate_error, error.host)
        case aiohttp.ClientSSLError():
            return _of_handshake(error.os_error, error.host)
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():  # its number is getaddrinfo's, not an errno
            return ""
        case aiohttp.ClientConnectorError():  # a proxy's too: it holds the fault of the connection
            return _of_connecting(error.os_error)
        case ssl.SSLError():  # its number is OpenSSL's, not an errno
            return _of_handshake(error, "the host")
        case _:
            return _ERRNOS.get(error.errno or 0, "")


def proxy_refusal(status: int) -> str:
    """Return the cause and the fix for a proxy that answers with this status; empty if the fault may pass."""
    if status == 407:
        return (
            "the proxy refuses the user name or password (HTTP 407): correct them in the variable that names the proxy "
            "($https_proxy, $http_proxy or $all_proxy)"
        )
    if status in _PROXY_MAY_PASS or (status >= 500 and status not in _PROXY_CANNOT):
        return ""
    return f"the proxy refuses to connect to this host (HTTP {status}): ask its owner, or name another proxy"


def _of_certificate(error: BaseException, host: str) -> str:
    code, reason = getattr(error, "verify_code", 0), getattr(error, "verify_message", "") or type(error).__name__
    return _CERTIFICATES.get(code, _BAD_CERTIFICATE).format(host=one_line(host), reason=one_line(reason))


def _of_handshake(error: OSError, host: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, host)
    reason = str(getattr(error, "reason", ""))
    return _HANDSHAKES.get(reason, "").format(host=one_line(host), reason=reason)
