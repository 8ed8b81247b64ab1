"""A ledger with more left running than is read at once: polled from the first portion on, and nothing new before the
last one has its slots."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mps_aigc_async import AigcClient, ImageRequest, JobState, Kind
from mps_aigc_async.emulator import Service
from mps_aigc_async.ledger import JobRecord, SqliteLedger, sqlite
from mps_aigc_async.testing import forget_limits, run, wall

from ..support import Heard, accepted, client_of, configured, in_memory
from ..test_fault_table import open_in

LEFT = 7
PORTION = 2
TASK_S = 60.0


class SlowlyRead(SqliteLedger):
    """Of what is submitted, one job more than `given` is not read before there is leave to go on."""

    given = 0
    go_on: asyncio.Event

    async def in_state(self, state: JobState) -> AsyncIterator[JobRecord]:
        number = 0
        async for job in super().in_state(state):
            if state is JobState.SUBMITTED and number == self.given:
                await self.go_on.wait()
            number += 1
            yield job


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PORTION", PORTION)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> type[SlowlyRead]:
    monkeypatch.setattr("mps_aigc_async.engine.ledgers.SqliteLedger", SlowlyRead)
    monkeypatch.setattr(SlowlyRead, "go_on", asyncio.Event(), raising=False)
    return SlowlyRead


@asynccontextmanager
async def left_running(ledger: Path) -> AsyncIterator[Service]:
    """A service where LEFT tasks run, which a ledger knows and no process asks about."""
    service = in_memory(image_seconds=(TASK_S, TASK_S))
    async with client_of(service, configured(images=LEFT), ledger=ledger) as client:
        for number in range(LEFT):
            await client.submit(ImageRequest(id=f"{number}", prompt="left"))
    forget_limits()  # a new process knows nothing
    yield service
    assert accepted(service, "CreateAigcImageTask") == service.statistics(wall()).created["image"]


def ended(heard: Heard) -> int:
    return sum(type(event).__name__ == "Done" for event in heard.events)


async def all_end(client: AigcClient, jobs: int) -> None:
    await asyncio.sleep(10 * TASK_S)
    assert await client.counts() == {JobState.DONE: jobs}
    statistics = client.statistics()
    assert (statistics.polling, statistics.slots[Kind.IMAGE].taken) == (0, 0)


def test_all_that_was_left_has_its_slots_when_the_client_is_open(tmp_path: Path) -> None:
    async def main() -> None:
        ledger, two = tmp_path / "ledger.db", configured(images=2)
        async with left_running(ledger) as service, client_of(service, two, ledger=ledger) as client:
            assert client.statistics().slots[Kind.IMAGE].taken == LEFT
            await all_end(client, LEFT)

    run(main())


def test_ends_are_told_while_the_rest_is_still_being_read(tmp_path: Path, slowly: type[SlowlyRead]) -> None:
    slowly.given = 4

    async def main() -> None:
        ledger = tmp_path / "ledger.db"
        async with left_running(ledger) as service, client_of(service) as client:
            heard = Heard(client)
            opening = asyncio.create_task(client._usable_engine().resume_ledger(ledger))
            await asyncio.sleep(2 * TASK_S)
            assert ended(heard) == slowly.given
            assert dict(await client.counts(ledger)) == {JobState.DONE: 4, JobState.SUBMITTED: LEFT - 4}
            assert not opening.done()
            slowly.go_on.set()
            await opening
            await asyncio.sleep(2 * TASK_S)
            assert ended(heard) == LEFT  # each of them once
            assert await client.counts(ledger) == {JobState.DONE: LEFT}

    run(main())


def test_nothing_new_takes_a_slot_before_the_last_that_was_left_has_one(
    tmp_path: Path, slowly: type[SlowlyRead]
) -> None:
    slowly.given = 4

    async def main() -> None:
        ledger = tmp_path / "ledger.db"
        async with left_running(ledger) as service, client_of(service, configured(images=3)) as client:
            new = asyncio.create_task(_made(client, ledger))
            await asyncio.sleep(2 * TASK_S)
            assert client.statistics().slots[Kind.IMAGE].taken == 0  # there would be room
            assert accepted(service, "CreateAigcImageTask") == LEFT
            slowly.go_on.set()
            assert await new
            await asyncio.sleep(2 * TASK_S)
            assert await client.counts(ledger) == {JobState.DONE: LEFT + 1}
        assert accepted(service, "CreateAigcImageTask") == LEFT + 1

    async def _made(client: AigcClient, ledger: Path) -> bool:
        return all([outcome.ok async for outcome in client.run([ImageRequest(prompt="new")], ledger=ledger)])

    run(main())


@pytest.mark.parametrize("given", range(LEFT))
def test_opening_that_is_cancelled_leaves_nothing_behind_and_can_be_done_again(
    tmp_path: Path, slowly: type[SlowlyRead], given: int
) -> None:
    slowly.given = given

    async def main() -> None:
        ledger = tmp_path / "ledger.db"
        async with left_running(ledger) as service:
            opening = asyncio.create_task(_opened(service, ledger))
            await asyncio.sleep(1)
            opening.cancel()
            await asyncio.wait({opening})
            assert opening.cancelled()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert open_in(tmp_path) == []
            slowly.go_on.set()
            async with client_of(service, ledger=ledger) as client:
                assert client.statistics().slots[Kind.IMAGE].taken == LEFT
                await all_end(client, LEFT)

    async def _opened(service: Service, ledger: Path) -> None:
        async with client_of(service, ledger=ledger):
            raise AssertionError("it was opened though not all had been read")

    run(main())
