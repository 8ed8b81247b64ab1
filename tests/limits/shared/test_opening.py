"""The opening of a shared home: one member a loop, and the process's own home where the host has none."""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import pytest

from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.shared import host as host_module
from mps_aigc_async.limits.shared.host import HostDatabase
from mps_aigc_async.limits.shared.members import Members
from mps_aigc_async.limits.shared.opening import SharedPart, open_shared
from mps_aigc_async.limits.shared.pace_statements import PACES
from mps_aigc_async.limits.shared.store import LimitsLost, NewerStore, Schema, StoreUnusable
from mps_aigc_async.sharing.database_url import database_url

from ..homes import ACTION, KEY, sends
from ..measuring import most_in_a_window


async def _open(place: Path | None, rate: float = 20) -> SharedPart:
    part = await open_shared(place, KEY, Rates(rate))
    assert part is not None
    return part


async def test_clients_of_a_loop_are_one_member_until_the_last_leaves(tmp_path: Path) -> None:
    first, second = await asyncio.gather(_open(tmp_path), _open(tmp_path, rate=10))
    assert first.limits is second.limits
    await sends(first.limits.pace(ACTION), 1)
    assert first.limits.pace(ACTION).stream.limit == 10
    await second.leave()
    await second.leave()
    await sends(first.limits.pace(ACTION), 1)
    assert first.limits.pace(ACTION).stream.limit == 20
    other = await open_shared(tmp_path, LimitsKey("vod", "https://vod.example", "account"), Rates(20))
    assert other is not None
    assert other.limits is not first.limits
    await other.leave()
    await first.leave()
    third = await _open(tmp_path)
    assert third.limits is not first.limits
    [rows] = await third.limits._store.slots.run(("SELECT id FROM mps_aigc_members", {}))
    assert rows == [(third.limits.members.member.id,)], "the closed members have left"
    await third.leave()


async def test_clients_that_close_hurry_their_member_only_if_none_stays(tmp_path: Path) -> None:
    first, second = await _open(tmp_path), await _open(tmp_path)
    first.hurry()
    first.hurry()
    assert not is_hurried(first)
    second.hurry()
    assert is_hurried(second)
    third = await _open(tmp_path)
    assert third.limits is not second.limits, "a client that opens has patience"
    await first.leave()
    await sends(second.limits.pace(ACTION), 1)
    await second.leave()
    assert not is_hurried(third)
    [rows] = await third.limits._store.slots.run(("SELECT id FROM mps_aigc_members", {}))
    assert rows == [(third.limits.members.member.id,)]
    await third.leave()


def is_hurried(part: SharedPart) -> bool:
    store = part.limits._store.slots
    assert isinstance(store, HostDatabase)
    return store._patience.is_hurried


async def test_a_hosts_store_that_cannot_be_used_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "_place", lambda: tmp_path / "link")
    (tmp_path / "link").symlink_to(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [await open_shared(None, KEY, Rates(20)) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert "is not a folder: have it removed" in caplog.text


async def test_a_store_that_is_lost_while_a_client_opens_it_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(_: Members) -> tuple[bool, frozenset[str]]:
        raise LimitsLost("slots.sqlite: attempt to write a readonly database")

    monkeypatch.setattr(Members, "beat", lose)
    assert await open_shared(tmp_path, KEY, Rates(20)) is None
    assert [record.getMessage() for record in caplog.records] == [
        "slots.sqlite: attempt to write a readonly database; until then this process alone keeps to the limits, "
        "without the others"
    ]


async def test_a_newer_store_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    newer = Schema(PACES.name, 2, PACES.tables)
    await (await HostDatabase.open(tmp_path / "paces.sqlite", [newer])).close()
    with pytest.raises(NewerStore, match="upgrade this one"):
        await open_shared(tmp_path, KEY, Rates(20))


async def test_a_database_that_cannot_be_used_is_refused(database: str) -> None:
    with pytest.raises(StoreUnusable, match="CREATE DATABASE"):
        await open_shared(database_url(database.replace("/test_", "/missing_")), KEY, Rates(20))
    part = await open_shared(database_url(database), KEY, Rates(20))
    assert part is not None
    await part.leave()


PROGRAM = """
import asyncio, json, sys, time
from pathlib import Path
from mps_aigc_async.limits import Rates
from mps_aigc_async.limits.shared.opening import open_shared
from mps_aigc_async.sharing.database_url import database_url
from tests.limits.homes import ACTION, KEY, saturated

async def main():
    place = database_url(sys.argv[1]) if "://" in sys.argv[1] else Path(sys.argv[1])
    part = await open_shared(place, KEY, Rates(20))
    print("ready", flush=True)
    sys.stdin.readline()
    [times] = await saturated([part.limits.pace(ACTION)], 15)
    print(json.dumps(times), flush=True)
    await part.leave()

asyncio.run(main())
"""


@pytest.mark.parametrize("home", ["host", "postgres"])
async def test_processes_keep_to_the_limit_together(home: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place = str(tmp_path) if home == "host" else request.getfixturevalue("database")
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, place, stdin=pipe, stdout=pipe)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    times = [json.loads(output) for output, _ in outputs]
    together = [time for some in times for time in some]
    assert len(together) >= 45
    assert most_in_a_window(together) <= 20
    assert max(together) - min(together) > 2, "they share one limit"


def test_a_forked_child_is_a_member_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        part = await _open(tmp_path)
        await sends(part.limits.pace(ACTION), 2)
        await part.leave()

    async def parent() -> SharedPart:
        part = await _open(tmp_path)
        await sends(part.limits.pace(ACTION), 2)
        return part

    runner = asyncio.Runner()
    part = runner.run(parent())
    pid = os.fork()
    if not pid:
        try:
            asyncio.run(main())
        except BaseException:  # noqa: BLE001 — the child must not go on with the tests
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    async def after() -> None:
        await sends(part.limits.pace(ACTION), 2)
        await part.leave()

    runner.run(after())
    runner.close()
