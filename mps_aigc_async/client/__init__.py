"""The façade: the clients that users open, and their methods."""

from .client import AigcClient
from .sync import SyncClient
from .sync_handles import SyncJob, SyncRun, SyncTask

__all__ = ["AigcClient", "SyncClient", "SyncJob", "SyncRun", "SyncTask"]
