"""The service's time: by its answers, under every change of this machine's clock."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import (
    AigcClient,
    Config,
    CreateOutcomeUnknown,
    ImageRequest,
    ImageToVideo,
    JobState,
    Kind,
    TransportError,
    VideoRequest,
)
from mps_aigc_async.concurrency.callbacks import ignore
from mps_aigc_async.emulator import Service
from mps_aigc_async.model.errors import ServiceError
from mps_aigc_async.network.clock import CLOCKS_AGREE_S, SLACK_S, TIMESTAMPS_AGREE_S, ServiceClock, correct
from mps_aigc_async.network.transport import Gate, Sent
from mps_aigc_async.testing import InMemoryTransport, run, wall
from mps_aigc_async.wire.dialect import HttpAnswer, HttpRequest

from ..listening import listening
from ..support import KEYS, configured, in_memory

DAY_S = 24 * 3600.0
LIFE_S = 12 * 3600.0
STEPS = pytest.mark.parametrize("step_s", [2000.0, -2000.0, DAY_S, -DAY_S])


# --- the clock alone --------------------------------------------------------------------------------------------------


class Clocks:
    """A machine's two clocks, and the service's own."""

    def __init__(self) -> None:
        self.wall = self.theirs = 10_000.0
        self.monotonic = 50.0
        self.clock = ServiceClock(lambda: self.wall, lambda: self.monotonic)

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.theirs += seconds
        self.monotonic += seconds

    def answer(self, took_s: float = 0.1) -> None:
        self.go_on(took_s)
        self.clock.hear(float(int(self.theirs)), took_s)

    @property
    def error_s(self) -> float:
        return self.clock.now() - self.theirs


def test_it_is_the_machines_clock_until_the_service_tells_its_own() -> None:
    clocks = Clocks()
    clocks.wall += 777
    assert clocks.clock.now() == clocks.wall
    assert "machine" in repr(clocks.clock)
    clocks.answer()
    assert abs(clocks.error_s) <= 1.1
    assert "service" in repr(clocks.clock)


@STEPS
def test_a_step_of_the_machines_clock_changes_nothing(step_s: float) -> None:
    clocks = Clocks()
    clocks.answer()
    before = clocks.error_s
    clocks.wall += step_s
    assert clocks.error_s == before
    clocks.answer()
    assert clocks.error_s == pytest.approx(before)


def test_a_right_clock_is_left_alone_by_every_answer() -> None:
    clocks = Clocks()
    for _ in range(1000):
        clocks.go_on(0.37)
        clocks.answer(took_s=0.05)
        assert clocks.error_s == pytest.approx(0.0, abs=1e-6)


def test_after_a_suspension_the_next_answer_corrects_it() -> None:
    clocks = Clocks()
    clocks.answer()
    clocks.theirs += 7200  # the monotonic clock stood still
    assert clocks.error_s < -7000
    clocks.answer()
    assert abs(clocks.error_s) <= 1.0


def test_an_answer_that_took_long_moves_nothing_that_it_allows() -> None:
    clocks = Clocks()
    clocks.answer()
    date = float(int(clocks.theirs))
    clocks.go_on(60)  # the answer lay there meanwhile
    clocks.clock.hear(date, took_s=60.0)
    assert abs(clocks.error_s) <= 1.1


@given(
    before=st.floats(0, 1e10),
    date=st.integers(0, 10**10).map(float),
    took_s=st.floats(-1, 1000),
)
def test_a_correction_is_within_the_answers_interval_and_is_none_the_second_time(
    before: float, date: float, took_s: float
) -> None:
    after = correct(before, date, took_s)
    assert date - SLACK_S <= after <= date + 1.0 + max(0.0, took_s) + SLACK_S
    assert correct(after, date, took_s) == after
    assert after == before or abs(after - before) > SLACK_S  # the clock never jitters by less than the slack


def test_it_is_certain_from_an_answer_until_the_machine_sleeps_or_is_set() -> None:
    clocks = Clocks()
    assert not clocks.clock.is_certain
    clocks.answer()
    clocks.go_on(DAY_S)
    assert clocks.clock.is_certain
    clocks.wall += 7200  # the machine slept: the monotonic clock stood still
    assert not clocks.clock.is_certain
    clocks.answer()
    assert clocks.clock.is_certain


@pytest.mark.parametrize(
    ("slept_s", "certain"), [(CLOCKS_AGREE_S - 1, True), (CLOCKS_AGREE_S + 1, False), (-CLOCKS_AGREE_S - 1, False)]
)
def test_clocks_that_part_by_a_minute_make_it_uncertain_in_either_direction(slept_s: float, certain: bool) -> None:
    clocks = Clocks()
    clocks.answer()
    clocks.wall += slept_s
    assert clocks.clock.is_certain is certain


def test_an_answer_can_correct_it_until_one_has() -> None:
    clocks = Clocks()
    assert clocks.clock.is_the_machines
    clocks.answer()
    assert not clocks.clock.is_the_machines


@pytest.mark.parametrize(
    ("off_s", "is_believed"),
    [(TIMESTAMPS_AGREE_S - 1, False), (1 - TIMESTAMPS_AGREE_S, False), (TIMESTAMPS_AGREE_S + 1, True)],
)
def test_a_call_refused_for_a_time_near_the_answers_own_proves_that_the_date_is_of_another_clock(
    off_s: float, is_believed: bool
) -> None:
    clocks = Clocks()
    clocks.answer()
    clocks.clock.hear_refusal(signed_at=5000.0 + off_s, date=5000.0, took_s=0.0)
    assert (abs(clocks.clock.now() - 5000.0) < 2) is is_believed
    assert clocks.clock.is_certain is is_believed
    assert not clocks.clock.is_the_machines  # corrected, or beyond correction
    clocks.clock.hear(7000.0, 0.0)
    assert (abs(clocks.clock.now() - 7000.0) < 2) is is_believed
    assert clocks.clock.is_certain is is_believed
    assert (clocks.clock.now() == clocks.wall) is not is_believed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (99.0, 99.0), (98.9, 100.6), (102.2, 102.2), (102.3, 100.6), (100.0, 100.0),
    ],
)  # fmt: skip
def test_a_time_within_a_second_of_an_answers_interval_stays_and_another_becomes_its_middle(
    before: float, after: float
) -> None:
    assert correct(before, date=100.0, took_s=0.2) == pytest.approx(after)


@pytest.mark.parametrize(("wall_s", "monotonic_s"), [(5.0, 5.0), (7200.0, 5.0), (-7200.0, 5.0)])
def test_since_a_mark_the_clock_counts_that_went_further(wall_s: float, monotonic_s: float) -> None:
    clocks = Clocks()
    mark = clocks.clock.mark()
    clocks.wall += wall_s
    clocks.monotonic += monotonic_s
    assert clocks.clock.since(mark) == max(wall_s, monotonic_s)


# --- in a run ---------------------------------------------------------------------------------------------------------


class Machine:
    """The machine's wall clock, which can be set; the service's is virtual time, which goes on."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.step_s = step_s

    def wall(self) -> float:
        return wall() + self.step_s

    async def steps(self, *steps_s: float, every_s: float = 70.0) -> None:
        for step_s in steps_s:
            await asyncio.sleep(every_s)
            self.step_s = step_s

    def client(self, service: Service, config: Config, ledger: Path | None = None) -> AigcClient:
        service.storage.base_url = "http://127.0.0.1:80"
        transport = partial(InMemoryTransport, service, wall, latency_s=0.2)
        return AigcClient(config, transport=transport, wall=self.wall, ledger=ledger)


def is_right(expires_at: float, ended_by: float, spacing_s: float = 12.0) -> bool:
    """Whether a URL's end is known to seconds beside a poll's interval, and never later than the truth."""
    return ended_by + LIFE_S - spacing_s <= expires_at <= ended_by + LIFE_S + SLACK_S + 1


@STEPS
def test_steps_in_mid_run_give_up_nothing_and_run_no_more_than_the_cap(step_s: float, tmp_path: Path) -> None:
    async def main() -> None:
        service, machine, ledger = in_memory(), Machine(), tmp_path / "jobs.db"
        stepping = asyncio.create_task(machine.steps(step_s, 0.0, step_s, 2 * step_s, 0.0))
        async with machine.client(service, configured(images=4, videos=4), ledger) as client:
            batch = [
                ImageToVideo(
                    id=f"shot-{number}", image=ImageRequest(prompt=f"{number}"), video=VideoRequest(prompt="moves")
                )
                for number in range(12)
            ]
            async for outcome in client.run(batch):
                assert outcome.ok, outcome.error
                assert outcome.result is not None
                expires_at = outcome.result.video.expires_at
                assert expires_at is not None
                assert is_right(expires_at.timestamp(), wall())
            await stepping
        statistics = service.statistics(wall())
        assert statistics.created == {"image": 12, "video": 12, "audio": 0}
        assert statistics.most_running["image"] <= 4
        assert statistics.most_running["video"] <= 4
        assert statistics.refused == {}

    run(main())


@STEPS
def test_times_that_are_stored_are_the_services(step_s: float) -> None:
    """On a machine whose clock is wrong from the start, only times from before the first answer are off."""

    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with Machine(step_s).client(service, configured()) as client:
            began = wall()
            await client.generate(ImageRequest(id="first", prompt="x"))
            second = wall()
            await client.generate(ImageRequest(id="second", prompt="x"))
            for name, since in (("first", began), ("second", second)):
                job = await (await client._usable_engine().open_ledger(None)).get(f"{name}/image")
                assert job is not None
                assert job.submitted_at == pytest.approx(since, abs=2)
                assert job.ended_at == pytest.approx(since + 62, abs=5)
                assert job.expires_at is not None
                assert job.slot_until is not None
                assert is_right(job.expires_at, since + 66)
                assert job.slot_until == pytest.approx(since + 1800, abs=3)
            assert job is not None
            assert job.planned_at == pytest.approx(second, abs=2)
            assert job.intent_at == pytest.approx(second, abs=2)

    run(main())


@STEPS
def test_a_task_resumed_on_a_machine_whose_clock_is_wrong_has_the_right_end(step_s: float, tmp_path: Path) -> None:
    async def main() -> None:
        service, ledger = in_memory(image_seconds=(120, 120)), tmp_path / "jobs.db"
        request = ImageRequest(id="x", prompt="x")
        async with Machine().client(service, configured(), ledger) as client:
            await client.submit(request)
            await asyncio.sleep(20)
        async with Machine(step_s).client(service, configured(), ledger) as client:
            expires_at = (await client.generate(request)).expires_at
            assert expires_at is not None
            assert is_right(expires_at.timestamp(), wall())
        assert service.statistics(wall()).created["image"] == 1

    run(main())


def test_a_laptop_that_slept_goes_on_with_what_it_left() -> None:
    """Its monotonic clock stood still for two hours: the first calls are refused for their time, and sent again."""

    async def main() -> None:
        slept = 0.0
        service = in_memory(image_seconds=(100, 100))

        def theirs() -> float:
            return wall() + slept

        config = configured(images=2)
        async with AigcClient(config, transport=lambda: InMemoryTransport(service, theirs), wall=theirs) as client:
            first = asyncio.create_task(client.generate(ImageRequest(id="a", prompt="a")))
            await asyncio.sleep(30)
            slept = 7200.0
            second = await client.generate(ImageRequest(id="b", prompt="b"))
            assert (await first).urls
            assert second.expires_at is not None
            assert is_right(second.expires_at.timestamp(), theirs())
            assert await client.counts() == {JobState.DONE: 2}
        assert service.statistics(theirs()).created["image"] == 2

    run(main())


@pytest.mark.parametrize("backend", ["vod", "relay"])
def test_vod_and_the_relay_tell_the_time_as_well(backend: str) -> None:
    keys = {"tencentCloud": KEYS, "backend": "vod", "vod": {"subAppId": 1}}
    if backend == "relay":
        keys = {"backend": "relay", "relay": {"apiKey": "RELAYEXAMPLE", "baseUrl": "http://127.0.0.1:80"}}

    async def main() -> None:
        service = in_memory(image_seconds=(60, 60))
        async with Machine(DAY_S).client(service, Config.parse({**keys})) as client:
            image = await client.generate(ImageRequest(prompt="x", model_name="GEM", model_version="3.0"))
            assert image.expires_at is not None
            assert image.expires_at.timestamp() == pytest.approx(wall() + 7 * DAY_S, abs=15)

    run(main())


def test_a_chain_resumed_on_a_machine_whose_clock_is_ahead_goes_on_from_its_image(tmp_path: Path) -> None:
    """Nothing has told the service's time yet when the image's age is judged."""
    chain = ImageToVideo(id="c", image=ImageRequest(prompt="x"), video=VideoRequest(prompt="y"))

    async def main() -> None:
        service, ledger = in_memory(), tmp_path / "jobs.db"
        service.faults.add(action="CreateAigcVideoTask", fault="error", code="AuthFailure.UnauthorizedOperation")
        for machine in (Machine(), Machine(DAY_S)):
            async with machine.client(service, configured(), ledger) as client:
                with suppress(ServiceError):
                    await client.generate(chain)
        async with Machine().client(service, configured(), ledger) as client:
            assert await client.counts() == {JobState.DONE: 2}
        assert service.statistics(wall()).created["image"] == 1

    run(main())


# --- whose word it is -------------------------------------------------------------------------------------------------


class Dated(InMemoryTransport):
    """Answers with a `Date` of its own, changed as the test says."""

    def __init__(self, service: Service, change: Callable[[HttpAnswer], HttpAnswer]) -> None:
        super().__init__(service, wall)
        self._change = change

    async def exchange(self, request: HttpRequest, gate: Gate, sent: Sent = ignore) -> HttpAnswer:
        return self._change(await super().exchange(request, gate, sent))


PAST = "Thu, 01 Jan 2015 00:00:00 GMT"
CHANGES: dict[str, tuple[Callable[[HttpAnswer], HttpAnswer], bool]] = {
    "the service's": (lambda answer: replace(answer, headers={"date": PAST}), True),
    "a cache's": (lambda answer: replace(answer, headers={"date": PAST, "age": "60"}), False),
    "none": (lambda answer: replace(answer, headers={}), False),
    "no date": (lambda answer: replace(answer, headers={"date": "soon"}), False),
    "a gateway's page": (lambda _: HttpAnswer(502, {"date": PAST}, b"<html>"), False),
    "a refusal": (
        lambda _: HttpAnswer(200, {"date": PAST}, b'{"Response": {"Error": {"Code": "InvalidParameter"}}}'),
        True,
    ),
}


@pytest.mark.parametrize(("change", "counts"), CHANGES.values(), ids=CHANGES)
def test_only_the_services_own_answers_tell_the_time(change: Callable[[HttpAnswer], HttpAnswer], counts: bool) -> None:
    async def main() -> None:
        service = in_memory()
        async with AigcClient(configured(), transport=lambda: Dated(service, change), wall=wall) as client:
            with suppress(ServiceError, TransportError):
                await client.status(Kind.IMAGE, "4-1")
            year_2015 = client._usable_engine().clock.now() < 1_500_000_000
            assert year_2015 is counts

    run(main())


@pytest.mark.parametrize(
    "date",
    [PAST, "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT",
     "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2300"],
)  # fmt: skip
def test_a_gateway_that_writes_the_date_by_a_clock_of_its_own_costs_nothing(date: str) -> None:
    """The service goes on to judge signatures by its own clock, and this machine's is right."""

    async def main() -> None:
        service = in_memory()

        def redate(answer: HttpAnswer) -> HttpAnswer:
            return replace(answer, headers={"date": date})

        async with AigcClient(configured(images=4), transport=lambda: Dated(service, redate), wall=wall) as client:
            requests = [ImageRequest(prompt=str(number)) for number in range(12)]
            outcomes = [outcome async for outcome in client.run(requests)]
            assert [outcome.error for outcome in outcomes if outcome.error is not None] == []
            assert await client.counts() == {JobState.DONE: 12}

    run(main())


def test_the_services_time_is_heard_again_where_the_machines_is_refused_as_well() -> None:
    clocks = Clocks()
    clocks.clock.hear(500.0, 0.0)
    clocks.clock.hear_refusal(500.0, 500.0, 0.0)
    assert clocks.clock.now() == 10_000.0
    clocks.clock.hear_refusal(500.0, 501.0, 0.0)  # a call that was under way
    assert clocks.clock.now() == 10_000.0
    clocks.clock.hear_refusal(10_000.0, 20_000.0, 0.0)
    assert clocks.clock.now() == pytest.approx(20_000.0, abs=SLACK_S)


async def test_the_time_is_heard_over_a_real_connection() -> None:
    """A server of the test's own, a day ahead: the second request carries its time."""
    ahead = int(time.time()) + 86_400
    timestamps: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            await reader.readexactly(int(fields["content-length"]))
            timestamps.append(int(fields["x-tc-timestamp"]))
            body = b'{"Response": {"Status": "RUN", "RequestId": "r-1"}}'
            date = formatdate(ahead, usegmt=True)
            writer.write(f"HTTP/1.1 200 OK\r\nDATE: {date}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    async with listening(serve) as url, AigcClient(configured(), endpoint=str(url)) as client:
        for _ in range(2):
            assert (await client.status(Kind.IMAGE, "4-1")).word == "RUN"
    assert ahead - 86_400 <= timestamps[0] < ahead - 1
    assert ahead - 1 <= timestamps[1]


@pytest.mark.parametrize("ahead_s", [0.0, 100.0, 600.0, 86_400.0])
def test_an_unknown_create_keeps_its_slot_after_a_restart_on_a_machine_whose_clock_is_ahead(
    tmp_path: Path, ahead_s: float
) -> None:
    service = in_memory()
    service.faults.add(action="CreateAigcImageTask", fault="reset_after")

    async def generate(name: str, ahead_s: float) -> None:
        transport = InMemoryTransport(service, wall)
        async with AigcClient(
            configured(images=1),
            ledger=tmp_path / "jobs.db",
            transport=lambda: transport,
            wall=lambda: wall() + ahead_s,
        ) as client:
            with suppress(CreateOutcomeUnknown):
                await client.generate(ImageRequest(id=name, prompt=name))
        assert service.statistics(wall()).most_running["image"] == 1

    run(generate("unknown", 0.0))
    run(generate("next", ahead_s))  # another process: another loop has limits of its own
