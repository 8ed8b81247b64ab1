"""The mark of a slot: after the intent is in the ledger, before the first byte; without it nothing is sent."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from mps_aigc_async import AigcClient, JobState, Kind
from mps_aigc_async.emulator import Service
from mps_aigc_async.jobs.unknown_creates import UNKNOWN_SLOT_S
from mps_aigc_async.limits import SlotLost
from mps_aigc_async.limits.process.slot import ProcessSlot
from mps_aigc_async.limits.process.slots import ProcessSlots
from mps_aigc_async.testing import run, wall

from ..support import Heard, accepted, client_of, in_memory
from .support import CAT, row_of

Mark = Callable[..., Coroutine[None, None, None]]


def marked_by(monkeypatch: pytest.MonkeyPatch, mark: Mark) -> None:
    monkeypatch.setattr(ProcessSlot, "mark", mark)


def creates_of(service: Service) -> int:
    return service.statistics(wall()).arrivals.get("CreateAigcImageTask", 0)


def test_a_slot_is_marked_between_the_intent_and_the_send(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        service, marks = in_memory(), list[tuple[JobState, int, float]]()
        async with client_of(service) as client:

            async def mark(_: ProcessSlot, name: str, seconds: float) -> None:
                job = await row_of(client, "cat/image")
                assert name == f"cat/image {job.intent_at}"
                marks.append((job.state, creates_of(service), seconds))

            marked_by(monkeypatch, mark)
            await client.generate(CAT)
        assert marks == [(JobState.INTENT, 0, UNKNOWN_SLOT_S[Kind.IMAGE])]

    run(main())


def test_a_create_whose_slot_is_lost_is_sent_in_another_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        service, marks = in_memory(), list[ProcessSlot]()

        async def mark(slot: ProcessSlot, *_: object) -> None:
            marks.append(slot)
            if len(marks) <= 2:
                raise SlotLost

        marked_by(monkeypatch, mark)
        async with client_of(service) as client:
            heard = Heard(client)
            await client.generate(CAT)
            assert "Unknown" not in heard.names("cat/image")
            assert client.statistics().slots[Kind.IMAGE].taken == 0
        assert (accepted(service, "CreateAigcImageTask"), creates_of(service), len(set(marks))) == (1, 1, 3)

    run(main())


async def _close_during_the_mark(client: AigcClient, is_marking: asyncio.Event) -> None:
    caller = asyncio.create_task(client.generate(CAT))
    await is_marking.wait()
    await client.aclose()
    await asyncio.gather(caller, return_exceptions=True)


def test_a_client_that_closes_during_the_mark_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        service, is_marking = in_memory(), asyncio.Event()

        async def mark(*_: object) -> None:
            is_marking.set()
            await asyncio.sleep(60)

        marked_by(monkeypatch, mark)
        async with client_of(service) as client:
            heard = Heard(client)
            await _close_during_the_mark(client, is_marking)
            assert "Unknown" not in heard.names("cat/image")
        assert creates_of(service) == 0

    run(main())


def test_the_poller_adopts_by_the_creates_name_and_with_the_tasks_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        calls = list[tuple[str, float]]()
        adopt = ProcessSlots.adopt

        def note(
            slots: ProcessSlots, task_id: str, model: str, scope: str, *, name: str, seconds: float
        ) -> ProcessSlot:
            calls.append((name, seconds))
            return adopt(slots, task_id, model, scope)

        monkeypatch.setattr(ProcessSlots, "adopt", note)
        service = in_memory()
        async with client_of(service) as client, client_of(service) as stranger:
            await client.generate(CAT)
            job = await row_of(client, "cat/image")
            assert job.task_id is not None
            await stranger.attach(Kind.IMAGE, job.task_id).wait()
        assert calls == [(f"cat/image {job.intent_at}", 1800.0), ("", 1800.0)]

    run(main())
