"""The check of COS's signature: the document's example, the official SDK's signatures, each reason for a refusal."""

import hmac
import time
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qcloud_cos import CosConfig, CosS3Auth
from requests import Request

from mps_aigc_async.emulator.services.cos_signature import (
    MAX_SKEW_S,
    TOKEN,
    CosKey,
    CosRefused,
    CosRequest,
    check,
    http_string,
    signature,
    string_to_sign,
)

from ..callers import KEYS, NOW

ACCOUNT = {KEYS[0]: CosKey(KEYS[1])}
PATH = "/shots-1250000000/a.png"
START, END = int(NOW) - 60, int(NOW) + 600


def signed(
    *,
    method: str = "GET",
    path: str = PATH,
    times: tuple[int, int] = (START, END),
    key_times: tuple[int, int] | None = None,
    keys: tuple[str, str] = KEYS,
    headers: Mapping[str, str] | None = None,
) -> CosRequest:
    """A request with its signature in the query. The signature covers the host, and no parameter."""
    fields = fields_of(method, path, times, key_times or times, keys)
    return CosRequest(method, path, urlencode(fields), {"host": "127.0.0.1:81", **(headers or {})})


def fields_of(
    method: str, path: str, times: tuple[int, int], key_times: tuple[int, int], keys: tuple[str, str]
) -> dict[str, str]:
    sign_time, key_time = (";".join(map(str, pair)) for pair in (times, key_times))
    return {
        "q-sign-algorithm": "sha1",
        "q-ak": keys[0],
        "q-sign-time": sign_time,
        "q-key-time": key_time,
        "q-header-list": "host",
        "q-url-param-list": "",
        "q-signature": signature(keys[1], sign_time, key_time, http_string(method, path, {}, {"host": "127.0.0.1"})),
    }


FIELDS = fields_of("GET", PATH, (START, END), (START, END), KEYS)


def refusal(request: CosRequest, now: float = NOW, keys: Mapping[str, CosKey] = ACCOUNT) -> tuple[int, str]:
    with pytest.raises(CosRefused) as failure:
        check(request, keys, now)
    return failure.value.status, failure.value.code


def test_the_example_of_the_document() -> None:
    """The download of "Request Signature" (436/7778), which masks the secret key and the signature's last digits."""
    params = {"response-cache-control": "max-age%3D600", "response-content-type": "application%2Foctet-stream"}
    headers = {
        "date": "Thu%2C%2016%20May%202019%2006%3A55%3A53%20GMT",
        "host": "examplebucket-1250000000.cos.ap-beijing.myqcloud.com",
    }
    text = string_to_sign("1557989753;1557996953", http_string("GET", "/exampleobject(腾讯云)", params, headers))
    assert text == "sha1\n1557989753;1557996953\n54ecfe22f59d3514fdc764b87a32d8133ea611e6\n"
    sign_key = b"937914bf490e9e8c189836aad2052e4feeb35eaf"
    assert hmac.new(sign_key, text.encode(), "sha1").hexdigest()[:-4] == "01681b8c9d798a678e43b685a9f1bba0f6c0"


def test_without_a_signature_there_is_nothing_to_check() -> None:
    assert not check(CosRequest("GET", PATH), ACCOUNT, NOW)
    assert not check(CosRequest("GET", PATH, "versionId=1&q-other=2", {"authorization": ""}), ACCOUNT, NOW)


def test_a_signature_holds_from_its_start_to_its_end() -> None:
    for now in (START, NOW, END):
        assert check(signed(), ACCOUNT, now)
    assert refusal(signed(), START - 1) == (403, "AccessDenied")
    assert refusal(signed(), END + 0.1) == (403, "AccessDenied")
    assert refusal(signed(key_times=(START, int(NOW) - 1))) == (403, "AccessDenied")


def test_a_start_more_than_fifteen_minutes_ahead_is_a_wrong_clock() -> None:
    assert refusal(signed(), START - MAX_SKEW_S) == (403, "AccessDenied")
    assert refusal(signed(), START - MAX_SKEW_S - 1) == (403, "RequestTimeTooSkewed")


def test_a_key_that_does_not_exist_and_one_with_another_secret() -> None:
    assert refusal(signed(keys=("AKIDSTRANGER", KEYS[1]))) == (403, "InvalidAccessKeyId")
    assert refusal(signed(keys=(KEYS[0], "another"))) == (403, "SignatureDoesNotMatch")


def test_another_method_path_or_host() -> None:
    request = signed()
    for other in (
        replace(request, method="HEAD"),
        replace(request, path=PATH + "2"),
        replace(request, path=PATH.upper()),
        replace(request, headers={"host": "127.0.0.2"}),
        replace(request, headers={}),
    ):
        assert refusal(other) == (403, "SignatureDoesNotMatch")
    assert check(replace(request, headers={"host": "127.0.0.1"}), ACCOUNT, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"q-sign-algorithm": "sha256"},
        {"q-sign-time": "soon"},
        {"q-key-time": f"{START}"},
        {"q-header-list": "host;date"},
        {"q-header-list": "Host"},
        {"q-url-param-list": "a;a"},
        {"q-signature": "é"},
    ],
)
def test_a_malformed_signature(change: dict[str, str]) -> None:
    assert refusal(replace(signed(), query=urlencode(FIELDS | change))) == (403, "AccessDenied")


def test_a_part_that_is_missing_and_an_authorization_of_another_kind() -> None:
    for name in FIELDS:
        without = {other: value for other, value in FIELDS.items() if other != name}
        assert refusal(replace(signed(), query=urlencode(without))) == (403, "AccessDenied")
    assert refusal(CosRequest("GET", PATH, "", {"authorization": "Bearer x"})) == (403, "AccessDenied")


def test_a_temporary_key_needs_its_token_before_its_end() -> None:
    keys = {"AKIDTEMP": CosKey("secret", "token+/=", until=NOW + 10)}
    request = signed(keys=("AKIDTEMP", "secret"))
    in_query = replace(request, query=f"{request.query}&{TOKEN}={quote('token+/=')}")
    in_header = signed(keys=("AKIDTEMP", "secret"), headers={TOKEN: "token+/="})
    for good in (in_query, in_header):
        assert check(good, keys, NOW + 9.9)
        assert refusal(good, NOW + 10, keys) == (400, "ExpiredToken")
    assert refusal(request, NOW, keys) == (403, "InvalidAccessKeyId")
    for token in ("another", "\udcff", "é"):
        assert refusal(replace(request, headers={**request.headers, TOKEN: token}), NOW, keys) == (
            403,
            "InvalidAccessKeyId",
        )
    assert check(signed(headers={TOKEN: "any"}), ACCOUNT, NOW), "a permanent key has no token"


def test_bytes_that_are_not_utf_8_are_judged() -> None:
    """aiohttp hands them on as lone surrogates."""
    assert refusal(signed(headers={"x-cos-a": "\udcff"}, keys=(KEYS[0], "another"))) == (403, "SignatureDoesNotMatch")


def test_no_secret_in_a_repr() -> None:
    request = signed(headers={TOKEN: "TOKENEXAMPLE", "authorization": "q-signature=SIGNATURE"})
    assert not any(text in repr(request) for text in ("TOKENEXAMPLE", "SIGNATURE", "q-signature"))
    assert "secret" not in repr(CosKey("secret", "secret-token"))


# The official SDK's signatures

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
KEY_NAMES = TEXTS.map(lambda text: "a" + text)
PARAMS = st.dictionaries(st.sampled_from(["versionId", "response-content-type", "ci a/ö"]), TEXTS, max_size=3)
HEADERS = st.dictionaries(
    st.sampled_from(["Range", "If-Match", "x-cos-meta-a", "X-Cos-Meta-B"]),
    st.text("abcXYZ019 =&;/-_.~:%+*'", max_size=12).map(str.strip),
    max_size=3,
)


def signed_by_the_sdk(method: str, key: str, params: dict[str, str], headers: dict[str, str]) -> CosRequest:
    """A request as the emulator receives it, signed in its header."""
    config = CosConfig(Region="ap-guangzhou", SecretId=KEYS[0], SecretKey=KEYS[1], Domain="127.0.0.1:81", Scheme="http")
    prepared = Request(method, config.uri(path=f"b/{key}"), headers=headers, params=params).prepare()
    CosS3Auth(config, f"b/{key}", params)(prepared)
    received = {name.lower(): str(value) for name, value in prepared.headers.items()} | {"host": "127.0.0.1:81"}
    query = (prepared.url or "").partition("?")[2]
    return CosRequest(method, f"/b/{key}", query, received)


@given(method=st.sampled_from(["GET", "HEAD", "PUT"]), key=KEY_NAMES, params=PARAMS, headers=HEADERS)
def test_every_signature_of_the_official_sdk_passes(
    method: str, key: str, params: dict[str, str], headers: dict[str, str]
) -> None:
    assert check(signed_by_the_sdk(method, key, params, headers), ACCOUNT, time.time())


@given(key=KEY_NAMES, params=PARAMS, headers=HEADERS, data=st.data())
def test_any_signed_part_that_changes_is_noticed(
    key: str, params: dict[str, str], headers: dict[str, str], data: st.DataObject
) -> None:
    request = signed_by_the_sdk("GET", key, params, headers)
    other = data.draw(TEXTS)
    parts = ["method", "path", *(f"param {name}" for name in params), *(f"header {name.lower()}" for name in headers)]
    match data.draw(st.sampled_from(parts)).split(" ", 1):
        case ["method"]:
            changed = replace(request, method="HEAD")
        case ["path"]:
            changed = replace(request, path=request.path + other)
        case ["param", name]:
            changed = replace(request, query=urlencode({**params, name: params[name] + other}, quote_via=quote))
        case [_, name]:
            changed = replace(request, headers={**request.headers, name: request.headers[name] + other})
    assert refusal(changed, time.time()) == (403, "SignatureDoesNotMatch")


@given(params=PARAMS.filter(bool), headers=HEADERS.filter(bool), data=st.data())
def test_a_signed_part_that_is_left_out_is_noticed(
    params: dict[str, str], headers: dict[str, str], data: st.DataObject
) -> None:
    request = signed_by_the_sdk("GET", "a.png", params, headers)
    name = data.draw(st.sampled_from([*params, *headers]))
    changed = replace(
        request,
        query=urlencode({key: value for key, value in params.items() if key != name}, quote_via=quote),
        headers={key: value for key, value in request.headers.items() if key != name.lower()},
    )
    assert refusal(changed, time.time()) == (403, "SignatureDoesNotMatch")


def test_what_is_not_signed_may_change() -> None:
    """ "COS cannot verify unsigned headers and parameters" (COS, "Strict Signature Mode")."""
    request = signed_by_the_sdk("GET", "a.png", {}, {})
    assert check(
        replace(request, query="versionId=1", headers={**request.headers, "range": "bytes=0-1"}), ACCOUNT, time.time()
    )
