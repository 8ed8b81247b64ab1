"""The fate of an image under every fault of the network in every step, as a table.

`python -m tests.fault_table` runs them all and prints the table that docs/reliability.md has; the test compares.
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, get_args
from unittest.mock import patch

from mps_aigc_async import AigcClient, AigcError, Config, CreateOutcomeUnknown, ImageRequest, Kind
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.model import events
from mps_aigc_async.model.events import Event
from mps_aigc_async.network import downloads
from mps_aigc_async.network.transport import Timeouts
from mps_aigc_async.testing import FaultProxy, ProxyFault
from mps_aigc_async.testing.proxy_faults import NOT_FORWARDED

Fault = Literal["refuse"] | ProxyFault
Step = Literal["create", "describe", "download"]

ACTIONS: Final[dict[Step, str]] = {
    "create": "CreateAigcImageTask",
    "describe": "DescribeAigcImageTask",
    "download": "Media",
}
FAULTS: Final[tuple[Fault, ...]] = ("refuse", *get_args(ProxyFault))
AT_ONCE: Final = 6
IMAGE: Final = ImageRequest(id="shot", prompt="a lake")

RECOVERED: Final = "recovered"
UNKNOWN: Final = "unknown: kept and listed"
REFUSED: Final = "refused; saved by the same call again"
NOT_THERE: Final = "—"


@dataclass(frozen=True)
class Cell:
    """The result of a fault in a step."""

    fault: Fault
    step: Step
    ending: str
    created: int
    """Tasks that the service made, after the same call was made again as well."""
    creates_sent: int


async def cells(folder: Path) -> list[Cell]:
    """Every fault that there is, in every step that it can befall."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(fault: Fault, step: Step) -> Cell:
        async with places:
            return await cell(fault, step, folder / f"{step}-{fault}")

    # The size that is too much, for which no test should need a quarter of a gigabyte.
    with patch.dict(downloads.MAX_BYTES, {Kind.IMAGE: 10 << 20}):
        return list(await asyncio.gather(*(one(fault, step) for fault in FAULTS for step in ACTIONS)))


async def cell(fault: Fault, step: Step, folder: Path) -> Cell:
    """Make an image with the fault in one of its steps, and then repeat the call."""
    async with Emulator(image_seconds=(0.2, 0.2)) as emulator, FaultProxy(emulator) as proxy:
        if fault != "refuse":
            try:
                proxy.add(fault, action=ACTIONS[step], seconds=0.2 if fault == "delay" else 0)
            except ValueError:  # the fault does not fit this step
                return Cell(fault, step, NOT_THERE, 0, 0)
        client = AigcClient(
            Config.parse(
                {
                    "tencentCloud": {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE", "endpoint": proxy.url},
                    "concurrency": {"pollIntervalMs": 100},
                }
            ),
            ledger=folder / "ledger.db",
            timeouts=Timeouts(connect=2, read=1, total=2),
        )
        async with client:
            ending = await _ending(client, proxy, fault, step, folder)
        stopped = sum(proxy.befallen[ACTIONS["create"], fault] for fault in NOT_FORWARDED)
        return Cell(
            fault,
            step,
            ending,
            created=emulator.statistics().created["image"],
            creates_sent=proxy.forwarded[ACTIONS["create"]] + stopped,
        )


async def _ending(client: AigcClient, proxy: FaultProxy, fault: Fault, step: Step, folder: Path) -> str:
    first = await _made(client, proxy, step if fault == "refuse" else None, folder)
    again = await _made(client, proxy, None, folder)
    if isinstance(first, CreateOutcomeUnknown) and isinstance(again, CreateOutcomeUnknown):
        listed = [job.prompt for job in await client.unknown()]
        return UNKNOWN if listed == [IMAGE.prompt] else f"unknown, and {listed} are listed"
    if first is None and again is None:
        return RECOVERED
    return REFUSED if again is None else f"{type(first).__name__}, then {type(again).__name__}"


async def _made(client: AigcClient, proxy: FaultProxy, refusing: Step | None, folder: Path) -> AigcError | None:
    """Make and save the image, while connections are refused at the beginning of one of the steps."""
    try:
        if refusing in ("describe", "download"):
            task = await client.submit(IMAGE)
            if refusing == "download":
                await task.wait()
        async with _Refusing(client, proxy) if refusing else nullcontext():
            async with asyncio.timeout(30):  # nothing may hang
                await client.generate(IMAGE, save_to=folder)
    except AigcError as error:
        return error
    return None


class _Refusing:
    """Connections are refused from here until that was met: a while for polls, which tell of no failure."""

    def __init__(self, client: AigcClient, proxy: FaultProxy) -> None:
        self._client = client
        self._proxy = proxy
        self._met = asyncio.Event()

    async def __aenter__(self) -> None:
        await self._proxy.refuse()
        self._unsubscribe = self._client.on_event(self._hear)
        self._accepting = asyncio.create_task(self._accept())

    def _hear(self, event: Event) -> None:
        if isinstance(event, events.Retried):
            self._met.set()

    async def _accept(self) -> None:
        try:
            async with asyncio.timeout(0.5):
                await self._met.wait()
        except TimeoutError:
            pass
        await self._proxy.accept()

    async def __aexit__(self, *_: object) -> None:
        self._unsubscribe()
        await self._accepting


def table(found: Sequence[Cell]) -> str:
    """As Markdown."""
    rows = [f"| {' | '.join(['fault', *ACTIONS])} |", f"|{'---|' * (len(ACTIONS) + 1)}"]
    for fault in FAULTS:
        endings = {cell.step: cell.ending for cell in found if cell.fault == fault}
        rows.append(f"| {fault} | {' | '.join(endings[step] for step in ACTIONS)} |")
    return "\n".join(rows)


def main() -> None:
    with TemporaryDirectory() as folder:
        print(table(asyncio.run(cells(Path(folder)))))  # noqa: T201 — what it is for


if __name__ == "__main__":
    main()
