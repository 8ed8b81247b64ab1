"""The advice to a user about each error."""

import pytest

from mps_aigc_async import (
    AccountError,
    AigcError,
    ConfigError,
    DamagedRow,
    DownloadError,
    LedgerError,
    Redirected,
    Unreachable,
)
from mps_aigc_async.model.states import Ending
from mps_aigc_async.policy.advice import account_advice, advice_for
from mps_aigc_async.wire import mps_errors, vod_errors


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (LedgerError("the ledger jobs.db was removed"), "fix the ledger as the message says before"),
        (DamagedRow("`urls` cannot be read"), "correct or restore these rows"),
        (ConfigError("relay.apiKey has a blank in it"), "fix the config or the key that the message names"),
        (
            Unreachable("the certificate of a.example has expired", ending=Ending.UNREACHABLE),
            "nothing was sent for these: fix the fault that the message names",
        ),
        (DownloadError("HTTP 410"), "if other URLs are refused for good, give the request another id"),
    ],
)
def test_advice_never_leads_to_a_loop_or_a_second_payment(error: AigcError, advice: str) -> None:
    assert advice in advice_for(error)


OF_THE_ACCOUNT = [
    ("FailedOperation.UserArrears", "pay the arrears"),
    ("FailedOperation.UserStatusInavlid", "pay the arrears"),
    ("ResourceNotFound.CosBucketNotExist", "set `cosOutput` to a bucket of your own"),
    ("ResourceNotFound.CosBucketNameInvalid", "`cosOutput`"),
    ("FailedOperation.CosStatusInavlid", "`cosOutput`"),
    ("LimitExceeded.Quota", "ask for a higher quota"),
    ("LimitExceeded.TooMuchTemplate", "delete templates"),
    ("AuthFailure", "SecretId and SecretKey are right and belong together; set this machine's clock right; and check"),
    ("AuthFailure.SignatureFailure", "no proxy or gateway changes the body or the headers of a call"),
    ("AuthFailure.InvalidAuthorization", "no proxy or gateway changes the body or the headers of a call"),
    ("AuthFailure.SignatureExpire", "set this machine's clock right (NTP)"),
    ("AuthFailure.SecretIdNotFound", "check the SecretId in the console"),
    ("AuthFailure.InvalidSecretId", "no key of the API 3.0"),
    ("AuthFailure.TokenFailure", "renew the temporary keys"),
    ("AuthFailure.MFAFailure", "no second factor"),
    ("UnauthorizedOperation", "allow these keys"),
    ("AuthFailure.UnauthorizedOperation", "allow these keys"),
    ("FailedOperation.NoPrivileges", "allow these keys"),
    ("ResourceNotFound.ServiceNotExist", "activate the service"),
    ("InvalidParameterValue.SubAppId", "`vod.subAppId`"),
    ("UnsupportedRegion", "`tencentCloud.region`"),
    ("insufficient_user_quota", "fix the fault that the message names"),
]


@pytest.mark.parametrize(("code", "advice"), OF_THE_ACCOUNT)
def test_a_refusal_of_the_account_says_what_to_do_about_it(code: str, advice: str) -> None:
    said = advice_for(AccountError(code, "why", ending=Ending.ACCOUNT_REFUSED))
    assert advice in said
    assert "--retry-failed" not in said, "its jobs are planned, and none is failed"


def test_every_row_of_the_tables_that_refuses_the_account_has_its_own_advice() -> None:
    codes = {code for code, cls, _ in (*mps_errors.ERRORS, *vod_errors.ERRORS) if cls is AccountError}
    vague = {code for code in codes if "fix the fault that the message names" in advice_for(AccountError(code, "why"))}
    assert vague == set()


def test_a_redirect_leads_to_the_address() -> None:
    assert "the service's address" in advice_for(Redirected("HTTP 302", "set relay.baseUrl to the right address"))


@pytest.mark.parametrize(
    ("ahead_s", "text"),
    [
        (3600.4, "(this machine's clock is 3600 s ahead of the Date of the service's answers)"),
        (-90.0, "(this machine's clock is 90 s behind the Date of the service's answers)"),
        (29.0, "(this machine's clock agrees with the Date of the service's answers)"),
    ],
)
@pytest.mark.parametrize("code", ["AuthFailure", "AuthFailure.SignatureFailure", "AuthFailure.SignatureExpire"])
def test_advice_about_a_signature_says_how_far_the_clock_is_off(code: str, ahead_s: float, text: str) -> None:
    assert account_advice(code, ahead_s).endswith(text)
    assert "this machine's clock is" not in account_advice(code)


def test_advice_about_a_key_that_does_not_exist_is_not_about_the_clock() -> None:
    assert "clock" not in account_advice("AuthFailure.SecretIdNotFound", 3600.0)


def test_an_errors_own_advice_is_the_commands_advice() -> None:
    error = AccountError("AuthFailure.SignatureFailure", "no")
    error.advice = "do this"
    assert advice_for(error) == "do this; then run the same command again to create the planned jobs"
    assert "do this" not in str(error)
