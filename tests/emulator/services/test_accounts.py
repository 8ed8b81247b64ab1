"""Several accounts behind one address: each call goes to the account whose key signed it."""

from collections.abc import Mapping

import pytest

from mps_aigc_async.emulator import Service, Settings
from mps_aigc_async.emulator.services.accounts import Accounts

from ..callers import NOW, signed


def service(number: int) -> Service:
    return Service(
        Settings(secret_id=f"AKID{number}", secret_key=f"KEY{number}", relay_key=f"RELAY{number}", seed=number)
    )


FIRST, SECOND = service(1), service(2)


@pytest.mark.parametrize(
    ("headers", "owner"),
    [
        ({"Authorization": "TC3-HMAC-SHA256 Credential=AKID2/2023-11-14/mps/tc3_request, …"}, SECOND),
        ({"authorization": "TC3-HMAC-SHA256 Credential=AKID1/2023-11-14/mps/tc3_request, …"}, FIRST),
        ({"Authorization": "Bearer RELAY2"}, SECOND),
        ({"Authorization": "Bearer else"}, FIRST),
        (signed("CreateAigcImageTask", b"{}", NOW), FIRST),
        ({}, FIRST),
    ],
)
def test_a_call_is_for_the_account_that_signed_it(headers: Mapping[str, str], owner: Service) -> None:
    assert Accounts([FIRST, SECOND]).of_call(headers) is owner


def test_each_account_has_a_place_for_its_results() -> None:
    accounts = Accounts([FIRST, SECOND])
    accounts.place_results("http://127.0.0.1:80")
    assert accounts.of("AKID2") is SECOND
    assert accounts.of_result("http://127.0.0.1:80/media/1/0.png") is FIRST
    assert accounts.of_result("http://127.0.0.1:80/account-1/media/1/0.png") is SECOND
    assert accounts.of_result("http://elsewhere/media/1/0.png") is None
