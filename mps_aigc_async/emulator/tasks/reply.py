"""An answer as a value: what to send, and what the shell must do to the connection instead or before."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from .faults import Fault
from .orders import VideoOrder

HTML = "text/html; charset=utf-8"
XML = "application/xml"


class Conduct(Enum):
    ANSWER = "send the answer"
    RESET = "reset the connection; no answer"
    HANG = "never answer, and keep the connection open"


@dataclass(frozen=True, slots=True)
class Frames:
    """Images that a video task needs: `order.first_url` and `order.last_url`, of which one may be empty. Whoever
    fetches them tells `Service.frames_ready` or `frames_failed`."""

    task_id: str
    order: VideoOrder


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    conduct: Conduct = Conduct.ANSWER
    delay: float = 0.0
    """Seconds to wait before any of it."""
    frames: Frames | None = None
    """To be fetched from now on, whatever becomes of the answer."""
    reason: str | None = None
    """The status line's words; None for the usual ones."""


def page(status: int, title: str) -> Reply:
    """An HTML page: what a gateway or a captive portal answers in the service's place."""
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, {"Content-Type": HTML}, body.encode())


def not_rendered(why: str) -> Reply:
    """The answer to a GET of a result that cannot be rendered. Its status line tells why: a client shows that line."""
    return Reply(501, {"Content-Type": "text/plain; charset=utf-8"}, f"{why}\n".encode(), reason=why)


def storage_error(status: int, code: str, message: str) -> Reply:
    """An error as COS words it: https://www.tencentcloud.com/document/product/436/7730."""
    body = f"<?xml version='1.0' encoding='utf-8' ?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, {"Content-Type": XML}, body.encode())


def conduct_of(fault: Fault) -> Conduct:
    """What a fault does to the connection, whatever the answer would have been."""
    match fault.fault:
        case "reset_before" | "reset_after":
            return Conduct.RESET
        case "hang":
            return Conduct.HANG
        case "error" | "http_status" | "not_json" | "delay" | "fail_later":
            return Conduct.ANSWER
