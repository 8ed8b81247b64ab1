"""Tools for tests, ours and users': virtual time, and the emulator without a socket."""

from .in_memory import InMemoryTransport
from .virtual_time import VirtualTimeLoop, run, wall

__all__ = ["InMemoryTransport", "VirtualTimeLoop", "run", "wall"]
