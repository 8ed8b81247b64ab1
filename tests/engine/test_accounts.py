"""A client of several accounts, each with a service of its own in memory: who runs what, and what a refusal does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, Outcome, VideoRequest
from mps_aigc_async.emulator import Service
from mps_aigc_async.engine.routing import ASIDE_S
from mps_aigc_async.model.errors import (
    AccountError,
    ConfigError,
    CreateOutcomeUnknown,
    InvalidRequest,
    LedgerError,
)
from mps_aigc_async.model.results import Result
from mps_aigc_async.model.settlement import Attach, CreateAgain
from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.testing import InMemoryTransport, run, wall

from ..support import configured, in_memory

VOD_CREATE = "vod:CreateAigcImageTask"
CREATE = {"image": "CreateAigcImageTask", "video": "CreateAigcVideoTask"}


class Accounts:
    """Two accounts, `a` and `b`, at one endpoint."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 — handed through
        self.a = in_memory(secret_id="AKIDA", secret_key="KEYA", seed=1, **settings)
        self.b = in_memory(secret_id="AKIDB", secret_key="KEYB", seed=2, **settings)
        self.a.storage.base_url = "http://127.0.0.1"

    def config(self, names: str = "ab", caps: dict[str, dict[str, int]] | None = None, **values: Any) -> Config:  # noqa: ANN401 — JSON
        accounts = [
            {
                "account": name,
                "tencentCloud": {"secretId": f"AKID{name.upper()}", "secretKey": f"KEY{name.upper()}"},
                **({"concurrency": caps[name]} if caps else {}),
            }
            for name in names
        ]
        return configured(**values).model_copy(update={"accounts": Config.parse({"accounts": accounts}).accounts})

    @asynccontextmanager
    async def client(self, config: Config | None = None, ledger: Path | None = None) -> AsyncIterator[AigcClient]:
        client = AigcClient(
            config or self.config(),
            ledger=ledger,
            transport=lambda: InMemoryTransport(self.a, wall, latency_s=0.02, others=[self.b]),
            wall=wall,
        )
        async with client:
            yield client

    def created(self, kind: str = "image") -> tuple[int, int]:
        return _created(self.a, kind), _created(self.b, kind)


def refuse(service: Service, kind: str, *, after: int = 0, times: int | None = None) -> None:
    """Have an account's creates refused for arrears."""
    service.faults.add(action=CREATE[kind], fault="error", code="FailedOperation.UserArrears", after=after, times=times)


def _created(service: Service, kind: str) -> int:
    return sum(task.kind == kind for task in service.statistics(wall()).tasks)


def images(number: int) -> list[ImageRequest]:
    return [ImageRequest(id=f"shot-{n}", prompt=f"scene {n}") for n in range(number)]


def chain(number: int = 0) -> ImageToVideo:
    return ImageToVideo(
        id=f"chain-{number}", image=ImageRequest(prompt=f"a lake {number}"), video=VideoRequest(prompt="it freezes")
    )


async def outcomes(client: AigcClient, requests: Iterable[Any]) -> dict[str, Outcome[Any, Result]]:
    return {outcome.job_id: outcome async for outcome in client.run(requests)}


async def timed(client: AigcClient, requests: Iterable[Any]) -> float:
    began = asyncio.get_running_loop().time()
    ended = await outcomes(client, requests)
    assert all(outcome.ok for outcome in ended.values())
    return asyncio.get_running_loop().time() - began


def test_two_accounts_halve_the_time_that_the_rate_takes() -> None:
    async def main(names: str) -> tuple[float, tuple[int, int]]:
        accounts = Accounts(image_seconds=(1.0, 1.0))
        async with accounts.client(accounts.config(names, images=200, poll_ms=100)) as client:
            return await timed(client, images(1000)), accounts.created()

    (alone, _), (together, shares) = run(main("a")), run(main("ab"))
    assert together <= 0.52 * alone
    assert sum(shares) == 1000
    assert abs(shares[0] - shares[1]) <= 20


def test_two_accounts_halve_the_time_that_the_slots_take() -> None:
    async def main(names: str) -> float:
        accounts = Accounts(image_seconds=(60.0, 60.0))
        async with accounts.client(accounts.config(names, images=2, poll_ms=1000)) as client:
            return await timed(client, images(40))

    assert run(main("ab")) <= 0.52 * run(main("a"))


def test_a_request_that_waits_for_a_slot_goes_to_the_account_that_has_one() -> None:
    """At the end of a batch, one account would stand idle while the last request waits in the other."""

    async def main() -> float:
        accounts = Accounts(task_seconds={"scene 0": 600.0, "scene 1": 60.0, "scene 2": 60.0, "scene 3": 60.0})
        async with accounts.client(accounts.config(images=1, poll_ms=1000)) as client:
            return await timed(client, images(4))

    assert run(main()) < 620


def test_each_account_keeps_its_own_caps() -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(60.0, 60.0))
        config = accounts.config(caps={"a": {"maxImageTasks": 1}, "b": {"maxImageTasks": 3}}, poll_ms=1000)
        async with accounts.client(config) as client:
            await timed(client, images(16))
            statistics = client.statistics()
        assert accounts.created() == (4, 12)
        assert accounts.a.statistics(wall()).most_running["image"] == 1
        assert accounts.b.statistics(wall()).most_running["image"] == 3
        assert statistics.slots[Kind.IMAGE].capacity == 4
        assert statistics.accounts["b"].slots[Kind.IMAGE].capacity == 3

    run(main())


def test_a_refused_account_is_set_aside_and_the_other_finishes(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(60.0, 60.0))
        refuse(accounts.b, "image", after=5)
        async with accounts.client(accounts.config(images=3, poll_ms=1000)) as client:
            ended = await outcomes(client, images(60))
        assert all(outcome.ok for outcome in ended.values())
        assert accounts.created() == (55, 5)

    with caplog.at_level(logging.WARNING):
        run(main())
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("the account b is set aside, the others go on, and it is tried again in 60 s: ")


def test_an_account_that_pays_its_arrears_is_used_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0))
        refuse(accounts.b, "image", times=2)
        async with accounts.client(accounts.config(images=1, poll_ms=1000)) as client:
            await timed(client, images(100))
        created = accounts.created()
        assert created[1] > 30
        refusals = accounts.b.statistics(wall()).refused
        assert sum(refusals.values()) == 2  # once at first, once when it was tried

    with caplog.at_level(logging.INFO):
        run(main())
    assert "the account b is used again" in caplog.messages
    assert len([text for text in caplog.messages if "set aside" in text]) == 1


def test_a_batch_stops_when_every_account_is_refused() -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0))
        for service in (accounts.a, accounts.b):
            refuse(service, "image", after=3)
        async with accounts.client(accounts.config(images=2, poll_ms=1000)) as client:
            with pytest.raises(AccountError, match="UserArrears"):
                await outcomes(client, images(100))
            counts = await client.counts()
        assert counts[JobState.DONE] == 6
        assert JobState.FAILED not in counts

    run(main())


def test_a_chain_stays_in_its_account() -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0), video_seconds=(10.0, 10.0))
        async with accounts.client(accounts.config(images=2, videos=2, poll_ms=1000)) as client:
            await timed(client, map(chain, range(12)))
        for service in (accounts.a, accounts.b):
            tasks = service.statistics(wall()).tasks
            assert len(tasks) == 12
            assert sum(task.kind == "video" for task in tasks) == 6

    run(main())


@pytest.mark.parametrize("code", ["LimitExceeded.CreateTask", "RequestLimitExceeded", "ResourceUnavailable"])
def test_an_account_without_room_holds_up_no_request(code: str) -> None:
    """It takes whatever it is given, and refuses it after a while: given half of the batch, it would fail the half."""

    async def main(names: str) -> float:
        accounts = Accounts(image_seconds=(30.0, 30.0))
        accounts.b.faults.add(action=CREATE["image"], fault="error", code=code, times=None)
        async with accounts.client(accounts.config(names, images=3, poll_ms=1000)) as client:
            return await timed(client, images(60))

    assert run(main("ab")) <= 1.05 * run(main("a"))


def test_a_chain_goes_on_elsewhere_when_its_account_has_no_room_for_the_video() -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(30.0, 30.0), video_seconds=(60.0, 60.0))
        accounts.b.faults.add(action=CREATE["video"], fault="error", code="LimitExceeded.CreateTask", times=None)
        async with accounts.client(accounts.config(images=3, videos=3, poll_ms=1000)) as client:
            assert await timed(client, map(chain, range(12))) < 600
        assert accounts.created("image")[1] > 0
        assert accounts.created("video") == (12, 0)

    run(main())


def test_a_chain_goes_on_elsewhere_when_its_account_is_refused() -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0), video_seconds=(10.0, 10.0))
        refuse(accounts.b, "video")
        async with accounts.client(accounts.config(images=2, videos=2, poll_ms=1000)) as client:
            ended = await outcomes(client, map(chain, range(12)))
        assert all(outcome.ok for outcome in ended.values())
        assert accounts.created("image")[1] > 0
        assert accounts.created("video") == (12, 0)
        assert sum(accounts.created("image")) == 12  # no image was paid for again

    run(main())


def test_tasks_of_both_accounts_are_resumed_with_their_own_keys(tmp_path: Path) -> None:
    async def main() -> None:
        accounts, ledger = Accounts(image_seconds=(60.0, 60.0)), tmp_path / "jobs.db"
        async with accounts.client(accounts.config(images=2, poll_ms=1000), ledger) as client:
            batch = client.run(images(8))
            waiting = asyncio.create_task(anext(batch))
            await asyncio.sleep(30.0)
            assert accounts.created() == (2, 2)
            await batch.aclose()
            await asyncio.wait({waiting})
        async with accounts.client(accounts.config("ba", images=2, poll_ms=1000), ledger) as client:  # another order
            ended = await outcomes(client, images(8))
        assert all(outcome.ok for outcome in ended.values())
        assert accounts.created() == (4, 4)

    run(main())


def test_an_unknown_create_is_settled_in_its_account(tmp_path: Path) -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0))
        accounts.b.faults.add(action=CREATE["image"], fault="reset_after")
        async with accounts.client(accounts.config(images=1, poll_ms=1000), tmp_path / "jobs.db") as client:
            ended = await outcomes(client, images(2))
            [lost] = [outcome for outcome in ended.values() if not outcome.ok]
            assert isinstance(lost.error, CreateOutcomeUnknown)
            [job] = await client.unknown()
            assert job.account == "b"
            [task] = accounts.b.statistics(wall()).tasks
            await client.settle(job.job_id, Attach(task.task_id))
            again = await outcomes(client, images(2))
        assert all(outcome.ok for outcome in again.values())
        assert accounts.created() == (1, 1)

    run(main())


async def unknown_in_b(accounts: Accounts, client: AigcClient) -> ImageRequest:
    """A request whose create at VOD is unknown, in account b: accepted there, and its answers are lost."""
    create, request = VOD_CREATE, ImageRequest(id="lost", prompt="a lake", model_name="GEM", model_version="2.5")
    accounts.a.faults.add(action=create, fault="error", code="FailedOperation.UserArrears")
    accounts.b.faults.add(action=create, fault="reset_after")
    accounts.b.faults.add(action=create, fault="reset_before", times=None)
    accounts.b.faults.add(action="vod:DescribeTasks", fault="error", code="ResourceNotFound", times=None)
    [lost] = (await outcomes(client, [request])).values()
    assert isinstance(lost.error, CreateOutcomeUnknown)
    for service in (accounts.a, accounts.b):
        service.faults.clear()
    await asyncio.sleep(ASIDE_S)
    return request


def test_a_create_that_is_made_again_keeps_its_account_with_its_session() -> None:
    """Another account does not know the session: it would accept the create, and the image would be paid for twice."""

    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0))
        async with accounts.client(accounts.config(images=3, backend="vod")) as client:
            request = await unknown_in_b(accounts, client)
            await client.settle("lost/image", CreateAgain())
            await outcomes(client, [request])
        assert accounts.created() == (0, 1)

    run(main())


def test_a_create_that_is_sent_again_ends_with_its_accounts_refusal() -> None:
    """The other account cannot send it, and its own sends nothing for a while: to try on would keep the loop busy."""

    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0))
        async with accounts.client(accounts.config(images=3, backend="vod")) as client:
            request = await unknown_in_b(accounts, client)
            accounts.b.faults.add(action=VOD_CREATE, fault="error", code="FailedOperation.UserArrears", times=None)
            others = [request.model_copy(update={"id": f"shot-{n}"}) for n in range(4)]
            assert all(outcome.ok for outcome in (await outcomes(client, others)).values())
            [lost] = (await outcomes(client, [request])).values()
            assert isinstance(lost.error, AccountError)
            assert [job.account for job in await client.unknown()] == ["b"]

    run(main())


def test_the_results_of_an_account_that_is_removed_are_saved(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = tmp_path / "jobs.db"
        accounts = Accounts(image_seconds=(10.0, 10.0), media=lambda _: b"\x89PNG\r\n\x1a\n")
        async with accounts.client(accounts.config(images=1, poll_ms=1000), ledger) as client:
            await timed(client, images(4))
            assert accounts.created() == (2, 2)
        async with accounts.client(accounts.config("ac", images=1), ledger) as client:
            saved = [outcome.ok async for outcome in client.save_unsaved(save_to=tmp_path)]
        assert saved == [True] * 4

    run(main())


def test_a_chain_goes_where_its_scarcest_step_is_made_first() -> None:
    """With one video slot, nine images made ahead would be nine videos that wait for it."""

    async def main(names: str) -> float:
        accounts = Accounts(image_seconds=(20.0, 20.0), video_seconds=(300.0, 300.0))
        caps = {"a": {"maxImageTasks": 8, "maxVideoTasks": 1}, "b": {"maxImageTasks": 8, "maxVideoTasks": 20}}
        async with accounts.client(accounts.config(names, caps=caps, poll_ms=2000)) as client:
            return await timed(client, map(chain, range(80)))

    assert run(main("ab")) <= run(main("b"))


def test_a_task_is_polled_in_the_account_that_has_it() -> None:
    async def main() -> None:
        accounts = Accounts(image_seconds=(10.0, 10.0))
        async with accounts.client(accounts.config("b", images=1)) as client:
            task = await client.submit(images(1)[0])
        async with accounts.client() as client:  # its ledger does not know the task
            await client.status("image", task.task_id)
            assert (await client.attach("image", task.task_id).wait()).task_id == task.task_id
            own = await client.submit(ImageRequest(id="own", prompt="a lake"))
            assert (await own.wait()).task_id == own.task_id

    run(main())


def test_an_account_is_named_where_one_is_meant() -> None:
    async def main() -> None:
        accounts = Accounts()
        async with accounts.client() as client:
            with pytest.raises(InvalidRequest, match="the config has several accounts: name one of them, a, b"):
                await client.call("DescribeAigcTaskList", {})
            with pytest.raises(InvalidRequest, match="the config has no account 'c'"):
                await client.call("DescribeAigcTaskList", {}, account="c")
            assert (await client.call("DescribeAigcTaskList", {}, account="b"))["Total"] == 0
        assert [arrival.action for arrival in accounts.b.arrivals] == ["DescribeAigcTaskList"]
        assert not accounts.a.arrivals

    run(main())


def test_a_ledger_keeps_the_accounts_whose_tasks_run(tmp_path: Path) -> None:
    """A client without that account could not poll them, and would pay for their requests again."""

    async def main() -> None:
        accounts, ledger = Accounts(image_seconds=(60.0, 60.0)), tmp_path / "jobs.db"
        async with accounts.client(accounts.config("a", images=1), ledger) as client:
            await client.submit(images(1)[0])
        async with accounts.client(accounts.config(images=1), ledger) as client:
            await client.submit(images(2)[1])
            assert accounts.created() == (1, 1)
        with pytest.raises(LedgerError, match=r"may run, in account 'b', .*: add that account to the config"):
            async with accounts.client(accounts.config("a"), ledger):
                pass
        async with accounts.client(ledger=ledger) as client:
            assert all(outcome.ok for outcome in (await outcomes(client, images(2))).values())
        async with accounts.client(accounts.config("a"), ledger) as client:  # nothing of b runs any more
            assert all(outcome.ok for outcome in (await outcomes(client, images(2))).values())
        assert accounts.created() == (1, 1)

    run(main())


def test_clients_of_a_process_share_a_ledger_with_the_same_accounts_alone(tmp_path: Path) -> None:
    async def main() -> None:
        accounts, ledger = Accounts(), tmp_path / "jobs.db"
        async with accounts.client(ledger=ledger), accounts.client(ledger=ledger) as second:
            assert (await outcomes(second, images(2))).keys() == {"shot-0", "shot-1"}
            with pytest.raises(LedgerError, match="is open in this process with the accounts a, b: open all"):
                async with accounts.client(accounts.config("a"), ledger):
                    pass

    run(main())


def test_credentials_in_code_are_for_one_account() -> None:
    accounts = Accounts()
    with pytest.raises(ConfigError, match="the keys are in the config's `accounts`"):
        AigcClient(accounts.config(), credentials=accounts.config("a").of_accounts()[0].credentials())
