"""The services of several accounts behind one address: each has its own keys, limits, tasks, counts and faults."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from .service import Service

_SIGNER: Final = re.compile(r"Credential=([\w-]+)/", re.ASCII)


class Accounts:
    """The services by account. A call belongs to the account whose key signed it, or to the first one."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services: Final = tuple(services)
        self._by_key = {service.settings.secret_id: service for service in self._services}
        self._by_token = {f"Bearer {service.settings.relay_key}": service for service in self._services}

    def __repr__(self) -> str:
        return f"Accounts({list(self._by_key)})"

    def of(self, secret_id: str) -> Service:
        """The services of the account with this SecretId."""
        return self._by_key[secret_id]

    def place_results(self, base_url: str) -> None:
        """Tell each account the URL of its results: the first one's is `base_url` itself."""
        for number, service in enumerate(self._services):
            service.storage.base_url = f"{base_url}/account-{number}" if number else base_url

    def of_call(self, headers: Mapping[str, str]) -> Service:
        """The services that a call is for. `headers` find a name in any case, or have it in lower case."""
        signature = headers.get("authorization", headers.get("Authorization", ""))
        signer = _SIGNER.search(signature)
        owner = self._by_token.get(signature) if signer is None else self._by_key.get(signer[1])
        return owner or self._services[0]

    def of_result(self, url: str) -> Service | None:
        """The services whose storage has a URL; None for a URL of another server."""
        owners = (one for one in reversed(self._services) if url.startswith(f"{one.storage.base_url}/"))
        return next(owners, None)
