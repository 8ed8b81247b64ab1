"""How long an answer is waited for: in virtual time, and over a real socket while the loop stands still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from mps_aigc_async.model.errors import TransportError
from mps_aigc_async.model.states import Ending
from mps_aigc_async.network.answer_deadline import GRACE_S, LATE_S, AnswerDeadline
from mps_aigc_async.network.transport import AiohttpTransport, Timeouts
from mps_aigc_async.testing import run
from mps_aigc_async.wire.dialect import HttpRequest

from ..listening import listening

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REQUEST = HttpRequest("/", {"X-TC-Action": "X"}, b"{}")


async def at_once() -> None:
    """A gate that is open."""


# --- in virtual time --------------------------------------------------------------------------------------------------


async def seconds_until_given_up(deadline: AnswerDeadline, pieces_at: tuple[float, ...] = ()) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for moment in pieces_at:
        loop.call_at(began + moment, deadline.note_piece)
    try:
        async with deadline:
            deadline.begin()
            await asyncio.Event().wait()
    except TimeoutError:
        return loop.time() - began
    raise AssertionError("it waits for ever")


@pytest.mark.parametrize(
    ("pieces_at", "given_up_after_s"),
    [
        ((), 30),
        ((10.0,), 40),
        ((10.0, 20.0, 29.0), 59),
        ((29.0, 58.0), 60),  # the total
        ((29.0, 58.0, 59.9), 60),
    ],
)
def test_silence_and_the_whole_are_bounded(pieces_at: tuple[float, ...], given_up_after_s: float) -> None:
    async def main() -> float:
        return await seconds_until_given_up(AnswerDeadline(read_s=30.0, total_s=60.0), pieces_at)

    assert run(main()) == pytest.approx(given_up_after_s, abs=0.001)


def test_nothing_is_held_against_it_before_it_begins_or_after_it_ends() -> None:
    async def main() -> None:
        async with AnswerDeadline(read_s=1.0, total_s=2.0) as deadline:
            await asyncio.sleep(3600)
            deadline.begin()
            await asyncio.sleep(0.5)
        await asyncio.sleep(3600)

    run(main())


def test_a_cancelled_block_is_cancelled_and_no_timeout() -> None:
    async def main() -> None:
        async def wait() -> None:
            async with AnswerDeadline(read_s=1.0, total_s=2.0) as deadline:
                deadline.begin()
                await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


# --- while the loop stands still --------------------------------------------------------------------------------------


class Server:
    """Reads requests, and answers all of them when it is told to."""

    def __init__(self, clock: "StallingClock") -> None:
        self._clock = clock
        self.writers: list[asyncio.StreamWriter] = []
        self.url = URL()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        self.writers.append(writer)
        await reader.read()

    async def was_asked(self, times: int) -> None:
        while len(self.writers) < times:  # noqa: ASYNC110 - the server's side of a request, in this same loop
            await asyncio.sleep(0)

    def answer_and_stand_still(self) -> None:
        """The answers come while the loop is blocked, for longer than they are waited for."""
        for writer in self.writers:
            writer.write(OK)
        self._clock.stall(STALL_S)


STALL_S = 0.8


class StallingClock:
    """The running loop's clock. A stall puts it forward: the loop then finds all that was due at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._real, self._stalled_s = self._loop.time, 0.0
        monkeypatch.setattr(self._loop, "time", self.time)

    def time(self) -> float:
        return self._real() + self._stalled_s

    def stall(self, seconds: float) -> None:
        self._stalled_s += seconds


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> StallingClock:
    return StallingClock(monkeypatch)


@asynccontextmanager
async def serving(clock: StallingClock) -> AsyncIterator[Server]:
    server = Server(clock)
    async with listening(server.talk) as server.url:
        yield server


@pytest.mark.parametrize("timeouts", [Timeouts(read=0.5, total=9.0), Timeouts(read=9.0, total=0.5)])
async def test_answers_that_came_while_the_loop_stood_still_are_read(timeouts: Timeouts, clock: StallingClock) -> None:
    calls, waiting, send = 60, list[int](), asyncio.Event()

    async def gate() -> None:  # all connections are open before the first deadline begins
        waiting.append(1)
        if len(waiting) == calls:
            send.set()
        await send.wait()

    async with serving(clock) as server:
        transport = AiohttpTransport(server.url, timeouts)
        try:
            exchanges = [asyncio.create_task(transport.exchange(REQUEST, gate)) for _ in range(calls)]
            await server.was_asked(calls)
            asyncio.get_running_loop().call_soon(server.answer_and_stand_still)
            results = await asyncio.gather(*exchanges, return_exceptions=True)
        finally:
            await transport.close()
    assert [result for result in results if isinstance(result, BaseException)] == []


@pytest.mark.parametrize("stall_s", [0.0, 2 * LATE_S])
async def test_a_server_that_never_answers_is_given_up(stall_s: float, clock: StallingClock) -> None:
    """After a stall, when the grace is over."""
    loop = asyncio.get_running_loop()
    async with serving(clock) as server:
        transport = AiohttpTransport(server.url, Timeouts(read=0.05, total=5.0))
        began = loop.time()
        try:
            exchange = asyncio.create_task(transport.exchange(REQUEST, at_once))
            await server.was_asked(1)
            loop.call_soon(clock.stall, stall_s)
            with pytest.raises(TransportError) as error_info:
                await exchange
        finally:
            await transport.close()
    assert error_info.value.ending is Ending.UNKNOWN
    if stall_s:
        assert loop.time() - began > GRACE_S
