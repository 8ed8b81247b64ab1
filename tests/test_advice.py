"""The advice to a user about each error."""

import pytest

from mps_aigc_async import AigcError, ConfigError, DamagedRow, DownloadError, LedgerError
from mps_aigc_async.advice import advice_for


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (LedgerError("the ledger jobs.db was removed"), "fix the ledger as the message says before"),
        (DamagedRow("`urls` cannot be read"), "correct or restore these rows"),
        (ConfigError("relay.apiKey has a blank in it"), "fix the config or the key that the message names"),
        (DownloadError("HTTP 410"), "if the URLs are refused for good, give the request another id"),
    ],
)
def test_advice_never_leads_to_a_loop_or_a_second_payment(error: AigcError, advice: str) -> None:
    assert advice in advice_for(error)
