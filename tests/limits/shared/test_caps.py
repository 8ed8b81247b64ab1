"""Caps that several members share: no lesson is lost, and none counts twice."""

from functools import partial

from hypothesis import example, given
from hypothesis import strategies as st

from mps_aigc_async.limits import PROBE_S
from mps_aigc_async.limits.caps import Cap
from mps_aigc_async.limits.shared.caps import SharedCaps
from mps_aigc_async.limits.shared.slot_statements import ALL, StoredCap


class Store(dict[str, StoredCap]):
    """The store's caps: a state is written over the version that it was made from."""

    def write(self, caps: SharedCaps) -> None:
        for change in caps.changes():
            version = self[change.model].version if change.model in self else 0
            if version == change.version:
                self[change.model] = StoredCap(version + 1, change.state)
                caps.note_written(change)
        caps.absorb(self, 0)


def refuse(caps: SharedCaps, now: float = 0.0, model: str = ALL) -> None:
    caps.learn(model, partial(Cap.note_refusal, now=now))


def test_a_refusal_counts_here_at_once_and_for_the_others_once_it_is_stored() -> None:
    store, one, two = Store(), SharedCaps(9), SharedCaps(9)
    one.count({"A": 3}, {"A": 2})
    refuse(one)
    assert (one.kind.learned_cap, one.has_room("A"), two.has_room("A")) == (2, False, True)
    store.write(one)
    two.absorb(store, 0)
    assert (two.kind.learned_cap, two.kind.next_change, one.has_changes) == (2, PROBE_S, False)


def test_who_was_slower_adds_the_lesson_to_the_state_of_the_faster() -> None:
    store, one, two = Store(), SharedCaps(9), SharedCaps(9)
    one.count({"A": 5}, {"A": 5})
    two.count({"A": 5}, {"A": 3})
    refuse(one)
    refuse(two, now=1.0)
    store.write(one)
    store.write(two)  # in vain, and `absorb` adds the lesson to one's state
    assert (store[ALL].version, two.kind.learned_cap) == (1, 3)
    store.write(two)
    assert (store[ALL].version, store[ALL].state.learned_cap) == (2, 3)


def test_a_lesson_counts_with_the_tasks_that_ran_at_its_time() -> None:
    store, caps = Store(), SharedCaps(9)
    caps.count({"A": 4}, {"A": 4})
    refuse(caps)
    caps.count({"A": 7}, {"A": 7})
    caps.absorb(store, 0)
    assert (caps.kind.learned_cap, caps.kind.running) == (4, 7)


def test_an_accepted_create_without_a_learned_cap_is_no_change() -> None:
    caps = SharedCaps(9)
    assert not caps.note_room("A")
    assert not caps.has_changes


def test_a_probe_that_another_member_has_made_is_not_made_again() -> None:
    store, one, two = Store(), SharedCaps(9), SharedCaps(9)
    refuse(one)
    store.write(one)
    two.absorb(store, 0)
    for caps in (one, two):
        caps.advance(PROBE_S)
        assert caps.kind.learned_cap == 1
    store.write(one)
    store.write(two)
    assert (two.kind.learned_cap, two.has_changes, store[ALL].version) == (1, False, 2)


def test_a_cap_below_anothers_capacity_alone_is_kept() -> None:
    store, small = Store(), SharedCaps(2)
    small.absorb(store, 9)
    small.count({"A": 4}, {"A": 4})
    refuse(small)
    assert (small.kind.learned_cap, small.kind.effective_limit, small.figures(0).learned_cap) == (4, 2, None)


def test_the_cap_of_a_model_that_is_gone_is_dropped() -> None:
    caps = SharedCaps(2)
    caps.count({"A": 1}, {})
    caps.of("B")
    caps.forget(lambda model: model == "C")
    assert set(caps.models) == {"A"}
    refuse(caps, model="B")
    caps.count({}, {})
    caps.forget(lambda _: False)
    assert set(caps.models) == {"B"}


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["refuse", "room", "write", "advance"]), st.integers(0, 5)),
        max_size=40,
    )
)
@example([(1, "refuse", 0), (1, "write", 0), (0, "refuse", 1), (1, "refuse", 0)])
def test_members_agree_once_all_is_stored(events: list[tuple[int, str, int]]) -> None:
    store, members, now = Store(), [SharedCaps(4), SharedCaps(6)], 0.0
    for member, event, number in events:
        caps, now = members[member], now + number
        caps.count({"A": number}, {"A": number})
        if event == "refuse":
            refuse(caps, now)
        elif event == "room":
            caps.note_room("A")
        elif event == "advance":
            caps.advance(now)
        else:
            store.write(caps)
    for caps in members * 3:  # a write after another one's has to be repeated
        store.write(caps)
    one, two = members
    assert not one.has_changes
    assert not two.has_changes
    for caps in members:
        caps.absorb(store, 0)
    assert one.kind.state == two.kind.state == (store[ALL].state if ALL in store else Cap(1).state)
