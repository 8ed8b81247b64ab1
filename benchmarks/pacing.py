"""Each action saturated for 30 s on a server with a strict one-second window, all four at once.

What counts is the server's log of arrivals: how many came in the 30 s from the first one on (the start is not left
out), the most in any half-open second, and how many it refused.
"""

import asyncio

from mps_aigc_async import AigcClient
from mps_aigc_async.wire.mps import LIMITS

from .server import Report, serving
from .table import show

SECONDS = 30.0
SENDERS = 64
"""Callers that ask for each action at once: more than the pace lets through, whatever the latency."""


async def main() -> None:
    async with serving() as server, AigcClient(server.config(images=1, videos=1, poll_ms=60_000)) as client:
        tasks = {
            kind: await client.call(f"CreateAigc{kind}Task", {"Prompt": "the one asked about"})
            for kind in ("Image", "Video")
        }
        await asyncio.sleep(1.1)  # the windows are empty again
        senders = [asyncio.create_task(_send(client, action, tasks)) for action in LIMITS for _ in range(SENDERS)]
        await asyncio.sleep(SECONDS + 1.5)
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)
        _show(await server.report())


async def _send(client: AigcClient, action: str, tasks: dict[str, dict[str, object]]) -> None:
    kind = "Image" if "Image" in action else "Video"
    params: dict[str, object] = {"Prompt": "x"} if action.startswith("Create") else {"TaskId": tasks[kind]["TaskId"]}
    while True:
        await client.call(action, params)


def _show(report: Report) -> None:
    rows = []
    for action, limit in LIMITS.items():
        times = [arrival.at for arrival in report.arrivals if arrival.action == action]
        refused = sum(1 for a in report.arrivals if a.action == action and a.code == "RequestLimitExceeded")
        times = times[1:] if action.startswith("Create") else times  # the one made beforehand
        used = sum(1 for time in times if time - times[0] < SECONDS) / (limit * SECONDS)
        most = report.statistics.most_per_second[action]
        rows.append((action, f"{limit:g}", f"{used:.1%}", f"{most}", refused))
    show(
        f"Pacing: {SECONDS:g} s saturated, all actions at once, {SENDERS} callers each",
        ("action", "limit /s", "used", "most in any 1 s", "refused"),
        rows,
    )
