"""The database of a home of the limits that several processes or hosts share.

Two homes keep the same tables and run the same statements: SQLite on a host (`host`), and PostgreSQL (`postgres`). The
statements are written once, with parameters as `%(name)s` and `{now}` for the store's clock. Types that both have are
TEXT, BIGINT and DOUBLE PRECISION; a name of a parameter must not be `now`.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from ...model.errors import ConfigError

Value: TypeAlias = str | float | int | bool | None
Row: TypeAlias = tuple[Any, ...]
Step: TypeAlias = tuple[str, dict[str, Value]]
"""A statement with its parameters."""

NOW: Final = "{now}"

CHANNEL: Final = "mps_aigc_slots"
"""The channel on which PostgreSQL tells of changed slots. SQLite's `pg_notify` does nothing."""

NOTIFY: Final[Step] = (f"SELECT pg_notify('{CHANNEL}', '')", {})
"""The step that wakes who waits in `wait_for_change`, once the transaction is committed."""

SCHEMAS: Final = """
    CREATE TABLE IF NOT EXISTS mps_aigc_schemas (
        name TEXT PRIMARY KEY, version BIGINT NOT NULL, began_at DOUBLE PRECISION NOT NULL, boot TEXT NOT NULL
    )
"""
"""The parts of a store, with the version of their tables, and the time and boot in which their state began."""


class LimitsLost(Exception):
    """The store cannot be reached now. The message is one sentence without secrets."""


class StoreUnusable(ConfigError):
    """The store cannot be opened. The message is one sentence without secrets, with the fix."""


class NewerStore(ConfigError):
    """A later version of this package made the store, and keeps rules that this one does not know."""


def newer_store(place: str, version: int) -> NewerStore:
    """The error for a store with tables of a later version."""
    return NewerStore(
        f"the limit store {place} was made by a newer version of mps-aigc-async (tables of version {version}): "
        "upgrade this one, or set limitStore to a place of its own"
    )


@dataclass(frozen=True, slots=True)
class Schema:
    """A part of a store: its tables, and the version that all members of a store must have in common."""

    name: str
    version: int
    tables: tuple[str, ...]
    at_boot: tuple[str, ...] = ()
    """The statements that drop the times of an earlier boot. Only the host's clock begins anew with a boot."""


class StoreDatabase(Protocol):
    """A database of the limits, as one loop uses it."""

    @property
    def generation(self) -> int:
        """A number that grows whenever earlier rows or times count no longer: the file was replaced, or the server's
        clock was set. Times that were reserved before are void."""
        ...

    @property
    def is_in_place(self) -> bool:
        """Whether the rows are still those that other members see; False once the file's path leads elsewhere."""
        ...

    @property
    def uncertainty_s(self) -> float:
        """Most seconds by which `loop_time` may be wrong now."""
        ...

    async def run(self, *steps: Step) -> list[list[Row]]:
        """Run the statements as one transaction; return the rows of each. Each statement sees the rows that other
        members have committed before it. Raises LimitsLost while the store cannot be reached."""
        ...

    def loop_time(self, store_time: float) -> float:
        """A time of the store's clock, on the loop's clock, by the latest answer."""
        ...

    async def wait_for_change(self) -> None:
        """Return when another member may have changed the slots, and at the latest after `LOOK_S`."""
        ...

    def hurry(self, seconds: float) -> None:
        """Wait only so long for a silent store from now on: the user waits for the end."""
        ...

    async def close(self) -> None: ...


LOOK_S: Final = 0.25
"""Seconds after which a look at the store is due though nothing was heard: a pooler between us and PostgreSQL may keep
the notifications to itself."""
