"""Polling: one poll per interval and task, earliest due first, on while the task runs and no longer."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mps_aigc_async import (
    AigcClient,
    ImageRequest,
    JobState,
    Kind,
    TaskFailed,
    TaskNotFound,
    TaskStatus,
    TaskTimeout,
    UnexpectedError,
    VideoRequest,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.concurrency.owner import TaskOwner
from mps_aigc_async.emulator import Service
from mps_aigc_async.jobs.poller import UNEXPECTED_MOST, Poller
from mps_aigc_async.limits import LimitsKey, Rates
from mps_aigc_async.limits.process.account import AccountLimits
from mps_aigc_async.limits.process.pace import ProcessPace
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.model.errors import AigcError
from mps_aigc_async.network.calls import Calls
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.policy.tempo import Fixed
from mps_aigc_async.testing import InMemoryTransport, VirtualTimeLoop, run, wall
from mps_aigc_async.wire import mps
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest
from mps_aigc_async.wire.mps import Mps
from mps_aigc_async.wire.vod import Vod

from ..queues import Queues
from ..support import client_of, configured, in_memory


def polls(service: Service, action: str = "DescribeAigcImageTask") -> dict[str | None, list[float]]:
    """Arrival times by task."""
    times = defaultdict[str | None, list[float]](list)
    for arrival in service.arrivals:
        if arrival.action == action:
            times[arrival.task_id].append(arrival.at)
    return times


def test_a_task_is_asked_about_at_the_interval_and_not_after_its_end() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with client_of(service, configured(poll_ms=5000)) as client:
            await client.generate(ImageRequest(prompt="x"))
            await asyncio.sleep(100)
        ((times),) = polls(service).values()
        assert len(times) == 12 or len(times) == 13  # every 5 s until the first poll after 60 s
        assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx(
            [5.0] * (len(times) - 1), abs=0.3
        )

    run(main())


def test_under_pressure_the_polls_share_the_actions_pace_evenly() -> None:
    """60 tasks at one poll a second want three times what 20 a second gives: nobody starves, nobody is refused."""

    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with client_of(service, configured(images=60, poll_ms=1000, poll_strategy="fixed")) as client:
            async for outcome in client.run([ImageRequest(prompt=f"{number}") for number in range(60)]):
                assert outcome.ok
        assert service.statistics(wall()).refused == {}
        counts = [len(times) for times in polls(service).values()]
        assert len(counts) == 60
        assert max(counts) - min(counts) <= 4
        longest = max(later - earlier for times in polls(service).values() for earlier, later in pairwise(times))
        assert longest < 60 / 20 * 1.05 + 0.3

    run(main())


def test_a_poll_takes_no_snapshot_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshots of slots and pace took 12 µs of CPU for each poll, beside some 65 µs for the rest of it."""
    snapshots = Counter[str]()

    def counted(owner: type, name: str) -> None:
        figures = getattr(owner, name)

        def count(*values: object) -> object:
            snapshots[owner.__name__] += 1
            return figures(*values)

        monkeypatch.setattr(owner, name, count)

    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with client_of(service, configured(poll_ms=1000)) as client:
            task = await client.submit(ImageRequest(prompt="x"))
            counted(ProcessSlots, "figures")
            counted(ProcessPace, "figures")
            await task.wait()
        assert len(*polls(service).values()) > 50
        assert snapshots == {}

    run(main())


@pytest.mark.parametrize("step_s", [-240.0, 240.0])
def test_a_machines_clock_that_is_put_right_delays_no_poll(step_s: float) -> None:
    async def main() -> None:
        service, step = in_memory(image_seconds=(60, 60)), 0.0

        def stepped() -> float:
            return wall() + step

        config = configured(timeouts={"imageSeconds": 7200})
        transport = partial(InMemoryTransport, service, wall, latency_s=0.2)
        async with AigcClient(config, transport=transport, wall=stepped) as client:
            begun = wall()
            image = asyncio.create_task(client.generate(ImageRequest(prompt="a cat")))
            while not (times := polls(service)) or len(*times.values()) < 3:  # noqa: ASYNC110 — while one is under way
                await asyncio.sleep(0.01)
            step = step_s
            await image
            assert wall() - begun < 60 + 7

    run(main())


def test_tasks_that_ended_before_they_were_resumed_teach_no_tempo(tmp_path: Path) -> None:
    async def main() -> None:
        ledger, service = tmp_path / "jobs.db", in_memory(image_seconds=(60, 60), max_running={"image": 100})
        batch = [ImageRequest(id=f"{number}", prompt="a cat") for number in range(60)]
        async with client_of(service, configured(images=60), ledger=ledger) as client:
            tasks = [await client.submit(request) for request in batch]
        await asyncio.sleep(8 * 3600)
        async with client_of(service, configured(images=60), ledger=ledger) as client:
            await asyncio.gather(*(client.attach("image", task.task_id).wait() for task in tasks))
            dog = await client.generate(ImageRequest(prompt="a dog"))
        assert len(polls(service)[dog.task_id]) >= 60 / 5

    run(main())


async def test_kinds_that_share_an_action_share_its_rate() -> None:
    """VOD asks about images and videos by one action: the tasks of both count for how far apart their polls must be."""
    limits = AccountLimits(Rates(20), {Kind.IMAGE: 30, Kind.VIDEO: 30}, key=LimitsKey("mps", "https://a", "me"))
    for kind in (Kind.IMAGE, Kind.VIDEO):
        for number in range(30):
            limits.slots[kind].adopt(f"{kind} {number}")
    calls = cast("Calls", None)  # asks nothing
    for dialect, spacing_s in ((Mps(), 1.5), (Vod(sub_app_id=1), 3.0)):
        poller = Poller(calls, dialect, limits, TaskOwner(), tempo=Fixed(), interval_s=1.0, wall=time.time)
        assert poller.spacing_s(Kind.IMAGE) == poller.spacing_s(Kind.VIDEO) == spacing_s


def test_a_failed_poll_is_repeated_at_growing_intervals_and_loses_nothing() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        service.faults.add(action="DescribeAigcImageTask", fault="http_status", status=502, times=4)
        async with client_of(service, configured(poll_ms=5000)) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
        times = [arrival.at for arrival in service.arrivals if arrival.action == "DescribeAigcImageTask"]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps[:4] == pytest.approx([5, 10, 20, 40], abs=0.3)

    run(main())


@pytest.mark.parametrize("code", ["AuthFailure.SecretIdNotFound", "InternalError", "RequestLimitExceeded", "New.Code"])
def test_a_paid_task_is_polled_on_through_every_refusal_that_may_pass(code: str) -> None:
    async def main() -> None:
        service = in_memory()
        service.faults.add(action="DescribeAigcVideoTask", fault="error", code=code, times=3)
        async with client_of(service) as client:
            assert (await client.generate(VideoRequest(prompt="x"))).urls

    run(main())


def test_a_task_the_service_does_not_know_ends_at_once() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            with pytest.raises(TaskNotFound) as caught:
                await client.attach("image", "4-AigcImage-nobody").wait()
            assert caught.value.task_id == "4-AigcImage-nobody"
            assert client.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


def test_images_and_videos_do_not_wait_for_each_others_polls() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60), video_seconds=(60, 60))
        async with client_of(service, configured(images=100, videos=5, poll_ms=1000)) as client:
            images = [ImageRequest(prompt=f"{number}") for number in range(100)]
            videos = [VideoRequest(prompt=f"{number}") for number in range(5)]
            async for _ in client.run([*videos, *images]):
                pass
        for times in polls(service, "DescribeAigcVideoTask").values():
            assert max(later - earlier for earlier, later in pairwise(times)) < 1.3

    run(main())


def test_a_status_that_no_document_knows_is_polled_on_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Paused(InMemoryTransport):
        """The first ten polls are answered with a word of the service's own."""

        left = 10

        async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
            answer = await super().exchange(request, gate, sent)
            if request.headers["X-TC-Action"].startswith("Describe") and self.left:
                self.left -= 1
                return replace(answer, body=answer.body.replace(b'"RUN"', b'"PAUSED"').replace(b'"WAIT"', b'"PAUSED"'))
            return answer

    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: Paused(service, wall)) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
        assert caplog.text.count("undocumented status 'PAUSED'") == 1

    run(main())


def test_a_bug_in_decoding_reaches_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> TaskStatus:
        raise ZeroDivisionError

    monkeypatch.setattr("mps_aigc_async.wire.mps._decode_status", broken)

    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            with pytest.raises(UnexpectedError, match="ZeroDivisionError") as caught:
                await client.generate(ImageRequest(id="x", prompt="x"))
            assert caught.value.task_id is not None
            assert client.statistics().slots[Kind.IMAGE].taken == 1  # the task runs on
            # It is no word of the service's: the task is paid for, and asked about again.
            assert await client.counts() == {JobState.SUBMITTED: 1}
            monkeypatch.undo()
            assert (await client.generate(ImageRequest(id="x", prompt="x"))).urls

    run(main())


def test_a_few_odd_answers_to_polls_lose_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left, decode = UNEXPECTED_MOST - 1, mps._decode_status

    def broken(*args: Any) -> TaskStatus:  # noqa: ANN401 — handed through
        nonlocal left
        left -= 1
        if left >= 0:
            raise AttributeError("".join(("sec", "ret")))
        return decode(*args)

    monkeypatch.setattr("mps_aigc_async.wire.mps._decode_status", broken)

    async def main() -> None:
        async with client_of(in_memory()) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls
        assert caplog.text.count("AttributeError while calling DescribeAigcImageTask") == UNEXPECTED_MOST - 1
        assert "in broken" in caplog.text
        assert "secret" not in caplog.text

    run(main())


def test_who_stops_waiting_for_a_task_takes_nobody_with_them() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with client_of(service, configured()) as client:
            task = await client.submit(ImageRequest(prompt="x"))
            attached = client.attach("image", task.task_id)
            waiting = [asyncio.create_task(task.wait()), *(asyncio.create_task(attached.wait()) for _ in range(3))]
            await asyncio.sleep(20)
            waiting[0].cancel()
            waiting[2].cancel()
            await asyncio.sleep(20)
            urls = [(await one).urls for one in (waiting[1], waiting[3], asyncio.create_task(attached.wait()))]
            assert urls[0] == urls[1] == urls[2] != ()
            assert waiting[0].cancelled()
            assert waiting[2].cancelled()

    run(main())


def test_a_task_done_while_nobody_waited_is_in_the_ledger() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service) as client:
            await client.submit(ImageRequest(id="x", prompt="x"))
            assert client.statistics().polling == 1
            await asyncio.sleep(300)
            assert client.statistics().polling == 0
            assert await client.counts() == {JobState.DONE: 1}

    run(main())


# --- what is counted in a row -----------------------------------------------------------------------------------------


class Told(InMemoryTransport):
    """Polls are answered by a list of words, and then with DONE."""

    def __init__(self, service: Service, words: Sequence[str]) -> None:
        super().__init__(service, wall, latency_s=0.02)
        self._words = iter(words)
        self.times: list[float] = []

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        if not request.headers["X-TC-Action"].startswith("Describe"):
            return answer
        self.times.append(wall())
        word = next(self._words, "DONE")
        if word == "odd":
            raise AttributeError("a fault of the transport's own")
        error = {"Error": {"Code": word, "Message": "no"}}
        fields = DONE if word == "DONE" else {"Status": "RUN"} if word == "RUN" else error
        return replace(answer, body=json.dumps({"Response": {"RequestId": "r-1", **fields}}).encode())


NOT_THERE, REFUSED = "FailedOperation.TaskNotFound", "InternalError"


def polled_with(words: Sequence[str]) -> tuple[AigcError | None, list[float]]:
    """How the waiting for one image ends, and the seconds between its polls."""

    async def main() -> tuple[AigcError | None, list[float]]:
        transport = Told(service := in_memory(), words)
        config = configured(poll_strategy="fixed", timeouts={"imageSeconds": 100_000})
        async with client_of(service, config, transport=lambda: transport) as client:
            error = None
            try:
                await client.generate(ImageRequest(prompt="x"))
            except AigcError as ended:
                error = ended
        return error, [later - earlier for earlier, later in pairwise(transport.times)]

    return run(main())


def first_row(words: Sequence[str], word: str, length: int) -> int | None:
    """How many words come until this one has come so many times in a row; None if it never does."""
    row = 0
    for number, one in enumerate(words, 1):
        row = row + 1 if one == word else 0
        if row == length:
            return number
    return None


WORDS = st.lists(st.tuples(st.sampled_from(["RUN", NOT_THERE, REFUSED, "odd"]), st.integers(1, 11)), max_size=8)
"""Rows of the same word: by chance alone, a long one would hardly ever come."""


@hypothesis_settings(max_examples=60)
@given(WORDS)
@example([(NOT_THERE, 2), ("RUN", 1), (NOT_THERE, 2)])
@example([(NOT_THERE, 2), (REFUSED, 1), (NOT_THERE, 2)])
@example([(NOT_THERE, 3)])
@example([("odd", UNEXPECTED_MOST - 1), ("RUN", 1), ("odd", UNEXPECTED_MOST - 1)])
@example([("odd", UNEXPECTED_MOST - 1), (REFUSED, 1), ("odd", UNEXPECTED_MOST - 1)])
@example([("odd", UNEXPECTED_MOST)])
def test_only_the_same_answer_many_times_in_a_row_ends_the_polling(rows: Sequence[tuple[str, int]]) -> None:
    """Whatever is answered in between, the paid task is polled on."""
    words = [word for word, times in rows for _ in range(times)]
    ends = {TaskNotFound: first_row(words, NOT_THERE, 3), UnexpectedError: first_row(words, "odd", UNEXPECTED_MOST)}
    after = {number: error for error, number in ends.items() if number is not None}
    ended, gaps = polled_with(words)
    assert (type(ended), len(gaps) + 1) == ((after[min(after)], min(after)) if after else (NoneType, len(words) + 1))


def test_after_an_answer_the_next_failed_poll_is_repeated_as_soon_as_the_first() -> None:
    _, gaps = polled_with([REFUSED, REFUSED, REFUSED, "RUN", REFUSED, REFUSED])
    assert gaps == pytest.approx([5, 10, 20, 5, 5, 10], abs=0.3)


def test_polls_that_keep_failing_come_every_minute_at_last() -> None:
    _, gaps = polled_with([REFUSED] * 8)
    assert gaps == pytest.approx([5, 10, 20, 40, 60, 60, 60, 60], abs=0.3)


# --- when it was last known to be unfinished --------------------------------------------------------------------------


class Slow(Queues):
    """Judges a poll when it arrives, and delivers each answer so many seconds later."""

    def __init__(self, waits_s: Sequence[float], **settings: Any) -> None:  # noqa: ANN401 — handed through
        super().__init__("mps", **settings)
        self._waits_s = waits_s

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        if request.headers["X-TC-Action"].startswith("Describe"):
            await asyncio.sleep(self._waits_s[len(self.polls) % len(self._waits_s)])
        return answer


@hypothesis_settings(max_examples=30)
@given(st.lists(st.floats(0, 25), min_size=1, max_size=5))
@example([0.0])
@example([20.0])
def test_a_slow_answer_tells_of_when_it_was_asked_for(waits_s: Sequence[float]) -> None:
    """The second of two tasks waits for the first. Its times in the ledger are those of the polls that saw them, and
    its URL ends no later than in truth."""

    async def main() -> None:
        service = Slow(waits_s, run_s=60.0)
        config = service.config(poll_ms=5000)
        async with AigcClient(config, transport=lambda: service, wall=wall) as client:
            requests = [ImageRequest(id=f"{number}", prompt="x") for number in range(2)]
            first, second = await asyncio.gather(*(client.generate(request) for request in requests))
            rows = {
                job.task_id: job
                async for job in (await client._usable_engine().open_ledger(None)).in_state(JobState.DONE)
            }
        for result in (first, second):
            task = service.tasks[result.task_id]
            times = [at for at, task_id in service.polls if task_id == task.task_id]
            row = rows[task.task_id]
            assert row.unfinished_at == pytest.approx(max([task.at, *(at for at in times if at < task.ends)]), abs=0.1)
            assert row.expires_at is not None
            assert row.expires_at <= task.ends + 12 * 3600
            has_waited = any(at < task.begins for at in times)
            seen = min((at for at in times if task.begins <= at < task.ends), default=None) if has_waited else None
            assert row.running_at == (seen if seen is None else pytest.approx(seen, abs=0.1))

    run(main())


# --- deadlines --------------------------------------------------------------------------------------------------------


class Scripted(InMemoryTransport):
    """Polls are answered with fields of the test's own, by the virtual time since the first one."""

    def __init__(self, service: Service, script: Callable[[float], Mapping[str, object]]) -> None:
        super().__init__(service, wall, latency_s=0.02)
        self._script = script
        self.first: float | None = None

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        answer = await super().exchange(request, gate, sent)
        if not request.headers["X-TC-Action"].startswith("Describe"):
            return answer
        now = asyncio.get_running_loop().time()
        self.first = now if self.first is None else self.first
        fields = {"RequestId": "r-1", **self._script(now - self.first)}
        return replace(answer, body=json.dumps({"Response": fields}).encode())


DONE = {"Status": "DONE", "ImageUrls": ["http://127.0.0.1/1.png"]}


def by_script(script: Callable[[float], Mapping[str, object]], **config: Any) -> tuple[TaskTimeout | None, float]:  # noqa: ANN401 — a config's
    """How the waiting for one image ended, and after how many seconds."""

    async def main() -> tuple[TaskTimeout | None, float]:
        transport = Scripted(service := in_memory(), script)
        async with client_of(service, configured(images=1, **config), transport=lambda: transport) as client:
            began, timeout = wall(), None
            try:
                await client.generate(ImageRequest(prompt="x"))
            except TaskTimeout as error:
                timeout = error
            seconds = wall() - began
            await asyncio.sleep(60_000)  # one that was given up in the queue keeps its slot while it may run
            assert client.statistics().slots[Kind.IMAGE].taken == 0
            return timeout, seconds

    return run(main())


def test_a_task_that_waits_for_hours_in_the_services_queue_is_waited_for() -> None:
    waits_s = 11.5 * 3600
    assert by_script(lambda age: {"Status": "WAIT"} if age < waits_s else DONE, poll_ms=60_000)[0] is None


def test_a_queue_that_never_moves_is_given_up_after_twelve_hours() -> None:
    timeout, seconds = by_script(lambda _: {"Status": "WAIT", "Message": "queued"}, poll_ms=60_000)
    assert timeout is not None
    assert (timeout.last_status, timeout.last_message) == ("WAIT", "queued")
    assert "latest status: WAIT 'queued'" in str(timeout)
    assert timeout.task_id is not None
    assert seconds == pytest.approx(12 * 3600, abs=10)


def test_the_runs_deadline_counts_from_when_it_was_first_seen_running() -> None:
    timeout, seconds = by_script(lambda age: {"Status": "WAIT" if age < 7200 else "RUN"})
    assert timeout is not None
    assert seconds == pytest.approx(7200 + 1800, abs=20)


def test_a_task_that_goes_back_to_the_queue_is_not_waited_for_without_end() -> None:
    timeout, seconds = by_script(lambda age: {"Status": "RUN" if 100 < age < 200 else "WAIT"})
    assert timeout is not None
    assert seconds == pytest.approx(100 + 1800, abs=20)


def test_a_task_that_runs_in_every_poll_is_given_up_after_half_an_hour() -> None:
    timeout, seconds = by_script(lambda _: {"Status": "RUN"})
    assert timeout is not None
    assert seconds == pytest.approx(1800, abs=10)


@pytest.mark.parametrize(("image_s", "waits_s"), [(100, 12 * 3600), (50_000, 50_000)])
def test_a_larger_setting_counts_for_the_queue_as_well(image_s: float, waits_s: float) -> None:
    timeout, seconds = by_script(lambda _: {"Status": "WAIT"}, poll_ms=60_000, timeouts={"imageSeconds": image_s})
    assert timeout is not None
    assert seconds == pytest.approx(waits_s, abs=10)


def test_a_resumed_task_is_waited_for_as_long_as_a_new_one(tmp_path: Path) -> None:
    """A day after it was created: beyond what was to be its time, and it ends an hour after it was gone on with."""

    async def main() -> None:
        ledger, service = tmp_path / "jobs.db", in_memory(image_seconds=(25 * 3600, 25 * 3600))
        request = ImageRequest(id="x", prompt="x")
        config = configured(images=1, timeouts={"imageSeconds": 4000})
        async with client_of(service, config, ledger=ledger) as client:
            await client.submit(request)
        await asyncio.sleep(24 * 3600)
        async with client_of(service, config, ledger=ledger) as client:
            assert client.statistics().slots[Kind.IMAGE].taken == 1
            assert (await client.generate(request)).urls
        assert service.statistics(wall()).created["image"] == 1

    run(main())


def test_a_client_that_closes_holds_a_waiting_tasks_slot_no_longer_than_a_running_ones() -> None:
    async def main() -> None:
        service = in_memory(image_seconds=(100_000, 100_000))
        async with client_of(service, configured(images=1)) as client:
            await client.submit(ImageRequest(prompt="x"))
            await asyncio.sleep(100)
        async with client_of(service, configured(images=1)) as other:
            assert other.statistics().slots[Kind.IMAGE].taken == 1
            await asyncio.sleep(1801)
            assert other.statistics().slots[Kind.IMAGE].taken == 0

    run(main())


class NeverAnswering(InMemoryTransport):
    """Polls hang for ever, as a transport of a user's own may; counted."""

    polls = 0

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        if request.headers["X-TC-Action"].startswith("Describe"):
            await gate()
            NeverAnswering.polls += 1
            await asyncio.Event().wait()
        return await super().exchange(request, gate, sent)


def test_polls_that_hang_for_ever_are_sent_anew_and_end_with_the_deadline() -> None:
    async def main() -> None:
        service = in_memory()
        async with client_of(service, transport=lambda: NeverAnswering(service, wall)) as client:
            began = wall()
            with pytest.raises(TaskTimeout):
                await client.generate(ImageRequest(prompt="x"))
            assert wall() - began == pytest.approx(12 * 3600, abs=60)
            assert NeverAnswering.polls > 60

    run(main())


def test_an_answer_that_came_while_the_process_stood_still_is_read_before_giving_up() -> None:
    """The loop is blocked past the deadline while the answer arrives: its timer and its bytes are due in one turn."""

    class Standing(InMemoryTransport):
        """The first poll's answer is there when the clock has jumped past the deadline, and not before."""

        blocked = False

        async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
            answer = await super().exchange(request, gate, sent)
            if request.headers["X-TC-Action"].startswith("Describe") and not self.blocked:
                self.blocked = True
                loop = asyncio.get_running_loop()
                assert isinstance(loop, VirtualTimeLoop)
                arrived = asyncio.Event()
                loop._jumping.now += 13 * 3600
                # As a socket's bytes are found in the turn in which the standstill has made the timers due.
                loop.call_at(loop.time(), arrived.set)
                await arrived.wait()
                return replace(answer, body=json.dumps({"Response": DONE}).encode())
            assert not self.blocked, "its answer was thrown away, and it was asked about again"
            return answer

    async def main() -> None:
        service = in_memory()
        config = configured(timeouts={"imageSeconds": 1800})
        async with client_of(service, config, transport=lambda: Standing(service, wall)) as client:
            assert (await client.generate(ImageRequest(prompt="x"))).urls

    run(main())


# --- DONE without a result --------------------------------------------------------------------------------------------


def outcome_of(script: Callable[[float], Mapping[str, object]]) -> tuple[str, float]:
    """The failure's text and its time."""

    async def main() -> tuple[str, float]:
        transport = Scripted(service := in_memory(), script)
        async with client_of(service, configured(images=1), transport=lambda: transport) as client:
            began = wall()
            with pytest.raises(TaskFailed) as caught:
                await client.generate(ImageRequest(id="x", prompt="x"))
            assert await client.counts() == {JobState.FAILED: 1}
            return caught.value.message, wall() - began

    return run(main())


def test_done_without_a_url_and_with_a_reason_fails_soon_and_with_the_reason() -> None:
    message, seconds = outcome_of(lambda _: {"Status": "DONE", "ImageUrls": [], "Message": "blocked by review"})
    assert message == "blocked by review"
    assert 60 <= seconds < 80


def test_a_result_that_comes_within_the_grace_is_no_failure() -> None:
    late = {"Status": "DONE", "ImageUrls": [], "Message": "uploading"}
    assert by_script(lambda age: late if age < 50 else DONE)[0] is None


def test_the_grace_counts_anew_when_the_task_runs_again() -> None:
    late = {"Status": "DONE", "ImageUrls": [], "Message": "uploading"}
    timeout, _ = by_script(
        lambda age: late if age < 50 or 100 < age < 150 else {"Status": "RUN"} if age < 200 else DONE
    )
    assert timeout is None


@pytest.mark.parametrize("message", ["ok", "OK", "success", "Success.", ""])
def test_done_without_a_url_and_without_a_reason_is_polled_on(message: str) -> None:
    timeout, seconds = by_script(lambda _: {"Status": "DONE", "ImageUrls": None, "Message": message})
    assert timeout is not None
    assert (timeout.last_status, timeout.last_message) == ("DONE", message)
    assert seconds == pytest.approx(1800, abs=10)


# --- what a timeout tells ---------------------------------------------------------------------------------------------


def test_a_callers_timeout_tells_the_services_latest_word_and_the_task() -> None:
    async def main() -> None:
        transport = Scripted(service := in_memory(), lambda _: {"Status": "RUN", "Message": "step 1\x1b[31m of 9"})
        async with client_of(service, transport=lambda: transport) as client:
            with pytest.raises(TaskTimeout, match=r"latest status: RUN 'step 1\[31m of 9'") as generated:
                await client.generate(ImageRequest(id="x", prompt="x"), timeout=60)
            task_id = generated.value.task_id
            assert task_id is not None
            assert (generated.value.last_status, generated.value.job_id) == ("RUN", "x")
            with pytest.raises(TaskTimeout, match="latest status: RUN") as waited:
                await client.attach("image", task_id).wait(timeout=60)
            assert waited.value.task_id == task_id

    run(main())


def test_a_callers_timeout_before_the_first_poll_tells_the_task_alone() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            with pytest.raises(TaskTimeout) as caught:
                await client.generate(ImageRequest(id="x", prompt="x"), timeout=1)
            assert caught.value.task_id is not None
            assert "latest status" not in str(caught.value)

    run(main())
