"""Events reach every listener, and no listener reaches back."""

import dataclasses
import inspect
import logging

import pytest

from mps_aigc_async import events
from mps_aigc_async.events import Event, Events, Planned, Submitted
from mps_aigc_async.states import Kind

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
    everyone, first, second = Events(), list[Event](), list[Event]()
    everyone.subscribe(first.append)
    everyone.emit(PLANNED)
    everyone.subscribe(second.append)
    submitted = Submitted(at=2.0, job_id="a", kind=Kind.IMAGE, task_id="4-1")
    everyone.emit(submitted)
    assert (first, second) == ([PLANNED, submitted], [submitted])


def test_a_listener_that_raises_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    everyone, heard = Events(), list[Event]()

    def broken(_: Event) -> None:
        raise RuntimeError("the bar is broken")

    everyone.subscribe(broken)
    everyone.subscribe(heard.append)
    with caplog.at_level(logging.ERROR, "mps_aigc_async"):
        everyone.emit(PLANNED)
    assert heard == [PLANNED]
    assert "an event callback failed on Planned" in caplog.text
    assert "the bar is broken" in caplog.text


def test_unsubscribing_ends_it_and_may_be_done_twice() -> None:
    everyone, heard = Events(), list[Event]()
    assert not everyone.heard
    end = everyone.subscribe(heard.append)
    assert everyone.heard
    end()
    end()
    everyone.emit(PLANNED)
    assert heard == []
    assert not everyone.heard


def test_a_listener_may_leave_while_it_is_called() -> None:
    everyone, heard = Events(), list[Event]()

    def once(event: Event) -> None:
        heard.append(event)
        end()

    end = everyone.subscribe(once)
    everyone.subscribe(heard.append)
    everyone.emit(PLANNED)
    everyone.emit(PLANNED)
    assert heard == [PLANNED] * 3


def test_a_callback_subscribed_twice_leaves_once() -> None:
    everyone, heard = Events(), list[Event]()

    def listen(event: Event) -> None:
        heard.append(event)

    end = everyone.subscribe(listen)
    everyone.subscribe(listen)
    end()
    everyone.emit(PLANNED)
    assert heard == [PLANNED]
