"""Sounds: real audio files, small, as long as they say, the same for the same prompt."""

from dataclasses import replace
from io import BytesIO

import av
import pytest

from mps_aigc_async.emulator.media import sounds
from mps_aigc_async.emulator.tasks.orders import AudioOrder, Format

ORDER = AudioOrder("rain on a roof", "EL", 3, "mp3", None)


@pytest.mark.parametrize(("form", "codec"), [("mp3", "mp3float"), ("wav", "pcm_s16le")])
def test_a_file_of_its_format_that_is_not_silent(form: Format, codec: str) -> None:
    file = sounds.sound(replace(ORDER, format=form))
    assert len(file) < 150_000
    with av.open(BytesIO(file), "r") as container:
        (stream,) = container.streams.audio
        assert stream.codec_context.name == codec
        frames = list(container.decode(audio=0))
    assert sum(frame.samples for frame in frames) / 24_000 == pytest.approx(3, abs=0.1)
    assert any(any(bytes(frame.planes[0])) for frame in frames)


def test_the_prompt_alone_decides_it() -> None:
    assert sounds.sound(ORDER) == sounds.sound(ORDER) != sounds.sound(replace(ORDER, prompt="wind in the pines"))
