"""Tools for tests, ours and users': virtual time, the emulator without a socket, a network with planned faults.

    run(main())                              # `asyncio.run` in virtual time
    async with in_memory_client(service)     # a client of `emulator.Service`, without a socket
    async with FaultProxy(emulator) as proxy # a bad network before an `emulator.Emulator`
    forget_limits()                          # begin with fresh paces and slots

docs/testing.md shows each in a test.
"""

from ..limits.process.account import forget as forget_limits
from .fault_proxy import FaultProxy
from .in_memory import InMemoryTransport, in_memory_client
from .proxy_faults import ProxyFault
from .virtual_time import VirtualTimeLoop, run, wall

__all__ = [
    "FaultProxy", "InMemoryTransport", "ProxyFault", "VirtualTimeLoop", "forget_limits", "in_memory_client", "run",
    "wall",
]  # fmt: skip
