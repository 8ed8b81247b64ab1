"""VOD's error codes, and what each means for a call."""

from typing import Final

from ..model.errors import AccountError, ContentViolation, ServiceError, TaskNotFound
from ..model.states import Ending
from .common_errors import COMMON
from .envelope import ErrorRow, by_code

ERRORS: Final[tuple[ErrorRow, ...]] = (
    # VOD error codes, 2026-10 (official SDK 3.1.194). VOD spells some of them so.
    ("FailedOperation.InvalidAccount", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidVodUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.NoPrivileges", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.UserArrears", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.UserStatusInavlid", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.ServiceNotExist", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.UserNotExist", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.AppId", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.SubAppId", AccountError, Ending.ACCOUNT_REFUSED),
    # The AIGC quota is spent; templates are the account's. No task's end frees either.
    ("LimitExceeded.Quota", AccountError, Ending.ACCOUNT_REFUSED),
    ("LimitExceeded.TooMuchTemplate", AccountError, Ending.ACCOUNT_REFUSED),
    # The session id of a create that was accepted before: proof of that, and no TaskId.
    ("InvalidParameterValue.SessionId", ServiceError, Ending.ACCEPTED_BEFORE),
    ("InvalidParameter.VoilationContent", ContentViolation, Ending.REFUSED),
    ("InvalidParameter.ViolationContent", ContentViolation, Ending.REFUSED),
    ("InvalidParameterValue.TaskId", TaskNotFound, Ending.REFUSED),
    *COMMON,
)
BY_CODE: Final = by_code(ERRORS)
