"""The ledger file: nothing written is lost or overwritten, and a file that cannot be used is refused and unchanged."""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count, pairwise
from pathlib import Path

import pytest

from mps_aigc_async.ledger import JobRecord, Ledger, MemoryLedger, SqliteLedger, sqlite
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model.errors import CreateOutcomeUnknown, LedgerError
from mps_aigc_async.model.states import JobState

from .ledgers import OWNER, done, job, opened


async def test_facts_survive_the_process_and_are_no_owners(tmp_path: Path) -> None:
    for facts in ({}, {"a": "1"}):
        ledger = await SqliteLedger.open(tmp_path / "jobs.db", OWNER)
        assert await ledger.facts() == facts
        await ledger.keep_fact("a", "1")
        await ledger.close()
        with pytest.raises(LedgerError, match="it is closed"):
            await ledger.keep_fact("a", "2")
    with open_snapshot(tmp_path / "jobs.db") as snapshot:
        assert snapshot.owner() == OWNER


async def test_between_two_portions_of_a_state_the_loop_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PORTION", 2)
    turns = count()

    async def turning() -> None:
        while True:
            await asyncio.sleep(0)
            next(turns)

    async with opened(tmp_path / "jobs.db") as ledger:
        await asyncio.gather(*(ledger.put(job(f"{number}", at=number)) for number in range(6)))
        other = asyncio.create_task(turning())
        seen = [next(turns) async for _ in ledger.in_state(JobState.PLANNED)]
        other.cancel()
    assert [later - earlier == 1 for earlier, later in pairwise(seen)] == [True, False, True, False, True]


async def test_a_state_that_is_not_read_to_its_end_keeps_nothing_open(tmp_path: Path) -> None:
    ledger = await SqliteLedger.open(tmp_path / "jobs.db", OWNER)
    await ledger.put(job())
    await ledger.put(job("b"))
    reading_on = ledger.in_state(JobState.PLANNED)
    assert await anext(reading_on) == job()
    await ledger.close()
    assert not (tmp_path / "jobs.db-wal").exists()  # SQLite removes it when the last one has closed


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a plain, read-only connection, as a user with the sqlite3 tool does."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def everything_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def refused(path: Path, says: str, owner: dict[str, str] | None = None) -> LedgerError:
    """Opening raises LedgerError, and leaves the folder as it was."""
    before = everything_in(path.parent)
    with pytest.raises(LedgerError, match=says) as error:
        async with opened(path, owner):
            pass
    assert str(path) in str(error.value)
    assert everything_in(path.parent) == before
    return error.value


async def pragma(ledger: SqliteLedger, name: str) -> object:
    ((value,),) = await ledger._database.rows(f"PRAGMA {name}")
    return value


async def test_a_commit_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        assert await pragma(ledger, "journal_mode") == "wal"
        assert await pragma(ledger, "synchronous") == 2  # FULL: the WAL is synced with each commit


async def test_out_of_place_once_a_ledger_is_out_of_place_for_good(tmp_path: Path) -> None:
    """Rows may have gone to either file meanwhile, so that neither tells of every create."""
    path, aside = tmp_path / "jobs.db", tmp_path / "aside.db"
    async with opened(path) as ledger:
        ledger.require_in_place()
        assert ledger.in_place
        path.rename(aside)
        with pytest.raises(LedgerError, match=r"jobs\.db was removed while it was open"):
            ledger.require_in_place()
        aside.rename(path)
        assert not ledger.in_place
        with pytest.raises(LedgerError, match=r"jobs\.db was removed while it was open"):
            ledger.require_in_place()


async def test_lost_while_it_is_closed_a_ledger_knows_it_and_later_it_does_not_look(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    lost, kept = await SqliteLedger.open(path, OWNER), await SqliteLedger.open(tmp_path / "kept.db", OWNER)
    path.unlink()
    await lost.close()
    await kept.close()
    (tmp_path / "kept.db").unlink()
    assert (lost.in_place, kept.in_place) == (False, True)


async def test_a_fact_that_cannot_be_written_is_a_ledgers_error(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            connection.execute("DROP TABLE belongs_to")
        with pytest.raises(LedgerError, match=r"cannot write the ledger .*no such table"):
            await ledger.keep_fact("a", "1")
        await ledger.put(job())


@pytest.mark.parametrize(("intent_at", "ended_at", "last"), [(5.0, None, 5.0), (5.0, 9.0, 9.0), (None, None, 1.0)])
async def test_an_intent_found_again_is_unknown_since_the_latest_create_that_is_known_of(
    tmp_path: Path, intent_at: float | None, ended_at: float | None, last: float
) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        await ledger.put(job().moved(JobState.INTENT, intent_at=intent_at, ended_at=ended_at))
    async with opened(tmp_path / "jobs.db") as ledger:
        found = await ledger.get("a/image")
        assert found is not None
        assert (found.state, found.ended_at) == (JobState.UNKNOWN, last)
        assert isinstance(found.recorded_error(), CreateOutcomeUnknown)


async def test_a_ledger_survives_closing(tmp_path: Path) -> None:
    kept = done(job())
    async with opened(tmp_path / "deep" / "er" / "jobs.db") as ledger:
        await ledger.put(kept)
    async with opened(tmp_path / "deep" / "er" / "jobs.db") as ledger:
        assert await ledger.get("a/image") == kept
        assert await ledger.plan(job()) == kept


async def test_what_put_returned_for_is_in_the_files_of_a_process_that_never_closed(tmp_path: Path) -> None:
    copies = tmp_path / "after the crash"
    copies.mkdir()
    async with opened(tmp_path / "jobs.db") as ledger:
        await ledger.put(done(job()))
        for name in ("jobs.db", "jobs.db-wal"):
            shutil.copy(tmp_path / name, copies)
    async with opened(copies / "jobs.db") as ledger:
        assert await ledger.get("a/image") == done(job())


async def test_an_intent_found_again_is_unknown_and_nothing_else_moves(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        await ledger.put(job("sent").moved(JobState.INTENT, intent_at=2.0))
        await ledger.put(job("planned"))
        await ledger.put(done(job("done")))
    for _ in range(2):  # opened once more it stays so
        async with opened(tmp_path / "jobs.db") as ledger:
            sent = await ledger.get("sent")
            assert sent is not None
            assert (sent.state, sent.intent_at) == (JobState.UNKNOWN, 2.0)
            error = sent.recorded_error()
            assert type(error) is CreateOutcomeUnknown
            assert error.job_id == "sent"
            assert await ledger.get("planned") == job("planned")
            assert await ledger.get("done") == done(job("done"))


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from mps_aigc_async.ledger import JobRecord, SqliteLedger
from mps_aigc_async.model.states import JobState, Kind

async def main():
    ledger = await SqliteLedger.open(Path(sys.argv[1]), {"account": "a"})
    job = JobRecord(job_id="sent", kind=Kind.VIDEO, content="{}", planned_at=1.0)
    await ledger.put(job.moved(JobState.INTENT))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_killed_process_leaves_its_intent_and_no_lock(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path / "jobs.db"))
    assert await process.wait() == -9
    async with opened(tmp_path / "jobs.db", {"account": "a"}) as ledger:
        assert dict(await ledger.counts()) == {JobState.UNKNOWN: 1}


async def test_a_newer_schema_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    await refused(path, r"newer version \(schema 99\): upgrade")


@pytest.mark.parametrize("statement", ["CREATE TABLE notes (text)", "PRAGMA user_version = 1"])
async def test_a_foreign_sqlite_file_is_refused_and_untouched(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    await refused(path, "SQLite file of another program")


@pytest.mark.parametrize("text", ["my notes\n", "my notes\n" * 1000], ids=len)
async def test_a_text_file_is_refused_and_untouched(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    await refused(path, "cannot be read as a ledger")


async def test_a_damaged_ledger_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = await SqliteLedger.open(path, OWNER)
    for number in range(200):
        await ledger.plan(job(f"shot-{number:03}"))
    await ledger.close()
    spoilt = bytearray(path.read_bytes())
    spoilt[4096 * 3 : 4096 * 4] = os.urandom(4096)
    path.write_bytes(spoilt)
    with pytest.raises(LedgerError, match=r"(is damaged|malformed).*"):
        await SqliteLedger.open(path, OWNER)
    assert path.read_bytes() == bytes(spoilt)
    assert {file.name for file in tmp_path.iterdir()} == {"ledger.db"}


@pytest.mark.parametrize("damaged", [True, False])
async def test_a_refused_ledger_stays_as_a_killed_process_left_it(tmp_path: Path, damaged: bool) -> None:
    path, copy = tmp_path / "first.db", tmp_path / "ledger.db"
    ledger = await SqliteLedger.open(path, OWNER)
    for number in range(200):
        await ledger.put(job(f"shot-{number:03}").moved(JobState.INTENT, intent_at=1.0))
    for suffix in ("", "-wal"):  # as they are while it is open: what a kill leaves
        (tmp_path / f"ledger.db{suffix}").write_bytes((tmp_path / f"first.db{suffix}").read_bytes())
    await ledger.close()
    if damaged:
        wal = bytearray((tmp_path / "ledger.db-wal").read_bytes())
        data = bytearray(path.read_bytes())
        data[4096 * 3 : 4096 * 4] = os.urandom(4096)
        copy.write_bytes(data)
        wal = bytearray()
        (tmp_path / "ledger.db-wal").write_bytes(wal)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("ledger.db*") if "shm" not in file.name}
    other = OWNER if damaged else {**OWNER, "account": "somebody else"}
    with pytest.raises(LedgerError, match="damaged|malformed" if damaged else "belongs to account"):
        await SqliteLedger.open(copy, other)
    after = {file.name: file.read_bytes() for file in tmp_path.glob("ledger.db*") if "shm" not in file.name}
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("what", OWNER)
async def test_a_ledger_of_another_owner_is_refused_naming_both(tmp_path: Path, what: str) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as ledger:
        await ledger.put(job(state=JobState.FAILED))
    error = await refused(path, f"belongs to {what}", OWNER | {what: "another"})
    assert OWNER[what] in str(error)
    assert "another" in str(error)
    async with opened(path) as ledger:
        assert await ledger.get("a/image") == job(state=JobState.FAILED)


async def test_a_ledger_of_which_nothing_was_sent_may_change_hands(tmp_path: Path) -> None:
    """After a mistyped key, the same command goes on."""
    path = tmp_path / "jobs.db"
    async with opened(path) as ledger:
        await ledger.put(job())
    ledger = await SqliteLedger.open(path, OWNER | {"account": "the right one"})
    try:
        assert await ledger.get("a/image") == job()
        await ledger.put(job(state=JobState.INTENT))
    finally:
        await ledger.close()
    await refused(path, "belongs to account 'the right one'")


async def test_a_second_writer_is_refused_by_the_name_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as first:
        await first.put(job("intent").moved(JobState.INTENT))
        with pytest.raises(LedgerError, match=rf"being written by process {os.getpid()} on "):
            async with opened(path):
                pass
        assert dict(await first.counts()) == {JobState.INTENT: 1}
        await first.put(job("b"))


async def test_anyone_may_read_beside_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as ledger:
        await ledger.put(job())
        with reading(path) as connection:
            assert connection.execute("SELECT job_id, state FROM jobs").fetchall() == [("a/image", "planned")]
            await ledger.put(job().moved(JobState.INTENT))
            assert connection.execute("SELECT state FROM jobs").fetchall() == [("intent",)]


async def test_closing_lets_the_next_writer_in(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        async with opened(tmp_path / "jobs.db") as ledger:
            await ledger.put(job(name))
    async with opened(tmp_path / "jobs.db") as ledger:
        assert dict(await ledger.counts()) == {JobState.PLANNED: 3}


async def test_a_refused_ledger_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as ledger:
        await ledger.put(job(state=JobState.INTENT))
    await refused(path, "belongs to", {"account": "another"})
    async with opened(path):
        pass


async def test_closing_waits_for_what_is_being_written(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        puts = [asyncio.create_task(ledger.put(job(str(number)))) for number in range(10)]
        await asyncio.sleep(0)
    await asyncio.gather(*puts)
    async with opened(tmp_path / "jobs.db") as ledger:
        assert dict(await ledger.counts()) == {JobState.PLANNED: 10}


@pytest.mark.parametrize(
    "use",
    [lambda ledger: ledger.put(job()), lambda ledger: ledger.get("a"), lambda ledger: ledger.counts()],
    ids=["put", "get", "counts"],
)
async def test_a_closed_ledger_says_so(tmp_path: Path, use: Callable[[SqliteLedger], Awaitable[object]]) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        pass
    with pytest.raises(LedgerError):
        await use(ledger)


async def commits_of(ledger: SqliteLedger) -> list[str]:
    """Filled with each COMMIT that SQLite is told from now on."""
    commits: list[str] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            commits.append(statement)

    await ledger._database.run(lambda connection: connection.set_trace_callback(note))
    return commits


async def test_puts_at_once_share_a_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        commits = await commits_of(ledger)
        await asyncio.gather(*(ledger.put(job(str(number))) for number in range(200)))
        assert len(commits) == 1
        assert dict(await ledger.counts()) == {JobState.PLANNED: 200}


async def test_puts_during_a_commit_share_the_next_one(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        commits = await commits_of(ledger)
        puts = []
        for number in range(30):  # a turn apart: most of them meet a commit under way
            puts.append(asyncio.create_task(ledger.put(job(str(number)))))
            await asyncio.sleep(0)
        await asyncio.gather(*puts)
        assert 1 <= len(commits) < 30
        assert dict(await ledger.counts()) == {JobState.PLANNED: 30}


async def test_one_put_after_the_other_is_a_commit_each(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        commits = await commits_of(ledger)
        for number in range(3):
            await ledger.put(job(str(number)))
        assert len(commits) == 3


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_put_loses_no_row(tmp_path: Path, turns: int) -> None:
    """Cancelled while waiting for its commit or within it, neither its own row nor the others' are lost."""
    async with opened(tmp_path / "jobs.db") as ledger:
        puts = [asyncio.create_task(ledger.put(job(str(number)))) for number in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        late = [asyncio.create_task(ledger.put(job(f"late {number}"))) for number in range(5)]
        await asyncio.sleep(0)
        puts[0].cancel()
        late[0].cancel()
        await asyncio.wait([*puts, *late])
        for put in (*puts[1:], *late[1:]):
            put.result()
    async with opened(tmp_path / "jobs.db") as ledger:
        assert dict(await ledger.counts()) == {JobState.PLANNED: 10}


async def test_put_is_seen_by_whoever_reads_before_it_is_committed(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        put = asyncio.create_task(ledger.put(job()))
        await asyncio.sleep(0)
        assert await ledger.get("a/image") == job()
        await put


@pytest.mark.parametrize("turns", range(6))
async def test_put_is_seen_at_every_moment_of_its_commit(tmp_path: Path, turns: int) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        await ledger.put(job())
        intent = job().moved(JobState.INTENT)
        put = asyncio.create_task(ledger.put(intent))
        for _ in range(turns):
            await asyncio.sleep(0)
        read = asyncio.create_task(ledger.get("a/image"))
        await put
        assert await read == intent


async def told(ledger: Ledger, rows: Sequence[JobRecord], turns: int) -> None:
    """Let the loop turn, and return once `get` tells of these rows: a busy machine may not have begun their writes."""
    for _ in range(turns):
        await asyncio.sleep(0)
    for row in rows:
        while await ledger.get(row.job_id) != row:  # noqa: ASYNC110 — the ledger tells nobody
            await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(1, 7))
async def test_put_is_listed_and_counted_at_every_moment_of_its_commit(tmp_path: Path, turns: int) -> None:
    """Who was told of a state by `get` finds the job in that state, and in no other."""
    async with opened(tmp_path / "jobs.db") as ledger:
        for name, at in (("b", 2.0), ("c", 3.0)):
            await ledger.put(job(name, at))
        intents = [job("b", 2.0).moved(JobState.INTENT), job("a", 1.0).moved(JobState.INTENT)]
        puts = asyncio.gather(*(ledger.put(intent) for intent in intents))
        await told(ledger, intents, turns)
        assert [known.job_id async for known in ledger.in_state(JobState.INTENT)] == ["a", "b"]
        await puts
        unknown = [intent.moved(JobState.UNKNOWN) for intent in intents]
        puts = asyncio.gather(*(ledger.put(row) for row in unknown))
        await told(ledger, unknown, turns)
        assert [known async for known in ledger.in_state(JobState.INTENT)] == []
        assert dict(await ledger.counts()) == {JobState.UNKNOWN: 2, JobState.PLANNED: 1}
        await puts


@pytest.mark.parametrize("waiting", range(5))
async def test_rows_that_wait_to_be_written_are_listed_by_their_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr(sqlite, "PORTION", 2)
    names = [f"{number}" for number in range(5)]
    async with opened(tmp_path / "jobs.db") as ledger:
        await asyncio.gather(*(ledger.put(job(name, at=int(name))) for name in names if int(name) != waiting))
        put = asyncio.create_task(ledger.put(job(f"{waiting}", at=waiting)))
        await asyncio.sleep(0)
        assert [known.job_id async for known in ledger.in_state(JobState.PLANNED)] == names
        await put


async def test_put_is_seen_by_whoever_began_to_read_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        await ledger.put(job())
        intent = job().moved(JobState.INTENT)
        read = asyncio.create_task(ledger.get("a/image"))
        put = asyncio.create_task(ledger.put(intent))  # begins in the same turn: the read cannot have ended
        assert await read == intent
        await put


async def test_a_read_that_fails_is_a_ledger_error(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
            connection.execute("DROP TABLE jobs")
        with pytest.raises(LedgerError):
            await ledger.get("a/image")


async def test_a_folder_that_cannot_be_made_is_a_ledger_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"folder of the ledger .*jobs\.db"):
        await SqliteLedger.open(tmp_path / "file" / "jobs.db", OWNER)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
async def test_a_folder_that_cannot_be_written_is_a_ledger_error() -> None:
    with pytest.raises(LedgerError, match=r"/proc/jobs\.db"):
        await SqliteLedger.open(Path("/proc/jobs.db"), OWNER)


async def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        await SqliteLedger.open(tmp_path / "jobs.db", OWNER)


async def test_a_ledgers_repr_names_its_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as ledger:
        assert repr(ledger) == f"<SqliteLedger {tmp_path / 'jobs.db'}>"
    assert repr(MemoryLedger()) == "<MemoryLedger of 0 jobs>"
