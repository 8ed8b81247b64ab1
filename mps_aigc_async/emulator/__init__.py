"""The services on loopback, for tests, benchmarks and the demo: the AIGC APIs of MPS, of Tencent VOD and of the relay
as their documents describe them, at their strictest, with real images, videos and sounds as results.

    async with Emulator(speed=60) as emulator:
        ...  # a client whose endpoint is emulator.url

`actions.ACTIONS` lists the actions. The emulator judges the client, so it shares nothing with the client but the
signature (`wire.tc3`, pinned by published vectors).
Rendering needs the extra `emulator`. Without the extra only the download of results fails, with 501 and the extra's
name; `media=` makes the bytes of results without rendering.
A create with StoreCosParam stores its results in a bucket of COS at `emulator.cos_url`: `buckets` are its buckets, and
a private one serves only signed GETs.
`faults` plans faults, `statistics()` counts calls and tasks, `arrivals` is the log of calls.
`Service` is the same without a socket or a clock: `testing.in_memory_client` calls it in virtual time.
"""

from .server.server import Emulator
from .services.cos import ObjectCall
from .services.records import Arrival, BucketStatistics, CreatedTask, Statistics
from .services.service import Service
from .services.settings import Settings
from .tasks.faults import FaultName, Faults
from .tasks.place import Bucket
from .tasks.reply import Conduct, Frames, Reply
from .tasks.storage import Piece

__all__ = [
    "Arrival", "Bucket", "BucketStatistics", "Conduct", "CreatedTask", "Emulator", "FaultName", "Faults", "Frames",
    "ObjectCall", "Piece", "Reply", "Service", "Settings", "Statistics",
]  # fmt: skip
