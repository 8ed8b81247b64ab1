"""The database of a home of the limits that several processes or hosts share.

Two homes keep the same tables and run the same statements: SQLite on a host (`host`), and PostgreSQL (`postgres`). The
statements are written once, with parameters as `%(name)s` and `{now}` for the store's clock.
"""

from typing import Any, Final, Protocol, TypeAlias

Value: TypeAlias = str | float | int | bool | None
Row: TypeAlias = tuple[Any, ...]
Step: TypeAlias = tuple[str, dict[str, Value]]
"""A statement with its parameters."""

NOW: Final = "{now}"


class StoreDatabase(Protocol):
    """A database of the limits, as one loop uses it."""

    async def run(self, *steps: Step) -> list[list[Row]]:
        """Run the statements as one transaction; return the rows of each. Each statement sees what other members have
        committed before it. Raises LimitsLost while the store cannot be reached."""
        ...

    def loop_time(self, store_time: float) -> float:
        """A time of the store's clock, on the loop's clock, by the latest answer."""
        ...

    async def wait_for_change(self) -> None:
        """Return when another member may have changed the slots."""
        ...

    async def close(self) -> None: ...
