"""Public hosts: by the peer of an answer, by name through a proxy, and by public addresses alone."""

import socket

import aiohttp
import pytest
from aiohttp.abc import ResolveResult
from yarl import URL

from mps_aigc_async.network.public_hosts import LeadsInside, PeerResponse, PublicResolver, came_from_outside

PROXY = "http://proxy.example:3128"


def answer_of(peer: str | None) -> PeerResponse:
    response = PeerResponse.__new__(PeerResponse)
    response.peer = peer
    return response


@pytest.mark.parametrize(
    ("peer", "host", "proxy", "is_public"),
    [
        ("43.152.0.1", "results.example", None, True),
        ("10.0.0.1", "results.example", None, False),
        ("127.0.0.1", "localhost", None, False),
        (None, "results.example", None, True),
        (None, "10.0.0.1", None, False),
        ("10.0.0.1", "results.example", PROXY, True),  # the peer is the proxy
        ("43.152.0.1", "localhost", PROXY, False),
    ],
)
def test_an_answer_came_from_outside(peer: str | None, host: str, proxy: str | None, is_public: bool) -> None:
    assert came_from_outside(answer_of(peer), URL(f"http://{host}/a.png"), proxy) is is_public


def result_of(address: str) -> ResolveResult:
    return {"hostname": "a", "host": address, "port": 80, "family": socket.AF_INET, "proto": 0, "flags": 0}


@pytest.mark.parametrize(
    ("addresses", "public"),
    [
        (["43.152.0.1"], ["43.152.0.1"]),
        (["10.0.0.1", "43.152.0.1", "::1", "2001:4860:4860::8888"], ["43.152.0.1", "2001:4860:4860::8888"]),
        (["10.0.0.1", "169.254.169.254"], []),
        ([], []),
    ],
)
async def test_a_name_has_its_public_addresses_alone(
    addresses: list[str], public: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object) -> list[ResolveResult]:
        return [result_of(address) for address in addresses]

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", resolve)
    resolver = PublicResolver()
    if public:
        assert [result["host"] for result in await resolver.resolve("a")] == public
    else:
        with pytest.raises(LeadsInside):
            await resolver.resolve("a")
    await resolver.close()
