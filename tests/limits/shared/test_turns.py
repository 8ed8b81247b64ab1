"""The turns of members: decisions on tickets, counts and caps."""

from collections.abc import Callable
from math import inf

from mps_aigc_async.limits.shared.caps import SharedCaps
from mps_aigc_async.limits.shared.slot_statements import ALL, Ticket
from mps_aigc_async.limits.shared.turns import TICKET_S, Turns


class Waiters(list[str]):
    """The models of the waiters, in their order."""

    def first_group(self, has_room: Callable[[str], bool]) -> str | None:
        return next(filter(has_room, self), None)


def turns_of(*waiters: str, capacity: int = 3, out: dict[str, int] | None = None) -> tuple[Turns, SharedCaps]:
    caps = SharedCaps(capacity)
    caps.count(out or {}, {})
    return Turns("we", caps, Waiters(waiters)), caps


def ticket(number: int, member: str, model: str = "A", capacity: int = 3) -> Ticket:
    return Ticket(number, member, model, capacity)


def test_without_waiters_only_a_ticket_is_left_to_drop() -> None:
    turns, _ = turns_of()
    assert (turns.next_model(), turns.must_write(0.0)) == (None, False)
    turns.note((ticket(1, "we"),), 0.0)
    assert (turns.has_ticket, turns.must_write(0.0)) == (True, True)


def test_a_new_waiter_needs_a_ticket_and_a_waiting_one_needs_nothing() -> None:
    turns, _ = turns_of("A", out={"A": 3})
    assert turns.must_write(0.0)
    turns.note((ticket(1, "we"),), 0.0)
    assert not turns.must_write(0.0)


def test_a_ticket_follows_the_model_that_is_served_next() -> None:
    turns, caps = turns_of("A", "B", out={"A": 1})
    caps.learn("A", lambda cap: cap.note_refusal(0.0))  # nothing of A may run
    assert turns.next_model() == "B"
    turns.note((ticket(1, "we", "A"),), 0.0)
    assert turns.must_write(0.0)


def test_a_free_slot_belongs_to_the_lowest_ticket() -> None:
    turns, _ = turns_of("A", out={"B": 2})
    turns.note((ticket(1, "other"), ticket(2, "we")), 0.0)
    assert not turns.must_write(0.0)
    turns.note((ticket(1, "we"), ticket(2, "other")), 0.0)
    assert turns.must_write(0.0)


def test_more_free_slots_than_lower_tickets_are_taken_at_once() -> None:
    turns, _ = turns_of("A", out={"B": 1})
    turns.note((ticket(1, "other"), ticket(2, "we")), 0.0)
    assert turns.must_write(0.0)
    turns.note((ticket(1, "other"), ticket(2, "third"), ticket(3, "we")), 0.0)
    assert not turns.must_write(0.0)


def test_a_ticket_whose_model_has_no_room_holds_nobody_up() -> None:
    turns, caps = turns_of("A", out={"B": 2})
    caps.learn("C", lambda cap: cap.note_refusal(0.0))
    turns.note((ticket(1, "other", "C"), ticket(2, "we")), 0.0)
    assert turns.must_write(0.0)


def test_a_ticket_of_a_member_with_a_lower_capacity_holds_nobody_up() -> None:
    turns, _ = turns_of("A", out={"B": 2})
    turns.note((ticket(1, "other", capacity=2), ticket(2, "we")), 0.0)
    assert turns.must_write(0.0)


def test_a_lower_ticket_of_the_same_model_takes_the_models_last_place() -> None:
    turns, caps = turns_of("A", capacity=9, out={"A": 1})
    caps.learn("A", lambda cap: cap.note_refusal(0.0))
    caps.count({}, {})
    caps.of("A").learned_cap = 1
    turns.note((ticket(1, "other", capacity=9), ticket(2, "we")), 0.0)
    assert not turns.must_write(0.0)
    turns.note((ticket(1, "other", "B", capacity=9), ticket(2, "we")), 0.0)
    assert turns.must_write(0.0)


def test_a_ticket_that_lets_room_pass_by_is_passed_over_after_a_while() -> None:
    turns, caps = turns_of("A", out={"B": 2})
    tickets = (ticket(1, "other"), ticket(2, "we"))
    turns.note(tickets, 10.0)
    assert (turns.overdue(10.0), turns.next_change) == ([], 10.0 + TICKET_S)
    turns.note(tickets, 10.5)
    assert (turns.overdue(10.0 + TICKET_S), turns.must_write(10.0 + TICKET_S)) == ([1], True)
    caps.count({"B": 3}, {})
    turns.note(tickets, 11.5)  # no room any more: the ticket waits like the others
    assert (turns.overdue(99.0), turns.next_change) == ([], inf)


def test_the_kind_has_a_cap_of_its_own() -> None:
    turns, caps = turns_of("A", out={"B": 1})
    caps.count({"B": 1}, {"B": 1})
    caps.learn(ALL, lambda cap: cap.note_refusal(0.0))
    turns.note((ticket(1, "we"),), 0.0)
    assert not turns.must_write(0.0)
