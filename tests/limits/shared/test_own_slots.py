"""The numbers of a member's own slots: they are kept with each change, and are those of a count of all slots."""

from collections import Counter
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.limits.shared.own_slots import OwnSlots
from mps_aigc_async.limits.shared.slot import Keeper, SharedSlot


class _Member:
    id = "member"


class _Keeper:
    member = _Member()


@given(st.lists(st.tuples(st.sampled_from(["add", "adopt", "write", "transfer", "remove"]), st.integers(0, 9))))
def test_the_numbers_are_those_of_all_written_slots(steps: list[tuple[str, int]]) -> None:
    own = OwnSlots()
    for step, number in steps:
        slots = list(own)
        if step in {"add", "adopt"}:
            slot = SharedSlot(cast("Keeper", _Keeper()), "AB"[number % 2])
            own.add(slot)
            if step == "adopt":
                own.unwritten.add(slot.id)
            own.count(slot)
        elif step == "write":
            own.count_written(lambda slot_id, number=number: ord(slot_id[-1]) % 10 <= number)  # type: ignore[misc] # the default binds it now
        elif slots:
            slot = slots[number % len(slots)]
            if step == "transfer":
                slot.transfer()
                own.count(slot)
            else:
                own.remove(slot)
        written = [slot for slot in own if slot.id not in own.unwritten]
        assert own.taken == Counter(slot.model for slot in written)
        assert +own.running == Counter(slot.model for slot in written if slot.transferred)
        assert len(own) == len(list(own))
