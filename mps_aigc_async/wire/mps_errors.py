"""MPS's error codes, and their meanings for a call."""

from typing import Final

from ..model.errors import AccountError, ContentViolation, ServiceError, TaskNotFound, TooManyTasks
from ..model.states import Ending
from .common_errors import COMMON
from .envelope import ErrorRow, by_code

ERRORS: Final[tuple[ErrorRow, ...]] = (
    # MPS error codes, 2026-10 (official SDK 3.1.194).
    ("LimitExceeded.CreateTask", TooManyTasks, Ending.REFUSED_FOR_NOW),
    # A fault on the service's side: the call may have been accepted (the API's own page says no more).
    ("FailedOperation.CreateAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.QueryAIGCTaskFailed", ServiceError, Ending.UNKNOWN),
    ("FailedOperation.UserArrears", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidMpsUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.InvalidUser", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameterValue.UserUnRegister", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.UserUnregister", AccountError, Ending.ACCOUNT_REFUSED),
    # Every create uses the config's bucket, unless the request names one (below). "Inavlid" is MPS's spelling.
    ("ResourceNotFound.CosBucketNotExist", AccountError, Ending.ACCOUNT_REFUSED),
    ("ResourceNotFound.CosBucketNameInvalid", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation.CosStatusInavlid", AccountError, Ending.ACCOUNT_REFUSED),
    # Listed for CreateAigcVideoTask. Templates belong to the account, and no task's end frees one: every create of this
    # action is refused until the user deletes some.
    ("LimitExceeded.TooMuchTemplate", AccountError, Ending.ACCOUNT_REFUSED),
    ("InvalidParameter.ViolationContent", ContentViolation, Ending.REFUSED),
    ("FailedOperation.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("ResourceNotFound.TaskNotFound", TaskNotFound, Ending.REFUSED),
    ("InvalidParameterValue.TaskId", TaskNotFound, Ending.REFUSED),
    *COMMON,
)
BY_CODE: Final = by_code(ERRORS)

BY_CODE_WITH_STORE: Final = {
    code: (ServiceError, Ending.REFUSED) if ".Cos" in code else meaning for code, meaning in BY_CODE.items()
}
"""The meanings for a request that names its bucket (`store`): other requests may use another one."""
