"""A job's results into its row: each kept as it comes, and only what is missing fetched again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from mps_aigc_async import AudioResult, ImageResult
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.jobs.announcer import Announcer
from mps_aigc_async.jobs.saving import LEAST_S, NEW_S, Saver
from mps_aigc_async.ledger import JobRecord, Ledger, MemoryLedger, SqliteLedger
from mps_aigc_async.model import events
from mps_aigc_async.model.errors import AigcError, DownloadError, LedgerError, ResultExpired, ServiceError
from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.network.downloads import Downloads
from mps_aigc_async.testing import run

from ..listening import AppServer

PNG, MP4, MP3 = b"\x89PNG\r\n\x1a\n", b"\0\0\0\x18ftypisom\0\0\0\0", b"ID3\x04\0\0"
LIFE_S = 12 * 3600.0
START = 1_000_000.0


class Storage:
    """Serves a path's bytes, its status, or what is to be called for it."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | int] = {}
        self.asked: list[str] = []
        self.slow: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        """Answers everything, if there is one."""
        self.opens_at = 0.0
        """The loop's time until which everything is refused as not there."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.slow is not None:
            return await self.slow(request)
        if asyncio.get_running_loop().time() < self.opens_at:
            return web.Response(status=404)
        answer = self.answers.get(request.path, 404)
        return web.Response(status=answer) if isinstance(answer, int) else web.Response(body=answer)


class Bench:
    """A saver on a ledger, a storage, and a clock that a test may set."""

    def __init__(self, ledger: Ledger, storage: Storage, base: str, folder: Path) -> None:
        self.ledger = ledger
        self.storage = storage
        self.folder = folder
        self.clock = 0.0
        """Seconds that the wall clock is off."""
        self.heard: list[type[events.Event]] = []
        listeners = events.Events(ignore)
        listeners.subscribe(lambda event: self.heard.append(type(event)))
        self.announcer = Announcer(listeners, self.wall)
        self._base = base
        self.kept: dict[str, str] | AigcError | None = {}
        """The paths of the files that the service keeps, by their ids; or how it refuses, or None: it tells none."""
        self.located: list[list[str]] = []
        """The ids that it was asked for."""
        self.kept_from = 0.0
        """The loop's time from which it knows its files."""

    async def _locate(self, file_ids: Sequence[str]) -> Mapping[str, str] | None:
        self.located.append(list(file_ids))
        if isinstance(self.kept, AigcError):
            raise self.kept
        if self.kept is None or asyncio.get_running_loop().time() < self.kept_from:
            return None if self.kept is None else {}
        return {file_id: f"{self._base}{path}" for file_id, path in self.kept.items() if file_id in file_ids}

    def wall(self) -> float:
        return START + asyncio.get_running_loop().time() + self.clock

    async def done(
        self, *paths: str, videos: tuple[str, ...] = (), kind: Kind = Kind.IMAGE, kept: tuple[str, ...] = ()
    ) -> JobRecord:
        """A job that is done now, with results at these paths."""
        planned = JobRecord(job_id=f"shot/{kind}", kind=kind, content='{"prompt":"x"}', planned_at=START)
        intent = planned.moved(JobState.INTENT, intent_at=START)
        done = intent.moved(JobState.SUBMITTED, task_id="4-1", submitted_at=START).moved(
            JobState.DONE,
            urls=tuple(f"{self._base}{path}?sign=url-secret" for path in paths),
            videos=tuple(f"{self._base}{path}" for path in videos),
            file_ids=kept,
            bare_file_ids=kept,
            request_id="r-1",
            ended_at=self.wall(),
            expires_at=self.wall() + LIFE_S,
        )
        await self.ledger.put(done)
        return done

    async def save(self, save_s: float = float("inf")) -> JobRecord:
        """The job of the ledger, saved."""
        downloads = Downloads()
        saver = Saver(
            self.ledger,
            downloads,
            self.announcer,
            url_life_s=LIFE_S,
            wall=self.wall,
            locate=self._locate,
            save_s=save_s,
        )
        try:
            for kind in Kind:
                if job := await self.ledger.get(f"shot/{kind}"):
                    return await saver.save(job, self.folder, "shot")
            raise AssertionError("no job")
        finally:
            await downloads.close()

    async def row(self, kind: Kind = Kind.IMAGE) -> JobRecord:
        row = await self.ledger.get(f"shot/{kind}")
        assert row is not None
        return row

    def files(self) -> list[str]:
        return sorted(file.name for file in self.folder.iterdir())


@asynccontextmanager
async def bench_in(folder: Path, ledger: Ledger | None = None) -> AsyncIterator[Bench]:
    storage, application = Storage(), web.Application()
    application.router.add_get("/{path:.*}", storage.answer)
    async with AppServer(application) as server:
        yield Bench(ledger or MemoryLedger(), storage, str(server.make_url("/")).rstrip("/"), folder)


def later(bench: Bench, seconds: float = 2 * NEW_S) -> None:
    """Go on after so long, when a refusal is not for being new."""
    bench.clock += seconds


def test_a_dead_url_keeps_no_other_result_from_being_saved(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG, "/3": PNG + b"3", "/4": PNG + b"4"}
            await bench.done("/1", "/2", "/3", "/4")
            later(bench)
            with pytest.raises(
                DownloadError, match=r"^1 of 4 results are not saved: cannot fetch .*/2: HTTP 404"
            ) as lost:
                await bench.save()
            assert "url-secret" not in str(lost.value)
            assert "job shot/image, task 4-1" in str(lost.value)
            assert bench.files() == ["shot+3.png", "shot+4.png", "shot.png"]
            row = await bench.row()
            names = [Path(file).name for file in row.files]
            assert (row.state, names) == (JobState.DONE, ["shot.png", "", "shot+3.png", "shot+4.png"])
            result = row.result()
            assert [file.name for file in result.files] == ["shot.png", "shot+3.png", "shot+4.png"]
            assert not result.is_saved

            bench.storage.asked.clear()
            bench.storage.answers["/2"] = PNG + b"2"
            saved = await bench.save()
            assert bench.storage.asked == ["/2"]
            assert [Path(file).name for file in saved.files] == ["shot.png", "shot+2.png", "shot+3.png", "shot+4.png"]
            assert saved == await bench.row()
            assert saved.state is JobState.SAVED
            assert saved.result().is_saved
            assert bench.heard == [events.Saved]

    run(main())


def test_each_missing_result_is_named_with_its_reason(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": 410, "/3": PNG}
            await bench.done("/1", "/2", "/3")
            later(bench)
            with pytest.raises(DownloadError, match=r"2 of 3 .*/1: HTTP 410; .*/2: HTTP 404"):
                await bench.save()
            assert bench.files() == ["shot+3.png"]

    run(main())


def test_the_video_that_a_sound_was_put_on_is_fetched_whatever_became_of_the_sound(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/film": MP4}
            await bench.done("/song", videos=("/film",), kind=Kind.AUDIO)
            later(bench)
            with pytest.raises(DownloadError, match="1 of 2 results"):
                await bench.save()
            row = await bench.row(Kind.AUDIO)
            assert row.files == ("", str(tmp_path / "shot+sound.mp4"))
            result = row.result()
            assert isinstance(result, AudioResult)
            assert (result.files, result.is_saved) == ((tmp_path / "shot+sound.mp4",), False)
            bench.storage.answers["/song"] = MP3
            assert (await bench.save()).files == (str(tmp_path / "shot.mp3"), str(tmp_path / "shot+sound.mp4"))

    run(main())


def test_files_that_the_service_keeps_are_saved_by_the_urls_that_it_tells(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG, "/kept": PNG + b"k", "/also": PNG + b"a"}
            bench.kept = {"7": "/kept", "8": "/also"}
            await bench.done("/1", kept=("7", "8"))
            saved = await bench.save()
            assert bench.located == [["7", "8"]]
            assert [Path(file).name for file in saved.files] == ["shot.png", "shot+2.png", "shot+3.png"]
            assert (tmp_path / "shot+2.png").read_bytes() == PNG + b"k"
            assert saved.state is JobState.SAVED
            assert saved.result().is_saved
            (tmp_path / "shot.png").unlink()
            await bench.save()
            assert bench.located == [["7", "8"]]  # those are there

    run(main())


def test_a_kept_file_without_a_url_costs_no_other_result_and_the_next_run_asks_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG, "/kept": PNG, "/also": PNG}
            bench.kept = {"7": "/kept"}
            await bench.done("/1", kept=("7", "8"))
            later(bench)
            with pytest.raises(
                DownloadError, match=r"1 of 3 .*no URL for file 8: the service does not have the file"
            ) as lost:
                await bench.save()
            assert lost.value.refused
            assert bench.files() == ["shot+2.png", "shot.png"]
            bench.kept = {"7": "/kept", "8": "/also"}
            assert (await bench.save()).state is JobState.SAVED
            assert bench.located == [["7", "8"], ["8"]]

    run(main())


def test_a_new_file_that_the_service_does_not_know_yet_is_asked_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers, bench.kept = {"/kept": PNG}, {"7": "/kept"}
            await bench.done(kept=("7",))
            bench.kept_from = asyncio.get_running_loop().time() + NEW_S / 2
            assert (await bench.save()).state is JobState.SAVED
            assert 2 < len(bench.located) < 20

    run(main())


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (None, "this service gives no URLs of stored files"),
        (ServiceError("UnauthorizedOperation", "not yours"), r"refused to give it \(UnauthorizedOperation: not yours"),
    ],
)
def test_a_service_that_tells_no_url_is_named_plainly(tmp_path: Path, kept: AigcError | None, reason: str) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.kept = kept
            await bench.done(kept=("7",))
            with pytest.raises(DownloadError, match=f"^there is no URL for file 7: .*{reason}"):
                await bench.save()
            assert (await bench.row()).state is JobState.DONE
            assert len(bench.located) == 1

    run(main())


def test_a_service_that_never_answers_ends_with_the_users_patience(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers, bench.kept = {"/1": PNG}, {}
            await bench.done("/1", kept=("7",))
            with pytest.raises(DownloadError, match="did not give it in time"):
                await bench.save(save_s=12.0)
            assert bench.files() == ["shot.png"]

    run(main())


@pytest.mark.parametrize("never", [True, False])
def test_a_result_without_an_end_is_never_called_expired(tmp_path: Path, never: bool) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            job = await bench.done("/gone")
            await bench.ledger.put(replace(job, expires_at=None, never_expires=never))
            later(bench, 1000 * LIFE_S)
            with pytest.raises(DownloadError) as lost:
                await bench.save()
            assert type(lost.value) is DownloadError

    run(main())


def test_only_the_file_that_was_deleted_is_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG, "/2": PNG + b"2", "/3": PNG + b"3"}
            await bench.done("/1", "/2", "/3")
            first = await bench.save()
            assert await bench.save() == first
            assert len(bench.storage.asked) == 3
            (tmp_path / "shot+2.png").unlink()
            bench.storage.asked.clear()
            assert (await bench.save()).files == first.files
            assert bench.storage.asked == ["/2"]

    run(main())


def test_a_deleted_file_that_cannot_be_had_again_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG, "/2": PNG + b"2"}
            await bench.done("/1", "/2")
            first = await bench.save()
            (tmp_path / "shot+2.png").unlink()
            del bench.storage.answers["/2"]
            later(bench)
            assert await bench.save() == first
            assert await bench.row() == first

    run(main())


def test_a_file_is_kept_in_a_ledger_on_disk_as_soon_as_it_is_there(tmp_path: Path) -> None:
    """A process that is killed while another result comes has it: its URL may be dead when it goes on."""

    async def main() -> None:
        path, owner = tmp_path / "ledger.db", {"account": "tests"}
        ledger = await SqliteLedger.open(path, owner)
        (tmp_path / "out").mkdir()
        async with bench_in(tmp_path / "out", ledger) as bench:
            bench.storage.answers = {"/1": PNG, "/2": 503}
            await bench.done("/1", "/2")
            saving = asyncio.create_task(bench.save())
            while not any((await bench.row()).files):  # noqa: ASYNC110 — virtual seconds
                await asyncio.sleep(1)
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving
            assert bench.files() == ["shot.png"]  # and no part of the other
        await ledger.close()
        ledger = await SqliteLedger.open(path, owner)
        row = await ledger.get("shot/image")
        await ledger.close()
        assert row is not None
        assert (row.state, row.files) == (JobState.DONE, (str(tmp_path / "out" / "shot.png"), ""))

    run(main())


def test_a_ledger_that_cannot_be_written_ends_the_saving_of_all(tmp_path: Path) -> None:
    class Broken(MemoryLedger):
        async def put(self, job: JobRecord) -> None:
            if any(job.files):
                raise LedgerError("the disk is full")
            await super().put(job)

    async def main() -> None:
        async with bench_in(tmp_path, Broken()) as bench:
            bench.storage.answers = {"/1": PNG, "/2": 503}
            await bench.done("/1", "/2")
            with pytest.raises(LedgerError, match="full"):
                await bench.save()
            assert [task for task in asyncio.all_tasks() if "_fetch" in repr(task)] == []

    run(main())


def test_results_are_fetched_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = dict.fromkeys(("/1", "/2", "/3", "/4"), 503)
            await bench.done("/1", "/2", "/3", "/4")
            began = asyncio.get_running_loop().time()
            with pytest.raises(DownloadError, match="4 of 4"):
                await bench.save(save_s=20)
            assert asyncio.get_running_loop().time() - began == pytest.approx(20, abs=0.5)
            assert set(bench.storage.asked) == {"/1", "/2", "/3", "/4"}

    run(main())


def test_a_job_without_results_is_saved(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            await bench.done()
            saved = await bench.save()
            assert (saved.state, saved.files) == (JobState.SAVED, ())
            assert bench.files() == []

    run(main())


def test_files_of_two_jobs_have_names_of_their_own(tmp_path: Path) -> None:
    """The derived ids of equal requests are named like this: `image-…`, `image-…-2`."""

    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG, "/2": PNG + b"2"}
            job = await bench.done("/1", "/2")
            downloads = Downloads()
            saver = Saver(bench.ledger, downloads, bench.announcer, url_life_s=LIFE_S, wall=bench.wall)
            one, other = await asyncio.gather(
                saver.save(job, tmp_path, "shot"), saver.save(replace(job, job_id="shot-2/image"), tmp_path, "shot-2")
            )
            await downloads.close()
            assert not {*one.files} & {*other.files}
            assert bench.files() == ["shot+2.png", "shot-2+2.png", "shot-2.png", "shot.png"]

    run(main())


# --- near the end of a URL's life ------------------------------------------------------------------------------------


def test_a_url_is_asked_though_our_clock_says_that_it_has_ended(tmp_path: Path) -> None:
    """The clock was a day behind when the task ended, and was put right since."""

    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG}
            bench.clock = -86_400.0
            await bench.done("/1")
            bench.clock = 0.0
            assert (await bench.save()).state is JobState.SAVED

    run(main())


@pytest.mark.parametrize("left_s", [-LIFE_S, 30.0])
def test_what_is_being_fetched_as_its_url_ends_is_fetched_to_the_end(tmp_path: Path, left_s: float) -> None:
    """A storage judges a URL when it is asked: what it then serves may take longer than the URL lives."""
    size, pieces = 1000, 10

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(MP4) + pieces * size)})
        await response.prepare(request)
        await response.write(MP4)
        for _ in range(pieces):
            await asyncio.sleep(20)
            await response.write(bytes(size))
        return response

    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.slow = slow
            await bench.done("/slow", kind=Kind.VIDEO)
            later(bench, LIFE_S - left_s)
            assert (await bench.save()).state is JobState.SAVED
            assert len(bench.storage.asked) == 1

    run(main())


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_url_that_refuses_after_its_end_has_expired(tmp_path: Path, status: int) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": status, "/2": PNG}
            await bench.done("/1", "/2")
            later(bench, 2 * LIFE_S)
            with pytest.raises(
                ResultExpired, match=rf"expired at 1970-.* UTC, before it was saved: .*1 of 2 .*/1: HTTP {status}"
            ):
                await bench.save()
            assert len(bench.storage.asked) == 2
            assert bench.files() == ["shot+2.png"]

    run(main())


def test_a_refusal_before_the_end_is_no_expiry(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            await bench.done("/1")
            later(bench)
            with pytest.raises(DownloadError, match="may have expired"):
                await bench.save()

    run(main())


def test_another_fault_after_the_end_is_no_expiry(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": 503, "/2": 403}
            await bench.done("/1", "/2")
            later(bench, 2 * LIFE_S)
            began = asyncio.get_running_loop().time()
            with pytest.raises(DownloadError, match=r"2 of 2 .*HTTP 503; .*HTTP 403"):
                await bench.save()
            assert asyncio.get_running_loop().time() - began == pytest.approx(LEAST_S, abs=1)

    run(main())


def test_a_storage_that_lags_behind_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": PNG}
            bench.storage.opens_at = asyncio.get_running_loop().time() + 30
            await bench.done("/1")
            assert (await bench.save()).state is JobState.SAVED
            assert len(bench.storage.asked) > 3

    run(main())


@pytest.mark.parametrize("clock", [-3600.0, 3600.0])
def test_a_clock_that_was_set_makes_nothing_new_for_ever(tmp_path: Path, clock: float) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            await bench.done("/1")
            bench.clock = clock
            began = asyncio.get_running_loop().time()
            with pytest.raises(DownloadError):
                await bench.save()
            assert asyncio.get_running_loop().time() - began < 2 * NEW_S

    run(main())


def test_trouble_near_the_end_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with bench_in(tmp_path) as bench:
            bench.storage.answers = {"/1": 503}
            await bench.done("/1")
            later(bench, LIFE_S - 1800)
            with pytest.raises(DownloadError):
                await bench.save(save_s=10)
            assert bench.heard == [events.Retried] * 4

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "HTTP 503 [job shot/image, task 4-1]; its URL expires in 30 minutes" in caplog.text


def test_a_result_that_was_never_saved_has_no_files() -> None:
    made = ImageResult(task_id="4-1", request_id="r", urls=("https://a/1", "https://a/2"), expires_at=None)
    assert not made.is_saved
    assert not replace(made, files=(Path("a"),)).is_saved
    assert replace(made, files=(Path("a"), Path("b"))).is_saved


def test_a_saved_file_whose_folder_was_moved_is_kept_where_it_is_now(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "old").mkdir()
        async with bench_in(tmp_path / "old") as bench:
            bench.storage.answers = {"/a": PNG}
            await bench.done("/a")
            await bench.save()
            bench.folder = (tmp_path / "old").rename(tmp_path / "new")
            bench.storage.answers = {"/a": 403}
            later(bench, 2 * LIFE_S)
            saved = await bench.save()
            assert saved.files == (str(bench.folder / "shot.png"),)
            # A file that was emptied is none.
            (bench.folder / "shot.png").write_bytes(b"")
            bench.folder = bench.folder.rename(tmp_path / "third")
            assert await bench.save() == saved

    run(main())


def test_a_file_of_that_name_is_compared_while_the_url_lives(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "old").mkdir()
        async with bench_in(tmp_path / "old") as bench:
            bench.storage.answers = {"/a": PNG}
            await bench.done("/a")
            saved = await bench.save()
            bench.folder = (tmp_path / "old").rename(tmp_path / "new")
            (bench.folder / "shot.png").write_bytes(PNG + b"another")
            assert await bench.save() == saved
            assert (bench.folder / "shot.png").read_bytes() == PNG + b"another"

    run(main())
