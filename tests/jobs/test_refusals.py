"""Refusals by their meaning, over real sockets: how many creates are sent, and what becomes of the jobs.

The server is these tests' own: it reads a request and sends what the test says, byte for byte.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mps_aigc_async import (
    AccountError,
    AigcClient,
    AigcError,
    Config,
    ConfigError,
    CreateOutcomeUnknown,
    ImageRequest,
    JobState,
    RetryPolicy,
    ServiceError,
)

QUICK = RetryPolicy(attempts=3, seconds=5.0, base_s=0.001, cap_s=0.001, busy_seconds=0.05)
SECRET = "a-signature-nobody-may-see"


@dataclass(frozen=True)
class Request:
    """One request, as it came."""

    path: str
    action: str
    body: dict[str, object]

    @property
    def creates(self) -> bool:
        return self.action.startswith("Create") or "/aigc-" in self.path

    @property
    def prompt(self) -> str:
        return str(self.body.get("Prompt") or self.body.get("prompt"))

    @property
    def session(self) -> str:
        return str(self.body.get("SessionId") or self.body.get("session_id") or "")


@dataclass(frozen=True)
class Reply:
    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        content = self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} Said", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + content


class Served:
    """A server that answers each request by a function, and counts."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self.url = ""

    @property
    def creates(self) -> list[Request]:
        return [request for request in self.requests if request.creates]

    @property
    def polls(self) -> list[Request]:
        return [request for request in self.requests if not request.creates]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                action = next(
                    (line[13:] for line in head.split("\r\n") if line.lower().startswith("x-tc-action: ")), ""
                )
                request = Request(head.split(" ")[1], action, json.loads(body) if body else {})
                self.requests.append(request)
                writer.write(self._answer(request).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Callable[[Request], Reply]) -> AsyncIterator[Served]:
    served = Served(answer)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        served.url = f"http://{host}:{port}"
        yield served


@asynccontextmanager
async def client_on(
    served: Served, backend: str, ledger: Path | None = None, tasks: int = 1
) -> AsyncIterator[AigcClient]:
    config = Config.parse(
        {
            "backend": backend,
            "tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": served.url},
            "relay": {"baseUrl": served.url, "apiKey": "RELAYEXAMPLE"},
            "mps": {"imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"}},
            "concurrency": {"maxImageTasks": tasks, "pollIntervalMs": 100},
            "limits": {"CreateAigcImageTask": 500},
            "catalog": "off",
        }
    )
    async with asyncio.timeout(30), AigcClient(config, ledger=ledger, retry=QUICK) as client:
        yield client


async def batch(client: AigcClient, number: int = 20) -> tuple[list[AigcError | None], AigcError | None]:
    """Run images. The errors of those that were begun, and what ended the batch."""
    errors: list[AigcError | None] = []
    run = client.run([ImageRequest(id=f"shot-{n}", prompt=f"picture {n}") for n in range(number)])
    try:
        async for outcome in run:
            errors.append(outcome.error)  # noqa: PERF401 — kept although the iteration raises
    except AigcError as error:
        return errors, error
    return errors, None


def refused(code: str, message: str = "why") -> Reply:
    return Reply({"Response": {"Error": {"Code": code, "Message": message}, "RequestId": "r-1"}})


def accepted(task_id: str) -> Reply:
    return Reply({"Response": {"TaskId": task_id, "RequestId": "r-1"}})


def finished(request: Request) -> Reply:
    """The answer to a poll, in the words of the service that was asked."""
    if request.action == "DescribeAigcImageTask":
        return Reply({"Response": {"Status": "DONE", "ImageUrls": ["https://result.example/1.png"], "RequestId": "r"}})
    task = {
        "Status": "FINISH",
        "ErrCode": 0,
        "Output": {"FileInfos": [{"FileUrl": "https://result.example/1.png"}]},
    }
    return Reply({"Response": {"TaskType": "AigcImageTask", "Status": "FINISH", "AigcImageTask": task}})


# --- refusals of the account ------------------------------------------------------------------------------------------

OF_THE_ACCOUNT = [
    ("mps", "ResourceNotFound.CosBucketNotExist"),
    ("mps", "ResourceNotFound.CosBucketNameInvalid"),
    ("mps", "FailedOperation.CosStatusInavlid"),
    ("mps", "FailedOperation.InvalidUser"),
    ("mps", "ResourceNotFound.UserUnregister"),
    ("mps", "InvalidParameterValue.UserUnRegister"),
    ("vod", "LimitExceeded.Quota"),
    ("vod", "FailedOperation.InvalidAccount"),
    ("vod", "FailedOperation.UserStatusInavlid"),
    ("vod", "FailedOperation.NoPrivileges"),
    ("vod", "ResourceNotFound.ServiceNotExist"),
    ("relay", "LimitExceeded.Quota"),
    ("relay", "FailedOperation.InvalidAccount"),
]


@pytest.mark.parametrize(("backend", "code"), OF_THE_ACCOUNT)
async def test_a_refusal_of_the_account_stops_creating_once(backend: str, code: str) -> None:
    async with serving(lambda _: refused(code)) as served, client_on(served, backend) as client:
        errors, ended_by = await batch(client)

        assert isinstance(ended_by, AccountError)
        assert ended_by.code == code
        assert all(isinstance(error, AccountError) for error in errors)
        assert len(served.creates) == 1
        assert set(await client.counts()) == {JobState.PLANNED}, "none is failed, and none is unknown"


@pytest.mark.parametrize("backend", ["mps", "vod"])
async def test_a_refusal_of_the_account_stops_creating_after_those_under_way(backend: str) -> None:
    async with (
        serving(
            lambda _: refused("FailedOperation.InvalidUser" if backend == "mps" else "LimitExceeded.Quota")
        ) as served,
        client_on(served, backend, tasks=5) as client,
    ):
        _, ended_by = await batch(client)

        assert isinstance(ended_by, AccountError)
        assert len(served.creates) <= 5


@pytest.mark.parametrize(
    ("backend", "code"),
    [
        ("mps", "ResourceNotFound.DownloadError"),
        ("mps", "InvalidParameter.ModelNotSupported"),
        ("mps", "FailedOperation.SomethingNew"),
        ("mps", "SomethingNew"),
        ("vod", "FailedOperation"),
        ("vod", "ResourceNotFound.FileNotExist"),
        ("relay", "FailedOperation.TaskDuplicate"),
    ],
)
async def test_a_refusal_of_one_job_fails_it_with_its_code_and_the_batch_goes_on(backend: str, code: str) -> None:
    def answer(request: Request) -> Reply:
        if not request.creates:
            return finished(request)
        return refused(code) if request.prompt == "picture 1" else accepted(f"task of {request.prompt}")

    async with serving(answer) as served, client_on(served, backend) as client:
        errors, ended_by = await batch(client, 3)

        assert ended_by is None
        assert [error.code for error in errors if isinstance(error, ServiceError)] == [code]
        assert len(served.creates) == 3
        assert (await client.counts())[JobState.FAILED] == 1


# --- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_of_a_create_is_an_error_of_the_configuration_told_once(
    backend: str, status: int, tmp_path: Path
) -> None:
    to = {"Location": f"https://user:{SECRET}@elsewhere.example:8443/login?token={SECRET}"}
    async with (
        serving(lambda _: Reply("<html>moved</html>", status, to)) as served,
        client_on(served, backend, tmp_path / "ledger.db") as client,
    ):
        _, ended_by = await batch(client)

        assert isinstance(ended_by, ConfigError)
        assert isinstance(ended_by, AccountError), "creating stops, and polls go on"
        assert "https://elsewhere.example:8443" in str(ended_by)
        assert ("relay.baseUrl" if backend == "relay" else "tencentCloud.endpoint") in str(ended_by)
        assert SECRET not in f"{ended_by!s} {ended_by!r} {vars(ended_by)}"
        assert len(served.requests) == 1, "it is not followed, and nothing else is sent"
        assert set(await client.counts()) == {JobState.PLANNED}


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
async def test_a_create_answered_by_see_other_may_have_been_accepted_and_stops_creating_all_the_same(
    backend: str, tmp_path: Path
) -> None:
    """RFC 9110: 303 answers a request that was processed."""
    to = {"Location": "https://elsewhere.example/login"}
    async with (
        serving(lambda _: Reply("", 303, to)) as served,
        client_on(served, backend, tmp_path / "ledger.db", tasks=2) as client,
    ):
        with pytest.raises(CreateOutcomeUnknown, match=r"elsewhere\.example"):
            await client.generate(ImageRequest(id="first", prompt="a lake"))
        with pytest.raises(ConfigError, match=r"elsewhere\.example"):
            await client.generate(ImageRequest(id="second", prompt="a hill"))

        assert len(served.requests) == 1
        assert await client.counts() == {JobState.UNKNOWN: 1, JobState.PLANNED: 1}


@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
async def test_a_redirect_of_a_poll_is_told_and_the_task_is_polled_on(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    polls = 0

    def answer(request: Request) -> Reply:
        nonlocal polls
        if request.creates:
            return accepted("t-1")
        polls += 1
        return finished(request) if polls > 2 else Reply("", 302, {"Location": f"//elsewhere.example/?s={SECRET}"})

    with caplog.at_level(logging.WARNING):
        async with serving(answer) as served, client_on(served, backend) as client:
            assert (await client.generate(ImageRequest(prompt="a lake"))).task_id == "t-1"
    told = [record.getMessage() for record in caplog.records if "redirects to" in record.getMessage()]
    assert len(told) == 1
    assert "elsewhere.example" in told[0]
    assert SECRET not in caplog.text


# --- answers that tell nothing certain --------------------------------------------------------------------------------

UNCERTAIN = [408, 409, 425, 499, 500, 502, 503, 504]
CODES = ["AuthFailure.SignatureExpire", "FailedOperation.UserArrears", "InvalidParameterValue", "RequestLimitExceeded"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("status", UNCERTAIN)
async def test_an_uncertain_status_leaves_a_create_unknown_whatever_its_body_says(
    status: int, code: str, tmp_path: Path
) -> None:
    """Also a code of the table: a gateway may have kept it from another answer, and the next run must not pay twice."""
    reply = Reply({"Response": {"Error": {"Code": code, "Message": "why"}, "RequestId": "r-1"}}, status)
    async with serving(lambda _: reply) as served:
        for _ in range(2):
            async with client_on(served, "mps", tmp_path / "ledger.db") as client:
                with pytest.raises(CreateOutcomeUnknown, match=f"HTTP {status}"):
                    await client.generate(ImageRequest(id="shot", prompt="a lake"))
        assert len(served.creates) == 1


class Sessions:
    """A service that makes a task of each session once, and refuses the second create of it."""

    def __init__(self, answer: Callable[[], Reply], *, spoilt: int) -> None:
        self.tasks: Counter[str] = Counter()
        self._sessions: set[str] = set()
        self._answer = answer
        self._spoilt = spoilt

    def __call__(self, request: Request) -> Reply:
        if not request.creates:
            return finished(request)
        if request.session in self._sessions:
            return refused("InvalidParameterValue.SessionId")
        self._sessions.add(request.session)
        self.tasks[request.prompt] += 1
        self._spoilt -= 1
        return self._answer() if self._spoilt >= 0 else accepted(f"task of {request.prompt}")


@pytest.mark.usefixtures("list_is_looked_at_once")
@pytest.mark.parametrize("backend", ["vod", "relay"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply("<html>504 Gateway Time-out</html>", 504),
        Reply({"error": {"message": "why", "type": "new_api_error", "code": "update_quota_failed"}}, 500),
        Reply({"code": "insufficient_user_quota", "message": "why", "data": None}, 502),
        Reply({"error": {"code": "invalid_api_key", "message": "why"}}, 409),
        Reply({"Response": {"Error": {"Code": "AuthFailure.SignatureExpire", "Message": "why"}}}, 500),
        Reply({"Response": {"Error": {"Code": "LimitExceeded.Quota", "Message": "why"}}}, 503),
        Reply("Request Timeout", 408),
    ],
    ids=lambda reply: f"{reply.status} {str(reply.body)[:40]}",
)
async def test_a_create_whose_answer_was_spoilt_after_it_was_made_is_made_once(
    backend: str, reply: Reply, tmp_path: Path
) -> None:
    service = Sessions(lambda: reply, spoilt=1)
    async with serving(service) as served:
        for _ in range(2):
            async with client_on(served, backend, tmp_path / "ledger.db", tasks=5) as client:
                errors, _ = await batch(client, 3)
                assert [type(error) for error in errors if error is not None] == [CreateOutcomeUnknown]
                assert (await client.counts())[JobState.UNKNOWN] == 1
    assert service.tasks == {f"picture {n}": 1 for n in range(3)}


# --- answers that hold a TaskId ---------------------------------------------------------------------------------------

ACCEPTED: Iterable[tuple[str, Reply]] = [
    ("relay", Reply({"code": "success", "message": "", "data": {"task_id": "t-1"}})),
    ("relay", Reply({"code": 0, "message": "SUCCEED", "data": {"taskId": "t-1", "task_status": "submitted"}})),
    ("relay", Reply({"code": "success", "data": {"id": "t-1"}})),
    ("relay", Reply({"TaskId": "t-1"}, 201)),
    ("relay", Reply({"task_id": "t-1"}, 202)),
    ("relay", Reply({"code": "quota_warning", "message": "your balance is low", "data": {"task_id": "t-1"}})),
    ("relay", Reply({"code": "update_quota_failed", "message": "why", "data": {"task_id": "t-1"}}, 500)),
    ("relay", Reply({"Response": {"TaskId": "t-1", "Error": {"Code": "InternalError", "Message": "why"}}})),
    ("mps", Reply({"Response": {"TaskId": "t-1", "Error": {"Code": "InvalidParameter", "Message": "why"}}})),
    ("vod", Reply({"Response": {"TaskId": "t-1", "Error": {"Code": "LimitExceeded.Quota", "Message": "why"}}})),
    ("vod", Reply({"Response": {"TaskId": "t-1", "RequestId": "r-1"}}, 502)),
]


@pytest.mark.parametrize(("backend", "reply"), ACCEPTED, ids=lambda value: value if isinstance(value, str) else "")
async def test_an_answer_that_holds_a_task_id_is_accepted(backend: str, reply: Reply) -> None:
    async with serving(lambda request: reply if request.creates else finished(request)) as served:
        async with client_on(served, backend) as client:
            assert (await client.generate(ImageRequest(prompt="a lake"))).task_id == "t-1"
        assert len(served.creates) == 1


async def test_a_refusal_in_the_relays_own_words_behind_200_is_of_its_job() -> None:
    reply = Reply({"error": {"code": "invalid_model", "message": "there is no such model", "type": "new_api_error"}})
    async with serving(lambda _: reply) as served, client_on(served, "relay") as client:
        errors, ended_by = await batch(client, 2)
        assert ended_by is None
        assert [error.code for error in errors if isinstance(error, ServiceError)] == ["invalid_model"] * 2
        assert len(served.creates) == 2
        assert set(await client.counts()) == {JobState.FAILED}
