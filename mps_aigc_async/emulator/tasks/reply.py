"""An answer as a value: the bytes to send, and the shell's action on the connection before them or in their place."""

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
    """Images that a video task needs: `order.first_url` and `order.last_url`; one of them may be empty. Report their
    fetch by `Service.frames_ready` or `frames_failed`."""

    task_id: str
    order: VideoOrder


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    conduct: Conduct = Conduct.ANSWER
    delay: float = 0.0
    """Seconds to wait before the answer."""
    frames: Frames | None = None
    """Images to fetch from now on, even if the answer is not sent."""
    reason: str | None = None
    """The status line's words; None for the usual ones."""


def page(status: int, title: str) -> Reply:
    """An HTML page, as from a gateway or a captive portal in the service's place."""
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, {"Content-Type": HTML}, body.encode())


def not_rendered(why: str) -> Reply:
    """The answer to a GET of a result that cannot be rendered. Its status line has the reason, for clients to show."""
    return Reply(501, {"Content-Type": "text/plain; charset=utf-8"}, f"{why}\n".encode(), reason=why)


def storage_error(status: int, code: str, message: str) -> Reply:
    """An error in COS's form: https://www.tencentcloud.com/document/product/436/7730."""
    body = f"<?xml version='1.0' encoding='utf-8' ?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, {"Content-Type": XML}, body.encode())


def conduct_of(fault: Fault) -> Conduct:
    """The effect of a fault on the connection."""
    match fault.fault:
        case "reset_before" | "reset_after":
            return Conduct.RESET
        case "hang":
            return Conduct.HANG
        case "error" | "http_status" | "not_json" | "delay" | "fail_later":
            return Conduct.ANSWER
