"""The error codes that all of Tencent Cloud's APIs share, and the meaning of each family of codes for a call.

A service's own table adds the codes that mean something else than their family. A code is a refusal of the call, unless
it reports a fault on the service's side.
"""

from typing import Final

from ..model.errors import AccountError, ServiceError, Throttled
from ..model.states import Ending
from .envelope import ErrorRow

COMMON: Final[tuple[ErrorRow, ...]] = (
    # API 3.0, "Common error codes", 2026-10.
    ("RequestLimitExceeded", Throttled, Ending.REFUSED_FOR_NOW),
    ("LimitExceeded", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ResourceInsufficient", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ResourcesSoldOut", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ResourceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    ("ServiceUnavailable", ServiceError, Ending.REFUSED_FOR_NOW),
    # The call may have been accepted: the service had a fault, or the answer was too long to be sent.
    ("InternalError", ServiceError, Ending.UNKNOWN),
    ("ResponseSizeLimitExceeded", ServiceError, Ending.UNKNOWN),
    ("AuthFailure", AccountError, Ending.ACCOUNT_REFUSED),
    ("UnauthorizedOperation", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpInBlacklist", AccountError, Ending.ACCOUNT_REFUSED),
    ("IpNotInWhitelist", AccountError, Ending.ACCOUNT_REFUSED),
    ("UnsupportedRegion", AccountError, Ending.ACCOUNT_REFUSED),
    ("FailedOperation", ServiceError, Ending.REFUSED),
    ("OperationDenied", ServiceError, Ending.REFUSED),
    ("ResourceInUse", ServiceError, Ending.REFUSED),
    ("ResourceNotFound", ServiceError, Ending.REFUSED),
    ("InvalidParameter", ServiceError, Ending.REFUSED),
    ("InvalidParameterValue", ServiceError, Ending.REFUSED),
    ("InvalidRequest", ServiceError, Ending.REFUSED),
    ("MissingParameter", ServiceError, Ending.REFUSED),
    ("UnknownParameter", ServiceError, Ending.REFUSED),
    ("UnsupportedOperation", ServiceError, Ending.REFUSED),
    ("UnsupportedProtocol", ServiceError, Ending.REFUSED),
    ("RequestSizeLimitExceeded", ServiceError, Ending.REFUSED),
    # Certain refusals of the API's own gateway.
    ("ActionOffline", ServiceError, Ending.REFUSED),
    ("DryRunOperation", ServiceError, Ending.REFUSED),
    ("InvalidAction", ServiceError, Ending.REFUSED),
    ("NoSuchProduct", ServiceError, Ending.REFUSED),
    ("NoSuchVersion", ServiceError, Ending.REFUSED),
)
