"""The picture's geometry: lanes are slots, time is monotonous, nothing lies outside."""

import re
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.states import JobState, Kind
from mps_aigc_async.report.timeline import CUT, LEFT, WIDTH, Axis, Picture, Span, draw, span_of

from .batches import NOW, done, failed, planned, submitted, unknown

LIMITS = {Kind.IMAGE: 20.0, Kind.VIDEO: 10.0, Kind.AUDIO: 20.0}
IMAGE = planned("a", Kind.IMAGE)


def span(sent: float, noticed: float, kind: Kind = Kind.IMAGE, state: JobState = JobState.DONE) -> Span:
    return Span(
        kind=kind, shot=1, label=f"a/{kind}", state=state, sent_at=sent, accepted_at=sent, running_at=None,
        unfinished_at=noticed, noticed_at=noticed, saved_at=None,
    )  # fmt: skip


def drawn(*spans: Span) -> Picture:
    picture = draw(spans, LIMITS)
    assert picture is not None
    return picture


moments = st.floats(0, 5000).map(lambda time: round(time, 2))
spans_strategy = st.lists(
    st.builds(
        lambda sent, length, kind: span(sent, sent + length, kind),
        moments,
        st.floats(0.01, 500).map(lambda length: round(length, 2)),
        st.sampled_from(Kind),
    ),
    min_size=1,
    max_size=60,
)


@given(spans_strategy)
def test_lanes_are_slots_and_nothing_lies_outside(spans: list[Span]) -> None:
    picture = drawn(*spans)
    for lanes in picture.lanes:
        mine = [one for one in spans if one.kind is lanes.kind]
        assert lanes.count == max(sum(1 for o in mine if o.sent_at <= one.sent_at < o.end or o is one) for one in mine)
        by_lane: dict[float, list[Span]] = {}
        for bar in lanes.bars:
            by_lane.setdefault(bar.box.y, []).append(bar.span)
            assert LEFT <= bar.box.x <= WIDTH
            assert bar.box.y + bar.box.height <= picture.height
        for ones in by_lane.values():
            ones.sort(key=lambda one: one.sent_at)
            assert all(before.end <= after.sent_at for before, after in pairwise(ones))


@given(spans_strategy, st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_time_is_monotonous(spans: list[Span], times: list[float]) -> None:
    axis = Axis(interval for one in spans for interval in one.busy())
    places = [axis.at(time) for time in sorted(times)]
    assert places == sorted(places)
    assert all(LEFT <= place <= WIDTH + 1e-6 for place in places)


@given(spans_strategy)
def test_ticks_are_few_and_in_order(spans: list[Span]) -> None:
    ticks = drawn(*spans).ticks
    assert 1 <= len(ticks) <= 25
    assert [tick.x for tick in ticks] == sorted(tick.x for tick in ticks)
    assert ticks[0].label == "0:00"


def test_a_night_in_which_nothing_happened_is_cut_out() -> None:
    picture = drawn(span(0, 100), span(36_000, 36_100))
    (cut,) = picture.cuts
    assert cut.width == CUT
    first, second = (bar.box for bar in picture.lanes[0].bars)
    assert round(first.width) == round(second.width) == round((WIDTH - LEFT - CUT) / 2)
    assert "10:00:00" in [tick.label for tick in picture.ticks]
    assert drawn(span(0, 100), span(150, 250)).cuts == []


def test_a_task_that_was_noticed_the_next_day_spans_the_cut_in_its_one_lane() -> None:
    overnight = replace(span(0, 36_000), unfinished_at=50.0)
    picture = drawn(overnight, span(36_000, 36_050))
    assert len(picture.cuts) == 1
    assert picture.lanes[0].count == 1


def test_the_pace_is_what_was_sent_in_each_second() -> None:
    spans = [span(number * 0.05, number * 0.05 + 30) for number in range(60)]
    (pace,) = drawn(*spans).create_rates
    assert (pace.most, pace.limit) == (20.0, 20.0)
    assert pace.limit_y == pace.y
    assert len(re.findall("M", pace.path)) == 3


def test_a_limit_far_above_is_not_drawn() -> None:
    (pace,) = drawn(span(0, 30), span(10, 40)).create_rates
    assert (pace.most, pace.limit_y) == (1.0, None)


def test_a_job_is_drawn_by_what_is_known_of_it() -> None:
    assert span_of(IMAGE, 1, NOW) is None
    sent = submitted(IMAGE, NOW - 60)
    running = span_of(sent, 1, NOW)
    assert running is not None
    assert (running.sent_at, running.end) == (NOW - 60, NOW)
    left = span_of(replace(sent, slot_until=NOW - 20), 1, NOW)
    assert left is not None
    assert left.end == NOW - 20
    for job, parts in (
        (sent, {"create", "run"}),
        (done(sent, 20), {"create", "queue", "run", "late"}),
        (failed(sent, 20), {"create", "run", "failed"}),
        (unknown(IMAGE, NOW - 60), {"unknown"}),
    ):
        one = span_of(job, 1, NOW)
        assert one is not None
        assert set(drawn(one).lanes[0].parts) == parts


def test_the_legend_names_what_is_there() -> None:
    names = dict(drawn(span(0, 10), span(0, 10, state=JobState.UNKNOWN)).legend)
    assert set(names) == {"create", "run", "late", "unknown"}
    assert draw([], LIMITS) is None
