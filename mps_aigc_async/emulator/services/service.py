"""The services behind one port, sans I/O: received bytes and the time in, an answer and what to do with the connection
out.

No socket, clock or asyncio below this line: the aiohttp shell is one user, a test in virtual time another.

    service = Service(Settings(speed=60))
    reply = service.handle("POST", "/", headers, body, now=1_700_000_000.0)

Three desks answer: the relay has paths of its own; MPS and VOD share `/`, and X-TC-Version tells which is meant. What
they have in common is here: the faults, the log, the results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.utils import formatdate
from random import Random

from ..tasks.faults import GATEWAY_STATUS, MEDIA, Fault, Faults
from ..tasks.orders import KINDS
from ..tasks.refusal import Refused
from ..tasks.reply import Reply, conduct_of, page
from ..tasks.storage import Piece, Storage
from ..tasks.window import Rates
from . import vod
from .actions import ACTIONS
from .equipment import Equipment
from .exchange import Answer, Desk, Envelopes, ServiceCall
from .mps import Mps
from .records import Arrival, CreatedTask, Records, Statistics
from .relay import Relay
from .settings import Settings
from .workshop import Workshop


class Service:
    """`faults` may be added to at any time; `storage.base_url` says where results are served."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        limits = self.settings.limits or {}
        # A stream of draws for each purpose: a poll more or a fault less must not change how long a task takes.
        ids = self._stream("ids")
        self.faults = Faults(self._stream("faults"), ACTIONS)
        self.storage = Storage(self._stream("storage").randbytes(32))
        self._workshop = Workshop(self.settings, self._stream("durations"))
        self._tasks = self._workshop.tasks
        self._frames: dict[str, tuple[bytes | Piece, bytes | Piece]] = {}
        rates = Rates({name: limits.get(name, action.per_second) for name, action in ACTIONS.items()})
        envelopes = Envelopes(self._stream("request ids"))
        equipment = Equipment(self.settings, self._workshop, self.storage, rates, envelopes, ids)
        self._mps = Mps(equipment)
        self._vod = vod.Vod(equipment)
        self._relay = Relay(equipment)
        self._records = Records(self.settings.log_size)
        self._latest = 0.0
        self._date = (0, "")

    def __repr__(self) -> str:
        return f"Service({self.settings!r}, tasks={len(self._tasks)})"

    def _stream(self, purpose: str) -> Random:
        return Random(f"{self.settings.seed}/{purpose}")  # noqa: S311 - reproducible is what it is for

    # One call of an API

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float) -> Reply:
        """Answers one HTTP request that arrived, complete, at `now` (Unix seconds).

        Header names may be in any case. A `now` before an earlier one counts as that one: arrivals have an order.
        """
        now = self._latest = max(now, self._latest)
        self._workshop.move(now)
        call = ServiceCall(method, path, {name.lower(): value for name, value in headers.items()}, body, now)
        desk = self._desk(call)
        action = desk.name(call)
        fault = self.faults.draw(action)
        if fault is not None and not fault.accepted:
            code = fault.code if fault.fault == "error" else fault.fault
            self._records.arrived(Arrival(action, now, code, None, fault.fault))
            return self._spoilt(fault, desk, desk.reply(Answer({})), now)
        befell = None if fault is None else fault.fault
        if fault is not None and fault.fault == "fail_later":
            call = replace(call, fails_with=fault.code)
        try:
            answer = desk.answer(call)
        except Refused as refused:
            self._records.arrived(Arrival(action, now, refused.code, None, befell))
            reply = desk.refusal(refused)
        else:
            self._records.arrived(Arrival(action, now, None, answer.task_id, befell))
            reply = replace(desk.reply(answer), frames=answer.frames)
        return self._dated(reply, now) if fault is None else self._spoilt(fault, desk, reply, now)

    def _desk(self, call: ServiceCall) -> Desk:
        if self._relay.serves(call.path):
            return self._relay
        return self._vod if call.headers.get("x-tc-version") == vod.VERSION else self._mps

    def _spoilt(self, fault: Fault, desk: Desk, reply: Reply, now: float) -> Reply:
        """The reply after the fault. What was accepted stays accepted: the frames are fetched all the same."""
        match fault.fault:
            case "error":
                spoilt = desk.error(fault)
            case "http_status":
                status = fault.status or GATEWAY_STATUS
                spoilt = page(status, f"{status} from a gateway")
            case "not_json":
                spoilt = page(200, "Welcome to the hotel's network")
            case "reset_before" | "reset_after" | "hang" | "delay" | "fail_later":
                spoilt = reply
        spoilt = replace(spoilt, conduct=conduct_of(fault), delay=fault.seconds, frames=reply.frames)
        if fault.retry_after and fault.fault in ("error", "http_status", "not_json"):
            spoilt = replace(spoilt, headers={**spoilt.headers, "Retry-After": fault.retry_after})
        return self._dated(spoilt, now)

    def _dated(self, reply: Reply, now: float) -> Reply:
        second = int(now)
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return replace(reply, headers={**reply.headers, "Date": self._date[1]})

    def issue(self, secret_id: str, secret_key: str, token: str, until: float) -> None:
        """Accept temporary keys as well, before `until` (Unix seconds): what STS does for the real service."""
        for desk in (self._mps, self._vod):
            desk.judge.admit(secret_id, secret_key, token, until)

    # What the shell reports and asks

    def frames_ready(self, task_id: str, now: float, first: bytes | Piece = b"", last: bytes | Piece = b"") -> None:
        """The frames of `Reply.frames` have been fetched: the task ends when it was due, or now if that has passed.

        `first` and `last` are what the film shows (`Piece.first`); without them it begins with a card.
        """
        self._workshop.move(now)
        self._workshop.frames_ready(task_id, now)
        if first or last:
            # For good, about 20 KB for each fetched image: unlike a rendered one, it can't be had again.
            self._frames[task_id] = (first, last)

    def frames_failed(self, task_id: str, reason: str, now: float) -> None:
        """The frames could not be had: the task fails, now, with `reason` in its Message."""
        self._workshop.move(now)
        self._workshop.frames_failed(task_id, reason, now)

    def media(self, path: str, query: str, now: float) -> Piece | Reply:
        """What a GET of a result's URL gets: a piece to render and send, or an answer in its place."""
        self._workshop.move(now)
        fault = self.faults.draw(MEDIA)
        if fault is not None and fault.fault not in {"reset_after", "hang", "delay"}:  # only these let it begin
            return self._spoilt(fault, self._mps, page(200, "a download"), now)
        found = self.storage.find(path, query, now, self._tasks.get)
        if isinstance(found, Reply):
            return found
        self._records.downloads += 1
        found = self._with_frames(found)
        return found if fault is None else replace(found, conduct=conduct_of(fault), delay=fault.seconds)

    def piece_at(self, url: str, now: float) -> Piece | Reply | None:
        """The service's own look at a result, which no fault befalls and nobody counts; None for another's URL."""
        self._workshop.move(now)
        found = self.storage.piece_at(url, now, self._tasks.get)
        return self._with_frames(found) if isinstance(found, Piece) else found

    def _with_frames(self, piece: Piece) -> Piece:
        first, last = self._frames.get(piece.task_id, (b"", b""))
        return replace(piece, first=first, last=last)

    def statistics(self, now: float | None = None) -> Statistics:
        """What has been seen until `now` (Unix seconds), by default the moment of the latest call."""
        now = self._latest if now is None else now
        self._workshop.move(now)
        records = self._records
        return Statistics(
            created={kind: self._workshop.created[kind] for kind in KINDS},
            running={kind: self._workshop.running(kind, now) for kind in KINDS},
            most_running={kind: self._workshop.most_running[kind] for kind in KINDS},
            refused=dict(records.refused),
            arrivals={action: meter.total for action, meter in records.meters.items()},
            most_per_second={action: meter.most for action, meter in records.meters.items()},
            downloads=records.downloads,
            tasks=tuple(CreatedTask.of(task, now) for task in self._tasks.values()),
        )

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """The log, oldest first: the last `log_size` calls."""
        return tuple(self._records.arrivals)
