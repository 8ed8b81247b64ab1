"""The bar of a run in a notebook, with another tqdm: its numbers, its thread, its end, and where there is none."""

import asyncio
import gc
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from mps_aigc_async import AigcClient, ConfigError, ImageRequest, SyncClient
from mps_aigc_async.client.notebook_bar import NotebookBar, bar_of
from mps_aigc_async.testing import run

from ..support import client_of, in_memory


class RecordingBar:
    """A tqdm that draws nothing, and notes each call."""

    every: ClassVar[list["RecordingBar"]] = []

    def __init__(
        self, *, total: int | None, unit: str, postfix: dict[str, int], miniters: int, mininterval: float
    ) -> None:
        assert (unit, miniters) == ("request", 1)
        self.total = total
        self.interval = mininterval
        self.failures = postfix["failed"]
        self.n = 0
        self.closings = 0
        self.threads = {threading.get_ident()}
        self.every.append(self)

    def set_postfix(self, *, refresh: bool, failed: int) -> None:
        assert not refresh, "a second drawing for each outcome"
        self.failures = failed

    def update(self, n: int) -> None:
        assert self.closings == 0
        self.n += n
        self.threads.add(threading.get_ident())

    def close(self) -> None:
        self.closings += 1
        self.threads.add(threading.get_ident())


class BrokenBar(RecordingBar):
    """A tqdm in a notebook whose frontend is gone."""

    def update(self, n: int) -> None:
        raise BrokenPipeError(n)


def shell_with(config: dict[str, Any]) -> SimpleNamespace:
    """The module IPython with a shell of this config."""
    return SimpleNamespace(get_ipython=lambda: SimpleNamespace(config=config))


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[RecordingBar]:
    """All bars of a test that runs in a notebook."""
    monkeypatch.setattr(RecordingBar, "every", [])
    monkeypatch.setitem(sys.modules, "IPython", shell_with({"IPKernelApp": {}}))
    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=RecordingBar))
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    return RecordingBar.every


def lakes(count: int) -> list[ImageRequest]:
    return [ImageRequest(id=f"lake-{n}", prompt="a lake") for n in range(count)]


def with_client(work: Callable[[AigcClient], Awaitable[None]]) -> None:
    """Let a client of an emulator in memory work, in virtual time."""

    async def main() -> None:
        async with client_of(in_memory()) as client:
            await work(client)

    run(main())


async def all_of(client: AigcClient, requests: Any) -> list[bool]:  # noqa: ANN401 — also what is no request
    return [outcome.ok async for outcome in client.run(requests)]


# --- the numbers ------------------------------------------------------------------------------------------------------


def test_a_list_gives_the_bar_its_total(bars: list[RecordingBar]) -> None:
    async def work(client: AigcClient) -> None:
        assert await all_of(client, lakes(3)) == [True] * 3

    with_client(work)
    (bar,) = bars
    assert (bar.total, bar.n, bar.failures, bar.closings) == (3, 3, 0, 1)


def test_a_generator_has_no_total(bars: list[RecordingBar]) -> None:
    async def work(client: AigcClient) -> None:
        assert await all_of(client, iter(lakes(3))) == [True] * 3

    with_client(work)
    (bar,) = bars
    assert (bar.total, bar.n, bar.closings) == (None, 3, 1)


def test_a_table_that_refuses_to_count_has_no_total(bars: list[RecordingBar]) -> None:
    class Rows:
        def __len__(self) -> int:
            raise RuntimeError("only in a thread")

        def __iter__(self) -> Iterator[ImageRequest]:
            return iter(lakes(2))

    async def work(client: AigcClient) -> None:
        assert await all_of(client, Rows()) == [True] * 2

    with_client(work)
    (bar,) = bars
    assert (bar.total, bar.n) == (None, 2)


def test_failures_are_counted_beside_the_bar(bars: list[RecordingBar]) -> None:
    async def work(client: AigcClient) -> None:
        assert sorted(await all_of(client, [*lakes(2), "no request"])) == [False, True, True]

    with_client(work)
    (bar,) = bars
    assert (bar.total, bar.n, bar.failures) == (3, 3, 1)


@pytest.mark.parametrize(("total", "interval"), [(3, 0.0), (1000, 0.0), (1001, 0.1), (None, 0.1)])
def test_a_long_run_is_drawn_ten_times_a_second_at_most(
    bars: list[RecordingBar], total: int | None, interval: float
) -> None:
    bar = NotebookBar(total)
    bar.begin()
    assert [drawn.interval for drawn in bars] == [interval]


def test_the_bar_appears_before_the_first_outcome_and_follows_the_cell(bars: list[RecordingBar]) -> None:
    """All four have ended when the cell takes its second: the bar is as slow as the cell."""

    async def work(client: AigcClient) -> None:
        batch = client.run(lakes(4))
        assert bars == []
        async with batch:
            waiting = asyncio.ensure_future(anext(batch))
            await asyncio.sleep(0)
            assert [bar.n for bar in bars] == [0]
            await waiting
            await asyncio.sleep(3600)
            assert batch.in_flight == 0
            await anext(batch)
            assert [(bar.n, bar.closings) for bar in bars] == [(2, 0)]

    with_client(work)


# --- its end ----------------------------------------------------------------------------------------------------------


def test_a_break_closes_the_bar(bars: list[RecordingBar]) -> None:
    async def work(client: AigcClient) -> None:
        async for _ in client.run(lakes(3)):
            break
        gc.collect()
        assert [(bar.n, bar.closings) for bar in bars] == [(1, 1)]

    with_client(work)


def test_an_error_in_the_cell_closes_the_bar(bars: list[RecordingBar]) -> None:
    async def work(client: AigcClient) -> None:
        async def cell() -> None:
            async with client.run(lakes(3)) as batch:
                async for outcome in batch:
                    raise ZeroDivisionError(outcome.job_id)

        with pytest.raises(ZeroDivisionError):
            await cell()
        assert [(bar.n, bar.closings) for bar in bars] == [(1, 1)]

    with_client(work)


def test_an_interrupted_cell_closes_the_bar(bars: list[RecordingBar]) -> None:
    """A kernel cancels the cell that awaits."""

    async def work(client: AigcClient) -> None:
        batch = client.run(lakes(3))
        cell = asyncio.ensure_future(anext(batch))
        await asyncio.sleep(0)
        cell.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cell
        assert [(bar.n, bar.closings) for bar in bars] == [(0, 1)]
        await batch.aclose()
        assert [bar.closings for bar in bars] == [1]

    with_client(work)


def test_a_run_that_fails_closes_the_bar(bars: list[RecordingBar], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def work(client: AigcClient) -> None:
        batch = client.run(lakes(3), save_to=tmp_path / "file")
        with pytest.raises(ConfigError):
            await anext(batch)
        assert [(bar.n, bar.closings) for bar in bars] == [(0, 1)]

    with_client(work)


def test_a_run_that_is_closed_before_its_first_wait_has_no_bar(bars: list[RecordingBar]) -> None:
    async def work(client: AigcClient) -> None:
        async with client.run(lakes(3)):
            pass

    with_client(work)
    assert bars == []


def test_a_bar_that_fails_costs_no_outcome(
    bars: list[RecordingBar], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=BrokenBar))

    async def work(client: AigcClient) -> None:
        assert await all_of(client, lakes(3)) == [True] * 3

    with_client(work)
    assert len(bars) == 1
    assert [record.message for record in caplog.records if "bar" in record.message] == [
        "the progress bar has failed, and the run goes on without it: 1"
    ]


# --- where there is none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(None, id="a script, where IPython cannot be imported"),
        pytest.param(SimpleNamespace(), id="IPython, half imported"),
        pytest.param(SimpleNamespace(get_ipython=lambda: None), id="a script that imports IPython"),
        pytest.param(shell_with({"TerminalIPythonApp": {}}), id="a terminal"),
    ],
)
def test_outside_a_notebook_tqdm_is_not_even_imported(
    module: object, bars: list[RecordingBar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.delitem(sys.modules, "tqdm.auto")

    async def work(client: AigcClient) -> None:
        assert await all_of(client, lakes(1)) == [True]

    with_client(work)
    assert bars == []
    assert "tqdm.auto" not in sys.modules


def test_tqdms_own_switch_turns_the_bar_off(bars: list[RecordingBar], monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(bar_of([]), NotebookBar)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert bar_of([]) is None
    assert bars == []


def test_without_tqdm_the_run_has_no_bar(
    bars: list[RecordingBar], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)

    async def work(client: AigcClient) -> None:
        assert await all_of(client, lakes(2)) == [True] * 2

    with_client(work)
    assert bars == []
    assert "bar" not in caplog.text


# --- a client without a loop ------------------------------------------------------------------------------------------


def test_the_thread_of_the_cell_draws(bars: list[RecordingBar], client: SyncClient) -> None:
    assert [outcome.ok for outcome in client.run(lakes(3))] == [True] * 3
    (bar,) = bars  # the loop's thread draws none of its own
    assert (bar.total, bar.n, bar.failures, bar.closings) == (3, 3, 0, 1)
    assert bar.threads == {threading.get_ident()}


def test_an_input_that_a_thread_reads_has_its_total(bars: list[RecordingBar], client: SyncClient) -> None:
    by_id = {request.id: request for request in lakes(2)}
    assert [outcome.ok for outcome in client.run(by_id.values())] == [True] * 2
    assert [bar.total for bar in bars] == [2]


def test_threads_that_share_a_run_share_the_bar(bars: list[RecordingBar], client: SyncClient) -> None:
    batch = client.run(lakes(6))
    with ThreadPoolExecutor(3) as threads:
        shares = list(threads.map(lambda _: len(list(islice(batch, 2))), range(3)))
    assert list(batch) == []
    (bar,) = bars
    assert sum(shares) == bar.n == 6
    assert bar.closings == 1


def test_a_break_without_a_loop_closes_the_bar(bars: list[RecordingBar], client: SyncClient) -> None:
    for _ in client.run(lakes(3)):
        break
    gc.collect()
    assert [(bar.n, bar.closings) for bar in bars] == [(1, 1)]


def test_a_batch_that_is_closed_closes_the_bar(bars: list[RecordingBar], client: SyncClient) -> None:
    with client.run(lakes(3)) as batch:
        next(batch)
        assert [bar.closings for bar in bars] == [0]
    assert [(bar.n, bar.closings) for bar in bars] == [(1, 1)]


def test_an_error_without_a_loop_closes_the_bar(bars: list[RecordingBar], client: SyncClient, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    batch = client.run(lakes(3), save_to=tmp_path / "file")
    with pytest.raises(ConfigError):
        next(batch)
    assert [(bar.n, bar.closings) for bar in bars] == [(0, 1)]
