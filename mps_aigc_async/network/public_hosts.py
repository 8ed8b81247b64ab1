"""Public hosts: whether an answer came from one, and a resolver that returns only public addresses.

A redirect from a public host must not lead into a private network.
"""

from socket import AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from .addresses import is_global, may_be_public
from .transport import ResultAnswer


class PeerResponse(aiohttp.ClientResponse):
    """An answer that remembers its peer: its connection may serve another request later."""

    peer: str | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        name = None if connection.transport is None else connection.transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else None
        return await super().start(connection)


class LeadsInside(OSError):
    """The host of a redirect has no public address."""


class PublicResolver(AbstractResolver):
    """Resolves names to their public addresses alone."""

    def __init__(self) -> None:
        self._resolver = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        addresses = await self._resolver.resolve(host, port, family)
        public = [address for address in addresses if is_global(address["host"])]
        if not public:
            raise LeadsInside
        return public

    async def close(self) -> None:
        await self._resolver.close()


def came_from_outside(response: ResultAnswer, url: URL, proxy: str | None) -> bool:
    """Whether a public host answered; through a proxy, judged by its name."""
    if proxy is None and isinstance(response, PeerResponse) and response.peer is not None:
        return is_global(response.peer)
    return may_be_public(url.host or "")
