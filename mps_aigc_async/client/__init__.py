"""The façade: the client that users open, and its methods."""

from .client import AigcClient

__all__ = ["AigcClient"]
