"""Shared parts of several test files: a client on the emulator in memory, in virtual time."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mps_aigc_async import AigcClient, Config, RetryPolicy
from mps_aigc_async.credentials.official_sdk import AnyCredentials
from mps_aigc_async.emulator import Service, Settings
from mps_aigc_async.model.events import Event
from mps_aigc_async.network.transport import Transport
from mps_aigc_async.testing import InMemoryTransport, wall

KEYS = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": "http://127.0.0.1:80"}


def configured(
    images: int = 2,
    videos: int = 1,
    poll_ms: int = 5000,
    audios: int = 1,
    poll_strategy: str = "adaptive",
    **sections: Any,  # noqa: ANN401 — JSON
) -> Config:
    """A config for the emulator's keys, with caps and poll interval."""
    caps = {"maxImageTasks": images, "maxVideoTasks": videos, "maxAudioTasks": audios}
    polls = {"pollIntervalMs": poll_ms, "pollStrategy": poll_strategy}
    return Config.parse({"tencentCloud": KEYS, "concurrency": {**caps, **polls}, **sections})


def in_memory(**settings: Any) -> Service:  # noqa: ANN401 — handed through
    """The service without a socket; first frames are taken for granted."""
    return Service(Settings(fetch_frames=False, **settings))


@asynccontextmanager
async def client_of(
    service: Service,
    config: Config | None = None,
    *,
    ledger: Path | None = None,
    credentials: AnyCredentials | None = None,
    retry: RetryPolicy | None = None,
    latency_s: float = 0.02,
    transport: Callable[[], Transport] | None = None,
) -> AsyncIterator[AigcClient]:
    """An open client whose transport is the service itself. Use it inside `testing.run`."""
    service.storage.base_url = "http://127.0.0.1"  # as a URL is written: without its default port
    make = transport or (lambda: InMemoryTransport(service, wall, latency_s=latency_s))
    client = AigcClient(
        config or configured(), ledger=ledger, credentials=credentials, retry=retry, transport=make, wall=wall
    )
    async with client:
        yield client


class Heard:
    """Collects a client's events."""

    def __init__(self, client: AigcClient) -> None:
        self.events: list[Event] = []
        client.on_event(self.events.append)

    def names(self, job_id: str) -> list[str]:
        """The kinds of events of one job, in order, polls left out."""
        names = [type(event).__name__ for event in self.events if event.job_id == job_id]
        return [name for name in names if name != "Polled"]


def accepted(service: Service, action: str) -> int:
    """Count the creates that the service accepted, also those with an answer that says otherwise."""
    return sum(1 for arrival in service.arrivals if arrival.action == action and arrival.task_id is not None)


def statistics(service: Service) -> Mapping[str, int]:
    """Tasks created by kind."""
    return service.statistics(wall()).created
