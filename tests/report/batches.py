"""Batches for the page to show: ledgers written row by row, with files beside them."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mps_aigc_async.ledger import JobRecord, SqliteLedger
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.errors import CreateOutcomeUnknown, TaskFailed
from mps_aigc_async.model.states import JobState, Kind

NOW = 1_767_225_600.0
"""When the pages are written: 2026-01-01 00:00 UTC."""

OWNER = {"account": "tests", "backend": "mps", "endpoint": "https://mps.tencentcloudapi.com"}


def planned(name: str, kind: Kind, at: float = NOW - 1000, **content: object) -> JobRecord:
    import json

    written = json.dumps({"prompt": f"the {kind} of {name}", **content}, ensure_ascii=False)
    return JobRecord(job_id=f"{name}/{kind}", kind=kind, content=written, planned_at=at)


def submitted(job: JobRecord, at: float, *, attempts: int = 1) -> JobRecord:
    """Sent at `at`, accepted 0.1 s later."""
    intent = job.moved(JobState.INTENT, intent_at=at - 0.2)
    sent = replace(intent, attempts=attempts, sent_at=at, filled_in={"model_name": "Kling", "model_version": "3.0"})
    return sent.moved(JobState.SUBMITTED, task_id=f"4-{job.job_id}", submitted_at=at + 0.1, request_id="req-1")


def done(job: JobRecord, after: float = 60.0) -> JobRecord:
    """Ended `after` seconds of running; noticed by a poll every 5 s."""
    assert job.submitted_at is not None
    ended = job.submitted_at + after
    return job.moved(
        JobState.DONE,
        urls=(f"https://results.example/{job.job_id}?sign=SIGNATURE",),
        running_at=job.submitted_at + 5,
        unfinished_at=ended - 5,
        ended_at=ended,
        expires_at=ended - 5 + 12 * 3600,
    )


def saved(job: JobRecord, *files: Path) -> JobRecord:
    assert job.ended_at is not None
    return job.moved(JobState.SAVED, files=tuple(map(str, files)), saved_at=job.ended_at + 0.5)


def failed(job: JobRecord, after: float = 60.0, message: str = "The model could not do it.") -> JobRecord:
    assert job.submitted_at is not None
    ended = job.submitted_at + after
    return job.moved(
        JobState.FAILED, unfinished_at=ended - 5, ended_at=ended, error=to_record(TaskFailed(message, request_id="r"))
    )


def unknown(job: JobRecord, at: float) -> JobRecord:
    intent = replace(job.moved(JobState.INTENT, intent_at=at - 0.2), attempts=1, sent_at=at)
    error = CreateOutcomeUnknown("the create was sent, and no reply told whether it was accepted")
    return intent.moved(JobState.UNKNOWN, ended_at=at + 30, error=to_record(error))


def chain(number: int, folder: Path, *, lanes: int = 10) -> tuple[JobRecord, JobRecord]:
    """The number-th finished chain of a batch that keeps `lanes` slots busy, its files named after it."""
    name, at = f"shot-{number:04}", NOW - 100_000 + (number // lanes) * 400.0 + number % lanes * 0.1
    image = saved(done(submitted(planned(name, Kind.IMAGE), at)), folder / f"{name}.png")
    video = saved(done(submitted(planned(name, Kind.VIDEO, duration=5), at + 70), 230.0), folder / f"{name}.mp4")
    return image, video


def sounding(name: str, folder: Path, sound: str = "mp3") -> tuple[JobRecord, JobRecord, JobRecord]:
    """A finished chain of three; its audio task has put the sound on the video as well."""
    image = saved(done(submitted(planned(name, Kind.IMAGE), NOW - 900)), folder / f"{name}.png")
    video = saved(done(submitted(planned(name, Kind.VIDEO), NOW - 800), 230.0), folder / f"{name}.mp4")
    audio = replace(
        done(submitted(planned(name, Kind.AUDIO), NOW - 500)), videos=("https://results.example/f.mp4",), duration=12
    )
    return image, video, saved(audio, folder / f"{name}.{sound}", folder / f"{name}+sound.mp4")


def write_ledger(folder: Path, jobs: Iterable[JobRecord], owner: Mapping[str, str] = OWNER) -> Path:
    """`folder/ledger.db` with these rows, in this order."""

    async def write() -> None:
        ledger = await SqliteLedger.open(folder / "ledger.db", owner)
        try:
            async with asyncio.TaskGroup() as group:  # their commits are shared
                for job in jobs:
                    group.create_task(ledger.put(job))
        finally:
            await ledger.close()

    asyncio.run(write())
    return folder / "ledger.db"


def big_batch(folder: Path, shots: int, image: bytes, video: bytes) -> None:
    """A batch of finished chains, each with files of its own."""
    (folder / "one.png").write_bytes(image)
    (folder / "one.mp4").write_bytes(video)
    for number in range(shots):
        for suffix in ("png", "mp4"):
            os.link(folder / f"one.{suffix}", folder / f"shot-{number:04}.{suffix}")
    write_ledger(folder, (job for number in range(shots) for job in chain(number, folder)))


def every_state(folder: Path) -> list[JobRecord]:
    """One request for each way a request can stand."""
    start = NOW - 900
    expired = done(submitted(planned("expired", Kind.IMAGE), NOW - 80_000))
    return [
        *chain(0, folder),
        saved(done(submitted(planned("gone", Kind.IMAGE), start)), folder / "gone.png"),
        done(submitted(planned("not-saved", Kind.IMAGE), start, attempts=3)),
        expired,
        planned("expired", Kind.VIDEO),
        submitted(planned("running", Kind.VIDEO), NOW - 30),
        planned("waiting", Kind.IMAGE),
        planned("waiting", Kind.VIDEO),
        failed(submitted(planned("failed", Kind.IMAGE), start)),
        planned("failed", Kind.VIDEO),
        unknown(planned("lost", Kind.IMAGE, prompt='月光下的湖 <b>bold</b> & "quoted"'), start + 3),
    ]
