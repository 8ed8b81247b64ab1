"""A call: a fault of ours or of a library's, at any point, becomes one of our errors."""

import asyncio
import logging
import traceback
from copy import copy

import pytest

from mps_aigc_async import (
    AccountError,
    AigcClient,
    AigcError,
    CreateOutcomeUnknown,
    ImageRequest,
    JobState,
    Kind,
    Redirected,
    TransportError,
    UnexpectedError,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..support import accepted, client_of, configured, in_memory

CAT = ImageRequest(id="cat", prompt="a cat")
SECRET = "".join(("sig", "nature"))


class Faulty(InMemoryTransport):
    """Raises a foreign exception for creates, before the first byte or after the answer."""

    def __init__(self, service: Service, bug: Exception, *, sends: bool) -> None:
        super().__init__(service, wall)
        self._bug = bug
        self._sends = sends

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        if not request.headers["X-TC-Action"].startswith("Create"):
            return await super().exchange(request, gate, sent)
        if self._sends:
            await super().exchange(request, gate, sent)
        raise self._bug


BUGS = [AssertionError(SECRET), RecursionError(SECRET), AttributeError(SECRET), KeyError(SECRET), UnicodeError(SECRET)]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
def test_a_fault_after_the_first_byte_leaves_an_unknown_create(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Faulty(service, bug, sends=True)) as client:
            with pytest.raises(CreateOutcomeUnknown, match=f"{type(bug).__name__} while calling"):
                await client.generate(CAT)
            assert await client.counts() == {JobState.UNKNOWN: 1}
        assert accepted(service, "CreateAigcImageTask") == 1

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert "in exchange" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
def test_a_fault_before_the_first_byte_fails_the_job_and_is_not_repeated(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Faulty(service, bug, sends=False)) as client:
            with pytest.raises(UnexpectedError) as error_info:
                await client.generate(CAT)
            assert (error_info.value.ending, error_info.value.job_id) == (Ending.REFUSED, "cat/image")
            assert (error_info.value.__cause__, error_info.value.__context__) == (None, None)
            assert SECRET not in str(error_info.value)
            assert await client.counts() == {JobState.FAILED: 1}
            assert client.statistics().slots[Kind.IMAGE].taken == 0
            with pytest.raises(UnexpectedError):  # as the ledger has it
                await client.generate(CAT)

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert caplog.text.count("while calling CreateAigcImageTask\n") == 1
    assert SECRET not in caplog.text


def test_a_fault_in_decoding_a_creates_answer_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AttributeError(SECRET)

    monkeypatch.setattr("mps_aigc_async.wire.tencent_api.created_task", broken)

    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            with pytest.raises(CreateOutcomeUnknown, match="AttributeError while calling"):
                await client.generate(CAT)
        assert accepted(service, "CreateAigcImageTask") == 1

    run(main())


class Cancelling(InMemoryTransport):
    """Ends the second call of an action as if it had been cancelled, which nobody has done."""

    def __init__(self, service: Service, action: str) -> None:
        super().__init__(service, wall)
        self._action = action
        self._calls = 0

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        self._calls += request.headers["X-TC-Action"] == self._action
        if self._calls == 2:
            self._calls += 1
            raise asyncio.CancelledError
        return answer


@pytest.mark.parametrize(("action", "unknown"), [("CreateAigcImageTask", 1), ("DescribeAigcImageTask", 0)])
def test_a_cancellation_that_nobody_asked_for_is_one_jobs_trouble(action: str, unknown: int) -> None:
    async def main() -> None:
        service = in_memory()
        requests = [ImageRequest(prompt=str(number)) for number in range(6)]
        async with client_of(service, transport=lambda: Cancelling(service, action)) as client, asyncio.timeout(7200):
            outcomes = [outcome async for outcome in client.run(requests)]
            errors = [outcome.error for outcome in outcomes if outcome.error is not None]
            assert [type(error) for error in errors] == [CreateOutcomeUnknown] * unknown
            assert len(outcomes) == len(requests)

    run(main())


def test_a_cancelled_call_is_cancelled_and_no_error_of_ours() -> None:
    class Slow(InMemoryTransport):
        async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
            await asyncio.sleep(100)
            return await super().exchange(request, gate, sent)

    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Slow(service, wall)) as client:
            call = asyncio.create_task(client.status(Kind.IMAGE, "4-1"))
            await asyncio.sleep(1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    run(main())


def test_the_signatures_time_is_the_services_from_the_second_call_on() -> None:
    """With a clock that is a day off, a single call is refused, and none later, even if the machine's clock changes."""

    async def main() -> None:
        service, step_s = in_memory(), 86_400.0
        transport = InMemoryTransport(service, wall)
        async with AigcClient(configured(), transport=lambda: transport, wall=lambda: wall() + step_s) as client:
            await client.generate(CAT)
            step_s = -86_400.0
            await client.generate(ImageRequest(prompt="a dog"))
        assert service.statistics(wall()).refused == {"AuthFailure.SignatureExpire": 1}

    run(main())


@pytest.mark.parametrize(
    ("off_s", "clock"), [(0.0, "agrees with"), (-7200.0, "is 7200 s behind"), (900.0, "900 s ahead")]
)
def test_a_refused_signature_has_advice_that_knows_the_clock(off_s: float, clock: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="CreateAigcImageTask", fault="error", code="AuthFailure.SignatureFailure", times=None)
        transport = InMemoryTransport(service, wall)
        async with AigcClient(configured(), transport=lambda: transport, wall=lambda: wall() + off_s) as client:
            for _ in range(2):  # the second one is not sent: the first one's refusal holds
                with pytest.raises(AccountError) as error_info:
                    await client.generate(CAT)
                error = error_info.value
                assert "SecretId and SecretKey are right" in error.advice
                assert clock in error.advice
                assert error.__notes__ == [f"advice: {error.advice}"]
                assert copy(error).advice == error.advice
                assert error.advice in "".join(traceback.format_exception(error))

    run(main())


def test_a_create_whose_id_cannot_be_read_tells_what_stood_there() -> None:
    class Odd(InMemoryTransport):
        async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
            await super().exchange(request, gate, sent)
            return HttpAnswer(200, {}, b'{"Response": {"TaskId": {"Id": "4-Aigc-7"}}}')

    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Odd(service, wall)) as client:
            with pytest.raises(AigcError, match="4-Aigc-7") as error_info:
                await client.generate(CAT)
            assert isinstance(error_info.value, CreateOutcomeUnknown)
            assert isinstance(error_info.value.__cause__, TransportError)

    run(main())


@pytest.mark.parametrize("backend", ["mps", "vod"])
def test_a_batch_whose_creates_are_answered_by_see_other_ends_when_their_slots_are_free(backend: str) -> None:
    """Such creates may have been accepted, so their slots stay taken for minutes; the address gets no more calls, and
    on VOD the second tries of the first two do not shorten that."""
    model = {"modelName": "A", "modelVersion": "1"}
    config = configured(backend=backend, mps={"imageGeneration": model}, catalog="off")
    creates: list[float] = []

    class Elsewhere(InMemoryTransport):
        async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:  # noqa: ARG002 — as overridden
            await gate()
            sent()
            creates.append(wall())
            return HttpAnswer(303, {"location": "https://elsewhere.example/login"}, b"")

    async def main() -> None:
        service = in_memory()
        requests = [ImageRequest(prompt=f"cat {number}") for number in range(20)]
        async with client_of(service, config, transport=lambda: Elsewhere(service, wall)) as client:
            with pytest.raises(Redirected):
                async for _ in client.run(requests):
                    pass
            counts = await client.counts()
        assert (len(creates), counts[JobState.UNKNOWN], set(counts)) == (2, 2, {JobState.UNKNOWN, JobState.PLANNED})

    run(main())
