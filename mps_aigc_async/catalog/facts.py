"""The words of the catalog: what a model accepts in a field, for which versions, and when.

A request is looked at as a flat mapping, field → what is asked (`rules.asked_by`). A fact speaks of one such field.
What no fact speaks of is open, and is never judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

ModelKind = Literal["image", "video", "audio"]
Asked = Mapping[str, object]
"""What a request sets. Counts stand for lists, lengths for texts, True for what is given at all."""


@dataclass(frozen=True, slots=True)
class Source:
    """The document a fact was read in, and its date."""

    title: str
    date: str

    def __str__(self) -> str:
        return f"{self.title}, {self.date}"


# --- what is accepted -------------------------------------------------------------------------------------------------


class Accepted(Protocol):
    """The values that a field may have; its `str` says them."""

    def takes(self, value: object) -> bool: ...


class OneOf:
    """One of a few values. Letter case is no difference: nothing says whether the service minds it.

    >>> str(OneOf("720P", "1080P", "4K")), OneOf("720P").takes("720p"), str(OneOf(5, 10, unit=" s"))
    ('720P, 1080P or 4K', True, '5 or 10 s')
    """

    __slots__ = ("_unit", "values")

    def __init__(self, *values: str | int, unit: str = "") -> None:
        self.values = values
        self._unit = unit

    def takes(self, value: object) -> bool:
        return folded(value) in {folded(known) for known in self.values}

    def __str__(self) -> str:
        *others, last = (str(value) for value in self.values)
        return (f"{', '.join(others)} or {last}" if others else last) + self._unit


@dataclass(frozen=True, slots=True)
class Between:
    """A whole number from `least` to `most`, both included.

    >>> str(Between(3, 15, " s")), str(Between(0, 4)), str(Between(0, 0))
    ('3 to 15 s', 'at most 4', 'at most 0')
    """

    least: int
    most: int
    unit: str = ""

    def takes(self, value: object) -> bool:
        return isinstance(value, int) and self.least <= value <= self.most

    def __str__(self) -> str:
        return (f"{self.least} to {self.most}" if self.least else f"at most {self.most}") + self.unit


@dataclass(frozen=True, slots=True)
class Pixels:
    """Width and height: each of them within `side`, their product within `area`.

    >>> str(Pixels(side=(512, 2048), area=(0, 1048576)))
    'sides of 512 to 2048 and at most 1048576 pixels in all'
    """

    side: tuple[int, int] | None = None
    area: tuple[int, int] | None = None

    def takes(self, value: object) -> bool:
        match value:
            case (int(width), int(height)):
                sides_fit = self.side is None or all(self.side[0] <= one <= self.side[1] for one in (width, height))
                return sides_fit and (self.area is None or self.area[0] <= width * height <= self.area[1])
        return False

    def __str__(self) -> str:
        sides = f"sides of {Between(*self.side)}" if self.side else ""
        area = f"{Between(*self.area)} pixels in all" if self.area else ""
        return " and ".join(part for part in (sides, area) if part)


@dataclass(frozen=True, slots=True)
class _Nothing:
    def takes(self, value: object) -> bool:
        del value
        return False

    def __str__(self) -> str:
        return "none"


@dataclass(frozen=True, slots=True)
class _Anything:
    def takes(self, value: object) -> bool:
        del value
        return True

    def __str__(self) -> str:
        return "any"


NOTHING: Accepted = _Nothing()
"""The field is not to be given."""
ANYTHING: Accepted = _Anything()
"""The field may be given, and the documents do not say with which values."""


# --- when it holds ----------------------------------------------------------------------------------------------------


class Condition(Protocol):
    """Whether a fact holds for a request; its `str` follows what is accepted."""

    def holds(self, asked: Asked) -> bool: ...


@dataclass(frozen=True, slots=True)
class Given:
    """Any of these fields is given."""

    fields: tuple[str, ...]
    words: str

    def holds(self, asked: Asked) -> bool:
        return any(field in asked for field in self.fields)

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Unless:
    """The field has none of these values."""

    field: str
    values: tuple[str, ...]
    words: str

    def holds(self, asked: Asked) -> bool:
        return folded(asked.get(self.field)) not in {folded(value) for value in self.values}

    def __str__(self) -> str:
        return self.words


# --- the entries ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """What a field accepts. Of the facts about one field the last that holds counts."""

    field: str
    accepts: Accepted
    default: str | int | None = None
    """What the service takes where the field is not given."""
    versions: tuple[str, ...] = ()
    """The model's versions it is true of; all of them where none is named."""
    when: Condition | None = None
    source: Source | None = None
    """Where it differs from the model's."""

    @property
    def words(self) -> str:
        """What is accepted, and when."""
        return f"{self.accepts} {self.when}" if self.when else str(self.accepts)


@dataclass(frozen=True, slots=True)
class Model:
    """One model for one kind of task."""

    kind: ModelKind
    name: str
    """As the documents spell it; letter case is no difference."""
    versions: tuple[str, ...]
    """Those documented. A request that names another is not judged."""
    source: Source
    facts: tuple[Fact, ...] = ()
    """They stand before those of `KIND_WIDE`."""


def folded(value: object) -> object:
    """The value, alike in all its spellings of letter case."""
    return value.casefold() if isinstance(value, str) else value
