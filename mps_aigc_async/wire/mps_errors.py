"""MPS's error codes, and what each means for a call."""

from typing import Final

from ..errors import AccountError, ContentViolation, ServiceError, TaskNotFound, Throttled, TooManyTasks
from ..states import Ending
from .envelope import ErrorRow, by_code

ERRORS: Final[tuple[ErrorRow, ...]] = (
    # MPS error codes, 2026-10.
    ("RequestLimitExceeded", Throttled, Ending.REFUSED_FOR_NOW),
    ("LimitExceeded.CreateTask", TooManyTasks, Ending.REFUSED_FOR_NOW),
    ("ResourceInsufficient", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ResourceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ServiceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    # These two say that something broke, not that nothing was accepted.
    ("InternalError", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.CreateAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.QueryAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("AuthFailure", AccountError, Ending.ACCOUNT_REFUSED),
    ("UnauthorizedOperation", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.UserArrears", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidMpsUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.UserUnRegister", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpInBlacklist", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpNotInWhitelist", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameter.ViolationContent", ContentViolation, Ending.REFUSED),
    ("FailedOperation.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("ResourceNotFound.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("InvalidParameterValue.TaskId", TaskNotFound, Ending.REFUSED),
    ("InvalidParameter", ServiceError, Ending.REFUSED),
    ("InvalidParameterValue", ServiceError, Ending.REFUSED),
    ("MissingParameter", ServiceError, Ending.REFUSED),
    ("UnknownParameter", ServiceError, Ending.REFUSED),
    ("UnsupportedOperation", ServiceError, Ending.REFUSED),
    ("RequestSizeLimitExceeded", ServiceError, Ending.REFUSED),
    # Not about AIGC, but certain refusals of the API's own gateway.
    ("InvalidAction", ServiceError, Ending.REFUSED),
    ("NoSuchVersion", ServiceError, Ending.REFUSED),
)
BY_CODE: Final = by_code(ERRORS)
