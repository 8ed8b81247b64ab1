"""Events reach every listener, and no listener reaches back."""

import asyncio
import dataclasses
import inspect
import logging
from pathlib import Path

import pytest

from mps_aigc_async import ImageRequest, JobState
from mps_aigc_async.ledger.snapshot import open_snapshot
from mps_aigc_async.model import events
from mps_aigc_async.model.events import Event, Events, Planned, Submitted
from mps_aigc_async.model.states import Kind
from mps_aigc_async.testing import run

from ..support import accepted, client_of, configured, in_memory

PLANNED = Planned(at=1.0, job_id="a", kind=Kind.IMAGE)


def test_every_event_is_a_frozen_value_of_a_job() -> None:
    classes = [cls for _, cls in inspect.getmembers(events, inspect.isclass) if issubclass(cls, Event)]
    assert {cls.__name__ for cls in classes} >= {
        "Planned", "Paced", "Submitted", "Polled", "Retried", "Throttled", "Done", "Saved", "Failed", "Unknown",
    }  # fmt: skip
    for cls in classes:
        assert [field.name for field in dataclasses.fields(cls)][:3] == ["at", "job_id", "kind"]
        assert cls.__doc__
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLANNED.job_id = "b"  # type: ignore[misc] # what is tested


def test_each_listener_hears_each_event_in_order() -> None:
    everyone, first, second = Events(print), list[Event](), list[Event]()
    everyone.subscribe(first.append)
    everyone.emit(PLANNED)
    everyone.subscribe(second.append)
    submission = Submitted(at=2.0, job_id="a", kind=Kind.IMAGE, task_id="4-1")
    everyone.emit(submission)
    assert (first, second) == ([PLANNED, submission], [submission])


def test_a_listener_that_raises_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    everyone, events = Events(print), list[Event]()

    def broken(_: Event) -> None:
        raise RuntimeError("the bar is broken")

    everyone.subscribe(broken)
    everyone.subscribe(events.append)
    with caplog.at_level(logging.ERROR, "mps_aigc_async"):
        everyone.emit(PLANNED)
    assert events == [PLANNED]
    assert "an event callback failed on Planned" in caplog.text
    assert "the bar is broken" in caplog.text


def test_unsubscribing_ends_it_and_may_be_done_twice() -> None:
    everyone, events = Events(print), list[Event]()
    assert not everyone.has_listeners
    end = everyone.subscribe(events.append)
    assert everyone.has_listeners
    end()
    end()
    everyone.emit(PLANNED)
    assert events == []
    assert not everyone.has_listeners


def test_a_listener_may_leave_while_it_is_called() -> None:
    everyone, events = Events(print), list[Event]()

    def once(event: Event) -> None:
        events.append(event)
        end()

    end = everyone.subscribe(once)
    everyone.subscribe(events.append)
    everyone.emit(PLANNED)
    everyone.emit(PLANNED)
    assert events == [PLANNED] * 3


def test_a_callback_subscribed_twice_leaves_once() -> None:
    everyone, events = Events(print), list[Event]()

    def listen(event: Event) -> None:
        events.append(event)

    end = everyone.subscribe(listen)
    everyone.subscribe(listen)
    end()
    everyone.emit(PLANNED)
    assert events == [PLANNED]


# --- listeners that misbehave -----------------------------------------------------------------------------------------


async def coroutine(_: Event) -> None: ...


class Asynchronous:
    async def __call__(self, _: Event) -> None: ...


@pytest.mark.parametrize(
    ("callback", "says"), [(coroutine, "coroutine"), (Asynchronous(), "coroutine"), (None, "NoneType")]
)
def test_what_could_hear_nothing_is_refused(callback: object, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Events(print).subscribe(callback)  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize("kind", [RuntimeError, asyncio.CancelledError, GeneratorExit])
def test_whatever_a_listener_raises_a_batch_ends_well(kind: type[BaseException], tmp_path: Path) -> None:
    def listener(_: Event) -> None:
        raise kind

    async def main() -> None:
        async with client_of(in_memory(), configured()) as client:
            client.on_event(listener)
            requests = [ImageRequest(prompt="a lake", id=f"shot-{number}") for number in range(5)]
            assert all([outcome.ok async for outcome in client.run(requests, ledger=tmp_path / "jobs.db")])

    run(main())


@pytest.mark.parametrize("at", [events.Planned, events.Paced, events.Submitted, events.Polled, events.Done])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_listener_ends_the_program_and_no_job_in_its_middle(
    kind: type[BaseException], at: type[Event], tmp_path: Path
) -> None:
    service, path = in_memory(), tmp_path / "jobs.db"

    def listener(event: Event) -> None:
        if isinstance(event, at):
            raise kind

    async def main() -> None:
        async with client_of(service, configured()) as client:
            client.on_event(listener)
            async for _ in client.run([ImageRequest(prompt="a lake", id="shot")], ledger=path):
                pass

    with pytest.raises(kind):
        run(main())
    with open_snapshot(path) as snapshot:
        [(_, [job])] = snapshot.requests()
    assert job.state is not JobState.INTENT
    assert (job.task_id is not None) == bool(accepted(service, "CreateAigcImageTask"))
