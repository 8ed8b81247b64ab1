"""What a user can do about an error: one sentence for each sort, the same on the screen and in the report."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..model.errors import (
    AccountError,
    AigcError,
    ConfigError,
    ContentViolation,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    InvalidRequest,
    JobDropped,
    LedgerError,
    ResultExpired,
    ServiceError,
    TaskFailed,
    UnexpectedError,
    Unreachable,
)
from .retries import may_repeat

_ADVICE: Final[Sequence[tuple[type[AigcError], str]]] = (
    # The first that fits. A job that failed stays failed until the user says otherwise: no id is paid for twice by
    # accident.
    (
        CreateOutcomeUnknown,
        "the service may have made (and billed) these: they are sent again by themselves only if their message says "
        "so; look for the others in the console's task list, and decide with `mps-aigc settle DIR`",
    ),
    (ContentViolation, "change the prompt or the input, and give the request another id"),
    (InvalidRequest, "fix the request and run the batch again"),
    (ConfigError, "fix the config or the key that the message names, then run the same command again"),
    (
        Unreachable,
        "nothing was sent for these: fix what the message names; what is still planned is created by the same command "
        "again, which also goes on with the tasks in flight",
    ),
    (DamagedRow, "correct or restore these rows as the message says, then run the same command again"),
    (LedgerError, "fix the ledger as the message says before you run the same command again"),
    (
        DownloadError,
        "the same command again fetches them while their URLs live; if the URLs are refused for good, give the request "
        "another id to make it again (billed again)",
    ),
    (ResultExpired, "to make it anew, give the request another id"),
    (JobDropped, "to make it anew, give the request another id"),
    (
        UnexpectedError,
        "a fault of this package or of a library it uses: please report it with the traceback in the log",
    ),
    (TaskFailed, "to try again (billed if it succeeds), add --retry-failed to the same command"),
)


_PAY: Final = "pay what is owed in the console"
_ACTIVATE: Final = "activate the service for this account in the console"
_ALLOW: Final = "allow these keys to call it (CAM, in the console)"
_BUCKET: Final = "name a bucket that is your own, exists and is in its region in `cosOutput`"
_TEMPLATES: Final = "delete templates in the console, or have their number raised"
_QUOTA: Final = "have the quota raised, or buy more, in the console"
_ADDRESS: Final = "call from an address that the account allows"

_ACCOUNT_ADVICE: Final[Mapping[str, str]] = {
    # By code or by the first parts of it; the longest that fits.
    "AuthFailure": "check the keys, and this machine's clock",
    "AuthFailure.UnauthorizedOperation": _ALLOW,
    "UnauthorizedOperation": _ALLOW,
    "FailedOperation.NoPrivileges": _ALLOW,
    "FailedOperation.UserArrears": _PAY,
    "FailedOperation.UserStatusInavlid": _PAY,
    "FailedOperation.InvalidAccount": "look into the account's state in the console",
    "FailedOperation.InvalidMpsUser": _ACTIVATE,
    "FailedOperation.InvalidUser": _ACTIVATE,
    "FailedOperation.InvalidVodUser": _ACTIVATE,
    "InvalidParameterValue.AppId": _ACTIVATE,
    "InvalidParameterValue.UserUnRegister": _ACTIVATE,
    "ResourceNotFound.ServiceNotExist": _ACTIVATE,
    "ResourceNotFound.UserNotExist": _ACTIVATE,
    "ResourceNotFound.UserUnregister": _ACTIVATE,
    "FailedOperation.CosStatusInavlid": _BUCKET,
    "ResourceNotFound.CosBucketNameInvalid": _BUCKET,
    "ResourceNotFound.CosBucketNotExist": _BUCKET,
    "InvalidParameterValue.SubAppId": "set `vod.subAppId` to an application of this account",
    "LimitExceeded.Quota": _QUOTA,
    "LimitExceeded.TooMuchTemplate": _TEMPLATES,
    "IpInBlacklist": _ADDRESS,
    "IpNotInWhitelist": _ADDRESS,
    "UnsupportedRegion": "set `tencentCloud.region` to a region that the service has",
}
_OTHER_ACCOUNT_ADVICE: Final = "fix what the message names: the key, its payment, its rights or the service's address"


def _account_advice(error: AccountError) -> str:
    code = error.code
    while code and code not in _ACCOUNT_ADVICE:
        code = code.rpartition(".")[0]
    first = _ACCOUNT_ADVICE.get(code, _OTHER_ACCOUNT_ADVICE)
    return f"{first}; what is still planned is created by the same command again"


def advice_for(error: AigcError) -> str:
    """What to do about a request that ended so."""
    if isinstance(error, AccountError):
        return _account_advice(error)
    for known, advice in _ADVICE:
        if isinstance(error, known):
            return advice
    if isinstance(error, ServiceError) and not may_repeat(error, reads=False):
        return (
            "fix what the message names: in the config, then add --retry-failed to the same command; in the request, "
            "then give it another id"
        )
    return "the same command again goes on with them"
