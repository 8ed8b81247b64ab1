"""When results expire: never later than the truth, and never mistaken for results that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.policy.lifetimes import (
    NEVER,
    UNKNOWN,
    UNSTATED,
    Expiry,
    Lifetime,
    expiry,
    is_stored_in,
    made_after,
)

WEEK_S = 7 * 24 * 3600.0
MADE, SEEN = 1_000.0, 1_012.0


def expires(lifetime: Lifetime, after: float | None = MADE) -> Expiry:
    return expiry(lifetime, made_after=after, seen_at=SEEN, url_life_s=WEEK_S)


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (UNSTATED, Expiry(MADE + WEEK_S)),
        (Lifetime(ends_at=MADE + 3600), Expiry(MADE + 3600)),  # an earlier ExpireTime is earlier
        (Lifetime(ends_at=SEEN + 10 * WEEK_S), Expiry(MADE + WEEK_S)),  # a temporary URL ends before its file
        (Lifetime(ends_at=SEEN + WEEK_S), Expiry(SEEN + WEEK_S)),  # as late as the URL's life can end
        (Lifetime(endless=True), Expiry(MADE + WEEK_S)),  # 9999 beside StorageMode Temporary: the same
        (Lifetime(permanent=True, endless=True), NEVER),
        (Lifetime(permanent=True, ends_at=SEEN + 10 * WEEK_S), Expiry(SEEN + 10 * WEEK_S)),
        (Lifetime(permanent=True), UNKNOWN),  # an ExpireTime that cannot be read
    ],
)
def test_the_services_word_decides_and_the_default_is_the_default_alone(lifetime: Lifetime, expected: Expiry) -> None:
    assert expires(lifetime) == expected


def test_without_any_time_nobody_knows_and_that_is_not_never() -> None:
    assert expires(UNSTATED, after=None) == UNKNOWN != NEVER
    assert expires(Lifetime(permanent=True, endless=True), after=None) == NEVER


@pytest.mark.parametrize(
    ("unfinished_at", "begun_at", "expected"),
    [
        (100.0, 130.0, 130.0),
        (130.0, 100.0, 130.0),
        (None, 130.0, 130.0),
        (100.0, None, 100.0),
        (100.0, 300.0, 100.0),  # it cannot have begun after its end was seen
        (300.0, None, 300.0),  # our own time, before a clock was put right: the only one that there is
        (None, 300.0, None),
        (None, None, None),
    ],
)
def test_the_latest_time_that_can_be_true_is_when_it_was_not_made_yet(
    unfinished_at: float | None, begun_at: float | None, expected: float | None
) -> None:
    assert made_after(unfinished_at, begun_at, 200.0) == expected


TIMES = st.floats(0, 1e9)


@given(
    unfinished=st.none() | TIMES,
    made=TIMES,
    seen_later=st.floats(0, 1e6),
    begun=st.none() | TIMES,
    own=st.floats(0, WEEK_S) | st.none(),
)
def test_an_expiry_is_never_later_than_the_truth(
    unfinished: float | None, made: float, seen_later: float, begun: float | None, own: float | None
) -> None:
    """A task that makes a temporary result at `made`. Its ExpireTime is `own` seconds later, within the URL's life; or
    it is the file's alone, long after that."""
    seen_at = made + seen_later
    before = [at for at in (unfinished, begun) if at is not None and at > made]
    if any(at <= seen_at for at in before):  # no true story: unfinished or not begun after the result was made
        return
    truth = made + (WEEK_S if own is None else own)
    told = Lifetime(ends_at=seen_at + 2 * WEEK_S if own is None else made + own)
    after = made_after(None if unfinished is None or unfinished > made else unfinished, begun, seen_at)
    found = expiry(told, made_after=after, seen_at=seen_at, url_life_s=WEEK_S)
    assert not found.never
    assert found.at is None or found.at <= truth + 1e-3


LIFETIMES = st.builds(Lifetime, permanent=st.booleans(), endless=st.booleans(), ends_at=st.none() | TIMES)


@given(st.lists(LIFETIMES, min_size=1, max_size=4))
def test_the_first_result_to_end_ends_them_all(lifetimes: list[Lifetime]) -> None:
    """A file without an end says no time, as the decoder reads it."""
    honest = [Lifetime(one.permanent, one.endless, None if one.endless else one.ends_at) for one in lifetimes]
    all_of_them = expires(Lifetime.of_all(honest))
    alone = [expires(one) for one in honest]
    assert all_of_them.never is all(one.never for one in alone)
    if all_of_them.at is not None:
        assert all_of_them.at <= min(one.at for one in alone if one.at is not None)


def test_no_results_have_no_life_to_speak_of() -> None:
    assert Lifetime.of_all([]) == UNSTATED


BUCKET = "shots-1250000000"


@pytest.mark.parametrize(
    ("bucket", "urls", "stored"),
    [
        (BUCKET, [f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/a/1.png"], True),
        (BUCKET, [f"https://cos.ap-guangzhou.myqcloud.com/{BUCKET}/1.png"], True),
        (BUCKET, [f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/1.png", "https://mps.example/2.png"], False),
        (BUCKET, [f"https://mps.example/1.png?from={BUCKET}"], False),
        ("shots", [f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/1.png"], True),
        ("SHOTS-1250000000", [f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/1.png"], True),
        ("s", [f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/1.png"], False),
        ("cos", [f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/1.png"], False),
        ("shots", ["https://shots-1250000000-copy.cos.ap-guangzhou.myqcloud.com/1.png"], False),
        ("shots", ["https://shots-2026.cos.ap-guangzhou.myqcloud.com/1.png"], False),
        (BUCKET, [f"https://mps.example?from=/{BUCKET}/1.png"], False),
        (BUCKET, [f"https://mps-1250000000.cos.ap-guangzhou.myqcloud.com/{BUCKET}/1.png"], False),
        ("1.png", ["https://mps.example/a/1.png"], False),
        (BUCKET, ["in preparation"], False),
        (BUCKET, [], False),
        ("", ["https://mps.example/1.png"], False),
    ],
)
def test_the_urls_tell_whether_results_are_in_the_users_own_bucket(bucket: str, urls: list[str], stored: bool) -> None:
    assert is_stored_in(bucket, urls) is stored
