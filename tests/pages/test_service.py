"""The web service of the page, served: an answer at once, events as they come, and a restart in the middle."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import BaseTestServer, TestServer

from mps_aigc_async.emulator import Emulator

from .blocks import blocks_of
from .folder import furnish

(SERVICE,) = (block for block in blocks_of("python") if "make_app" in block.text)


@pytest.fixture
def make_app() -> Callable[[], web.Application]:
    names: dict[str, object] = {"__name__": "service"}
    exec(compile(SERVICE.text, str(SERVICE), "exec"), names)  # noqa: S102 — the page's own code
    return cast("Callable[[], web.Application]", names["make_app"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def post(session: ClientSession, server: BaseTestServer, order: dict[str, str]) -> tuple[int, dict[str, Any]]:
    async with session.post(server.make_url("/images"), json=order) as answer:
        return answer.status, await answer.json()


async def events_of(session: ClientSession, server: BaseTestServer, order: str) -> list[str]:
    async with session.get(server.make_url(f"/images/{order}/events")) as answer:
        lines = (await answer.text()).split("\n\n")
    return [json.loads(line.removeprefix("data: "))["event"] for line in lines if line]


async def test_the_service_answers_at_once_and_survives_a_restart(
    make_app: Callable[[], web.Application], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Emulator(speed=100) as emulator:
        folder = furnish(here, emulator.url)
        for name, value in folder.environment.items():
            if name.startswith(("TENCENTCLOUD_", "MPS_AIGC_")):
                monkeypatch.setenv(name, value)
        async with ClientSession() as session:
            async with TestServer(make_app()) as server:
                orders = [{"id": f"order-{number}", "prompt": "a lake"} for number in range(6)]
                answers = await asyncio.gather(*(post(session, server, order) for order in orders))
                assert [(status, body["id"]) for status, body in answers] == [(202, order["id"]) for order in orders]
                status, body = await post(session, server, {"id": "order-7", "prompt": ""})
                assert (status, "prompt" in body["error"]) == (422, True)
                async with session.get(server.make_url("/images/order-99")) as answer:
                    assert answer.status == 404
            async with TestServer(make_app()) as server:  # restarted while its jobs are planned or run
                for order in orders:
                    heard = await events_of(session, server, order["id"])
                    assert heard[-1] == "End"
                async with session.get(server.make_url("/images/order-5")) as answer:
                    assert (await answer.json())["state"] == "saved"
        assert emulator.statistics().created["image"] == 6
    assert sorted(file.name for file in (here / "orders").iterdir()) == [f"order-{number}.png" for number in range(6)]
