"""MPS's error codes, and what each means for a call."""

from typing import Final

from ..model.errors import AccountError, ContentViolation, ServiceError, TaskNotFound, TooManyTasks
from ..model.states import Ending
from .common_errors import COMMON
from .envelope import ErrorRow, by_code

ERRORS: Final[tuple[ErrorRow, ...]] = (
    # MPS error codes, 2026-10 (official SDK 3.1.194).
    ("LimitExceeded.CreateTask", TooManyTasks, Ending.REFUSED_FOR_NOW),
    # These two say that something broke, not that nothing was accepted (the API's own page of them has no more).
    ("FailedOperation.CreateAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.QueryAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.UserArrears", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidMpsUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.UserUnRegister", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.UserUnregister", AccountError, Ending.ACCOUNT_REFUSED),
    # The bucket of the config is every create's. MPS spells the third so.
    ("ResourceNotFound.CosBucketNotExist", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.CosBucketNameInvalid", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.CosStatusInavlid", AccountError, Ending.ACCOUNT_REFUSED),
    # Listed for CreateAigcVideoTask. Templates are the account's and no task's end frees one, so that every create of
    # this action meets it until the user deletes some.
    ("LimitExceeded.TooMuchTemplate", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameter.ViolationContent", ContentViolation, Ending.REFUSED),
    ("FailedOperation.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("ResourceNotFound.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("InvalidParameterValue.TaskId", TaskNotFound, Ending.REFUSED),
    *COMMON,
)
BY_CODE: Final = by_code(ERRORS)
