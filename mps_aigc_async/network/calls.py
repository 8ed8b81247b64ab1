"""A call: pace → sign → send → decode, and again if the table allows.

Retries live here, above the transport: each attempt takes a fresh pace, a fresh timestamp and a fresh signature with
the credentials of that moment, and all of an account's retries share one budget.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from ..concurrency.callbacks import ignore
from ..concurrency.cancellation import is_being_cancelled
from ..credentials.credentials import Credentials
from ..credentials.keyring import KeyRing
from ..credentials.masking import one_line
from ..limits import HeldBack, Limits, SendTime
from ..model.errors import (
    AccountError,
    AigcError,
    ClientClosed,
    NoTaskId,
    Redirected,
    ServiceError,
    Throttled,
    TooManyTasks,
)
from ..model.states import Ending
from ..model.unexpected import unexpected_error
from ..policy.advice import account_advice
from ..policy.retries import CONSEQUENCES, RetryPolicy, clock_is_off, keys_are_refused, may_repeat
from ..wire.answers import quotation
from ..wire.dialect import Call, Created, Dialect, HttpAnswer, HttpRequest
from ..wire.envelope import server_time
from ..wire.retry_after import retry_after_s
from .clock import ServiceClock
from .transport import Transport

T = TypeVar("T")

_log: Final = logging.getLogger("mps_aigc_async")

REFUSAL_HOLDS_S: Final = 60.0
"""Seconds for which a refusal of the account stops the creates of an action. Then one call is sent: the arrears may
have been paid."""

REDIRECT_HOLDS_S: Final = 600.0
"""The same for a redirect that leaves its create unknown. Longer than that create keeps its slot (5 minutes): otherwise
the next create would take the slot and go to the same address."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The outcome of an attempt that failed."""

    error: AigcError
    may_repeat: bool
    """Whether the same call may be sent again."""


Attempt = Callable[[SendTime], Awaitable[T | Failure]]
"""Makes one attempt of a call at a send time that has been reserved. An exception ends the attempts as well."""

OnRetry = Callable[[AigcError, float], None]
"""Called before the wait of each retry, with the error and the seconds until the next attempt."""

Judge = Callable[[SendTime, Throttled], ServiceError]
"""Judges a RequestLimitExceeded: returns the error that it means, and slows the pace if the rate is the cause."""


def slow_down(send_time: SendTime, refusal: Throttled) -> ServiceError:
    """Treat the refusal as one for the rate: later calls go slower."""
    send_time.note_refusal()
    return refusal


class Calls:
    """Makes calls for one account, in one dialect, over one transport."""

    def __init__(
        self,
        dialect: Dialect,
        transport: Transport,
        keys: KeyRing,
        limits: Limits,
        *,
        clock: ServiceClock,
        policy: RetryPolicy | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._dialect = dialect
        self._transport = transport
        self._keys = keys
        self._limits = limits
        self._clock = clock
        self.policy: Final = policy or RetryPolicy()
        self._uniform = uniform
        self._stopping = asyncio.Event()
        self._refused: dict[str, tuple[AigcError, float]] = {}
        """By action: the error that stops all creates, and the time until which it stops them (on the loop's clock)."""

    def stop_creating(self) -> None:
        """Send nothing but reads from now on. The senders of the calls in flight wait for their answers."""
        self._stopping.set()

    def check_account(self, action: str) -> None:
        """Raise the error that stopped all creates of this action a moment ago: nothing is sent then."""
        error, until = self._refused.get(action, (None, 0.0))
        if error is not None and asyncio.get_running_loop().time() < until:
            raise repeated(error)

    def reserve(self, action: str, require: Callable[[], None] = ignore) -> Awaitable[SendTime]:
        """Wait for the send time of one call of an action. If `require` raises when its turn comes, the call leaves the
        queue."""
        return self._limits.pace(action).reserve(require)

    async def attempt(self, call: Call[T], send_time: SendTime, judge: Judge = slow_down) -> T:
        """Make one attempt at its send time. Raises ServiceError, TransportError or UnexpectedError.

        The only door for texts from outside: every value and every error that leaves here is masked.
        """
        request: HttpRequest | None = None
        try:
            credentials = await self._keys.current()
            signed_at = int(self._clock.now())
            request = self._dialect.sign(call, credentials, signed_at)
            answer = await self._transport.exchange(request, send_time.reach, send_time.note_sent)
            masking = replace(call, decode=partial(self._read, call.decode, request))
            return self._decoded(masking, answer, credentials, send_time, signed_at, judge)
        except AigcError as error:
            failure = error
        except asyncio.CancelledError as fault:
            if is_being_cancelled():
                raise
            failure = _fault(fault, call, send_time)
        except Exception as fault:  # noqa: BLE001 — any: after the first byte a create may have been accepted
            failure = _fault(fault, call, send_time)
        # Raised outside the `except` block, so that the foreign exception, which may quote the request, is in no chain.
        raise self._keys.mask.error(failure, _signature_in(request)).with_context(action=call.action)

    def _decoded(
        self,
        call: Call[T],
        answer: HttpAnswer,
        credentials: Credentials,
        send_time: SendTime,
        signed_at: float,
        judge: Judge,
    ) -> T:
        """The answer's value. A refusal for the rate, the time or the keys corrects the pace, the clock or the keys."""
        try:
            value = call.decode(answer)
        except AigcError as error:
            date = server_time(answer)
            if date is not None and clock_is_off(error):
                self._clock.hear_refusal(signed_at, date, send_time.age_s or 0.0)
            elif _is_the_services(error):
                self._hear_time(answer, send_time)
            if isinstance(error, Redirected) and not call.reads:
                # Even if its own create stays unknown ("303 See Other"). Polls go on, and the poller logs it.
                holds_s = REDIRECT_HOLDS_S if error.ending is Ending.UNKNOWN else REFUSAL_HOLDS_S
                self._hold(call.action, error, holds_s)
            if keys_are_refused(error) and self._keys.report_refusal(credentials):
                error = with_ending(error, Ending.REFUSED_FOR_NOW)  # with other keys it may be accepted
            self._hold_back(call, answer, error)
            if isinstance(error, AccountError):
                error.advice = account_advice(error.code, self._clock.machine_ahead_s)
                error.add_note(f"advice: {error.advice}")
            raise (judge(send_time, error) if isinstance(error, Throttled) else error) from None
        self._hear_time(answer, send_time)
        return value

    def _hold(self, action: str, error: AigcError, seconds: float = REFUSAL_HOLDS_S) -> None:
        """Send nothing for this action for a while: the error stops all creates."""
        self._refused[action] = (error, asyncio.get_running_loop().time() + seconds)

    def _hold_back(self, call: Call[object], answer: HttpAnswer, error: AigcError) -> None:
        """Let no call of the action go out for as long as the service asks (Retry-After), also after a call of unknown
        outcome. A refusal for concurrency holds back only the calls that it is about (`limits.judging`)."""
        if error.ending not in (Ending.REFUSED_FOR_NOW, Ending.UNKNOWN):
            return
        wait_s = retry_after_s(answer, self._clock.now())
        if wait_s is None:
            return
        if isinstance(error, ServiceError):
            error.retry_after_s = wait_s
        if not isinstance(error, TooManyTasks) or call.reads:
            self._limits.pace(call.action).hold(wait_s)

    def _read(self, decode: Callable[[HttpAnswer], T], request: HttpRequest, answer: HttpAnswer) -> T:
        """Decode an answer and mask it. Raises NoTaskId if a create's TaskId had to be masked: the task exists, and
        the masked text does not name it."""
        mask = self._keys.mask
        try:
            value = decode(answer)
        except AigcError as error:
            raise mask.error(error, _signature_in(request)) from None
        safe = mask.value(value, _signature_in(request))
        if isinstance(value, Created) and isinstance(safe, Created) and value.task_id != safe.task_id:
            raise NoTaskId(_unusable_id(value.task_id, safe.task_id), ending=Ending.UNKNOWN)
        return safe

    def _hear_time(self, answer: HttpAnswer, send_time: SendTime) -> None:
        """Adjust our clock to the service's, which checks our timestamps."""
        date = server_time(answer)
        if date is not None:
            self._clock.hear(date, send_time.age_s or 0.0)

    async def send(self, call: Call[T]) -> T:
        """Send a call, with its retries. Raises the error of the last attempt."""

        async def attempt(send_time: SendTime) -> T | Failure:
            try:
                return await self.attempt(call, send_time)
            except AigcError as error:
                return Failure(error, may_repeat(error, reads=call.reads))

        return await self.with_retries(call, attempt)

    async def learn_time(self, read: Call[object]) -> None:
        """Send a read if the service's time is not known yet: any answer of the service carries it."""
        if self._clock.is_the_machines:
            with suppress(AigcError):  # the machine's clock counts then
                await self.send(read)

    async def with_retries(
        self,
        call: Call[object],
        attempt: Attempt[T],
        on_retry: OnRetry = ignore,
        require: Callable[[], None] = ignore,
    ) -> T:
        """Make attempts of a call, each at a pace of its own, until one succeeds or the policy gives up. Raises the
        error of the last failure. An error that `require` raises before an attempt takes its send time ends them."""
        loop = asyncio.get_running_loop()
        attempts, since, clock_corrected = 0, 0.0, False
        while True:
            if self._stopping.is_set() and not call.reads:
                raise ClientClosed("the client was closed before this was sent")
            await self._have_keys(call.action)
            send_time = await self.reserve(call.action, require)
            if not attempts:  # the wait for the first pace does not count against the policy's time
                since = send_time.due
            outcome = await attempt(send_time)
            if not isinstance(outcome, Failure):
                return outcome
            if isinstance(outcome.error, HeldBack):  # nothing was sent, so nothing is repeated
                continue
            attempts += 1
            held_s = self._limits.pace(call.action).figures(loop.time()).held_s
            if clock_is_off(outcome.error) and not clock_corrected:
                clock_corrected, delay = True, 0.0
            else:
                delay = self._delay(call, outcome, attempts, loop.time() - since)
            since += held_s  # the service asked for this wait: it does not count against the policy's time
            on_retry(outcome.error, max(delay, held_s))
            await self._pause(delay)
            require()
            await self._limits.take_retry()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _have_keys(self, action: str) -> None:
        """Wait for keys here, so that neither a reserved send time nor a job's intent waits for them."""
        try:
            await self._keys.current()
        except AigcError as error:
            error.with_context(action=action)
            raise

    def _delay(self, call: Call[object], failure: Failure, attempts: int, elapsed_s: float) -> float:
        """Seconds before the next attempt; raises the error where there must be none."""
        error = failure.error
        if CONSEQUENCES[error.ending or Ending.REFUSED].stops_creating and not call.reads:
            self._hold(call.action, error)
        if failure.may_repeat:
            delay = self.policy.delay(error, attempts, elapsed_s, self._uniform)
            if delay is not None:
                asked_for = error.retry_after_s if isinstance(error, ServiceError) else None
                return max(delay, asked_for or 0.0)
        raise error


def with_ending(error: AigcError, ending: Ending) -> AigcError:
    """A copy of the error with another ending; the first error stays unchanged."""
    other = copy(error)
    other.ending = ending
    return other


def repeated(error: AigcError) -> AigcError:
    """The error for another call that the same cause stops: without the ids of the first, which was sent."""
    stops_creating = CONSEQUENCES[error.ending or Ending.REFUSED].stops_creating
    # "303 See Other" leaves its own create unknown.
    again = copy(error) if stops_creating else with_ending(error, Ending.ACCOUNT_REFUSED)
    again.job_id = again.task_id = again.action = None
    again.partial = None
    return again


def _unusable_id(task_id: str, safe: str) -> str:
    """Why a TaskId cannot be used. Unless the TaskId holds a secret, the text shows it with escapes, so that the user
    can find the task in the console."""
    if safe != one_line(task_id):
        return f"the answer to the create has a TaskId that quotes this client's credentials: {quotation(safe)}"
    return f"the answer to the create has a TaskId with characters that no id has, or too many: {quotation(task_id)}"


def _fault(fault: BaseException, call: Call[object], send_time: SendTime) -> AigcError:
    # A call that was not sent would meet the same fault again.
    ending = Ending.UNKNOWN if send_time.has_come else Ending.REFUSED
    return with_ending(unexpected_error(fault, f"calling {call.action}"), ending)


def _signature_in(request: HttpRequest | None) -> str:
    """The signature of a signed request; empty for one that carries a key itself.

    No frame that an error leaves may have it in a variable, since tools that report errors show variables."""
    _, separator, signature = (request.headers.get("Authorization", "") if request else "").rpartition("Signature=")
    return signature if separator else ""


def _is_the_services(error: AigcError) -> bool:
    """Whether the error came from the service itself and not from a gateway: the relay's dialect makes the code of an
    answer without one from its HTTP status."""
    return isinstance(error, ServiceError) and not error.code.startswith("HTTP ")
