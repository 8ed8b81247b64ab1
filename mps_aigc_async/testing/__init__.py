"""Tools for tests, ours and users': virtual time, the emulator without a socket, a network that fails as asked."""

from .fault_proxy import FaultProxy
from .in_memory import InMemoryTransport
from .proxy_faults import ProxyFault
from .virtual_time import VirtualTimeLoop, run, wall

__all__ = ["FaultProxy", "InMemoryTransport", "ProxyFault", "VirtualTimeLoop", "run", "wall"]
