"""A program that forks with a client open, for `test_home`: CONFIG LEDGER ENDS, where the child ends by `_exit` or not.

The program prints a line for each finding of the child, another process and the parent.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from mps_aigc_async import AigcClient, ClientError, Config, ImageRequest, LedgerError, Task
from mps_aigc_async.ledger import SqliteLedger

FDS: Final = Path("/proc/self/fd")


def sockets() -> int:
    return sum(os.path.realpath(entry).rpartition("/")[2].startswith("socket:") for entry in FDS.iterdir())


async def used_in_child(client: AigcClient, task: Task[Any]) -> None:
    uses = (client.generate(ImageRequest(prompt="x")), task.wait(), task.status(), client.counts())
    results = await asyncio.gather(*uses, return_exceptions=True)
    assert {type(error) for error in results} == {ClientError}, results
    assert all("open a client of its own after the fork" in str(error) for error in results), results
    client.statistics()
    before = sockets()
    await client.aclose()
    say(f"child closed its sockets: {sockets() < before}")


async def goes_on(client: AigcClient, ledger: Path) -> None:
    await client.call("DescribeAigcTaskList", {})  # on the connection that the child had a copy of
    await client.submit(ImageRequest(id="hill", prompt="a hill"))
    command = [sys.executable, __file__, "open", str(ledger)]
    other = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    say(f"other {other.stdout.strip()}")
    jobs, has_wal = sum((await client.counts()).values()), ledger.with_name(f"{ledger.name}-wal").exists()
    say(f"parent {jobs} {has_wal}")
    await client.aclose()


async def open_task(client: AigcClient) -> Task[Any]:
    await client.__aenter__()
    return await client.submit(ImageRequest(id="lake", prompt="a lake"))


async def try_ledger(ledger: Path) -> None:
    try:
        await SqliteLedger.open(ledger, {"account": "another"})
    except LedgerError as error:
        say(str(error))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — what the test reads


def main(config: Config, ledger: Path, ends: str) -> None:
    client = AigcClient(config, ledger=ledger)
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(open_task(client))
    child = os.fork()
    if child == 0:
        asyncio.run(used_in_child(client, task))
        if ends == "_exit":
            os._exit(0)
        return
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    loop.run_until_complete(goes_on(client, ledger))
    loop.close()


if __name__ == "__main__":
    if sys.argv[1] == "open":
        asyncio.run(try_ledger(Path(sys.argv[2])))
    else:
        main(Config.parse(json.loads(sys.argv[1])), Path(sys.argv[2]), sys.argv[3])
