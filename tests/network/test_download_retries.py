"""How long a fault is worth trying again."""

import pytest

from mps_aigc_async.network.download_retries import BACKOFF_MOST_S, DOUBTFUL_S, Fault, Retries, Retry, safe_url


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        (Retry.NONE, 0),
        (Retry.WHILE_NEW, 60),
        (Retry.MINUTES, DOUBTFUL_S),
        (Retry.ALWAYS, 36_000),
        (Retry.AT_ONCE, 36_000),
    ],
)
def test_each_fault_is_tried_again_for_its_time(retry: Retry, seconds: float) -> None:
    retries, now = Retries("https://r.example/a", 100.0, 60.0), 100.0
    while now < 36_100 and (delay := retries.delay_after(Fault("no", retry), now)) is not None:
        assert 0 <= delay <= BACKOFF_MOST_S
        now += delay or 600
    assert seconds <= now - 100 <= seconds + (0 if retry is Retry.NONE else 600)


def test_the_last_attempt_is_when_the_time_for_beginning_ends() -> None:
    retries = Retries("https://r.example/a", 100.0, 0.0, 10.0)
    delays = [retries.delay_after(Fault("no"), now) for now in (100.0, 101.0, 109.5, 110.0, 500.0)]
    assert delays == [1.0, 2.0, 0.5, None, None]


def test_waits_grow_to_a_minute_and_making_room_is_none_of_them() -> None:
    retries = Retries("https://r.example/a", 0.0, 0.0)
    instructions = [Retry.ALWAYS, Retry.AT_ONCE, *[Retry.ALWAYS] * 7]
    assert [retries.delay_after(Fault("no", retry), 0.0) for retry in instructions] == [1, 0, 2, 4, 8, 16, 32, 60, 60]


def test_the_latest_fault_is_told() -> None:
    retries = Retries("https://r.example/a?sign=url-secret", 0.0, 0.0)
    assert str(retries.error()) == "cannot fetch https://r.example/a: it took too long"
    fault = Fault("gone", Retry.NONE)
    fault.is_refusal = True
    retries.delay_after(fault, 0.0)
    assert (str(retries.error()), retries.error().refused) == ("gone", True)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://r.example/a?sign=x?y", "https://r.example/a"),
        ("https://me:secret@r.example/a@b", "https://r.example/a@b"),
        ("https://r.example/a#sign=x", "https://r.example/a"),
        ("https:me:secret@r.example/a", "r.example/a"),
        ("https:/me:secret@r.example/a", "https:/r.example/a"),
        ("https:\\\\me:secret@r.example\\a", "https:\\\\r.example\\a"),
        ("me:secret@r.example/a", "r.example/a"),
        ("//me:secret@r.example/a", "//r.example/a"),
        ("HTTPS://r.example:8443/a@b:c", "HTTPS://r.example:8443/a@b:c"),
        ("https://r.example/\n\x1b[2Ja", "https://r.example/??[2Ja"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_secrets_and_control_characters(url: str, text: str) -> None:
    assert safe_url(url) == text
