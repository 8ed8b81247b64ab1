"""Callbacks of every sort: the default of an optional one, and a way out for an exception of one."""

import asyncio


def ignore(*_: object) -> None:
    """Do nothing: the caller wants no call."""


def raise_from_loop(stop: BaseException) -> None:
    """Raise a callback's KeyboardInterrupt or SystemExit from the loop, between two steps of jobs. Raised inside a step
    it would leave a job half done."""

    def raise_it() -> None:
        raise stop

    asyncio.get_running_loop().call_soon(raise_it)
