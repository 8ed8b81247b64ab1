"""Advice for the user about an error: one sentence for each class, the same on the screen and in the report."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..model.errors import (
    AccountError,
    AigcError,
    BudgetReached,
    ConfigError,
    ContentViolation,
    CreateOutcomeUnknown,
    DamagedRow,
    DownloadError,
    InvalidRequest,
    JobCancelled,
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
    # The first class that fits counts. A failed job stays failed until the user decides otherwise, so that no id is
    # paid for twice by accident.
    (
        CreateOutcomeUnknown,
        "these may or may not have been accepted (and billed): they are retried only if their message says so; look "
        "for the others in the console's task list, then run `mps-aigc settle DIR`, or `mps-aigc settle URL` for a "
        "ledger in PostgreSQL",
    ),
    (
        ContentViolation,
        "change the prompt or the input, and run the batch again (with --redo-changed if it asks for it)",
    ),
    (InvalidRequest, "fix the request and run the batch again"),
    (ConfigError, "fix the config or the key that the message names, then run the same command again"),
    (
        Unreachable,
        "nothing was sent for these: fix the fault that the message names, then run the same command again: it creates "
        "the planned jobs and resumes the tasks in flight",
    ),
    (DamagedRow, "correct or restore these rows as the message says, then run the same command again"),
    (LedgerError, "fix the ledger as the message says before you run the same command again"),
    (
        DownloadError,
        "run the same command again to fetch them before their URLs expire; results in your own bucket do not expire: "
        "correct its access first; if other URLs are refused for good, give the request another id to create it again "
        "(billed again)",
    ),
    (ResultExpired, "to create it again (billed again), give the request another id"),
    (BudgetReached, "run the same command again with a larger bound"),
    (JobCancelled, "to create it after all, run its request again"),
    (JobDropped, "to create it again, give the request another id"),
    (
        UnexpectedError,
        "a fault of this package or of a library it uses: please report it with the traceback in the log",
    ),
    (TaskFailed, "to retry (billed if it succeeds), add --retry-failed to the same command"),
)


_PAY: Final = "pay the arrears in the console"
_ACTIVATE: Final = "activate the service for this account in the console"
_ALLOW: Final = "allow these keys to call it (CAM, in the console)"
_BUCKET: Final = "set `cosOutput` to a bucket of your own that exists, with its region"
_TEMPLATES: Final = "delete templates in the console, or ask for a higher limit"
_QUOTA: Final = "ask for a higher quota, or buy more, in the console"
# The guide of 2026-05-29, "常见问题": an AuthFailure is about the keys, the time or the signature. The codes are of
# "Common error codes" of the API 3.0, 2026-10.
_UNCHANGED: Final = (
    "check that no proxy or gateway changes the body or the headers of a call: that breaks its signature"
)
_SIGNATURE: Final = (
    f"check that SecretId and SecretKey are right and belong together; set this machine's clock right; and {_UNCHANGED}"
)
_KEY_EXISTS: Final = (
    "check the SecretId in the console (https://console.cloud.tencent.com/cam/capi): it does not exist, is disabled, "
    "or is no key of the API 3.0"
)
_CLOCK: Final = "set this machine's clock right (NTP), or correct the proxy that writes the Date of the answers"
_RENEW: Final = "renew the temporary keys: SecretId, SecretKey and token must be of one answer, and not expired"
_ADDRESS: Final = "call from an address that the account allows"

_ACCOUNT_ADVICE: Final[Mapping[str, str]] = {
    # By code or by its first parts; the longest match counts.
    "AuthFailure": _SIGNATURE,
    "AuthFailure.InvalidAuthorization": _UNCHANGED,
    "AuthFailure.InvalidSecretId": _KEY_EXISTS,
    "AuthFailure.MFAFailure": "use keys of an account for whose calls CAM asks no second factor",
    "AuthFailure.SecretIdNotFound": _KEY_EXISTS,
    "AuthFailure.SignatureExpire": _CLOCK,
    "AuthFailure.TokenFailure": _RENEW,
    "AuthFailure.UnauthorizedOperation": _ALLOW,
    "UnauthorizedOperation": _ALLOW,
    "FailedOperation.NoPrivileges": _ALLOW,
    "FailedOperation.UserArrears": _PAY,
    "FailedOperation.UserStatusInavlid": _PAY,
    "FailedOperation.InvalidAccount": "check the account's state in the console",
    "FailedOperation.InvalidMpsUser": _ACTIVATE,
    "FailedOperation.InvalidUser": _ACTIVATE,
    "FailedOperation.InvalidVodUser": _ACTIVATE,
    "InvalidParameterValue.AppId": _ACTIVATE,
    "InvalidParameterValue.UserUnRegister": _ACTIVATE,
    "ResourceNotFound.ServiceNotExist": _ACTIVATE,
    "ResourceNotFound.UserNotExist": _ACTIVATE,
    "ResourceNotFound.UserUnregister": _ACTIVATE,
    "Cos": _BUCKET,
    "Cos.InvalidAccessKeyId": "check the keys",
    "Cos.SignatureDoesNotMatch": "check the keys",
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
_OTHER_ACCOUNT_ADVICE: Final = (
    "fix the fault that the message names: the key, its payment, its rights or the service's address"
)


CLOCK_AGREES_S: Final = 30.0
"""Seconds by which this machine's clock may differ from the service's without a word: a signature may be 300 s off."""


def account_advice(code: str, clock_ahead_s: float | None = None) -> str:
    """The next step after a refusal of the account, by its code. `clock_ahead_s` says how far this machine's clock is
    ahead of the service's, if that is known.

    >>> account_advice("AuthFailure.SignatureExpire", -3600.0)[:80]
    "set this machine's clock right (NTP), or correct the proxy that writes the Date "
    """
    row = code
    while row and row not in _ACCOUNT_ADVICE:
        row = row.rpartition(".")[0]
    advice = _ACCOUNT_ADVICE.get(row, _OTHER_ACCOUNT_ADVICE)
    return (
        f"{advice} ({_clock(clock_ahead_s)})"
        if advice in (_SIGNATURE, _CLOCK) and clock_ahead_s is not None
        else advice
    )


def _clock(ahead_s: float) -> str:
    if abs(ahead_s) < CLOCK_AGREES_S:
        return "this machine's clock agrees with the Date of the service's answers"
    side = "ahead of" if ahead_s > 0 else "behind"
    return f"this machine's clock is {abs(ahead_s):.0f} s {side} the Date of the service's answers"


def advice_for(error: AigcError) -> str:
    """The advice for a request that ended with this error."""
    if isinstance(error, AccountError):
        first = error.advice or account_advice(error.code)
        return f"{first}; then run the same command again to create the planned jobs"
    for cls, advice in _ADVICE:
        if isinstance(error, cls):
            return advice
    if isinstance(error, ServiceError) and not may_repeat(error, reads=False):
        return (
            "fix the fault that the message names: in the config, then add --retry-failed to the same command; in the "
            "request, then give it another id"
        )
    return "run the same command again to resume them"
