"""Every error the SDK raises, as a map.

    AigcError
    ├── ConfigError             the config file or the environment; nothing was sent
    ├── InvalidRequest          a request that cannot be served as written; nothing was sent (also a ValueError)
    ├── ServiceError            the service answered with an error: .code, .message
    │   ├── Throttled           RequestLimitExceeded: over the calls per second
    │   ├── TooManyTasks        over the tasks running at once, of the account or of one model
    │   ├── AccountError        signature, key, arrears, bucket, not authorised: every other create would fail too
    │   │   └── Redirected      the service's address leads to another one (also a ConfigError)
    │   ├── ContentViolation    the prompt or an input was blocked by review
    │   │   └── TaskBlocked     by the review of a task that the service had accepted (also a TaskFailed)
    │   └── TaskNotFound        no such task (or one too old)
    ├── TransportError          no usable answer: connection, timeout, an answer that is not the service's
    │   ├── Unreachable         no connection until somebody corrects the address, the certificate or the proxy
    │   └── NoTaskId            a create was answered without a readable TaskId: it may have been accepted (and billed)
    ├── CreateOutcomeUnknown    a create was sent, and no reply told whether it was accepted (and billed)
    ├── JobDropped              the user gave up a job whose create was never answered
    ├── JobCancelled            the user cancelled a job: nothing more is created or waited for
    ├── BudgetReached           a bound of the run allows no further create; the job stays planned
    ├── TaskFailed              the service accepted the task and failed it
    ├── TaskTimeout             the client stopped waiting; the task goes on at the service (also a TimeoutError)
    ├── ResultExpired           a result's URL has expired (12 hours; on VOD 7 days), or will too soon to be used
    ├── DownloadError           a result could not be fetched or written
    ├── LedgerError             the ledger cannot be used, or belongs to something else
    │   └── DamagedRow          a single job's row cannot be used; the other jobs can
    ├── ClientError             the client was called outside its own loop, thread or process
    │   └── ClientClosed        the client was closed, or never opened
    └── UnexpectedError         a fault of this package or of a library it uses

Each error carries `job_id`, `task_id`, `request_id` and `action` as far as they are known, and shows them in its text.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from .plain_text import visible, visible_line
from .states import Ending

if TYPE_CHECKING:
    from .results import Partial


MAX_STATUS_CHARACTERS: Final = 300
"""Most characters of a status message in an error's text; `last_message` has all of them."""

MAX_MESSAGE_CHARACTERS: Final = 100_000
"""Most characters of any message. An answer may have 10 MiB of text; a look at each character would stop the loop, and
with the loop the polls of all tasks, for seconds."""


class AigcError(Exception):
    """The root of all errors. `ending` says how the exchange behind the error ended, if there was an exchange."""

    ending: Ending | None = None

    def __init__(
        self,
        message: str,
        *,
        job_id: str | None = None,
        task_id: str | None = None,
        request_id: str | None = None,
        action: str | None = None,
    ) -> None:
        # Loggers print a message unchanged, and file names, ids and pydantic's words are in it.
        message = visible(message[:MAX_MESSAGE_CHARACTERS])
        super().__init__(message)
        self.message = message
        self.job_id = job_id
        self.task_id = task_id
        self.request_id = request_id
        self.action = action
        self.partial: Partial | None = None
        """The results that a failed chain did produce: its paid image, its paid video, or both."""

    def with_context(self, *, job_id: str | None = None, task_id: str | None = None, action: str | None = None) -> Self:
        """Add the ids that a caller knows, where the error has none yet."""
        self.job_id = self.job_id or job_id
        self.task_id = self.task_id or task_id
        self.action = self.action or action
        return self

    def __reduce__(self) -> tuple[Callable[..., "AigcError"], tuple[object, ...], dict[str, object]]:
        """Pickle and copy the error with all of its fields, past its constructor."""
        return _restore, (type(self), self.args), self.__dict__

    @property
    def ids(self) -> dict[str, str]:
        """The error's ids by name, without those that are not known."""
        ids = {"job": self.job_id, "action": self.action, "task": self.task_id, "request": self.request_id}
        return {name: value for name, value in ids.items() if value}

    def __str__(self) -> str:
        ids = ", ".join(f"{name} {visible_line(value)}" for name, value in self.ids.items())
        return f"{self.reason} [{ids}]" if ids else self.reason

    @property
    def reason(self) -> str:
        """The text without ids: the same for every job that fails in the same way."""
        return self.message


def _restore(cls: type[AigcError], args: tuple[object, ...]) -> AigcError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ConfigError(AigcError):
    """The config file, the environment or an argument cannot be used; the message names the key and the fix."""


class FieldFault(NamedTuple):
    """A field of a request that cannot be served as written."""

    where: str
    """The field's path from the request, as `video.duration` or `images.0.url`; empty for the request as a whole."""
    why: str
    """The reason, as `Input should be greater than or equal to 1`. A reason that begins with `is` takes the field as
    its subject: `is empty`."""

    def __str__(self) -> str:
        separator = " " if self.why.startswith("is ") else ": "
        return f"{self.where}{separator}{self.why}" if self.where else self.why


class InvalidRequest(AigcError, ValueError):
    """A request that cannot be served as written. Raised before anything is sent."""

    faults: tuple[FieldFault, ...] = ()
    """Every field at fault; empty if no field is the reason."""

    @classmethod
    def of_fields(cls, subject: str, faults: Sequence[FieldFault]) -> Self:
        """Return the error for fields of a request; its text begins with `subject`, the request's class, if any."""
        error = cls((f"{subject}: " if subject else "") + "; ".join(str(fault) for fault in faults))
        error.faults = tuple(faults)
        return error

    @property
    def where(self) -> str:
        """The path of the first field at fault, as `video.duration`; empty if no field is."""
        return self.faults[0].where if self.faults else ""

    @property
    def why(self) -> str:
        """The reason for the first field at fault; the whole message if no field is."""
        return self.faults[0].why if self.faults else self.message


class ServiceError(AigcError):
    """The service processed the call and answered with an error code.

    `code` is stable and documented; `message` is for people and may change: never parse it.
    """

    retry_after_s: float | None = None
    """Seconds after which the service asks for a retry; None if its answer names none."""

    def __init__(
        self, code: str, message: str, *, ending: Ending = Ending.REFUSED, request_id: str | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.code = code
        self.ending = ending

    @property
    def reason(self) -> str:
        return f"{visible_line(self.code)}: {self.message}"


class Throttled(ServiceError):
    """The call was over the documented calls per second; the service refused it."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        ending: Ending = Ending.REFUSED_FOR_NOW,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(code, message, ending=ending, request_id=request_id)
        self.retry_after_s = retry_after_s


class TooManyTasks(ServiceError):
    """The create was over the service's own, unpublished cap on tasks running at once; the service refused it.

    The cap is the account's or a single model's. The code is LimitExceeded.CreateTask, or RequestLimitExceeded where
    that code is not about the rate."""


class AccountError(ServiceError):
    """The service refused the account as a whole: its keys, clock, payment, authorisation, or bucket for results."""

    advice = ""
    """The next step for the user. A traceback shows it as a note."""


class Redirected(AccountError, ConfigError):
    """The service's address answered with a redirect, which is not followed: correct the address in the config.

    `code` is `HTTP` and the status. A read, and a create that may have been processed ("303 See Other"), have the
    ending UNKNOWN.
    """


class ContentViolation(ServiceError):
    """Content review blocked the request: change the prompt or the input; only this job is affected."""


class TaskNotFound(ServiceError):
    """The service does not know this task."""


class TransportError(AigcError):
    """The call got no usable answer. `ending` says whether the request can have reached the service."""

    def __init__(self, message: str, *, ending: Ending, action: str | None = None) -> None:
        super().__init__(message, action=action)
        self.ending = ending


class Unreachable(TransportError):
    """The service cannot be reached until somebody corrects the cause that the message names.

    Causes: the address, a certificate, this machine's clock, the proxy. Nothing was sent, and nothing is retried."""


class NoTaskId(TransportError):
    """The service answered a create with HTTP 2xx and no readable TaskId.

    The service processed that create, so the client never sends it again, with a session or without."""


class CreateOutcomeUnknown(AigcError):
    """No reply to a create: it may or may not have been accepted. Or it was accepted, and its TaskId is not known.

    The client does not send such a create again without the user's decision. The exception is a service that is known
    to refuse a second create of the same session: VOD for images and videos, and a relay that the config trusts
    (`relay.sessions`) or that has refused a second create."""

    ending = Ending.UNKNOWN
    accepted = False
    """Whether the create was accepted for certain: its task exists, and only its TaskId is not known."""
    repeatable = True
    """Whether the create may be sent again with its session, where the service refuses a second create. False after an
    answer without a TaskId, and for a session that may be another application's (VOD's SubAppId)."""

    def as_accepted(self) -> Self:
        """Mark the create as accepted for certain: the client never sends it again, even with a session."""
        self.accepted, self.repeatable, self.ending = True, False, Ending.ACCEPTED_BEFORE
        return self

    def as_not_repeatable(self) -> Self:
        """Mark the create as one to send no more: the service might accept a second create as well."""
        self.repeatable = False
        return self


class JobDropped(AigcError):
    """The user dropped a job with an unknown outcome."""


class JobCancelled(AigcError):
    """The user cancelled a job (`Job.cancel`). A job that was created runs on at the service."""


class BudgetReached(AigcError):
    """A bound of the run (`Budget`) allows no further create: the job stays *planned*, and nothing was sent for it.

    Run the same requests again with a larger bound to go on."""


class TaskFailed(AigcError):
    """The service accepted the task and then failed it; the message is the service's own.

    `code` is the service's code of the fault, as `RequestLimitExceeded` or `ModelGenerateFailed`; empty if the service
    gives none (MPS).
    """

    urls: tuple[str, ...] = ()
    """The URLs of results that the failed task left, if the answer had any; the ledger stores them."""
    file_ids: tuple[str, ...] = ()
    """VOD's ids of such results."""

    may_have_result = False
    """Whether the service called the task done, with a reason and without a result. A result may still come, so
    `retry_failed` polls the task again before it creates another."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        job_id: str | None = None,
        task_id: str | None = None,
        request_id: str | None = None,
        action: str | None = None,
    ) -> None:
        super().__init__(message, job_id=job_id, task_id=task_id, request_id=request_id, action=action)
        self.code = code

    def as_without_result(self) -> Self:
        """Mark the task as done at the service without a result."""
        self.may_have_result = True
        return self


class TaskBlocked(ContentViolation, TaskFailed):
    """The service accepted the task and then failed it in content review: change the prompt or the input."""


class TaskTimeout(AigcError, TimeoutError):
    """The client stopped waiting. The task goes on at the service; wait for it again by its TaskId."""

    last_status = ""
    """The task's latest status word, if a poll was answered."""
    last_message = ""
    """The message beside that status."""

    def after(self, status: str, message: str) -> Self:
        """Add the status and message of the latest poll, also to the text."""
        self.last_status, self.last_message = status, message
        line = visible_line(message)[:MAX_STATUS_CHARACTERS]
        if status or line:
            self.message += f" (the service's latest status: {' '.join(filter(None, (status, line and repr(line))))})"
        return self


class ResultExpired(AigcError):
    """A result's URL has expired, or will expire too soon to be an input of the next task."""


class DownloadError(AigcError):
    """A result could not be fetched or written. The result stays at its URL until the URL expires."""

    refused = False
    """Whether every missing result was refused: by its URL's server (403, 404, 410 …), or by VOD, which has no URL for
    the file."""


class LedgerError(AigcError):
    """The ledger cannot be opened or written, or belongs to something else; nothing was overwritten."""


class DamagedRow(LedgerError):
    """A job's row in the ledger cannot be used: the row is unreadable, or contradicts itself or another row.

    Only this job is affected, and nothing was sent for it."""

    REMEDY: Final = (
        "the other jobs are not affected; restore the ledger from a backup, or close every client and correct the row "
        "with the sqlite3 tool"
    )


class ClientError(AigcError):
    """The client was called outside the loop, thread or process that opened it. Raised before anything is sent."""


class ClientClosed(ClientError):
    """The client is not open: use it inside `async with`."""


class UnexpectedError(AigcError):
    """A fault of this package or of a library it uses; the traceback is in the log. Please report it."""
