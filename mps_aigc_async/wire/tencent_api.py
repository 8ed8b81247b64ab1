"""One API of Tencent Cloud as a value. MPS and VOD each have one; their dialects build and decode calls with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from . import answers, envelope
from .answers import text
from .dialect import Call, Created, HttpAnswer
from .envelope import ErrorTable, Tc3


@dataclass(frozen=True, slots=True)
class TencentApi:
    service: str
    """The service's name in a signature's scope."""
    version: str
    errors: ErrorTable
    """The meanings of the service's error codes."""

    def unwrap(self, answer: HttpAnswer, action: str) -> dict[str, object]:
        """The inside of the `Response` envelope. Raises ServiceError, or TransportError for anything else."""
        return envelope.unwrap(answer, action, self.errors)

    def create(self, action: str, params: Mapping[str, object]) -> Call[Created]:
        """The create of one task."""
        return Call(action, envelope.body(params), partial(self._created, action=action))

    def call(self, action: str, params: Mapping[str, object]) -> Call[dict[str, object]]:
        """Any action, decoded to the inside of the envelope."""
        return Call(action, envelope.body(params), partial(self.unwrap, action=action))

    def signer(self, *, host: str, region: str | None, language: str) -> Tc3:
        return Tc3(self.service, self.version, host=host, region=region, language=language)

    def _created(self, answer: HttpAnswer, action: str) -> Created:
        return created_task(self.unwrap(answer, action), action)


def created_task(response: Mapping[str, object], action: str) -> Created:
    """The new task in a create's `Response`. Raises NoTaskId."""
    return Created(answers.new_task_id(response, action), text(response.get("RequestId")))
