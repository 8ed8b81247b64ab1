"""Inputs whose bytes are at hand: Base64 in a request, and local files, which no service can fetch.

No setting turns these checks off: they cost no request, and name the fault before the service does.
"""

from binascii import a2b_base64
from errno import ENAMETOOLONG, ENOENT, ENOTDIR
from pathlib import Path
from stat import S_ISREG
from typing import Final

from ..catalog.input_files import InputFile, base64_files, input_files
from ..model.errors import FieldFault, InvalidRequest
from ..model.plain_text import visible_line
from ..model.requests import Request
from ..network.input_verdicts import Content, file_findings
from ..network.media import HEAD_BYTES
from ..wire.fields import shorten
from ..wire.vod import MAX_BASE64_BYTES

_HEAD_CHARACTERS: Final = (HEAD_BYTES // 3 + 1) * 4
"""Characters of Base64 that hold a head."""

_NOT_THERE: Final = frozenset({ENOENT, ENOTDIR, ENAMETOOLONG})
_FIX: Final = "put it where it is publicly reachable, and give its URL"
_NO_FILE: Final = "is neither a URL nor a file here: give the URL of a file that is publicly reachable"


def refuse_odd_base64(request: Request) -> None:
    """Raise InvalidRequest for Base64 that is no file of the documented formats. The wire bounds the size."""
    for field, text, rules in base64_files(request):
        content = Content.of(a2b_base64(text[:_HEAD_CHARACTERS]), None)
        if finding := next(file_findings(content, rules), None):
            raise InvalidRequest.of_fields("", [FieldFault(field, finding.text)])


def has_local_files(request: Request, backend: str) -> bool:
    """Whether an input is no URL."""
    return any(not file.is_url for file in input_files(request, backend))


def refuse_local_files(request: Request, backend: str) -> None:
    """Raise InvalidRequest for an input that is no URL, with the truth about the file that it may name.

    Reads the first bytes of each such file: call this in a thread.
    """
    faults = [_fault_of(file, backend) for file in input_files(request, backend) if not file.is_url]
    if faults:
        raise InvalidRequest.of_fields("", faults)


def _fault_of(file: InputFile, backend: str) -> FieldFault:
    name = repr(shorten(visible_line(file.source)))
    return FieldFault(file.field, f"{name} {_local_fault(file, backend)}")


def _local_fault(file: InputFile, backend: str) -> str:
    """The reason why an input that is no URL cannot be sent, and the fix."""
    if not file.source.strip():
        return "is empty: give an http or https URL"
    if "://" in file.source or file.source.lower().startswith("data:"):
        return "is not a URL that the service can fetch: give an http or https URL"
    try:
        content = _content_of(Path(file.source).expanduser())
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a zero byte; RuntimeError: nobody's home
        if isinstance(error, OSError) and error.errno not in _NOT_THERE:
            return f"is not a URL, and this machine cannot read it as a file ({error.strerror}): {_FIX}"
        return _NO_FILE
    if content is None:
        return "is not a URL, and names a folder or a device here: give the URL of a file that is publicly reachable"
    fault = next((finding.text for finding in file_findings(content, file.rules) if finding.is_fault), "")
    return f"{fault}; a file of this machine cannot be sent either: {_FIX}" if fault else _way_of(content, backend)


def _way_of(content: Content, backend: str) -> str:
    """The way in which a good local file can reach the service."""
    in_request = backend == "vod" and (content.size or 0) <= MAX_BASE64_BYTES
    way = ", or send its bytes by `vod=VodOptions(files=(VodFile(base64=…),))`" if in_request else ""
    return f"is a file of this machine, and the service fetches its inputs itself: {_FIX}{way}"


def _content_of(path: Path) -> Content | None:
    """The content of a file by its head; None for a folder or a device, which a read could wait for. Raises OSError."""
    stat = path.stat()
    if not S_ISREG(stat.st_mode):
        return None
    with path.open("rb") as file:
        return Content.of(file.read(HEAD_BYTES), stat.st_size)
