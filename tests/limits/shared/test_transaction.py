"""A transaction in parts: each part reads its own rows."""

from mps_aigc_async.limits.shared.store import Row
from mps_aigc_async.limits.shared.transaction import Transaction


def test_each_part_reads_the_rows_of_its_own_statements() -> None:
    seen, plan = list[list[list[Row]]](), Transaction()
    plan.add([("one", {})])
    plan.add([("two", {}), ("three", {})], seen.append)
    plan.add([], seen.append)
    plan.add([("four", {})], seen.append)
    assert [statement for statement, _ in plan.steps] == ["one", "two", "three", "four"]
    plan.note([[(1,)], [(2,)], [], [(4,)]])
    assert seen == [[[(2,)], []], [], [[(4,)]]]
