"""The types that an editor shows: mypy and pyright check each `assert_type` here."""

from collections.abc import AsyncIterator
from typing import assert_type

from mps_aigc_async import (
    AigcError,
    AudioRequest,
    AudioResult,
    Failure,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    ImageToVideoResult,
    Outcome,
    Run,
    Success,
    SyncClient,
    SyncRun,
    VideoRequest,
    VideoResult,
    VideoToAudio,
    VideoToAudioResult,
)
from mps_aigc_async.engine.batch import BatchItem
from mps_aigc_async.model.results import Result
from mps_aigc_async.testing import run

from ..support import client_of, in_memory


async def lakes() -> AsyncIterator[ImageRequest]:
    yield ImageRequest(prompt="a lake")


def test_the_outcome_of_an_image_has_an_image() -> None:
    async def main() -> None:
        async with client_of(in_memory()) as client:
            async for outcome in client.run([ImageRequest(prompt="a lake")]):
                assert_type(outcome, Outcome[ImageRequest, ImageResult])
                assert_type(outcome.request, ImageRequest)
                if outcome.error is None:
                    assert_type(outcome, Success[ImageRequest, ImageResult])
                    assert_type(outcome.result, ImageResult)
                else:
                    assert_type(outcome, Failure[ImageRequest])
                    assert_type(outcome.error, AigcError)
                if outcome.ok is True:
                    assert_type(outcome.result, ImageResult)
                if outcome.ok:  # pyright narrows by no member's truth: `is True` tells it
                    assert outcome.result.urls  # pyright: ignore[reportOptionalMemberAccess]
            async for late in client.run(lakes()):
                assert_type(late, Outcome[ImageRequest, ImageResult])
                match late:
                    case Success(result=image):
                        assert_type(image, ImageResult)
                    case Failure(error=error):
                        raise error

    run(main())


def test_a_run_of_each_kind_of_request_has_its_results() -> None:
    image, video = ImageRequest(prompt="a lake"), VideoRequest(prompt="waves")
    sound = AudioRequest(prompt="waves", scene_type="sfx", model_name="EL")

    async def main() -> None:
        async with client_of(in_memory()) as client:
            assert_type(client.run([video]), Run[Outcome[VideoRequest, VideoResult]])
            assert_type(client.run([sound]), Run[Outcome[AudioRequest, AudioResult]])
            chains = [ImageToVideo(image=image, video=video)]
            assert_type(client.run(chains), Run[Outcome[ImageToVideo, ImageToVideoResult]])
            sounding = [VideoToAudio(video=video, audio=sound)]
            assert_type(client.run(sounding), Run[Outcome[VideoToAudio, VideoToAudioResult]])
            assert_type(client.run([image, video]), Run[Outcome[BatchItem, Result]])
            assert_type(client.run([{"prompt": "a lake"}]), Run[Outcome[BatchItem, Result]])
            outcomes: list[Outcome[BatchItem, Result]] = [one async for one in client.run([{"image": {"prompt": "a"}}])]
            assert [outcome.ok for outcome in outcomes] == [True]

    run(main())


def sync_types(client: SyncClient) -> None:
    """Checked, not run."""
    assert_type(client.run([ImageRequest(prompt="a")]), SyncRun[Outcome[ImageRequest, ImageResult]])
    assert_type(client.run([VideoRequest(prompt="a")]), SyncRun[Outcome[VideoRequest, VideoResult]])
    assert_type(client.run([{"prompt": "a"}]), SyncRun[Outcome[BatchItem, Result]])
    for outcome in client.run([ImageRequest(prompt="a")]):
        assert_type(outcome, Outcome[ImageRequest, ImageResult])
