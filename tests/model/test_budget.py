"""The bounds of a run as values: a total is within them or refused in words."""

import pytest

from mps_aigc_async import Budget, InvalidRequest, Kind
from mps_aigc_async.model.budget import Amount, Bound

TOTAL = Amount(images=3, video_seconds=20, cost=4.1)


@pytest.mark.parametrize(
    "budget",
    [
        Budget(),
        Budget(images=3),
        Budget(video_seconds=20, cost=4.1),
        Budget(images=float("inf")),
        Budget(cost=3 * 0.1 + 3.8),
    ],
)
def test_a_total_on_the_bound_is_within_it(budget: Budget) -> None:
    assert Bound(budget).refusal(TOTAL, "a/image") is None


@pytest.mark.parametrize("budget", [Budget(images=2), Budget(video_seconds=19.5), Budget(images=3, cost=4.0)])
def test_a_total_beyond_a_bound_is_refused_by_name(budget: Budget) -> None:
    refusal = Bound(budget).refusal(TOTAL, "a/image")
    assert refusal is not None
    assert refusal.job_id == "a/image"
    [_, name] = str(refusal).split("(", 1)
    assert name.startswith(("images: 3 of 2 spent", "seconds of video: 20 of 19.5", "cost: 4.1 of 4"))


def test_an_unknown_amount_is_never_within_a_bound() -> None:
    total = Amount(cost=float("inf"))
    assert Bound(Budget(images=1)).refusal(total, "a/image") is None
    assert "no price" in str(Bound(Budget(cost=1e9)).refusal(total, "a/image"))


@pytest.mark.parametrize("value", [-1, float("nan"), "3", True])
def test_a_bound_is_a_number_from_0_on(value: float) -> None:
    with pytest.raises(InvalidRequest, match="images is"):
        Budget(images=value)


def test_what_is_promised_counts_with_the_total() -> None:
    promised = Amount.of(Kind.VIDEO, 5, 1.6) + Amount.of(Kind.IMAGE, 2, 0.4)
    bound = Bound(Budget(images=5, video_seconds=24), promised)
    assert "seconds of video: 25 of 24 spent or kept for begun chains" in str(bound.refusal(TOTAL, "a/image"))
    assert bound.room_beside(Amount(images=1)) == {"images": pytest.approx(2), "video_seconds": pytest.approx(19)}


def test_the_refusal_tells_the_spent_from_the_needed() -> None:
    bound = Bound(Budget(cost=4.2), needs=Amount(cost=0.5))
    refusal = bound.refusal(TOTAL + Amount(cost=0.5), "a/image")
    assert "cost: 4.1 of 4.2 spent or kept for begun chains, and this request needs 0.5" in str(refusal)
