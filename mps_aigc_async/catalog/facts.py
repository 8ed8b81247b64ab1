"""The vocabulary of the catalog: the values that a model accepts in a field, for which versions, and when.

The facts look at a request as a flat mapping, field → value (`flat.flatten`). A fact is about one field of one
backend's request. A field without a fact is open and is never judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Backend = Literal["mps", "vod", "relay"]
"""The service that a fact is true of. The same model has other abilities at another service."""
ModelKind = Literal["image", "video", "audio"]
Standing = Literal["documented", "reported"]
"""`documented`: by the service's own documents. `reported`: by other people who tested the service. Reported facts warn
and never refuse."""
FlatRequest = Mapping[str, object]
"""The fields that a request sets. A count stands for a list, a length for a prompt, "given" for a frame."""


@dataclass(frozen=True, slots=True)
class Source:
    """The document or the report that states a fact, and its date."""

    title: str
    date: str
    standing: Standing = "documented"

    def __str__(self) -> str:
        return f"{self.title}, {'gathered ' if self.standing == 'reported' else ''}{self.date}"


# --- accepted values --------------------------------------------------------------------------------------------------


class Accepted(Protocol):
    """The values that a field may have; `str` lists them in words."""

    def takes(self, value: object) -> bool: ...


class OneOf:
    """A short list of values. Letter case is ignored: no document says whether the service minds it.

    >>> str(OneOf("720P", "1080P", "4K")), OneOf("720P").takes("720p"), str(OneOf(5, 10, unit=" s"))
    ('720P, 1080P or 4K', True, '5 or 10 s')
    """

    __slots__ = ("_unit", "values")

    def __init__(self, *values: str | int, unit: str = "") -> None:
        self.values = values
        self._unit = unit

    def takes(self, value: object) -> bool:
        return fold_case(value) in {fold_case(entry) for entry in self.values}

    def __str__(self) -> str:
        *first, last = (str(value) for value in self.values)
        return (f"{', '.join(first)} or {last}" if first else last) + self._unit


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
    """Width and height in pixels: each within `side`, their product within `area`.

    >>> str(Pixels(side=(512, 2048), area=(0, 1048576)))
    'sides of 512 to 2048 and at most 1048576 pixels in all'
    """

    side: tuple[int, int] | None = None
    area: tuple[int, int] | None = None

    def takes(self, value: object) -> bool:
        match value:
            case (int(width), int(height)):
                sides_fit = self.side is None or all(self.side[0] <= edge <= self.side[1] for edge in (width, height))
                return sides_fit and (self.area is None or self.area[0] <= width * height <= self.area[1])
        return False

    def __str__(self) -> str:
        sides = f"sides of {Between(*self.side)}" if self.side else ""
        area = f"{Between(*self.area)} pixels in all" if self.area else ""
        return " and ".join(part for part in (sides, area) if part)


@dataclass(frozen=True, slots=True)
class Nothing:
    """No value at all; `words` name the alternative.

    >>> str(Nothing()), str(Nothing("an `id` in each subject"))
    ('none', 'an `id` in each subject')
    """

    words: str = "none"

    def takes(self, value: object) -> bool:
        del value
        return False

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class _Anything:
    def takes(self, value: object) -> bool:
        del value
        return True

    def __str__(self) -> str:
        return "any"


MISSING: Final = "missing"
"""The value of a field that an audio's request leaves unset: some models need the field."""


@dataclass(frozen=True, slots=True)
class Required:
    """Any value, but not a missing one; `words` name the need."""

    words: str

    def takes(self, value: object) -> bool:
        return value != MISSING

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class _Unset:
    def takes(self, value: object) -> bool:
        return value == MISSING

    def __str__(self) -> str:
        return "none"


UNSET: Accepted = _Unset()
"""The field must not be set, where a missing value counts as one."""
NOTHING: Accepted = Nothing()
"""The field must not be set."""
ANYTHING: Accepted = _Anything()
"""The field may be set; the documents list no values."""


# --- conditions of a fact ---------------------------------------------------------------------------------------------


class Condition(Protocol):
    """Whether a fact holds for a request; in a message, its `str` follows the accepted values."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the condition looks at."""
        ...

    def holds(self, request: FlatRequest) -> bool: ...


@dataclass(frozen=True, slots=True)
class Given:
    """At least one of these fields is set."""

    fields: tuple[str, ...]
    words: str

    def holds(self, request: FlatRequest) -> bool:
        return any(field in request for field in self.fields)

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class _Values:
    """A condition on the values of one field."""

    field: str
    values: tuple[str, ...]
    words: str

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    def _are_met(self, request: FlatRequest) -> bool:
        return fold_case(request.get(self.field)) in {fold_case(value) for value in self.values}

    def __str__(self) -> str:
        return self.words


class With(_Values):
    """The field has one of these values."""

    __slots__ = ()

    def holds(self, request: FlatRequest) -> bool:
        return self._are_met(request)


class Unless(_Values):
    """The field has none of these values."""

    __slots__ = ()

    def holds(self, request: FlatRequest) -> bool:
        return not self._are_met(request)


@dataclass(frozen=True, slots=True)
class Without:
    """The fields are all unset."""

    fields: tuple[str, ...]
    words: str

    def holds(self, request: FlatRequest) -> bool:
        return not any(field in request for field in self.fields)

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Differ:
    """The two fields are set and have different values."""

    fields: tuple[str, str]

    def holds(self, request: FlatRequest) -> bool:
        first, second = (request.get(field) for field in self.fields)
        return first is not None and second is not None and first != second

    def __str__(self) -> str:
        return ""


# --- the entries ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """The values that one field accepts. If several facts about a field hold, the last one counts.

    Documented and reported facts are parted first, so that a report overrides no document.
    """

    field: str
    accepts: Accepted
    default: str | int | None = None
    """The service's value for a request that does not set the field."""
    versions: tuple[str, ...] = ()
    """The versions of the model for which the fact is true; empty for all versions."""
    when: Condition | None = None
    source: Source | None = None
    """The fact's own source, if it is not the model's."""
    effect: str = ""
    """The service's answer to any other value, if the service accepts the value silently: the money at stake."""

    @property
    def words(self) -> str:
        """The accepted values and the condition."""
        return " ".join(part for part in (str(self.accepts), str(self.when or "")) if part)


@dataclass(frozen=True, slots=True)
class Model:
    """A model at one backend, for one kind of task."""

    backend: Backend
    kind: ModelKind
    name: str
    """The spelling of the documents; letter case is ignored."""
    versions: tuple[str, ...]
    """The versions that the source lists. A request for another version is not judged."""
    source: Source
    facts: tuple[Fact, ...] = ()
    """Facts that override those of `KIND_WIDE`."""
    live_versions: tuple[str, ...] = ()
    """Versions that no document lists, reported as live. Only facts that name such a version are true of it."""
    live_source: Source | None = None
    """The source of the `live_versions`."""

    @property
    def all_versions(self) -> tuple[str, ...]:
        """The documented and the reported versions."""
        return (*self.versions, *self.live_versions)

    def source_of(self, fact: Fact) -> Source:
        """A fact's own source, else the model's."""
        return fact.source or self.source


def fold_case(value: object) -> object:
    """Make values equal that differ in letter case alone."""
    return value.casefold() if isinstance(value, str) else value
