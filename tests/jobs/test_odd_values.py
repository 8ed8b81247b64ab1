"""A service whose values are no usable text: half characters, control characters, 10 kB. It is the tests' own, behind a
socket.

Each answer is of an accepted, paid task: nothing raw is raised, nothing is created twice, and its id is told.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from mps_aigc_async import (
    AigcClient,
    AigcError,
    Attach,
    Config,
    CreateOutcomeUnknown,
    DownloadError,
    ImageRequest,
    JobState,
    RetryPolicy,
    TaskFailed,
    report,
)

from ..hostile import ATTACK, STEERS
from ..listening import listening

BACKENDS: Final = ("mps", "vod", "relay")

ODD_IDS: Final = {
    "half a character": "4-Aigc-\ud800-1",
    "line break": "4-Aigc\r\nX-Evil: 1",
    "control": "4-Aigc\x00\x9b31m",
    "hidden": "4-Aigc\u200b\u202e1",
    "10 kB": "4-Aigc-" + "x" * 10_000,
}
USUAL_ID: Final = "4-AigcImage-0123"


@dataclass
class OddService:
    """Accepts every create with a TaskId of this form, and answers each poll with these fields."""

    backend: str
    task_id: str = USUAL_ID
    request_id: str = "r-1"
    ended: dict[str, Any] = field(default_factory=dict)
    bodies: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def creates(self) -> int:
        return sum(head.startswith("POST") and "Describe" not in head for head, _ in self.bodies)

    def answer(self, head: str, body: Any) -> Any:  # noqa: ANN401 — JSON
        self.bodies.append((head, body))
        if head.startswith("POST") and "x-tc-action: describe" not in head.lower():
            return {"Response": {"TaskId": self.task_id, "RequestId": self.request_id}}
        if self.backend == "mps":
            good = {"Status": "DONE", "RequestId": self.request_id, "ImageUrls": ["http://h/1"]}
            return {"Response": good | self.ended}
        urls = self.ended.get("ImageUrls", ["http://h/1"])
        output = {"FileInfos": [{"FileUrl": url, "StorageMode": "Temporary"} for url in urls]}
        task = {"Status": "FINISH", "ErrCode": 0, "Message": self.ended.get("Message", ""), "Output": output}
        if self.ended.get("Status") == "FAIL":
            task |= {"ErrCode": 70000, "ErrCodeExt": self.ended["Message"], "Output": {}}
        return {
            "Response": {
                "TaskType": "AigcImageTask",
                "Status": "FINISH",
                "AigcImageTask": task,
                "RequestId": self.request_id,
            }
        }


@asynccontextmanager
async def serving(service: OddService) -> AsyncIterator[str]:
    """The base URL of the running service."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1]) if length else 0)
        payload = json.dumps(service.answer(head, json.loads(body) if body else None)).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + payload)
        await writer.drain()

    async with listening(talk) as url:
        yield str(url)


@asynccontextmanager
async def client_at(service: OddService, ledger: Path, url: str = "") -> AsyncIterator[AigcClient]:
    """An open client of the service: of one that is started for it, or of the running one."""
    async with AsyncExitStack() as stack:
        url = url or await stack.enter_async_context(serving(service))
        config = Config.parse(
            {
                "backend": service.backend,
                "tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": url},
                "relay": {"baseUrl": url, "apiKey": "relay-key-0123"},
                "concurrency": {"pollIntervalMs": 100},
                "timeouts": {"saveSeconds": 0.1},
            }
        )
        retry = RetryPolicy(attempts=2, base_s=0.001)
        yield await stack.enter_async_context(AigcClient(config, ledger=ledger, retry=retry))


REQUEST: Final = ImageRequest(id="cat", prompt="a cat", model_name="Hunyuan", model_version="3.0")


@pytest.mark.usefixtures("list_is_looked_at_once")
@pytest.mark.parametrize("odd", ODD_IDS)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_paid_task_whose_id_cannot_be_used_is_unknown_and_its_id_is_told(
    backend: str, odd: str, tmp_path: Path
) -> None:
    service = OddService(backend, ODD_IDS[odd])
    async with client_at(service, tmp_path / "ledger.db") as client:
        for _ in range(2):
            with pytest.raises(CreateOutcomeUnknown) as raised:
                await client.generate(REQUEST)
        told = str(raised.value)
        assert repr(ODD_IDS[odd])[:150].rstrip("'") in told
        assert not STEERS.search(told)
        assert service.creates == 1
        (unknown,) = await client.unknown()
        assert unknown.state is JobState.UNKNOWN
        # The user finds it in the console, under an id that can be sent.
        settled = await client.settle(unknown.job_id, Attach(USUAL_ID))
        assert settled.state is JobState.SUBMITTED
        result = await client.generate(REQUEST)
        assert result.urls == ("http://h/1",)
        assert service.creates == 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("text", ["\ud800", ATTACK, "x" * 10_000, "a\r\nb"])
async def test_odd_request_ids_and_messages_cost_no_task(backend: str, text: str, tmp_path: Path) -> None:
    service = OddService(backend, request_id=text, ended={"Status": "FAIL", "Message": f"refused {text}"})
    async with client_at(service, tmp_path / "ledger.db") as client:
        with pytest.raises(TaskFailed) as raised:
            await client.generate(REQUEST)
        assert "refused" in str(raised.value)
        assert not STEERS.search(f"{raised.value} {raised.value.message} {raised.value.request_id}")
        assert service.creates == 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "url", ["http://h/\ud800.png", f"http://h/{ATTACK}", "http://user:s3cr3t@h/1", "http://h/a\r\nb", "http://[::1/"]
)
async def test_a_url_that_cannot_be_fetched_is_kept_and_told_by_no_raw_error(
    backend: str, url: str, tmp_path: Path
) -> None:
    service = OddService(backend, ended={"ImageUrls": [url]})
    ledger = tmp_path / "ledger.db"
    async with serving(service) as base:
        async with client_at(service, ledger, base) as client:
            with pytest.raises(DownloadError) as raised:
                await client.generate(REQUEST, save_to=tmp_path / "made")
            assert not STEERS.search(str(raised.value))
            assert "s3cr3t" not in f"{raised.value} {raised.value!r} {vars(raised.value)}"
        async with client_at(service, ledger, base) as client:  # from the disk
            assert (await client.generate(REQUEST)).urls == (url,)  # the user may know how to fetch it
    assert service.creates == 1
    await asyncio.to_thread(report.write, tmp_path)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_half_a_character_in_a_request_is_refused_before_it_is_sent(backend: str, tmp_path: Path) -> None:
    usual: dict[str, Any] = {"prompt": "a", "model_name": "Hunyuan", "model_version": "3.0"}
    service = OddService(backend)
    async with client_at(service, tmp_path / "ledger.db") as client:
        for fields in (
            {"prompt": "a \ud83c"},
            {"id": "a\ud83c"},
            {"images": ("\udcff.png",)},
            {"images": (Path("\udcff.png"),)},
            {"images": ("https://h/\ud83c",)},
            {"model_name": "H\ud83c"},
            {"vod": {"session_context": "\ud83c"}},
            {"store": {"bucket": "b", "region": "r", "path": "\ud83c"}},
            {"additional_parameters": {"\ud83c": 1}},
            {"negative_prompt": "\udcff"},
        ):
            with pytest.raises(AigcError, match=r"surrogate|unicode string") as raised:
                await client.generate(ImageRequest(**usual | fields))
            str(raised.value).encode()
        assert service.bodies == []
