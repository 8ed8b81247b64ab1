"""Every code of the official SDKs' errorcodes modules has a definite meaning, by its row or by its family."""

from collections.abc import Mapping
from types import ModuleType
from typing import Final

import pytest
from tencentcloud.mps.v20190612 import errorcodes as of_mps
from tencentcloud.vod.v20180717 import errorcodes as of_vod

from mps_aigc_async.model.errors import AccountError, ServiceError, Throttled, TooManyTasks
from mps_aigc_async.model.states import Ending
from mps_aigc_async.wire import mps_errors, vod_errors
from mps_aigc_async.wire.envelope import ErrorTable, service_error

CREATE: Final = "CreateAigcVideoTask"


def codes(module: ModuleType) -> list[str]:
    return sorted(value for name, value in vars(module).items() if name.isupper() and isinstance(value, str))


CODES: Final[Mapping[str, list[str]]] = {"mps": codes(of_mps), "vod": codes(of_vod)}
TABLES: Final[Mapping[str, ErrorTable]] = {"mps": mps_errors.BY_CODE, "vod": vod_errors.BY_CODE}

UNKNOWN: Final = {
    # The contract's own table ("a create: outcome unknown").
    "mps": {"FailedOperation.CreateAIGCTaskFailed", "FailedOperation.QueryAIGCTaskFailed"},
    "vod": set[str](),
}
OF_THE_ACCOUNT: Final = {
    "mps": {
        "AuthFailure",
        "FailedOperation.CosStatusInavlid",
        "FailedOperation.InvalidMpsUser",
        "FailedOperation.InvalidUser",
        "FailedOperation.UserArrears",
        "InvalidParameterValue.UserUnRegister",
        "LimitExceeded.TooMuchTemplate",
        "ResourceNotFound.CosBucketNameInvalid",
        "ResourceNotFound.CosBucketNotExist",
        "ResourceNotFound.UserUnregister",
        "UnauthorizedOperation",
    },
    "vod": {
        "AuthFailure",
        "FailedOperation.InvalidAccount",
        "FailedOperation.InvalidVodUser",
        "FailedOperation.NoPrivileges",
        "FailedOperation.UserStatusInavlid",
        "InvalidParameterValue.AppId",
        "InvalidParameterValue.SubAppId",
        "LimitExceeded.Quota",
        "LimitExceeded.TooMuchTemplate",
        "ResourceNotFound.ServiceNotExist",
        "ResourceNotFound.UserNotExist",
        "UnauthorizedOperation",
        "UnauthorizedOperation.DomainRecordNotVerified",
    },
}
FOR_NOW: Final = {
    "mps": {
        "LimitExceeded.CreateTask",
        "LimitExceeded.TooMuchHotWords",
        "LimitExceeded.TooMuchLargeHotWords",
        "ResourceInsufficient",
    },
    "vod": {
        "LimitExceeded",
        "LimitExceeded.KeyFrameDescCountReachMax",
        "LimitExceeded.PlayList",
        "LimitExceeded.RoundPlaylist",
        "LimitExceeded.RoundPlays",
        "LimitExceeded.RunningRoundPlays",
        "LimitExceeded.TagCountReachMax",
        "RequestLimitExceeded",
        "ResourceUnavailable",
        "ResourceUnavailable.MasterPlaylist",
    },
}


def error_of(service: str, code: str, message: str = "why", action: str = CREATE) -> ServiceError:
    return service_error(code, message, "r-1", TABLES[service], action)


@pytest.mark.parametrize(("service", "code"), [(service, code) for service in CODES for code in CODES[service]])
def test_each_code_of_the_sdks_has_a_definite_meaning(service: str, code: str) -> None:
    error = error_of(service, code)
    unknown = code.startswith("InternalError") or code in UNKNOWN[service]
    assert (error.ending is Ending.UNKNOWN) is unknown
    assert error.code == code
    assert isinstance(error, AccountError) is (error.ending is Ending.ACCOUNT_REFUSED)


@pytest.mark.parametrize("service", CODES)
def test_the_codes_that_stop_creating_are_these(service: str) -> None:
    stop = {code for code in CODES[service] if error_of(service, code).ending is Ending.ACCOUNT_REFUSED}
    assert stop == OF_THE_ACCOUNT[service]


@pytest.mark.parametrize("service", CODES)
def test_the_codes_after_which_a_create_is_sent_again_are_these(service: str) -> None:
    again = {code for code in CODES[service] if error_of(service, code).ending is Ending.REFUSED_FOR_NOW}
    assert again == FOR_NOW[service]


def test_only_vods_session_proves_an_earlier_create() -> None:
    proofs = [(s, code) for s in CODES for code in CODES[s] if error_of(s, code).ending is Ending.ACCEPTED_BEFORE]
    assert proofs == [("vod", "InvalidParameterValue.SessionId")]


@pytest.mark.parametrize("service", CODES)
def test_no_description_of_a_code_but_those_of_a_cap_is_taken_for_concurrency(service: str) -> None:
    """The SDK's own descriptions as messages."""
    busy = {code for code in CODES[service] if isinstance(error_of(service, code), TooManyTasks)}
    assert busy == ({"LimitExceeded.CreateTask"} if service == "mps" else set())


@pytest.mark.parametrize("service", CODES)
def test_one_code_is_the_rates_or_the_concurrencys_by_its_message(service: str) -> None:
    rate = "Your current request times equals to `21` in a second, which exceeds the frequency limit `20` for a second."
    full = "The task has reached the maximum concurrency."
    assert type(error_of(service, "RequestLimitExceeded", rate)) is Throttled
    assert type(error_of(service, "RequestLimitExceeded", full)) is TooManyTasks
    assert type(error_of(service, "RequestLimitExceeded", full, "DescribeTaskDetail")) is Throttled
