"""`python -m tests.standins NAME MANNERS`: a stand-in, until standard input ends. MANNERS are JSON."""

import asyncio
import json
import sys

from .book import Manners
from .serving import serving


async def main(name: str, manners: str) -> None:
    values = json.loads(manners)
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    async with serving(name, Manners(**{**values, **lists})) as standin:
        sys.stdout.write(f"{standin.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
