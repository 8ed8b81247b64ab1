"""The judgement of an input file by its first bytes and its size, against the documents. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..catalog.input_files import MIB, FileRules
from ..model.states import Kind
from .media import formats_of, suffix_for


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file, as far as its head and its server's words tell."""

    formats: tuple[str, ...] | None
    """Suffixes by the signature: empty for an unknown signature, None for a head that cannot be judged."""
    size: int | None
    """Bytes; None if the server does not say."""
    is_text: bool = False

    @classmethod
    def of(cls, head: bytes, size: int | None, content_type: str = "application/octet-stream") -> "Content":
        formats = formats_of(head)
        return cls(formats, size, is_text=not formats and suffix_for(head, content_type, "", Kind.IMAGE) is None)


@dataclass(frozen=True, slots=True)
class Unseen:
    """The reason why the content of a URL could not be looked at."""

    reason: str
    is_certain: bool = False
    """Whether the service cannot fetch the URL either."""


Sight = Content | Unseen


@dataclass(frozen=True, slots=True)
class FileFinding:
    """A point in which a file differs from the documents."""

    text: str
    is_fault: bool
    """Whether no document allows the file. Otherwise the service may take it all the same."""


def file_findings(content: Content, rules: FileRules | None) -> Iterator[FileFinding]:
    """The points in which a file differs from the rules of its field. Without rules, no format counts.

    >>> from mps_aigc_async.catalog import Source
    >>> rules = FileRules((".jpg", ".png"), Source("a page", "2026-01"), most_bytes=10 * MIB)
    >>> [finding.text for finding in file_findings(Content.of(b"GIF89a", 12 * MIB), rules)]
    ['is a gif file, and the documents list jpeg and png',
     'has 12.0 MiB, and at most 10 MiB are recommended (a page, 2026-01)']
    """
    if content.size == 0:
        yield FileFinding("is an empty file", is_fault=True)
        return
    if content.is_text:
        yield FileFinding("is text and no media file", is_fault=rules is not None)
        return
    if rules is None:
        return
    if content.formats is not None and (finding := _format_finding(content.formats, rules)):
        yield finding
    if rules.most_bytes is not None and content.size is not None and content.size > rules.most_bytes:
        verb = "allowed" if rules.firm else "recommended"
        size, most = f"{content.size / MIB:.1f} MiB", f"{rules.most_bytes // MIB} MiB"
        yield FileFinding(f"has {size}, and at most {most} are {verb} ({rules.source})", is_fault=rules.firm)


def _format_finding(formats: Sequence[str], rules: FileRules) -> FileFinding | None:
    formats_in_words = words([*rules.formats, *rules.elsewhere])
    if not formats:
        return FileFinding(f"does not begin like a file of the documented formats, {formats_in_words}", is_fault=True)
    if any(suffix in rules.formats for suffix in formats):
        return None
    name = words(formats[:1])
    if any(suffix in rules.elsewhere for suffix in formats):
        own = f"the field's own document lists {words(rules.formats)} ({rules.source})"
        return FileFinding(f"is a {name} file, and {own}", is_fault=False)
    return FileFinding(f"is a {name} file, and the documents list {formats_in_words}", is_fault=True)


def words(suffixes: Sequence[str]) -> str:
    """The names of formats, by their suffixes.

    >>> words([".jpg", ".png", ".webp"])
    'jpeg, png and webp'
    """
    *first, last = ("jpeg" if suffix == ".jpg" else suffix.removeprefix(".") for suffix in suffixes)
    return f"{', '.join(first)} and {last}" if first else last
