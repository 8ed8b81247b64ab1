"""VOD's error codes, and their meanings for a call."""

from typing import Final

from ..model.errors import AccountError, ContentViolation, ServiceError, TaskNotFound
from ..model.states import Ending
from .common_errors import COMMON
from .envelope import ErrorRow, by_code

ERRORS: Final[tuple[ErrorRow, ...]] = (
    # VOD error codes, 2026-10 (official SDK 3.1.194). "Inavlid" and "Voilation" are VOD's spellings.
    ("FailedOperation.InvalidAccount", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidVodUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.NoPrivileges", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.UserArrears", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.UserStatusInavlid", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.ServiceNotExist", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.UserNotExist", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.AppId", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.SubAppId", AccountError, Ending.ACCOUNT_REFUSED),
    # The AIGC quota is used up; templates belong to the account. No task's end frees either.
    ("LimitExceeded.Quota", AccountError, Ending.ACCOUNT_REFUSED),
    ("LimitExceeded.TooMuchTemplate", AccountError, Ending.ACCOUNT_REFUSED),
    # The session id of an accepted create: the answer proves the acceptance, but has no TaskId.
    ("InvalidParameterValue.SessionId", ServiceError, Ending.ACCEPTED_BEFORE),
    ("InvalidParameter.VoilationContent", ContentViolation, Ending.REFUSED),
    ("InvalidParameter.ViolationContent", ContentViolation, Ending.REFUSED),
    ("InvalidParameterValue.TaskId", TaskNotFound, Ending.REFUSED),
    *COMMON,
)
BY_CODE: Final = by_code(ERRORS)
