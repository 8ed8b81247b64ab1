"""A loop in a thread: results, errors, interruptions, and its end."""

import asyncio
import logging
import threading
from contextvars import ContextVar
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import NoReturn

import pytest

from mps_aigc_async import ClientClosed, ClientError
from mps_aigc_async.concurrency.loop_thread import LoopThread, require_no_loop_thread

WORD: ContextVar[str] = ContextVar("word", default="none")


def in_a_thread(work: threading.Thread) -> threading.Thread:
    work.start()
    return work


def raise_stop() -> NoReturn:
    raise KeyboardInterrupt


def test_a_result_and_an_error_are_the_works_own() -> None:
    error = ValueError("of the work")

    async def word() -> str:
        return WORD.get()

    async def fail() -> None:
        raise error

    thread = LoopThread("loop of the test")
    WORD.set("the caller's")
    assert thread.call(word) == "the caller's"
    with pytest.raises(ValueError, match="of the work") as raised:
        thread.call(fail)
    assert raised.value is error
    assert raised.traceback[-1].name == "fail"
    thread.end()
    thread.end()
    assert not thread.is_alive()
    with pytest.raises(ClientClosed):
        thread.call(word)


def test_the_end_lets_cancelled_work_clean_up() -> None:
    steps: list[str] = []
    is_running = threading.Event()

    async def work() -> None:
        try:
            is_running.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            steps.append("cleaned up")

    def call() -> None:
        with pytest.raises(ClientClosed, match="before this was finished"):
            thread.call(work)
        steps.append("told")

    thread = LoopThread("loop of the test")
    caller = in_a_thread(threading.Thread(target=call))
    assert is_running.wait(30)
    thread.end()
    caller.join()
    assert steps == ["cleaned up", "told"]


def test_a_callbacks_interrupt_reaches_the_callers_and_the_loop_goes_on() -> None:
    async def interrupt() -> None:
        asyncio.get_running_loop().call_soon(raise_stop)
        await asyncio.Event().wait()

    async def one() -> int:
        return 1

    thread = LoopThread("loop of the test")
    with pytest.raises(KeyboardInterrupt):
        thread.call(interrupt)
    assert thread.call(one) == 1
    thread.end()


def test_a_callbacks_interrupt_without_a_caller_is_logged() -> None:
    messages: SimpleQueue[logging.LogRecord] = SimpleQueue()

    async def one() -> int:
        return 1

    handler = QueueHandler(messages)
    logging.getLogger("mps_aigc_async").addHandler(handler)
    thread = LoopThread("loop of the test")
    try:
        thread._loop.call_soon_threadsafe(raise_stop)
        assert messages.get(timeout=30).getMessage() == "a callback raised KeyboardInterrupt while no caller waited"
        assert thread.call(one) == 1
    finally:
        logging.getLogger("mps_aigc_async").removeHandler(handler)
        thread.end()


def test_an_interrupt_at_the_end_ends_the_thread() -> None:
    async def interrupt_in_cleanup() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_soon(raise_stop)
            await asyncio.sleep(0)

    def call() -> None:
        with pytest.raises((KeyboardInterrupt, ClientClosed)):
            thread.call(interrupt_in_cleanup)

    thread = LoopThread("loop of the test")
    caller = in_a_thread(threading.Thread(target=call))
    thread.end()
    caller.join()
    assert not thread.is_alive()


def test_no_call_waits_in_the_thread_of_a_loop() -> None:
    async def call() -> None:
        thread.call(call)

    thread = LoopThread("loop of the test")
    require_no_loop_thread()
    with pytest.raises(ClientError, match="hand the event to another thread"):
        thread.call(call)
    thread.end()
