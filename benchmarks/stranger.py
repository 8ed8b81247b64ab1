"""A stranger on the same account, in a process of its own: calls at an even rate, independent of the answers."""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from .limiters import bare

Answers = Sequence[tuple[float, bool]]
"""When each call was sent (Unix seconds), and whether it was accepted."""


async def stranger(url: str, rate: float, seconds: float) -> Answers:
    """Return the answers, when the stranger has left."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, _main, url, rate, seconds)


def _main(url: str, rate: float, seconds: float) -> Answers:
    return asyncio.run(_call(url, rate, seconds))


async def _call(url: str, rate: float, seconds: float) -> Answers:
    began = asyncio.get_running_loop().time()
    async with bare(url) as post, asyncio.TaskGroup() as group:

        async def send(number: int) -> tuple[float, bool]:
            await asyncio.sleep(began + number / rate - asyncio.get_running_loop().time())
            return time.time(), await post()

        calls = [group.create_task(send(number)) for number in range(int(rate * seconds))]
    return [call.result() for call in calls]
