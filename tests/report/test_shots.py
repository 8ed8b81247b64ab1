"""What the page says of a request in each state, and what to do about it."""

from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async.ledger import JobRecord
from mps_aigc_async.model.results import Usage
from mps_aigc_async.model.states import JobState, Kind, Word
from mps_aigc_async.report.shots import MOVED, Shot, shot_of

from .batches import NOW, done, failed, planned, saved, sounding, submitted, unknown

IMAGE, VIDEO = planned("a", Kind.IMAGE), planned("a", Kind.VIDEO)
START = NOW - 900


def shot(*jobs: JobRecord, there: bool = True, now: float = NOW) -> Shot:
    return shot_of(1, "a", jobs, find=lambda file: Path(file).name if there else None, now=now)


def image_done(at: float = START) -> JobRecord:
    return done(submitted(IMAGE, at))


@pytest.mark.parametrize(
    ("job", "word", "reason", "advice"),
    [
        (IMAGE, Word.PLANNED, "nothing was paid", ""),
        (IMAGE.moved(JobState.INTENT, intent_at=NOW - 1), Word.RUNNING, "being sent", ""),
        (
            IMAGE.moved(JobState.INTENT, intent_at=START),
            Word.UNKNOWN,
            "process ended",
            "only if their message",
        ),
        (submitted(IMAGE, START), Word.RUNNING, "poll it to its end", ""),
        (image_done(), Word.DONE, "not saved; its URL expires at", "run the same command again to fetch"),
        (image_done(NOW - 50_000), Word.DONE, "not saved, and its URL expired at 20", "another id"),
        (
            replace(image_done(), expires_at=None),
            Word.DONE,
            "an unknown time",
            "same command",
        ),
        (
            replace(image_done(), expires_at=None, never_expires=True),
            Word.DONE,
            "its URL does not expire",
            "s",
        ),
        (
            replace(image_done(), urls=(), file_ids=("7",), bare_file_ids=("7",), expires_at=None, never_expires=True),
            Word.DONE,
            "its file at VOD does not expire",
            "s",
        ),
        (saved(image_done(), Path("a.png")), Word.SAVED, "", ""),
        (failed(submitted(IMAGE, START)), Word.FAILED, "The model could not do it.", "--retry-failed"),
        (unknown(IMAGE, START), Word.UNKNOWN, "no reply told whether", "only if their message"),
    ],
    ids=lambda value: value.state if isinstance(value, JobRecord) else "",
)
def test_each_state_has_its_words(job: JobRecord, word: Word, reason: str, advice: str) -> None:
    (step,) = shot(job).steps
    assert step.standing is word
    assert reason in step.reason
    assert bool(step.reason) is bool(reason)
    assert advice in step.advice
    assert bool(step.advice) is bool(advice)


@pytest.mark.parametrize("content", ["[1]", "1", "{", '"text"', "null"])
def test_a_damaged_request_costs_no_page(content: str) -> None:
    (step,) = shot(replace(submitted(IMAGE, START), content=content, filled_in={"model_name": "Hunyuan"})).steps
    assert (step.standing, step.model, step.prompt) == (Word.RUNNING, "Hunyuan", "")


def test_a_file_that_was_moved_after_it_was_saved_stays_saved() -> None:
    job = saved(image_done(), Path("a.png"))
    (step,) = shot(job, there=False).steps
    assert (step.standing, step.reason, step.error, step.files) == (Word.SAVED, MOVED, None, [])
    assert shot(job, there=False, now=NOW + 86_400).standing is Word.SAVED


def test_results_of_which_some_are_saved_are_shown_and_the_others_can_be_fetched() -> None:
    urls = ("https://r.example/1", "https://r.example/2", "https://r.example/3")
    job = replace(image_done(), urls=urls).moved(JobState.DONE, files=("a.png", "", "a+3.png"))
    (step,) = shot(job).steps
    assert (step.standing, step.reason[:13], step.files) == (Word.DONE, "not all saved", ["a.png", "a+3.png"])
    (step,) = shot(job, there=False).steps
    assert (step.standing, step.reason[:16]) == (Word.DONE, "its file is gone")


def test_a_failed_task_that_has_made_something_says_so() -> None:
    job = replace(failed(submitted(IMAGE, START)), urls=("https://r.example/1?sign=secret",), file_ids=("7", "8"))
    (step,) = shot(job).steps
    assert step.reason.endswith("(it left 2 results, which the ledger keeps)")
    assert "secret" not in step.reason
    assert [value for name, value in step.ids if name == "file"] == ["7", "8"]


def test_the_services_own_times_and_usage_are_told() -> None:
    job = replace(image_done(), begun_at=START, finished_at=START + 65, usage=Usage(output_seconds=5))
    (step,) = shot(job).steps
    assert {("run time", "65 s"), ("billed output", "5 s")} <= set(step.timings)


@pytest.mark.parametrize("never", [True, False])
def test_a_step_after_a_result_without_an_end_can_still_be_created(never: bool) -> None:
    image = replace(image_done(), expires_at=None, never_expires=never)
    step = shot(image, VIDEO, now=NOW + 1_000_000).steps[1]
    assert step.standing is Word.PLANNED
    assert "nothing was paid" in step.reason


def test_the_worst_of_its_jobs_counts() -> None:
    image = saved(image_done(), Path("a.png"))
    assert shot(image, VIDEO).standing is Word.PLANNED
    assert shot(image, unknown(VIDEO, START)).standing is Word.UNKNOWN
    assert shot(failed(submitted(IMAGE, START)), VIDEO).standing is Word.FAILED
    assert shot(image, saved(done(submitted(VIDEO, START)), Path("a.mp4"))).standing is Word.SAVED


def test_a_video_whose_image_has_expired_says_so() -> None:
    image = saved(image_done(NOW - 50_000), Path("a.png"))
    video = shot(VIDEO, image).steps[1]
    assert video.standing is Word.BLOCKED
    assert "the image that it begins with has expired" in video.reason
    without = shot(failed(submitted(IMAGE, START)), VIDEO).steps[1]
    assert without.standing is Word.BLOCKED
    assert without.reason == "it begins with the image, and there is no image"


def test_each_step_after_a_failed_one_is_blocked() -> None:
    steps = shot(failed(submitted(IMAGE, START)), VIDEO, planned("a", Kind.AUDIO)).steps
    assert [step.standing for step in steps] == [Word.FAILED, Word.BLOCKED, Word.BLOCKED]


def test_the_image_comes_before_the_video_and_is_its_poster() -> None:
    image = saved(image_done(), Path("out/a.png"))
    chain = shot(VIDEO, image)
    assert [step.kind for step in chain.steps] == [Kind.IMAGE, Kind.VIDEO]
    assert chain.poster == "a.png"
    assert shot(VIDEO).poster is None


def test_a_sound_comes_last_with_the_video_that_it_was_put_on() -> None:
    scored = shot(*reversed(sounding("a", Path("out"))))
    assert [step.kind for step in scored.steps] == list(Kind)
    audio = scored.steps[2]
    assert audio.media == [(Kind.AUDIO, "a.mp3"), (Kind.VIDEO, "a+sound.mp4")]
    assert ("duration", "12 s") in audio.settings
    several = replace(sounding("a", Path("out"))[2], durations=(12, None, 7.5))
    assert ("durations", "12 s, unknown, 7.5 s") in shot(several).steps[0].settings
    assert scored.standing is Word.SAVED
    assert shot(*sounding("a", Path("out")), there=False).steps[2].media == []


def test_a_sound_waits_for_its_video() -> None:
    sound = planned("a", Kind.AUDIO)
    old = saved(done(submitted(VIDEO, NOW - 50_000)), Path("a.mp4"))
    assert "the video that it is made for has expired" in shot(sound, old).steps[1].reason
    assert (
        shot(failed(submitted(VIDEO, START)), sound).steps[1].reason
        == "it is made for the video, and there is no video"
    )
    assert "nothing was paid" in shot(IMAGE, VIDEO, sound).steps[2].reason


def test_what_the_defaults_filled_in_is_shown_like_what_the_user_wrote() -> None:
    job = submitted(planned("a", Kind.VIDEO, duration=5, enable_audio=True, images=["https://x/y"]), START)
    (step,) = shot(job).steps
    assert step.model == "Kling 3.0"
    assert step.prompt == "the video of a"
    assert step.settings == (("duration", "5 s"), ("enable audio", "yes"))
    assert shot(IMAGE).steps[0].model == ""


def test_timings_tell_where_the_time_went() -> None:
    job = saved(done(submitted(IMAGE, START, attempts=3)), Path("a.png"))
    (step,) = shot(job).steps
    timings = dict(step.timings)
    assert timings.pop("sent").endswith(", 100 s after it was planned")
    assert timings == {
        "creates sent": "3, this is the last",
        "accepted after": "100 ms",
        "in the queue": "5.0 s",
        "at the service": "60 s",
        "end noticed within": "5.0 s",
        "saved after": "500 ms",
    }
    assert shot(IMAGE).steps[0].timings == ()


def test_no_url_of_a_result_is_shown() -> None:
    assert "SIGNATURE" not in repr(shot(image_done()))
