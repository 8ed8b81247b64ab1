"""Places for downloads: in their order, and given up by those that are too slow while others wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mps_aigc_async.model.states import Kind
from mps_aigc_async.network.downloads import PARALLEL, Downloads
from mps_aigc_async.network.places import LEAST_BYTES_S, WINDOW_S, LeastSpeed, Places, TooSlow
from mps_aigc_async.testing import run

from ..listening import listening

PNG = b"\x89PNG\r\n\x1a\n" + bytes(22)
HOUR_S = 3600.0


async def hold(places: Places) -> None:
    async with places.place():
        await asyncio.Event().wait()


def test_a_slow_one_makes_room_only_while_others_wait() -> None:
    async def main() -> None:
        loop, places = asyncio.get_running_loop(), Places(1)
        speed = LeastSpeed(places)
        async with places.place():
            began = loop.time()
            speed.begin()
            async with speed.network():  # nobody waits
                await asyncio.sleep(95)
            waiting = asyncio.create_task(hold(places))
            await asyncio.sleep(0)
            assert places.waiting == 1
            with pytest.raises(TooSlow):
                async with speed.network():
                    await asyncio.sleep(HOUR_S)
            assert loop.time() - began == pytest.approx(10 * WINDOW_S, abs=0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (places.waiting, places.holders) == (0, 0)

    run(main())


def test_a_fast_download_keeps_its_place() -> None:
    async def main() -> None:
        places = Places(1)
        speed = LeastSpeed(places)
        async with places.place():
            waiting = asyncio.create_task(hold(places))
            speed.begin()
            for _ in range(100):
                async with speed.network():
                    await asyncio.sleep(1)
                speed.count(2 * LEAST_BYTES_S)
            with pytest.raises(TimeoutError):  # a timeout of the caller's own passes
                async with speed.network():
                    raise TimeoutError
        waiting.cancel()
        await asyncio.wait([waiting])

    run(main())


def test_a_download_that_cannot_resume_gets_a_window_twice_as_long() -> None:
    async def main() -> None:
        loop, places = asyncio.get_running_loop(), Places(1)
        speed, waits = LeastSpeed(places), list[float]()
        async with places.place():
            waiting = asyncio.create_task(hold(places))
            for _ in range(4):
                began = loop.time()
                speed.begin()
                with pytest.raises(TooSlow):
                    async with speed.network():
                        await asyncio.sleep(HOUR_S)
                waits.append(round(loop.time() - began))
                speed.widen()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waits == [10, 20, 40, 80]

    run(main())


class Trickle:
    """Serves `/slow…` a byte a second with a pause before, everything else at once; ranges if it has a tag."""

    def __init__(self, tag: str, body: bytes) -> None:
        self._tag = tag
        self._body = body
        self.starts: dict[str, list[int]] = {}
        self._at_work: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        start = int(head.partition("Range: bytes=")[2].partition("-")[0] or 0) if self._tag else 0
        self.starts.setdefault(path, []).append(start)
        whole, left = len(self._body), self._body[start:]
        status = f"206 Partial Content\r\nContent-Range: bytes {start}-{whole - 1}/{whole}" if start else "200 OK"
        tag = f"ETag: {self._tag}\r\n" if self._tag else ""
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(left)}\r\n{tag}Connection: close\r\n\r\n".encode())
        try:
            if path.startswith("/slow"):
                for byte in left:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(1)
            else:
                writer.write(left)
            await writer.drain()
        except ConnectionError:  # the download gave up its place
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(handler: Trickle) -> AsyncIterator[str]:
    async with listening(handler) as url:
        yield str(url.origin())


@pytest.mark.parametrize("tag", ['"v1"', ""], ids=["by ranges", "without a tag"])
def test_slow_results_hold_up_no_others_and_come_in_the_end(tmp_path: Path, tag: str) -> None:
    async def main() -> None:
        loop, trickle, downloads = asyncio.get_running_loop(), Trickle(tag, PNG), Downloads()
        async with serving(trickle) as url, asyncio.TaskGroup() as group:
            slow = [
                group.create_task(
                    downloads.save(f"{url}/slow{number}", tmp_path / f"slow-{number}", Kind.IMAGE, within_s=HOUR_S)
                )
                for number in range(PARALLEL)
            ]
            await asyncio.sleep(1)
            began = loop.time()
            healthy = [
                group.create_task(
                    downloads.save(f"{url}/{number}", tmp_path / f"well-{number}", Kind.IMAGE, within_s=HOUR_S)
                )
                for number in range(10)
            ]
            await asyncio.wait(healthy)
            assert loop.time() - began < 2 * WINDOW_S
            assert not any(task.done() for task in slow)
            more = [  # another download always waits
                group.create_task(
                    downloads.save(f"{url}/slow-{number}", tmp_path / f"more-{number}", Kind.IMAGE, within_s=HOUR_S)
                )
                for number in range(4)
            ]
            await asyncio.wait([*slow, *more])
        await downloads.close()
        assert {file.read_bytes() for file in tmp_path.iterdir()} == {PNG}
        assert len(list(tmp_path.iterdir())) == PARALLEL + 10 + 4
        if tag:
            for starts in trickle.starts.values():  # gone on with, never from the beginning again
                assert starts == sorted(set(starts))
            assert any(len(starts) > 1 for starts in trickle.starts.values())

    run(main())
