"""Videos: H.264 that begins with the order's first frame, moves, and ends with its last frame.

A film is a slow zoom into the opening picture with rising sparks, the prompt as a caption, and a line that grows with
the time. The first frame is unchanged, so that tests of chains can compare it with the image of the step before.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import av
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image, ImageDraw

from mps_aigc_async.emulator.media import pictures, sounds

from ..tasks.orders import VideoOrder
from .lettering import font, wrap, write

FPS = 12
_ZOOM = 0.05
"""Share of the width that the zoom cuts off by the end: no more than the margins around a picture's words."""

_SPARKS = 18
_WARM = (255, 226, 150)

_ENCODER: Final = {"preset": "veryfast", "qp": "22", "threads": "1"}
"""A constant quantiser and one thread make repeated renders equal to the byte, so that a download can resume. Under
`crf`, each x264 render had another length (libx264 of PyAV 18.1, measured)."""


def film(order: VideoOrder, first: bytes, last: bytes) -> bytes:
    """The encoded video. `first` and `last` are images from `pictures.fit`, or empty."""
    opening = pictures.read(first) if first else _card(order)
    ending = pictures.read(last) if last else None
    # A file, not memory: faststart reads the finished file again to write the index first.
    with TemporaryDirectory(prefix="mps-aigc-film-") as folder:
        path = Path(folder, "film.mp4")
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
            video = container.add_stream("libx264", rate=FPS, options=dict(_ENCODER))
            video.width, video.height = order.size
            video.pix_fmt = "yuv420p"
            audio = sounds.add_stream(container, "aac") if order.audio else None
            for number, frame in enumerate(_frames(order, opening, ending)):
                _encode_frame(container, video, frame, number)
                if audio is not None and number % FPS == 0:
                    sounds.encode_second(container, audio, order.prompt, number // FPS)
            container.mux(video.encode(None))
            if audio is not None:
                container.mux(audio.encode(None))
        return path.read_bytes()


def _card(order: VideoOrder) -> Image.Image:
    picture = pictures.landscape(order.prompt, order.size, 0)
    write(picture, order.prompt, "  ·  ".join(filter(None, ["video", order.label])))
    return picture


def _frames(order: VideoOrder, opening: Image.Image, ending: Image.Image | None) -> Iterator[Image.Image]:
    count = order.seconds * FPS
    caption = _caption(order.prompt if order.first_url else "", order.size)  # a card already shows the prompt
    sparks = _sparks(order)
    for number in range(count):
        time = number / (count - 1)
        frame = _zoom_into(opening, _ease(time))
        if ending is not None:
            frame = Image.blend(frame, ending, _ease((time - 0.55) / 0.45))
        # The first and the last frame have no overlay: callers compare them.
        visible = min(_ease(time / 0.15), _ease((1 - time) / 0.15))
        if visible > 0:
            _overlay(frame, caption, visible, time)
            _light(frame, sparks, visible, time)
        yield frame


def _ease(share: float) -> float:
    """0 to 1 without a jerk at either end (smoothstep)."""
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _zoom_into(picture: Image.Image, share: float) -> Image.Image:
    if share == 0:
        return picture.copy()
    width, height = picture.size
    left, top = width * _ZOOM * share / 2, height * _ZOOM * share / 2
    return picture.resize(picture.size, Image.Resampling.BILINEAR, box=(left, top, width - left, height - top))


def _caption(prompt: str, size: tuple[int, int]) -> Image.Image:
    """A mask with one line of the prompt, for the top: an opening picture has its own words at the bottom."""
    face = font(max(10, min(size) // 15))
    margin = max(6, min(size) // 20)
    mask = Image.new("L", (size[0], round(face.size * 1.5)))
    line = wrap(prompt, face, size[0] - 2 * margin, most_lines=1)[0]
    ImageDraw.Draw(mask).text((margin, 0), line, font=face, fill=255)
    return mask


def _overlay(frame: Image.Image, caption: Image.Image, visible: float, time: float) -> None:
    width, height = frame.size
    top = round(caption.height * (0.25 * visible))  # the caption slides in
    for shift, colour in (1, (0, 0, 0)), (0, (255, 255, 255)):
        frame.paste(colour, (shift, top + shift), caption.point([round(value * visible) for value in range(256)]))
    bar = max(2, height // 90)
    box = (0, height - bar, max(1, round(width * time)), height)
    frame.paste(Image.blend(frame.crop(box), Image.new("RGB", (box[2], bar), _WARM), visible), (box[0], box[1]))


@dataclass(frozen=True, slots=True)
class _Spark:
    """A point that rises: `x` and `y` where it starts, `rise` how far, as shares of the frame; `phase` its twinkle."""

    x: float
    y: float
    rise: float
    phase: float


def _sparks(order: VideoOrder) -> list[_Spark]:
    random = Random(hashlib.sha256(order.prompt.encode(errors="replace")).digest())  # noqa: S311 - no secret
    return [
        _Spark(random.random(), random.uniform(0.2, 1.1), random.uniform(0.15, 0.5), random.uniform(0, math.tau))
        for _ in range(_SPARKS)
    ]


def _light(frame: Image.Image, sparks: list[_Spark], visible: float, time: float) -> None:
    width, height = frame.size
    radius = max(1.0, min(width, height) / 130)
    mask = Image.new("L", frame.size)
    draw = ImageDraw.Draw(mask)
    for spark in sparks:
        turn = spark.phase + 2 * math.tau * time
        x = width * (spark.x + 0.02 * math.sin(turn))
        y = height * (spark.y - spark.rise * time)
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=round(visible * (130 + 80 * math.cos(turn)))
        )
    frame.paste(_WARM, (0, 0), mask)


def _encode_frame(container: OutputContainer, stream: VideoStream, picture: Image.Image, number: int) -> None:
    frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # PyAV leaves Pillow untyped
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    container.mux(stream.encode(frame))
