"""Callers of the emulator for its own tests, in memory and over a socket. They sign with `wire.tc3`, which the
published vectors pin, and share nothing else with the client."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import aiohttp

from mps_aigc_async.emulator import Reply, Service, Settings
from mps_aigc_async.wire import tc3

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"
Fields: TypeAlias = Mapping[str, Json]

NOW = 1_700_000_000.0
KEYS = ("AKIDEXAMPLE", "KEYEXAMPLE")


VERSIONS = {"mps": "2019-06-12", "vod": "2018-07-17"}


def signed(action: str, body: bytes, now: float, host: str = "127.0.0.1:80", service: str = "mps") -> dict[str, str]:
    signing = {"content-type": "application/json", "host": host, "x-tc-action": action}
    authorization = tc3.Signer(service).authorization(*KEYS, int(now), signing, body)
    return {
        "Content-Type": "application/json",
        "Host": host,
        "X-TC-Action": action,
        "X-TC-Version": VERSIONS[service],
        "X-TC-Timestamp": str(int(now)),
        "Authorization": authorization,
    }


@dataclass
class InMemory:
    """Calls a Service without a socket; `now` is the test's to move."""

    service: Service = field(
        default_factory=lambda: Service(Settings(image_seconds=(60, 60), video_seconds=(180, 180)))
    )
    now: float = NOW
    api: str = "mps"

    def send(self, action: str, fields: Fields) -> Reply:
        body = json.dumps(fields).encode()
        return self.service.handle("POST", "/", signed(action, body, self.now, service=self.api), body, self.now)

    def call(self, action: str, fields: Fields) -> dict[str, Json]:
        """The inside of Response."""
        return response_of(self.send(action, fields))

    def create(self, fields: Fields | None = None, kind: str = "Image") -> str:
        return str(self.call(f"CreateAigc{kind}Task", fields or {"Prompt": "a lake"})["TaskId"])

    def describe(self, task_id: str, kind: str = "Image") -> dict[str, Json]:
        return self.call(f"DescribeAigc{kind}Task", {"TaskId": task_id})


@dataclass
class AtTheRelay:
    """Calls the relay's routes without a socket."""

    service: Service = field(default_factory=Service)
    now: float = NOW
    key: str = "RELAYEXAMPLE"

    def send(self, method: str, path: str, fields: Fields | None = None) -> Reply:
        body = b"" if fields is None else json.dumps(fields).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return self.service.handle(method, f"/tencent-vod/v1/{path}", headers, body, self.now)

    def create(self, kind: str = "image", **fields: Json) -> str:
        request = {"model_name": "GEM", "model_version": "3.0", "prompt": "a lake", **fields}
        return str(response_of(self.send("POST", f"aigc-{kind}", request))["TaskId"])

    def query(self, task_id: str) -> dict[str, Json]:
        return response_of(self.send("GET", f"query/{task_id}"))


def response_of(reply: Reply) -> dict[str, Json]:
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    envelope: dict[str, dict[str, Json]] = json.loads(reply.body)
    return envelope["Response"]


def code_of(response: Mapping[str, Json]) -> str | None:
    """The error's code; None for a success."""
    error = response.get("Error")
    return str(error["Code"]) if isinstance(error, Mapping) else None


async def call(
    session: aiohttp.ClientSession, url: str, action: str, fields: Fields, api: str = "mps"
) -> dict[str, Json]:
    """The inside of Response, over a socket."""
    body = json.dumps(fields).encode()
    headers = signed(action, body, time.time(), host=url.removeprefix("http://"), service=api)
    async with session.post(f"{url}/", data=body, headers=headers) as reply:
        envelope: dict[str, dict[str, Json]] = await reply.json()
        return envelope["Response"]


async def finished(session: aiohttp.ClientSession, url: str, kind: str, task_id: str) -> dict[str, Json]:
    """Polls until DONE or FAIL: an emulator at high speed takes tens of milliseconds."""
    while True:
        response = await call(session, url, f"DescribeAigc{kind}Task", {"TaskId": task_id})
        if response["Status"] in {"DONE", "FAIL"}:
            return response
        await pause()


async def pause() -> None:
    """Between two polls of a served task: the service answers 50 in a second."""
    await asyncio.sleep(0.02)
