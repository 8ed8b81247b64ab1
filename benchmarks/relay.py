"""`python -m benchmarks.relay HERE THERE PORT [PORT …]`: pass connections on, from the ports of one address to the same
ports of another."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial


@asynccontextmanager
async def relaying(here: str, there: str, ports: Sequence[int]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for port in ports:
            server = await asyncio.start_server(partial(_pass_on, there, port), here, port)
            await stack.enter_async_context(server)
        yield


async def _pass_on(there: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        back, onward = await asyncio.open_connection(there, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pass(reader, onward), _pass(back, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other side has gone
    finally:
        writer.close()


async def main(here: str, there: str, ports: Sequence[int]) -> None:
    async with relaying(here, there, ports):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]]))
