"""Fetching the images that a video is to begin and end with, as the service does: from anywhere, within bounds."""

from base64 import b64decode

import aiohttp

from ..tasks.orders import INLINE

MAX_BYTES = 10 * 1024 * 1024
"""Of one image: "推荐图片大小不超过10M", ImageUrl of CreateAigcVideoTask (official SDK 3.1.194)."""

TIMEOUT_S = 10.0
"""Ours, for the whole of one image: a test that hands over a dead URL should hear of it soon."""

USER_AGENT = "mps-aigc-emulator"
"""As whom the service fetches: what stands between can tell its fetch of a result from the client's download."""


class FrameError(Exception):
    """An image could not be had; the text becomes the task's Message."""


async def fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    """The bytes at `url`; none for an empty URL. Raises FrameError."""
    if not url:
        return b""
    if url.startswith(INLINE):
        return b64decode(url.removeprefix(INLINE))
    received = bytearray()
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as response:
            if response.status != 200:
                raise FrameError(f"The image could not be downloaded: HTTP {response.status} from {url}")
            async for chunk in response.content.iter_any():
                received += chunk
                if len(received) > MAX_BYTES:
                    raise FrameError(f"The image is larger than {MAX_BYTES} bytes: {url}")
    except TimeoutError as error:
        raise FrameError(f"The image could not be downloaded within {TIMEOUT_S:.0f} s: {url}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FrameError(f"The image could not be downloaded: {type(error).__name__} at {url}") from error
    return bytes(received)
