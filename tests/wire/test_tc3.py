"""The signer against every published vector, hash by hash, and against the official SDK's own signer."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.wire import tc3

BODY = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
TIMESTAMP = 1551113065
SCOPE = "2019-02-25/cvm/tc3_request"
HEADERS = {"content-type": "application/json; charset=utf-8", "host": "cvm.tencentcloudapi.com"}
WITH_ACTION = HEADERS | {"x-tc-action": "DescribeInstances"}


@dataclass(frozen=True)
class Vector:
    secret_key: str
    headers: dict[str, str]
    canonical_sha256: str
    signature: str


VECTORS = [
    Vector(
        "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        HEADERS,
        "5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031",
        "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
    ),
    Vector(
        "Gu5t9xGARNpq86cd98joQYCN3*******",
        WITH_ACTION,
        "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84",
        "be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3",
    ),
    Vector(
        "*" * 32,
        WITH_ACTION,
        "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84",
        "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f",
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=["docs", "guide", "asterisks"])
def test_published_vectors_hash_by_hash(vector: Vector) -> None:
    assert hashlib.sha256(BODY).hexdigest() == "35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"
    names = sorted(vector.headers)
    canonical = tc3.canonical_request(vector.headers, names, BODY)
    assert hashlib.sha256(canonical.encode()).hexdigest() == vector.canonical_sha256
    text = tc3.string_to_sign(TIMESTAMP, SCOPE, canonical)
    assert text.splitlines() == ["TC3-HMAC-SHA256", str(TIMESTAMP), SCOPE, vector.canonical_sha256]
    signing_key = tc3.key_ladder(vector.secret_key, "2019-02-25", "cvm")[2]
    assert tc3.signature(signing_key, text) == vector.signature

    header = tc3.Signer("cvm").authorization("AKIDEXAMPLE", vector.secret_key, TIMESTAMP, vector.headers, BODY)
    assert header == (
        f"TC3-HMAC-SHA256 Credential=AKIDEXAMPLE/{SCOPE}, SignedHeaders={';'.join(names)}, Signature={vector.signature}"
    )


def test_published_key_ladder() -> None:
    date, service, signing = tc3.key_ladder("*" * 32, "2019-02-25", "cvm")
    assert date.hex() == "da98fb70dcf6b112dc21038d1eeeb3a95c74b4dcb12c1131f864f6066bd02be0"
    assert service.hex() == "8d70cbefb03939f929db64d32dc2ba89b1095620119fe3e050e2b18c5bd2752f"
    assert signing.hex() == "b596b923aad85185e2d1f6659d2a062e0a86731226e021e61bfe06f7ed05f5af"


def test_scope_date_is_utc_up_to_the_last_second_of_the_day() -> None:
    assert tc3.utc_date(1551139199) == "2019-02-25"
    assert tc3.utc_date(1551139200) == "2019-02-26"


@pytest.fixture(params=["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def _away_from_utc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine 14 hours ahead of UTC, and one 11 hours behind: at any moment one of the two has another date."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_away_from_utc")
@pytest.mark.parametrize("timestamp", [1551052800, TIMESTAMP, 1551139199])
def test_the_date_signed_is_that_of_utc_wherever_the_machine_is(timestamp: int) -> None:
    assert tc3.utc_date(timestamp) == "2019-02-25"
    header = tc3.Signer("cvm").authorization("AKIDEXAMPLE", "key", timestamp, HEADERS, BODY)
    assert f"Credential=AKIDEXAMPLE/{SCOPE}, " in header


def test_the_canonical_request_line_by_line() -> None:
    """`HEADER: value` is signed trimmed ("Signature v3"), the headers in the order named and no others, an action
    alone in lower case."""
    headers = {
        "x-tc-action": " DescribeInstances\t",
        "host": "Mps.Example ",
        "content-type": "Text/Plain",
        "other": "x",
    }
    canonical = tc3.canonical_request(headers, ["content-type", "host", "x-tc-action"], b"{}")
    assert canonical.split("\n") == [
        "POST",
        "/",
        "",
        "content-type:Text/Plain",
        "host:Mps.Example",
        "x-tc-action:describeinstances",
        "",
        "content-type;host;x-tc-action",
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    ]
    assert tc3.canonical_request(headers, ["host", "content-type"], b"").split("\n")[3:7] == [
        "host:Mps.Example",
        "content-type:Text/Plain",
        "",
        "host;content-type",
    ]


def test_a_signed_header_that_is_absent_is_an_error() -> None:
    with pytest.raises(KeyError, match="x-tc-token"):
        tc3.canonical_request(HEADERS, ["content-type", "host", "x-tc-token"], BODY)


def test_every_header_given_is_signed_in_order_of_its_name() -> None:
    headers = {"x-tc-token": "T", "host": "h", "x-tc-action": "A", "content-type": "c", "x-tc-region": "R"}
    names = "content-type;host;x-tc-action;x-tc-region;x-tc-token"
    header = tc3.Signer("mps").authorization("id", "key", TIMESTAMP, headers, BODY)
    assert f"SignedHeaders={names}, " in header
    text = tc3.string_to_sign(
        TIMESTAMP, "2019-02-25/mps/tc3_request", tc3.canonical_request(headers, names.split(";"), BODY)
    )
    assert header.endswith(f"Signature={tc3.signature(tc3.key_ladder('key', '2019-02-25', 'mps')[2], text)}")


@pytest.mark.parametrize(
    "change",
    [
        {"secret_key": "other"},
        {"timestamp": TIMESTAMP + 1},
        {"body": BODY + b" "},
        *({"headers": WITH_ACTION | {name: "other"}} for name in WITH_ACTION),
        {"headers": WITH_ACTION | {"x-tc-token": ""}},
    ],
    ids=str,
)
def test_the_signature_depends_on_every_part_of_what_is_sent(change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"secret_key": "key", "timestamp": TIMESTAMP, "headers": WITH_ACTION, "body": BODY}

    def signed(parts: dict[str, Any]) -> str:
        return tc3.Signer("cvm").authorization("id", **parts).rpartition("Signature=")[2]

    assert signed(parts | change) != signed(parts)
    assert tc3.Signer("mps").authorization("id", **parts).rpartition("Signature=")[2] != signed(parts)


def test_the_kept_key_follows_the_day_and_the_secret() -> None:
    signer = tc3.Signer("cvm")

    def fresh(key: str, at: int) -> str:
        return tc3.Signer("cvm").authorization("id", key, at, HEADERS, BODY)

    for key, at in [("a", TIMESTAMP), ("a", TIMESTAMP + 86400), ("b", TIMESTAMP + 86400), ("a", TIMESTAMP)]:
        assert signer.authorization("id", key, at, HEADERS, BODY) == fresh(key, at)


def test_the_secret_is_not_in_the_signers_repr() -> None:
    signer = tc3.Signer("cvm")
    signer.authorization("id", "very-secret", TIMESTAMP, HEADERS, BODY)
    assert "very-secret" not in repr(signer)


@given(
    body=st.binary(max_size=300), timestamp=st.integers(0, 4_000_000_000), secret_key=st.text(min_size=1, max_size=40)
)
def test_equals_the_official_signer(body: bytes, timestamp: int, secret_key: str) -> None:
    from tencentcloud.common.sign import Sign

    canonical = tc3.canonical_request(HEADERS, ["content-type", "host"], body)
    date = tc3.utc_date(timestamp)
    text = tc3.string_to_sign(timestamp, tc3.credential_scope(date, "mps"), canonical)
    ours = tc3.signature(tc3.key_ladder(secret_key, date, "mps")[2], text)
    assert ours == Sign.sign_tc3(secret_key, date, "mps", text)
