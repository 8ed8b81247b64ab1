"""Sessions for URLs beyond the API, which share nothing with its session: results, and the inputs of requests."""

import aiohttp

from .connections import QuietConnector, close_session
from .public_hosts import PeerResponse, PublicResolver
from .transport import Timeouts


class WebSessions:
    """Two sessions, each opened at its first use: for any host, and for public hosts alone."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._any_host: aiohttp.ClientSession | None = None
        self._public: aiohttp.ClientSession | None = None

    def get(self, *, public_only: bool = False) -> aiohttp.ClientSession:
        """Return the session for any host, or the session that connects to public hosts alone."""
        if public_only:
            self._public = self._public or self._session_of(QuietConnector(resolver=PublicResolver()))
            return self._public
        self._any_host = self._any_host or self._session_of(QuietConnector())  # a job must not get another job's image
        return self._any_host

    async def close(self) -> None:
        for session in (self._any_host, self._public):
            if session is not None:
                await close_session(session)

    def _session_of(self, connector: QuietConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            response_class=PeerResponse,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.read
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Content-Length then counts the bytes we write.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )
