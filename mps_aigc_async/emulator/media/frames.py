"""Fetch the first and last image of a video, as the service does: from any URL, within bounds."""

from base64 import b64decode

import aiohttp

from ..tasks.orders import INLINE

MAX_BYTES = 32 * 1024 * 1024
"""Most bytes of an image, chosen for the emulator's memory. ImageUrl of CreateAigcVideoTask only recommends a size
("推荐图片大小不超过10M", official SDK 3.1.194), so a larger image may well be taken."""

TIMEOUT_S = 10.0
"""Seconds for the whole of an image, chosen for the emulator: a test with a dead URL should fail soon."""

USER_AGENT = "mps-aigc-emulator"
"""User agent of the service's fetches. By it a proxy can distinguish a fetch of a result from the client's download."""


class FrameError(Exception):
    """A failed fetch of an image. The text becomes the task's Message."""


async def fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    """The bytes at `url`; none for an empty URL. Raises FrameError."""
    if not url:
        return b""
    if url.startswith(INLINE):
        return b64decode(url.removeprefix(INLINE))
    body = bytearray()
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as response:
            if response.status != 200:
                raise FrameError(f"The image could not be downloaded: HTTP {response.status} from {url}")
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise FrameError(f"The image is larger than {MAX_BYTES} bytes: {url}")
    except TimeoutError as error:
        raise FrameError(f"The image could not be downloaded within {TIMEOUT_S:.0f} s: {url}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FrameError(f"The image could not be downloaded: {type(error).__name__} at {url}") from error
    return bytes(body)
