"""The checks of a request before anything is paid for: its fields, its local files, and the content of its URLs."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from ..catalog.input_files import InputFile, input_files
from ..catalog.judging import warn_once
from ..model.errors import FieldFault, InvalidRequest
from ..model.plain_text import visible_line
from ..model.requests import Request, Step, steps_of
from ..network.download_retries import safe_url
from ..network.input_looks import InputLooks
from ..network.input_verdicts import FileFinding, Sight, Unseen, file_findings
from .local_inputs import has_local_files, refuse_local_files

_FIX: Final = (
    'give the URL of a file that is publicly reachable and has a documented format and size, or set "checkInputs" to '
    "false to send the request all the same; nothing was paid for"
)


class InputChecks:
    """Checks requests that have not begun. With `looks`, the URLs of their inputs are looked at."""

    def __init__(
        self,
        check: Callable[[Request], None],
        complete: Callable[[Request], Request],
        backend: str,
        looks: InputLooks | None,
        signed_inputs: Callable[[Step], Collection[str]],
    ) -> None:
        self._check = check
        self._complete = complete
        self._backend = backend
        self._looks = looks
        self._signed_inputs = signed_inputs
        """The bare URLs of a request's inputs that are signed when they are sent: a look would be refused."""

    async def check(self, request: Request) -> None:
        """Raise InvalidRequest for a request that cannot be sent, or that the service would accept in vain."""
        if has_local_files(request, self._backend):
            await asyncio.to_thread(refuse_local_files, request, self._backend)
        self._check(request)
        if self._looks is not None:
            complete = self._complete(request)  # some rules are a model's
            signed = {url for step in steps_of(complete) for url in self._signed_inputs(step)}
            files = [file for file in input_files(complete, self._backend) if file.source not in signed]
            await _look_at(files, self._looks)


async def _look_at(files: Sequence[InputFile], looks: InputLooks) -> None:
    """Look at files at once. Raises InvalidRequest that names each fault, else warns."""
    async with asyncio.TaskGroup() as group:
        views = [group.create_task(looks.sight(file.source)) for file in files]
    faults: list[FieldFault] = []
    doubts: list[FieldFault] = []
    for file, view in zip(files, views, strict=True):
        for finding in _findings(file, view.result()):
            (faults if finding.is_fault else doubts).append(FieldFault(file.field, f"{_shown(file)} {finding.text}"))
            if finding.is_fault:
                looks.doubt(file.source)
    if faults:
        last = faults[-1]._replace(why=f"{faults[-1].why}: {_FIX}")
        raise InvalidRequest.of_fields("", [*faults[:-1], last])
    for doubt in doubts:
        warn_once(f"{doubt}; the request is sent all the same")


def _findings(file: InputFile, sight: Sight) -> Iterator[FileFinding]:
    if not isinstance(sight, Unseen):
        yield from file_findings(sight, file.rules)
    elif sight.is_certain:
        yield FileFinding(f"cannot be fetched by the service: {sight.reason}", is_fault=True)
    else:
        yield FileFinding(f"could not be looked at: {sight.reason}", is_fault=False)


def _shown(file: InputFile) -> str:
    """The URL without its query, which may hold a signature."""
    return visible_line(safe_url(file.source))
