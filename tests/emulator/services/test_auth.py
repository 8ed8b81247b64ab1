"""The check of signatures on the received bytes: accepted calls, and each reason for a refusal."""

import pytest

from mps_aigc_async.emulator.services.auth import Judge
from mps_aigc_async.emulator.tasks.refusal import Refused
from mps_aigc_async.wire import tc3

from ..callers import KEYS, NOW, signed

BODY = b'{"Prompt":"x"}'


def own_headers(**changes: str) -> dict[str, str]:
    """The headers of a good request as the service sees them, with some of them changed."""
    headers = {name.lower(): value for name, value in signed("CreateAigcImageTask", BODY, NOW).items()}
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def refusal(headers: dict[str, str], body: bytes = BODY, now: float = NOW) -> str:
    with pytest.raises(Refused) as failure:
        Judge(*KEYS, "mps").check(headers, body, now)
    return failure.value.code


def test_a_good_signature_passes_as_the_official_sdk_signs_and_as_the_guide_does() -> None:
    Judge(*KEYS, "mps").check(own_headers(), BODY, NOW)
    both = {"content-type": "application/json", "host": "127.0.0.1:80"}
    only_two = tc3.Signer("mps").authorization(*KEYS, int(NOW), both, BODY)
    Judge(*KEYS, "mps").check(own_headers(authorization=only_two), BODY, NOW)


def test_a_changed_body_host_or_action_is_a_signature_failure() -> None:
    assert refusal(own_headers(), body=BODY + b" ") == "AuthFailure.SignatureFailure"
    assert refusal(own_headers(host="127.0.0.1:81")) == "AuthFailure.SignatureFailure"
    assert refusal(own_headers(x_tc_action="CreateAigcVideoTask")) == "AuthFailure.SignatureFailure"


def test_the_action_is_lower_cased_in_the_canonical_form_and_nothing_else_is() -> None:
    Judge(*KEYS, "mps").check(own_headers(x_tc_action="createaigcimagetask"), BODY, NOW)
    assert refusal(own_headers(content_type="Application/JSON")) == "AuthFailure.SignatureFailure"


def test_the_wrong_key_is_a_signature_failure() -> None:
    with pytest.raises(Refused) as failure:
        Judge(KEYS[0], "another key", "mps").check(own_headers(), BODY, NOW)
    assert failure.value.code == "AuthFailure.SignatureFailure"


def test_an_unknown_secret_id() -> None:
    stranger = own_headers()["authorization"].replace(KEYS[0], "AKIDSTRANGER")
    assert refusal(own_headers(authorization=stranger)) == "AuthFailure.SecretIdNotFound"


@pytest.mark.parametrize("off", [301, -301])
def test_a_timestamp_beyond_five_minutes_has_expired(off: int) -> None:
    assert refusal(own_headers(), now=NOW + off) == "AuthFailure.SignatureExpire"


@pytest.mark.parametrize("off", [300, -300])
def test_five_minutes_exactly_are_in_time(off: int) -> None:
    Judge(*KEYS, "mps").check(own_headers(), BODY, NOW + off)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("TC3-HMAC-SHA256", "TC3-HMAC-SM3"),
        ("Signature=", "Signature=zz"),
        ("SignedHeaders=content-type;host", "SignedHeaders=host"),
        ("SignedHeaders=content-type;host", "SignedHeaders=host;content-type"),
        ("SignedHeaders=content-type;host", "SignedHeaders=Content-Type;Host"),
        ("SignedHeaders=content-type;host", "SignedHeaders=content-type;host;x-absent"),
        ("/mps/", "/cvm/"),
        ("/2023-11-14/", "/2023-11-15/"),
        ("/tc3_request", "/aws4_request"),
        ("AKIDEXAMPLE", "AKID\udcff"),
    ],
)
def test_a_malformed_authorization(was: str, becomes: str) -> None:
    authorization = own_headers()["authorization"]
    assert was in authorization
    assert refusal(own_headers(authorization=authorization.replace(was, becomes))) == "AuthFailure.InvalidAuthorization"


def test_headers_that_are_missing_or_unreadable() -> None:
    without = own_headers()
    del without["authorization"]
    assert refusal(without) == "AuthFailure.InvalidAuthorization"
    without = own_headers()
    del without["x-tc-timestamp"]
    assert refusal(without) == "MissingParameter"
    assert refusal(own_headers(x_tc_timestamp="soon")) == "InvalidParameterValue"
    # aiohttp hands on bytes that are not UTF-8 as lone surrogates, which can't be hashed.
    assert refusal(own_headers(host="\udcff")) == "AuthFailure.InvalidAuthorization"


def test_the_derived_key_follows_the_date() -> None:
    judge = Judge(*KEYS, "mps")
    for day in range(3):
        now = NOW + day * 86_400
        headers = {name.lower(): value for name, value in signed("CreateAigcImageTask", BODY, now).items()}
        judge.check(headers, BODY, now)


def test_temporary_keys_pass_with_their_token_before_their_end() -> None:
    judge = Judge(*KEYS, "mps")
    judge.admit("AKIDTEMP", "TEMPKEY", "token", until=NOW + 10)
    headers = {name.lower(): value for name, value in signed("CreateAigcImageTask", BODY, NOW).items()}
    claim = {name: headers[name] for name in ("content-type", "host", "x-tc-action")}
    headers["authorization"] = tc3.Signer("mps").authorization("AKIDTEMP", "TEMPKEY", int(NOW), claim, BODY)
    judge.check(headers | {"x-tc-token": "token"}, BODY, NOW)
    for spoilt, now in (({}, NOW), ({"x-tc-token": "other"}, NOW), ({"x-tc-token": "token"}, NOW + 10)):
        with pytest.raises(Refused) as failure:
            judge.check(headers | spoilt, BODY, now)
        assert failure.value.code == "AuthFailure.TokenFailure"
    judge.check(own_headers(), BODY, NOW)  # the permanent ones pass as before


def test_no_secret_in_a_repr() -> None:
    assert KEYS[0] not in repr(Judge(*KEYS, "mps"))
    assert KEYS[1] not in repr(Judge(*KEYS, "mps"))
