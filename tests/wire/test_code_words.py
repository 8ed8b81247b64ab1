"""Codes that no table knows, by their words."""

import pytest

from mps_aigc_async.model.errors import AccountError, ContentViolation, ServiceError
from mps_aigc_async.wire.code_words import is_about_payment, refusal_of, says_that_something_broke, words


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("update_quota_failed", {"update", "quota", "failed"}),
        ("InsufficientUserQuota", {"insufficient", "user", "quota"}),
        ("INVALID-MODEL", {"invalid", "model"}),
        ("HTTPServerError", {"http", "server", "error"}),
        ("", set()),
        ("1002", set()),
    ],
)
def test_words_are_whole_and_of_any_spelling(code: str, meaning: set[str]) -> None:
    assert words(code) == meaning


@pytest.mark.parametrize(
    ("code", "payment"),
    [
        ("insufficient_user_quota", True),
        ("quota_not_enough", True),
        ("BalanceInsufficient", True),
        ("unquotable", False),
        ("quotation", False),
        ("rebalanced", False),
        ("load_balancer", False),
    ],
)
def test_payment_is_a_word_and_no_part_of_one(code: str, *, payment: bool) -> None:
    assert is_about_payment(code) is payment


@pytest.mark.parametrize(
    "code",
    ["do_request_failed", "upstream_error", "InternalServerError", "invalid_response", "TimeoutError", "unknown"],
)
def test_a_code_that_says_that_something_broke_refuses_nothing(code: str) -> None:
    assert says_that_something_broke(code)
    assert refusal_of(code) is None


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        ("invalid_model", ServiceError),
        ("model_not_found", ServiceError),
        ("UnsupportedModel", ServiceError),
        ("missing_prompt", ServiceError),
        ("bad_request", ServiceError),
        ("invalid_api_key", AccountError),
        ("unauthorized", AccountError),
        ("content_policy_violation", ContentViolation),
        ("sensitive_words_detected", ContentViolation),
        ("get_channel", None),
        ("busy", None),
        ("", None),
    ],
)
def test_a_code_refuses_by_its_words(code: str, cls: type[ServiceError] | None) -> None:
    meaning = refusal_of(code)
    assert (meaning[0] if meaning else None) is cls
