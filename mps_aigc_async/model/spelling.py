"""The listed name that a misspelt one is close to. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

LIKENESS: Final = 0.75
"""Share of letters that two close names have in common (`difflib`): `promt` and `prompt` have 0.91."""


def letters(name: str) -> str:
    """Return a name's letters and digits: `AspectRatio`, `aspect-ratio` and `aspect_ratio` have the same.

    >>> letters("AspectRatio") == letters("aspect_ratio")
    True
    """
    return "".join(char for char in name.casefold() if char.isalnum())


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the closest of the names; None if none is close.

    >>> closest("aspect_ration", ["resolution", "aspect_ratio"]), closest("colour", ["resolution", "aspect_ratio"])
    ('aspect_ratio', None)
    """
    by_letters = {letters(entry): entry for entry in names}
    close = get_close_matches(letters(name[:120]), by_letters, n=1, cutoff=LIKENESS)
    return by_letters[close[0]] if close else None
