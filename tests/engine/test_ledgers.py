"""The place of a ledger, as users name it."""

from pathlib import Path

import pytest

from mps_aigc_async.cli.ledgers import named_file_or_database, named_ledger
from mps_aigc_async.engine.ledgers import ledger_place
from mps_aigc_async.model.errors import ConfigError
from mps_aigc_async.sharing.database_url import DatabaseUrl


def test_a_ledger_is_a_file_or_a_database(tmp_path: Path) -> None:
    assert ledger_place(str(tmp_path / "jobs.db")) == tmp_path / "jobs.db"
    assert isinstance(ledger_place("postgresql://host/db?ledger=mine"), DatabaseUrl)


def test_a_ledger_in_the_users_home_is_the_same_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--ledger=~/jobs.db` reaches the command as it stands, in bash and in a config of systemd."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert ledger_place("~/jobs.db") == ledger_place(Path("~/jobs.db")) == tmp_path / "jobs.db"
    (tmp_path / "jobs.db").touch()
    assert named_ledger("~/jobs.db").place == named_file_or_database("~/jobs.db").place == tmp_path / "jobs.db"
    assert str(ledger_place("~nobody-of-this-name/jobs.db")).endswith("jobs.db")


@pytest.mark.parametrize("ledger", ["mysql://u:cret@host/db", Path("postgresql://u:cret@host/db")])
def test_a_url_that_cannot_be_used_makes_no_file(ledger: str | Path) -> None:
    with pytest.raises(ConfigError, match="begins with postgresql://") as told:
        ledger_place(ledger)
    assert "cret" not in str(told.value)
