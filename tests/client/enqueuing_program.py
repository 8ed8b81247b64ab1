"""A program that plans images and is killed: CONFIG LEDGER FOLDER COUNT. It prints a line once the ledger has all."""

import asyncio
import json
import sys

from mps_aigc_async import AigcClient, Config, ImageRequest


async def main(config: str, ledger: str, folder: str, count: str) -> None:
    async with AigcClient(Config.parse(json.loads(config)), ledger=ledger) as client:
        requests = [ImageRequest(id=f"shot-{number:03}", prompt=f"scene {number}") for number in range(int(count))]
        jobs = [client.enqueue(request, save_to=folder) for request in requests]
        await asyncio.gather(*(job.stored for job in jobs))
        print("stored", flush=True)  # noqa: T201 — what the test reads
        await asyncio.gather(*(job.result() for job in jobs))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
