"""Names that no source lists: perhaps misspelt, or a model of another kind. Only ever a warning: the lists drift."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..model.spelling import closest, letters
from .facts import Model, ModelKind, fold_case

_PLURALS: Final[dict[ModelKind, str]] = {"image": "images", "video": "videos", "audio": "audio"}
_LONGEST: Final = 40
"""Most characters of a value in a message."""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A model or a version that no source lists, and the listed one that may be meant.

    >>> print(Unlisted("model_name", "Klign", "not listed for videos by mps", "Kling"))
    model_name: Klign is not listed for videos by mps: is Kling meant? (sent all the same: the lists drift)
    """

    field: str
    """`model_name` or `model_version`; in a chain with the step before it."""
    value: str
    fault: str
    close: str = ""
    """The listed name that may be meant."""

    @property
    def refuses(self) -> bool:
        """Never: the service may know names that the lists lack."""
        return False

    def __str__(self) -> str:
        hint = f": is {self.close} meant?" if self.close else ""
        return f"{self.field}: {self.value} is {self.fault}{hint} (sent all the same: the lists drift)"


def unlisted_model(models: Iterable[Model], backend: str, kind: ModelKind, name: str) -> Iterator[Unlisted]:
    """Find a listed model that an unlisted name may mean. A backend without a list for the kind has none."""
    entries = [model for model in models if model.backend == backend]
    names = {model.name for model in entries if model.kind == kind}
    if not names:
        return
    others = [_PLURALS[model.kind] for model in entries if fold_case(model.name) == fold_case(name)]
    fault = f"listed for {' and '.join(others)} by {backend}, not" if others else "not listed"
    close = closest(name, names)
    if others or close:
        by = "" if others else f" by {backend}"
        yield Unlisted("model_name", short(name), f"{fault} for {_PLURALS[kind]}{by}", close or "")


def unlisted_version(model: Model, version: object) -> Iterator[Unlisted]:
    """Find the listed version that a misspelt one may mean. Another number is another version, and not misspelt."""
    close = _close_version(str(version), model.all_versions)
    if close:
        yield Unlisted("model_version", short(str(version)), f"not a listed version of {model.name}", close)


def _close_version(version: str, entries: Iterable[str]) -> str | None:
    """
    >>> _close_version("3.O", ["3.0", "3.0-Omni"]), _close_version("3_omni", ["3.0", "3.0-Omni"])
    ('3.0', None)
    >>> _close_version("3.0 omin", ["3.0", "3.0-Omni"]), _close_version("2.7", ["2.6"])
    ('3.0-Omni', None)
    """
    same = next((entry for entry in entries if _key(entry) == _key(version)), None)
    return same or closest(version, [entry for entry in entries if _digits(entry) == _digits(version)])


def _key(version: str) -> str:
    """A version without its marks; the letter O counts as a zero, and a `v` at the start as nothing."""
    return letters(version).removeprefix("v").replace("o", "0")


def _digits(version: str) -> str:
    return "".join(char for char in version if char.isdigit())


def short(text: str) -> str:
    """Return a text in a message: short, and on one line."""
    return text if text.isprintable() and len(text) <= _LONGEST else f"{text[:_LONGEST]!r}…"
