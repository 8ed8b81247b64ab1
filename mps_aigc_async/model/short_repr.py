"""The repr of a frozen value without the fields that have their defaults."""

from dataclasses import MISSING, fields
from typing import Any


class ShortRepr:
    """For dataclasses with `repr=False`: a notebook's cell should show what is there."""

    __slots__ = ()

    def __repr__(self) -> str:
        parts = []
        for field in fields(self):  # type: ignore[arg-type] # each class with this base is a dataclass
            value: Any = getattr(self, field.name)
            if value is not None and (field.default is MISSING or value != field.default):
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"
