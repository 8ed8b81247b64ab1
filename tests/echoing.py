"""A service that quotes each request's headers and body in its answers, over a real socket: the tests' own, so that it
shares no assumption with the client."""

import asyncio
import html
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

KEY: Final = "sk-THE/KEY+of=the_test-0123456789"
TOKEN: Final = "THE-SESSION-TOKEN-OF-THE-TEST"
SECRET_ID: Final = "AKIDOFTHEECHOINGTEST"
PROMPT: Final = "a prompt that is nobody's business"

BACKENDS: Final = ("mps", "vod", "relay")

QUOTATIONS: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": lambda text: text,
    "json": json.dumps,
    "twice in json": lambda text: json.dumps(json.dumps({"echo": text})),
    "percent": lambda text: quote(text, safe=""),
    "html": lambda text: f"<pre>{html.escape(text)}</pre>",
    "base64": lambda text: b64encode(text.encode()).decode(),
    "upper case": str.upper,
    "wrapped": lambda text: "\r\n".join(text[at : at + 20] for at in range(0, len(text), 20)),
    "broken": "\u200b\x00".join,
    "unicode escapes": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "in colour": lambda text: f"\x1b]0;{text}\x07\x1b[31m\u202e{text}",
}

PLACES: Final = (
    "code", "message", "request id", "task id", "unreadable task id", "page", "header", "error behind 500",
    "word", "reason", "poll's request id", "poll's page",
)  # fmt: skip
"""Where an answer quotes: the first line's are creates', the second's are polls'."""


@dataclass
class Echo:
    """Answers with a quotation of the request in one place."""

    backend: str
    place: str
    quotation: str = "plain"
    signatures: list[str] = field(default_factory=list, repr=False)
    polls: int = 0
    creates: int = 0

    def answer(self, head: str, body: str) -> tuple[int, dict[str, str], Any]:
        self.signatures += re.findall(r"Signature=([0-9a-f]{64})", head)
        told = QUOTATIONS[self.quotation](head + body)
        is_poll = "x-tc-action: describe" in head.lower() or head.startswith("GET")
        return self._poll(told) if is_poll else self._create(told)

    def _create(self, told: str) -> tuple[int, dict[str, str], Any]:
        self.creates += 1
        good = {"TaskId": "4-1", "RequestId": "r-1"}
        match self.place:
            case "code":
                return 200, {}, self._refusal(told, "odd", "r-1")
            case "message":
                return 200, {}, self._refusal("InvalidParameterValue", told, "r-1")
            case "request id":
                return 200, {}, self._refusal("InvalidParameterValue", "odd", told)
            case "task id":
                return 200, {}, {"Response": {**good, "TaskId": told}}
            case "unreadable task id":
                return 200, {}, {"Response": {**good, "TaskId": [told]}}
            case "page":
                return 502, {"Content-Type": "text/html"}, told
            case "error behind 500":
                return 500, {}, {"error": {"message": told, "code": "odd"}}
            case "header":
                headers = {"X-Echo": quote(told), "Retry-After": quote(told), "Location": quote(told)}
                return 302, headers, self._refusal("InvalidParameterValue", "odd", "r-1")
            case _:
                return 200, {}, {"Response": good}

    def _refusal(self, code: str, message: str, request_id: str) -> Any:  # noqa: ANN401 — JSON
        if self.backend == "relay" and request_id == "r-1":
            return {"error": {"code": code, "message": message, "type": "invalid_request_error"}}
        return {"Response": {"Error": {"Code": code, "Message": message}, "RequestId": request_id}}

    def _poll(self, told: str) -> tuple[int, dict[str, str], Any]:
        self.polls += 1
        if self.place == "poll's page" and self.polls == 1:
            return 502, {}, told
        word = told if self.place == "word" and self.polls == 1 else ""
        reason = told if self.place == "reason" else "failed"
        request_id = told if self.place == "poll's request id" else "r-2"
        if self.backend == "mps":
            return 200, {}, {"Response": {"Status": word or "FAIL", "Message": reason, "RequestId": request_id}}
        task = {"Status": "FINISH", "ErrCode": 70000, "ErrCodeExt": "Failed", "Message": reason}
        return (
            200,
            {},
            {
                "Response": {
                    "TaskType": "AigcImageTask",
                    "Status": word or "FINISH",
                    "AigcImageTask": task,
                    "RequestId": request_id,
                }
            },
        )


@asynccontextmanager
async def serving(echo: Echo) -> AsyncIterator[str]:
    """The base URL of a running one."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            body = (await reader.readexactly(int(length[1]) if length else 0)).decode()
            status, headers, answer = echo.answer(head, body)
            payload = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(payload)}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=1 << 20)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
