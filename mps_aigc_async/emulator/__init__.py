"""The services on loopback, for tests, benchmarks and the demo: the AIGC APIs of MPS, of Tencent VOD and of the relay
as their documents describe them, at their strictest, with real images, videos and sounds as results.

    async with Emulator(speed=60) as emulator:
        ...  # a client whose endpoint is emulator.url

`actions.ACTIONS` lists what they answer. It judges the client, so it borrows nothing from it but the signature
(`wire.tc3`, pinned by published vectors).
Rendering needs the extra `mps-aigc-async[emulator]`; without it everything works but the download of results.
`Service` is the same without a socket or a clock, for tests in virtual time.
"""

from .records import Arrival, Statistics
from .reply import Conduct, Frames, Reply
from .server import Emulator
from .service import Service
from .settings import Settings

__all__ = ["Arrival", "Conduct", "Emulator", "Frames", "Reply", "Service", "Settings", "Statistics"]
