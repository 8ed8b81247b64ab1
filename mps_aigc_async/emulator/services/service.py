"""The services behind one port, without I/O. The input is received bytes and the time; the output is an answer, and an
action on the connection.

The service uses no socket, clock or asyncio: the aiohttp shell calls it, and so do tests in virtual time.

    service = Service(Settings(speed=60))
    reply = service.handle("POST", "/", headers, body, now=1_700_000_000.0)

Three desks answer. The relay has paths of its own; MPS and VOD share `/`, and X-TC-Version selects one of them. The
service itself has their common parts: the faults, the log, the results.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from email.utils import formatdate
from random import Random
from typing import Final

from ..tasks.buckets import Buckets
from ..tasks.faults import COS, GATEWAY_STATUS, MEDIA, Fault, Faults
from ..tasks.orders import KINDS
from ..tasks.refusal import Refused
from ..tasks.reply import Reply, conduct_of, page
from ..tasks.storage import Piece, Storage
from ..tasks.window import Rates
from . import vod
from .actions import ACTIONS
from .cos import Cos, ObjectCall
from .cos_signature import CosRefused
from .equipment import Equipment
from .exchange import Answer, Desk, Envelopes, ServiceCall
from .mps import Mps
from .records import Arrival, CreatedTask, Records, Statistics
from .relay import Relay
from .settings import Settings
from .workshop import Workshop

_AFTER_THE_START: Final = frozenset({"reset_after", "hang", "delay"})
"""Faults of a download that has begun."""


class Service:
    """The services of one emulator. `faults` takes new faults at any time; `storage.base_url` is the URL of results,
    and `buckets.base_url` the URL of COS."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        limits = self.settings.limits or {}
        # A stream of draws for each purpose: one more poll or one fault less must not change a task's duration.
        ids = self._stream("ids")
        self.faults = Faults(self._stream("faults"), ACTIONS)
        self.storage = Storage(self._stream("storage").randbytes(32))
        self.buckets = Buckets(self.settings.buckets or {})
        self._workshop = Workshop(self.settings, self._stream("durations"))
        self._tasks = self._workshop.tasks
        self._frames: dict[str, tuple[bytes | Piece, bytes | Piece]] = {}
        rates = Rates({name: limits.get(name, action.per_second) for name, action in ACTIONS.items()})
        envelopes = Envelopes(self._stream("request ids"))
        equipment = Equipment(self.settings, self._workshop, self.storage, self.buckets, rates, envelopes, ids)
        self._mps = Mps(equipment)
        self._vod = vod.Vod(equipment)
        self._relay = Relay(equipment)
        self._cos = Cos(self.settings, self.buckets, self._workshop, self._stream("request ids of COS"))
        self._records = Records(self.settings.log_size)
        self._latest = 0.0
        self._date = (0, "")

    def __repr__(self) -> str:
        return f"Service({self.settings!r}, tasks={len(self._tasks)})"

    def _stream(self, purpose: str) -> Random:
        return Random(f"{self.settings.seed}/{purpose}")  # noqa: S311 - for reproducible runs

    # API calls

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float) -> Reply:
        """Answer one HTTP request that arrived, complete, at `now` (Unix seconds).

        Header names may be in any case. If `now` is before the latest arrival, the latest arrival's time counts:
        arrivals have an order.
        """
        now = self._latest = max(now, self._latest)
        self._workshop.move(now)
        call = ServiceCall(method, path, {name.lower(): value for name, value in headers.items()}, body, now)
        desk = self._desk(call)
        action = desk.name(call)
        fault = self.faults.draw(action)
        if fault is not None and not fault.accepts:
            code = fault.code if fault.fault == "error" else fault.fault
            self._records.add(Arrival(action, now, code, None, fault.fault))
            return self._spoil(fault, desk.error, desk.reply(Answer({})), now)
        fault_name = None if fault is None else fault.fault
        if fault is not None and fault.fault == "fail_later":
            call = replace(call, fails_with=fault.code)
        try:
            answer = desk.answer(call)
        except Refused as error:
            self._records.add(Arrival(action, now, error.code, None, fault_name))
            reply = desk.refusal(error)
        else:
            self._records.add(Arrival(action, now, None, answer.task_id, fault_name))
            reply = replace(desk.reply(answer), frames=answer.frames)
        return self._with_date(reply, now) if fault is None else self._spoil(fault, desk.error, reply, now)

    def _desk(self, call: ServiceCall) -> Desk:
        if self._relay.serves(call.path):
            return self._relay
        return self._vod if call.headers.get("x-tc-version") == vod.VERSION else self._mps

    def _spoil(self, fault: Fault, error: Callable[[Fault], Reply], reply: Reply, now: float) -> Reply:
        """The reply after the fault; `error` makes the service's own. An accepted task stays accepted: its frames are
        fetched all the same."""
        match fault.fault:
            case "error":
                outcome = error(fault)
            case "http_status":
                status = fault.status or GATEWAY_STATUS
                outcome = page(status, f"{status} from a gateway")
            case "not_json":
                outcome = page(200, "Welcome to the hotel's network")
            case "reset_before" | "reset_after" | "hang" | "delay" | "fail_later":
                outcome = reply
        outcome = replace(outcome, conduct=conduct_of(fault), delay=fault.seconds, frames=reply.frames)
        if fault.retry_after and fault.fault in ("error", "http_status", "not_json"):
            outcome = replace(outcome, headers={**outcome.headers, "Retry-After": fault.retry_after})
        return self._with_date(outcome, now)

    def _with_date(self, reply: Reply, now: float) -> Reply:
        second = int(now)
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return replace(reply, headers={**reply.headers, "Date": self._date[1]})

    def issue(self, secret_id: str, secret_key: str, token: str, until: float) -> None:
        """Accept temporary keys as well, before `until` (Unix seconds), as if STS had issued them."""
        for desk in (self._mps, self._vod):
            desk.judge.admit(secret_id, secret_key, token, until)
        self._cos.admit(secret_id, secret_key, token, until)

    # Reports and queries of the shell

    def frames_ready(self, task_id: str, now: float, first: bytes | Piece = b"", last: bytes | Piece = b"") -> None:
        """Report that the frames of `Reply.frames` have been fetched: the task ends when due, or now if that is past.

        `first` and `last` are the frames of the film (`Piece.first`); a film without them begins with a card.
        """
        self._workshop.move(now)
        self._workshop.frames_ready(task_id, now)
        if first or last:
            # Stored for good, about 20 KB for each fetched image: unlike a rendered one, it cannot be made again.
            self._frames[task_id] = (first, last)

    def frames_failed(self, task_id: str, reason: str, now: float) -> None:
        """Report that a fetch of frames failed: the task fails now, with `reason` in its Message."""
        self._workshop.move(now)
        self._workshop.frames_failed(task_id, reason, now)

    def media(self, path: str, query: str, now: float) -> Piece | Reply:
        """The answer to a GET of a result's URL: a piece to render and send, or a reply in its place."""
        piece = self._download(MEDIA, lambda: self.storage.find(path, query, now, self._tasks.get), now)
        self._records.downloads += isinstance(piece, Piece)
        return piece

    def object(self, call: ObjectCall, now: float) -> Piece | Reply:
        """The answer to a request for an object in a bucket: a piece to render and send, or a reply in its place."""
        return self._download(COS, lambda: self._cos.answer(call, now), now)

    def _download(self, action: str, find: Callable[[], Piece | Reply], now: float) -> Piece | Reply:
        """The answer to a download, with the fault that befalls it."""
        self._workshop.move(now)
        fault = self.faults.draw(action)
        if fault is not None and fault.fault not in _AFTER_THE_START:
            error = self._cos.error if action == COS else self._mps.error
            return self._spoil(fault, error, page(200, "a download"), now)
        piece = find()
        if isinstance(piece, Reply):
            return piece
        piece = self._with_frames(piece)
        return piece if fault is None else replace(piece, conduct=conduct_of(fault), delay=fault.seconds)

    def piece_at(self, url: str, now: float) -> Piece | Reply | None:
        """The result at a URL, for the service's own use: no fault befalls it, and no download is counted. Return None
        for a URL of another server, and for an object that users may have put into a bucket themselves."""
        self._workshop.move(now)
        address = self.buckets.address_of(url)
        if address is not None and address.bucket in self.buckets:
            try:
                return self._with_frames(self._cos.find(ObjectCall.get(url), now))
            except CosRefused as refusal:
                return None if refusal.code == "NoSuchKey" else self._cos.reply(refusal)
        piece = self.storage.piece_at(url, now, self._tasks.get)
        return self._with_frames(piece) if isinstance(piece, Piece) else piece

    def _with_frames(self, piece: Piece) -> Piece:
        first, last = self._frames.get(piece.task_id, (b"", b""))
        return replace(piece, first=first, last=last)

    def statistics(self, now: float | None = None) -> Statistics:
        """The counts until `now` (Unix seconds), by default the moment of the latest call."""
        now = self._latest if now is None else now
        self._workshop.move(now)
        records = self._records
        return Statistics(
            created={kind: self._workshop.creates[kind] for kind in KINDS},
            running={kind: self._workshop.running(kind, now) for kind in KINDS},
            most_running={kind: self._workshop.most_running[kind] for kind in KINDS},
            refused=dict(records.refusals),
            arrivals={action: meter.total for action, meter in records.meters.items()},
            most_per_second={action: meter.most for action, meter in records.meters.items()},
            downloads=records.downloads,
            buckets=self._cos.statistics(now),
            tasks=tuple(CreatedTask.of(task, now) for task in self._tasks.values()),
        )

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """The log, oldest first: the last `log_size` calls."""
        return tuple(self._records.arrivals)
