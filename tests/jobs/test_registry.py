"""Several clients of one loop on one ledger file: a job is created once, polled by one client, and lost by none."""

import asyncio
import logging
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from mps_aigc_async import (
    AigcClient,
    AigcError,
    Attach,
    ClientClosed,
    CreateOutcomeUnknown,
    ImageRequest,
    InvalidRequest,
    JobRecord,
    JobState,
    Kind,
    LedgerError,
)
from mps_aigc_async.emulator import Service
from mps_aigc_async.jobs.registry import registry_of
from mps_aigc_async.jobs.session_trust import SessionTrust
from mps_aigc_async.ledger import sqlite
from mps_aigc_async.limits.process import account
from mps_aigc_async.model.events import Event, Paced
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest, SessionRule

from ..support import Heard, accepted, client_of, configured, in_memory

CREATE, POLL = "CreateAigcImageTask", "DescribeAigcImageTask"
TASK_S = 60.0
LAKE = ImageRequest(id="lake", prompt="a lake")


def polls(service: Service) -> int:
    return sum(arrival.action == POLL for arrival in service.arrivals)


async def made(service: Service, ledger: Path, request: ImageRequest) -> str:
    """The TaskId of a request that has a client of its own."""
    async with client_of(service, configured(images=5), ledger=ledger) as client:
        return (await client.generate(request)).task_id


def test_twenty_clients_at_once_make_a_request_each(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        requests = [ImageRequest(id=f"{number}", prompt="a lake") for number in range(20)]
        tasks = await asyncio.gather(*(made(service, ledger, request) for request in requests))
        assert len(set(tasks)) == accepted(service, CREATE) == 20
        assert service.statistics(wall()).most_running["image"] <= 5
        async with client_of(service, ledger=ledger) as client:
            assert await client.counts() == {JobState.DONE: 20}

    run(main())


def test_one_request_of_twenty_clients_is_one_create(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        tasks = await asyncio.gather(*(made(service, ledger, LAKE) for _ in range(20)))
        assert len(set(tasks)) == accepted(service, CREATE) == 1
        assert polls(service) < 2 * TASK_S / 5  # as of one client, which polls every 5 s

    run(main())


def test_the_spellings_of_a_path_are_one_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "jobs.db")
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        service = in_memory()
        paths = (tmp_path / "jobs.db", Path("jobs.db"), link, tmp_path / ".." / tmp_path.name / "jobs.db")
        tasks = await asyncio.gather(*(made(service, path, LAKE) for path in paths))
        assert len(set(tasks)) == accepted(service, CREATE) == 1

    run(main())


def test_a_second_client_neither_calls_unknown_nor_polls_what_the_first_one_drives(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        slow = InMemoryTransport(service, wall, latency_s=10.0)
        async with client_of(service, ledger=ledger, transport=lambda: slow) as first:
            creating = asyncio.create_task(first.submit(LAKE))
            await asyncio.sleep(5.0)
            async with client_of(service, ledger=ledger) as second:
                assert await second.counts() == {JobState.INTENT: 1}
                assert await second.unknown() == []
                await creating
                assert (second.statistics().polling, first.statistics().polling) == (0, 1)
                assert second.statistics().slots[Kind.IMAGE].taken == 1
                with pytest.raises(InvalidRequest, match="is submitted: only one of unknown outcome"):
                    await second.settle("lake/image", Attach("4-x"))
                assert await second.retry_failed() == []
        assert accepted(service, CREATE) == 1

    run(main())


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01, 0.05, 5.0, TASK_S / 2])
def test_a_second_client_goes_on_with_the_job_of_one_that_closes(tmp_path: Path, after_s: float) -> None:
    """At any moment: before the create is sent, while it is under way, while its task runs."""

    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as second:
            async with client_of(service, ledger=ledger) as first:
                one = asyncio.create_task(first.generate(LAKE))
                await asyncio.sleep(after_s)
                two = asyncio.create_task(second.generate(LAKE))
                await asyncio.sleep(0.001)
            result = await two
            assert isinstance((await asyncio.gather(one, return_exceptions=True))[0], ClientClosed)
            assert await second.counts() == {JobState.DONE: 1}
            assert second.statistics().slots[Kind.IMAGE].taken == 0
        assert result.urls
        assert accepted(service, CREATE) == 1

    run(main())


def test_a_second_client_that_waits_for_a_submitted_task_outlives_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as second:
            async with client_of(service, ledger=ledger) as first:
                task = await first.submit(LAKE)
                waiting = asyncio.create_task((await second.submit(LAKE)).wait())
                attached = asyncio.create_task(second.attach("image", task.task_id).wait())
                await asyncio.sleep(10.0)
                assert (first.statistics().polling, second.statistics().polling) == (1, 0)
            await asyncio.sleep(1.0)
            assert second.statistics().polling == 1
            assert (await waiting).task_id == (await attached).task_id == task.task_id
        assert accepted(service, CREATE) == 1

    run(main())


def test_what_a_closed_client_left_is_polled_by_another_and_keeps_its_slot(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        one = configured(images=1)
        async with client_of(service, one, ledger=ledger) as other:
            async with client_of(service, one, ledger=ledger) as first:
                await first.submit(LAKE)
            assert other.statistics().slots[Kind.IMAGE].taken == 1
            async with client_of(service, one, ledger=ledger) as third:
                await third.generate(ImageRequest(id="hill", prompt="a hill"))  # waits for the slot
                assert await third.counts() == {JobState.DONE: 2}
        assert service.statistics(wall()).most_running["image"] == 1

    run(main())


def test_what_clients_that_close_together_leave_is_polled_by_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client_of(service, ledger=ledger)) for _ in range(5)]
            await clients[0].submit(LAKE)
            ends = [asyncio.create_task(client.aclose()) for client in clients]
            async with client_of(service, ledger=ledger) as late:
                await asyncio.gather(*ends)
                await asyncio.sleep(2 * TASK_S)
                assert await late.counts() == {JobState.DONE: 1}
                assert late.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


class Deaf(InMemoryTransport):
    """Sends and hears no answer, until `go_on` is set."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, wall)
        self.go_on = asyncio.Event()
        self.sent = asyncio.Event()

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = lambda: None) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        self.sent.set()
        await self.go_on.wait()
        return answer


def test_a_create_that_closing_cuts_off_is_unknown_for_who_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        deaf = Deaf(service)
        async with client_of(service, ledger=ledger) as second:
            async with client_of(service, ledger=ledger, transport=lambda: deaf) as first:
                heard = Heard(first)
                one = asyncio.create_task(first.generate(LAKE))
                await deaf.sent.wait()
                two = asyncio.create_task(second.generate(LAKE))
                await asyncio.sleep(0.1)
            with pytest.raises(CreateOutcomeUnknown):
                await two
            await asyncio.gather(one, return_exceptions=True)
            assert heard.names("lake/image") == ["Planned", "Paced", "Unknown"]
            assert [job.job_id for job in await second.unknown()] == ["lake/image"]
            assert second.statistics().slots[Kind.IMAGE].taken == 1  # its task may run
        assert accepted(service, CREATE) == 1

    run(main())


def test_an_answer_that_comes_while_the_first_closes_is_the_seconds_as_well(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        deaf = Deaf(service)
        async with (
            client_of(service, ledger=ledger) as second,
            client_of(service, ledger=ledger, transport=lambda: deaf) as first,
        ):
            heard = Heard(first)
            one = asyncio.create_task(first.generate(LAKE))
            await deaf.sent.wait()
            two = asyncio.create_task(second.generate(LAKE))
            end = asyncio.create_task(first.aclose())
            await asyncio.sleep(5.0)
            deaf.go_on.set()
            assert (await two).urls
            await end
            await asyncio.gather(one, return_exceptions=True)
            assert heard.names("lake/image") == ["Planned", "Paced", "Submitted"]
        assert accepted(service, CREATE) == 1
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    run(main())


@pytest.mark.parametrize("turns", range(0, 60, 3))
def test_a_client_that_is_cancelled_while_it_opens_costs_the_others_nothing(tmp_path: Path, turns: int) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        first, second = (asyncio.create_task(made(service, ledger, LAKE)) for _ in range(2))
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
        assert await second
        await asyncio.wait({first})
        assert accepted(service, CREATE) == 1

    run(main())


@pytest.mark.parametrize("turns", range(0, 40, 2))
def test_a_client_that_opens_while_the_last_one_closes(tmp_path: Path, turns: int) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as first:
            await first.submit(LAKE)
            end = asyncio.create_task(first.aclose())
            for _ in range(turns):
                await asyncio.sleep(0)
            assert await made(service, ledger, LAKE)
            await end
        assert accepted(service, CREATE) == 1

    run(main())


def test_a_client_of_another_owner_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        async with client_of(service, configured(account="studio-a"), ledger=ledger) as first:
            with pytest.raises(LedgerError, match=r"belongs to account 'studio-a'.*'studio-b'"):
                async with client_of(service, configured(account="studio-b"), ledger=ledger):
                    pass
            assert (await first.generate(LAKE)).urls

    run(main())


def test_a_ledger_that_is_removed_is_lost_for_each_client(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as first, client_of(service, ledger=ledger) as second:
            ledger.unlink()
            for client in (first, second):
                with pytest.raises(LedgerError, match="was removed"):
                    await client.submit(LAKE)
            with pytest.raises(LedgerError, match="was removed"):
                async with client_of(service, ledger=ledger):
                    pass
        assert not service.arrivals

    run(main())


@pytest.mark.parametrize("has_sent", [True, False], ids=["an answer", "an intent"])
def test_a_client_closes_though_the_ledger_is_locked_and_its_rows_reach_the_disk_with_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_sent: bool
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 5)

    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as second, client_of(service, ledger=ledger) as first:
            with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
                if has_sent:
                    first.on_event(lambda event: lock_at(event, other))
                else:
                    await first.submit(ImageRequest(id="hill", prompt="a hill"))
                    other.execute("BEGIN IMMEDIATE")
                submit = asyncio.create_task(first.submit(LAKE))
                await asyncio.sleep(60.0)
                began = asyncio.get_running_loop().time()
                await first.aclose()
                assert asyncio.get_running_loop().time() - began < 15.0
                assert isinstance((await asyncio.gather(submit, return_exceptions=True))[0], AigcError)
                other.execute("ROLLBACK")
            assert (await second.generate(LAKE)).urls
            assert await second.unknown() == []
            await asyncio.sleep(2 * TASK_S)
            assert await second.counts() == {JobState.DONE: 1 if has_sent else 2}
        assert accepted(service, CREATE) == (1 if has_sent else 2)

    run(main())


def lock_at(event: Event, other: sqlite3.Connection) -> None:
    """Take the file's write lock once the first intent is on the disk."""
    if isinstance(event, Paced) and not other.in_transaction:
        other.execute("BEGIN IMMEDIATE")


def test_what_one_client_sees_of_sessions_counts_for_all(tmp_path: Path) -> None:
    """Two tasks of one session: whichever client has seen them, none sends an unknown create again."""

    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as first, client_of(service, ledger=ledger) as second:
            ours, theirs = [await client._usable_engine().open_ledger(client._ledger) for client in (first, second)]
            assert registry_of(ours) is registry_of(theirs)
            trusts = [
                SessionTrust(lambda _: SessionRule.DOCUMENTED, "x", each, registry_of(each).evidence)
                for each in (ours, theirs)
            ]
            job = JobRecord(job_id="a", kind=Kind.IMAGE, content="{}", planned_at=1.0)
            assert [trust.holds_for(job) for trust in trusts] == [True, True]
            await trusts[0].contradict(job, "4-1", "4-2")
            assert [trust.holds_for(job) for trust in trusts] == [False, False]

    run(main())


def test_ids_are_polled_once_however_many_clients_ask(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with AsyncExitStack() as stack:
            clients: list[AigcClient] = [
                await stack.enter_async_context(client_of(service, ledger=ledger)) for _ in range(10)
            ]
            tasks = [await client.submit(LAKE) for client in clients]
            await asyncio.gather(*(task.wait() for task in tasks))
        assert accepted(service, CREATE) == 1
        times = Counter(round(arrival.at, 2) for arrival in service.arrivals if arrival.action == POLL)
        assert max(times.values()) == 1
        assert polls(service) < 2 * TASK_S / 5

    run(main())


def test_a_later_process_resumes_what_all_clients_left(tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(TASK_S, TASK_S)), tmp_path / "jobs.db"
        async with client_of(service, ledger=ledger) as first, client_of(service, ledger=ledger) as second:
            await first.submit(LAKE)
            await second.submit(ImageRequest(id="hill", prompt="a hill"))
        account.forget()  # a new process knows nothing
        async with client_of(service, ledger=ledger) as client:
            assert client.statistics().polling == 2
            await asyncio.sleep(2 * TASK_S)
            assert await client.counts() == {JobState.DONE: 2}

    run(main())
