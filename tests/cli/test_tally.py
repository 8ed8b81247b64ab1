"""Counts: what an event told is not told again by its outcome, and what no event told is."""

from dataclasses import replace
from pathlib import Path

from mps_aigc_async import events
from mps_aigc_async.assembly import BatchItem
from mps_aigc_async.cli.progress import places_of
from mps_aigc_async.cli.tally import MOST_IDS, MOST_REASONS, Tally, Word
from mps_aigc_async.errors import AigcError, DownloadError, TaskFailed, TaskTimeout, Unreachable
from mps_aigc_async.requests import ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.results import AudioResult, ImageResult, ImageToVideoResult, Outcome, Partial, VideoResult
from mps_aigc_async.states import Ending, Kind

CHAIN = ImageToVideo(image=ImageRequest(prompt="a"), video=VideoRequest(prompt="b"))
IMAGE = ImageResult(task_id="i", request_id="r", urls=("u",), expires_at=None)
VIDEO = VideoResult(task_id="v", request_id="r", urls=("u",), expires_at=None)


def tally() -> Tally:
    return Tally({Kind.IMAGE: 20, Kind.VIDEO: 20})


def outcome(name: str, error: AigcError | None = None, partial: Partial | None = None) -> Outcome[BatchItem]:
    result = None if error else ImageToVideoResult(image=IMAGE, video=VIDEO)
    return Outcome(job_id=name, request=CHAIN, result=result, error=error, partial=partial)


def done(name: str, kind: Kind) -> events.Done:
    return events.Done(at=0, job_id=f"{name}/{kind}", kind=kind, task_id="t")


def test_a_job_is_counted_once_whoever_tells_of_it() -> None:
    counted = tally()
    counted.on_event(done("a", Kind.IMAGE))
    counted.on_event(done("a", Kind.IMAGE))
    assert counted.counts[Word.DONE] == {Kind.IMAGE: 1}
    counted.on_outcome(outcome("a"))
    assert counted.counts[Word.DONE] == {Kind.IMAGE: 1, Kind.VIDEO: 1}
    assert not counted._told


def test_a_failed_chain_counts_its_paid_image() -> None:
    counted = tally()
    counted.on_outcome(outcome("a", TaskFailed("no", job_id="a/video"), IMAGE))
    assert counted.counts[Word.DONE] == {Kind.IMAGE: 1}
    assert counted.counts[Word.FAILED] == {Kind.VIDEO: 1}
    assert (counted.open(Kind.IMAGE), counted.open(Kind.VIDEO)) == (19, 19)


def test_a_chains_sound_is_counted_and_so_is_what_comes_before_a_failed_one() -> None:
    counted = Tally(dict.fromkeys(Kind, 2))
    sound = AudioResult(task_id="s", request_id="r", urls=("u",), expires_at=None)
    whole = ImageToVideoResult(image=IMAGE, video=VIDEO, audio=sound)
    counted.on_outcome(Outcome(job_id="a", request=CHAIN, result=whole))
    pair = ImageToVideoResult(image=IMAGE, video=VIDEO)
    counted.on_outcome(outcome("b", TaskFailed("no", job_id="b/audio"), pair))
    assert counted.counts[Word.DONE] == {Kind.IMAGE: 2, Kind.VIDEO: 2, Kind.AUDIO: 1}
    assert counted.counts[Word.FAILED] == {Kind.AUDIO: 1}


def test_what_can_go_on_is_open_and_what_was_not_fetched_is_done() -> None:
    counted = tally()
    counted.on_outcome(outcome("a", TaskTimeout("late", job_id="a/image")))
    counted.on_outcome(outcome("b", DownloadError("disk", job_id="b/image"), IMAGE))
    assert counted.counts[Word.FAILED].total() == 0
    assert counted.counts[Word.DONE] == {Kind.IMAGE: 1}
    assert counted.not_well == 2


def test_what_ends_the_batch_is_no_reason_of_its_jobs() -> None:
    """It is told once, at the end of the batch, and the same command again goes on with them."""
    counted = tally()
    for name in ("a", "b"):
        error = Unreachable("the certificate has expired", ending=Ending.UNREACHABLE).about(job_id=f"{name}/image")
        counted.on_outcome(outcome(name, error))
    assert counted.reasons == {}
    assert counted.counts[Word.FAILED].total() == 0
    assert counted.not_well == 2


def test_results_of_which_some_are_missing_are_not_saved() -> None:
    counted = tally()
    some = replace(IMAGE, urls=("u", "v"), files=(Path("a.png"),))
    counted.on_outcome(outcome("a", DownloadError("disk", job_id="a/image"), some))
    counted.on_outcome(outcome("b", DownloadError("disk", job_id="b/video"), replace(some, urls=("u",))))
    assert counted.counts[Word.SAVED] == {Kind.IMAGE: 1}


def test_unsaved_results_are_shown_by_their_urls() -> None:
    some = replace(IMAGE, urls=("u", "v"), files=(Path.cwd() / "a.png",))
    assert places_of(some) == ["a.png", "u", "v"]
    assert places_of(replace(some, urls=("u",))) == ["a.png"]


def test_reasons_are_bounded() -> None:
    counted = tally()
    for number in range(3 * MOST_REASONS):
        counted.on_outcome(outcome(f"a{number}", TaskFailed("the same")))
        counted.on_outcome(outcome(f"b{number}", TaskFailed(f"another {number}")))
    assert len(counted.reasons) == MOST_REASONS
    assert counted.reasons["the same"].count == 3 * MOST_REASONS
    assert len(counted.reasons["the same"].ids) == MOST_IDS
    assert counted.other_reasons == 2 * MOST_REASONS + 1
    assert counted.not_well == 6 * MOST_REASONS


def test_trouble_ends_when_something_is_accepted() -> None:
    counted = tally()
    counted.on_event(events.Retried(at=0, job_id="a/image", kind=Kind.IMAGE, error=AigcError("down"), delay_s=1))
    assert counted.trouble == "down"
    counted.on_event(events.Submitted(at=0, job_id="a/image", kind=Kind.IMAGE, task_id="t"))
    assert counted.trouble == ""
