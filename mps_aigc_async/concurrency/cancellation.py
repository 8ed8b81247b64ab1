"""Whether the running task is being cancelled."""

import asyncio


def is_being_cancelled() -> bool:
    """Whether somebody cancels this task. A CancelledError without that is a fault like any other: something that a
    transport or a library waited for was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
