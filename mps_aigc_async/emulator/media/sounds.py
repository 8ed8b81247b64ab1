"""Sound: a soft chord determined by the prompt, in a file of its own or in a film."""

import hashlib
import math
from array import array
from fractions import Fraction
from io import BytesIO
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from ..tasks.orders import AudioOrder

_RATE = 24_000
_CHUNK = _RATE // 10
"""A tenth of a second: pitches at multiples of 10 Hz have whole waves in it, so it repeats without a click."""

_CODECS = {"mp3": "libmp3lame", "wav": "pcm_s16le"}
_BIT_RATE = 32_000
"""Bits per second of an mp3: enough for a chord, and 4 KB a second."""


def sound(order: AudioOrder) -> bytes:
    """The bytes of an audio file."""
    file = BytesIO()
    with av.open(file, "w", format=order.format) as container:
        stream = add_stream(container, _CODECS[order.format])
        for second in range(order.seconds):
            encode_second(container, stream, order.prompt, second)
        container.mux(stream.encode(None))
    return file.getvalue()


def add_stream(container: OutputContainer, codec: str) -> AudioStream:
    stream = cast("AudioStream", container.add_stream(codec, rate=_RATE))  # PyAV types literal codec names only
    stream.layout = "mono"
    if codec == _CODECS["mp3"]:
        stream.bit_rate = _BIT_RATE
    return stream


def encode_second(container: OutputContainer, stream: AudioStream, prompt: str, second: int) -> None:
    samples = _chord(prompt)
    for tenth in range(10):
        frame = av.AudioFrame(format="s16", layout="mono", samples=_CHUNK)
        frame.planes[0].update(samples)
        frame.sample_rate, frame.time_base = _RATE, Fraction(1, _RATE)
        frame.pts = (second * 10 + tenth) * _CHUNK
        container.mux(stream.encode(frame))


def _chord(prompt: str) -> bytes:
    """A soft major chord, 16-bit, a tenth of a second; the prompt decides how high."""
    base = 160 + 20 * (hashlib.sha256(prompt.encode(errors="replace")).digest()[2] % 8)
    pitches = (base, base * 5 // 40 * 10, base * 3 // 20 * 10)
    wave = (
        sum(math.sin(math.tau * pitch * sample / _RATE) for pitch in pitches) / len(pitches) for sample in range(_CHUNK)
    )
    return array("h", (round(4500 * height) for height in wave)).tobytes()
