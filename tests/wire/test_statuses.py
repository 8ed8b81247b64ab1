"""The verdict of an HTTP status alone."""

import pytest

from mps_aigc_async.model.errors import AccountError, ConfigError, NoTaskId, Redirected, TransportError
from mps_aigc_async.model.states import Ending
from mps_aigc_async.wire.dialect import HttpAnswer
from mps_aigc_async.wire.statuses import Verdict, redirect, uncertain, unreadable, verdict_of

UNCERTAIN = {304, 408, 409, 425, 460, 499}


@pytest.mark.parametrize("status", range(100, 700))
def test_each_status_has_one_verdict(status: int) -> None:
    if status in UNCERTAIN or status < 200 or status >= 500:
        expected = Verdict.UNCERTAIN
    else:
        expected = {2: Verdict.GOOD, 3: Verdict.REDIRECTED, 4: Verdict.REFUSED}[status // 100]
    assert verdict_of(status) is expected


SECRET = "nobody-may-see"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (f"https://elsewhere.example/a/{SECRET}?token={SECRET}#{SECRET}", "https://elsewhere.example,"),
        (f"https://{SECRET}:{SECRET}@elsewhere.example:8443/", "https://elsewhere.example:8443,"),
        (f"http://elsewhere.example?{SECRET}", "http://elsewhere.example,"),
        (f"//elsewhere.example/{SECRET}", "to elsewhere.example,"),
        (f"https://[2001:db8::1]:443/{SECRET}", "https://[2001:db8::1]:443,"),
        (f"/login?next={SECRET}", "to another path of its own,"),
        ("", "to no address,"),
        (f"https://[{SECRET}", "to an address that cannot be read,"),
        (f"https://elsewhere.example:{SECRET}/", "to an address that cannot be read,"),
        (f"https://else\x1b[31mwhere {SECRET}/", "to an address that cannot be read,"),
    ],
)
def test_a_redirect_names_its_host_and_the_configs_key_and_nothing_else(location: str, shown: str) -> None:
    error = redirect(HttpAnswer(302, {"location": location}, b""), "CreateAigcImageTask", "relay.baseUrl")
    assert shown in str(error)
    assert "relay.baseUrl" in str(error)
    assert SECRET not in f"{error!s} {error!r} {vars(error)}"
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("status", "action", "ending"),
    [
        (301, "CreateAigcImageTask", Ending.ACCOUNT_REFUSED),
        (307, "ProcessMedia", Ending.ACCOUNT_REFUSED),
        (303, "CreateAigcImageTask", Ending.UNKNOWN),
        (302, "DescribeTaskDetail", Ending.UNKNOWN),
    ],
)
def test_a_redirect_stops_creating_and_not_reading(status: int, action: str, ending: Ending) -> None:
    error = redirect(HttpAnswer(status, {}, b""), action, "relay.baseUrl")
    assert (type(error), error.ending, error.action, error.code) == (Redirected, ending, action, f"HTTP {status}")
    assert isinstance(error, AccountError)
    assert isinstance(error, ConfigError)


def test_an_uncertain_answer_quotes_what_was_said_on_one_bounded_line() -> None:
    error = uncertain(HttpAnswer(500, {}, b""), "CreateAigcImageTask", "broken\n\x1b[31m" + "x" * 9999)
    assert type(error) is TransportError
    assert str(error).isprintable()
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("status", "action", "cls"),
    [
        (200, "CreateAigcImageTask", NoTaskId),
        (204, "CreateAigcImageTask", NoTaskId),
        (502, "CreateAigcImageTask", TransportError),
        (404, "CreateAigcImageTask", TransportError),
        (200, "DescribeTaskDetail", TransportError),
        (200, "ProcessMedia", TransportError),
    ],
)
def test_behind_2xx_a_create_was_processed(status: int, action: str, cls: type[TransportError]) -> None:
    assert type(unreadable("why", HttpAnswer(status, {}, b""), action)) is cls
