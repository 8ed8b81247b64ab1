"""VOD's error codes, and what each means for a call."""

from typing import Final

from ..errors import AccountError, ContentViolation, ServiceError, TaskNotFound, Throttled
from ..states import Ending
from .envelope import ErrorRow, by_code, service_error

ERRORS: Final[tuple[ErrorRow, ...]] = (
    # VOD error codes, 2026-10, and the API's common ones.
    ("RequestLimitExceeded", Throttled, Ending.REFUSED_FOR_NOW),
    ("LimitExceeded", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ResourceInsufficient", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ResourceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ServiceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    ("InternalError", ServiceError, Ending.UNKNOWN),
    ("FailedOperation", ServiceError, Ending.UNKNOWN),
    ("AuthFailure", AccountError, Ending.ACCOUNT_REFUSED),
    ("UnauthorizedOperation", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidVodUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.UserArrears", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.UserNotExist", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.SubAppId", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpInBlacklist", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpNotInWhitelist", AccountError, Ending.ACCOUNT_REFUSED),
    # The session id of a create that was accepted before: proof of that, and no TaskId.
    ("InvalidParameterValue.SessionId", ServiceError, Ending.ACCEPTED_BEFORE),
    # VOD spells it so.
    ("InvalidParameter.VoilationContent", ContentViolation, Ending.REFUSED),
    ("InvalidParameter.ViolationContent", ContentViolation, Ending.REFUSED),
    ("InvalidParameterValue.TaskId", TaskNotFound, Ending.REFUSED),
    ("ResourceNotFound", ServiceError, Ending.REFUSED),
    ("InvalidParameter", ServiceError, Ending.REFUSED),
    ("InvalidParameterValue", ServiceError, Ending.REFUSED),
    ("MissingParameter", ServiceError, Ending.REFUSED),
    ("UnknownParameter", ServiceError, Ending.REFUSED),
    ("UnsupportedOperation", ServiceError, Ending.REFUSED),
    ("RequestSizeLimitExceeded", ServiceError, Ending.REFUSED),
    ("InvalidAction", ServiceError, Ending.REFUSED),
    ("NoSuchVersion", ServiceError, Ending.REFUSED),
)
BY_CODE: Final = by_code(ERRORS)


def error_of(code: str, message: str, request_id: str | None = None) -> ServiceError:
    return service_error(code, message, request_id, BY_CODE)
