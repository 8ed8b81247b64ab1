"""Videos: H.264 that begins with its first frame, moves, lasts as long as asked, and sounds where asked."""

from dataclasses import replace
from io import BytesIO

import av
import pytest
from PIL import Image

from mps_aigc_async.emulator.media import films, pictures
from mps_aigc_async.emulator.tasks.orders import ImageOrder, VideoOrder

from .test_pictures import difference, opened

ORDER = VideoOrder("她转过身来，微笑", "Kling 2.5", (320, 180), 2, audio=False, first_url="", last_url="")


def frame_of(prompt: str) -> bytes:
    """An image as a film is given it."""
    return pictures.fit(pictures.image(ImageOrder(prompt, "", (640, 360), 1, "png"), 0), (320, 180))


def frames_of(film: bytes) -> list[Image.Image]:
    with av.open(BytesIO(film), "r") as container:
        # PyAV leaves Pillow untyped.
        return [frame.to_image() for frame in container.decode(video=0)]  # type: ignore[no-untyped-call]


def test_a_film_is_h264_without_sound_and_ready_to_stream() -> None:
    film = films.film(ORDER, b"", b"")
    with av.open(BytesIO(film), "r") as container:
        (stream,) = container.streams
        assert stream.type == "video"
        assert stream.codec_context.name == "h264"
        assert container.streams.video[0].pix_fmt == "yuv420p"
        assert (container.streams.video[0].width, container.streams.video[0].height) == (320, 180)
        assert container.duration == 2_000_000  # microseconds
    assert film.index(b"moov") < film.index(b"mdat"), "faststart: the index comes first"


@pytest.mark.parametrize("seconds", [1, 5])
def test_it_lasts_as_long_as_asked(seconds: int) -> None:
    assert len(frames_of(films.film(replace(ORDER, seconds=seconds), b"", b""))) == seconds * films.FPS


def test_it_begins_with_the_first_frame_and_moves() -> None:
    given = frame_of("a lake")
    frames = frames_of(films.film(replace(ORDER, first_url="u"), given, b""))
    assert difference(frames[0], opened(given)) < 3
    steps = [difference(one, other) for one, other in zip(frames, frames[3:], strict=False)]
    assert min(steps[2:-2]) > 0.1
    assert difference(frames[0], frames[-1]) > 2


def test_it_ends_with_the_last_frame() -> None:
    first, last = frame_of("a lake"), frame_of("a mountain")
    frames = frames_of(films.film(ORDER, first, last))
    assert difference(frames[0], opened(first)) < 3
    assert difference(frames[-1], opened(last)) < 3


def test_it_begins_with_a_card_where_there_is_no_first_frame() -> None:
    assert difference(frames_of(films.film(ORDER, b"", b""))[0], pictures.landscape(ORDER.prompt, ORDER.size, 0)) < 20
    assert (
        difference(
            frames_of(films.film(ORDER, b"", b""))[0], frames_of(films.film(replace(ORDER, prompt="x"), b"", b""))[0]
        )
        > 5
    )


def test_sound_where_asked() -> None:
    film = films.film(replace(ORDER, audio=True), b"", b"")
    with av.open(BytesIO(film), "r") as container:
        (sound,) = container.streams.audio
        assert sound.codec_context.name == "aac"
        samples = [bytes(frame.planes[0]) for frame in container.decode(audio=0)]
    assert sum(any(sample) for sample in samples) > len(samples) / 2, "not silence"
    assert len(samples) * 1024 / 24_000 == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("size", [(180, 320), (320, 138), (96, 54)])
@pytest.mark.parametrize("prompt", ["", "x" * 2000])
def test_any_shape_and_prompt(size: tuple[int, int], prompt: str) -> None:
    assert frames_of(films.film(replace(ORDER, size=size, prompt=prompt, seconds=1), b"", b""))[0].size == size


def test_it_is_deterministic() -> None:
    sounding = replace(ORDER, audio=True)
    assert len({films.film(sounding, b"", b"") for _ in range(4)}) == 1
