"""Certificates of the tests' own, each with its key: `localhost.pem` is good, the others have one fault each.

Made by OpenSSL 3.0 with `openssl ca -selfsign -startdate … -enddate …`: they keep their faults until 2120.
"""

import ssl
from pathlib import Path
from typing import Final

import aiohttp.connector
import pytest

HERE: Final = Path(__file__).parent
GOOD: Final = HERE / "localhost.pem"
EXPIRED: Final = HERE / "certificate_expired.pem"
NOT_YET_VALID: Final = HERE / "certificate_not_yet_valid.pem"
OF_ANOTHER_HOST: Final = HERE / "certificate_of_another_host.pem"


def serving(certificate: Path) -> ssl.SSLContext:
    """The context of a server that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def trust(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> ssl.SSLContext:
    """Have aiohttp trust the authority of this certificate, and no other, during a test."""
    context = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)
    return context
