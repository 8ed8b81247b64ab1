"""A database's URL: what goes to the driver, and what no message repeats."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from mps_aigc_async.model.errors import ConfigError
from mps_aigc_async.sharing.connection import failure_text
from mps_aigc_async.sharing.database_url import database_url, require_path


@pytest.mark.parametrize(
    ("written", "password"), [("plain", "plain"), ("a%40b%2Fc%3Ad%23e%25f", "a@b/c:d#e%f"), ("a+b", "a+b")]
)
def test_the_driver_gets_the_password_as_it_is_and_messages_never(written: str, password: str) -> None:
    url = database_url(f"postgresql://user:{written}@host:5433/db?ledger=mine&application_name=a%20b")
    assert conninfo_to_dict(url.dsn)["password"] == password
    assert conninfo_to_dict(url.dsn)["application_name"] == "a b"
    assert (str(url), url.ledger) == ("postgresql://host:5433/db", "mine")
    for text in (repr(url), str(url), url.masked(f"no such host {written}, {password}")):
        assert written not in text
        assert password not in text


def test_a_password_among_the_parameters_is_hidden_too() -> None:
    url = database_url("postgresql://user@host/db?password=a%2Bb+c&sslpassword=k%65y")
    assert conninfo_to_dict(url.dsn)["password"] == "a+b+c"
    text = failure_text(url, "refused", psycopg.OperationalError("bad a+b+c or a%2Bb%2Bc or key\nand more"))
    assert text == "the database postgresql://host/db refused: bad *** or *** or ***"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:se@cret@host/db", "postgresql://user:12/se@cret@host/db", "postgresql://user:12/x@host/db",
        "postgresql://user:12/x?y=cret@host/db", "postgresql://user:se#cret@host/db", "postgresql://user:se[cret@host/db",
        "postgresql://user:cret@host", "postgresql://user:cret@host/db?ledger=a%20b", "mysql://user:cret@host/db",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_read_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        database_url(text)
    assert "cret" not in str(told.value)


def test_two_names_of_a_ledger_are_refused() -> None:
    with pytest.raises(ConfigError, match="stands there once"):
        database_url("postgresql://host/db?ledger=spring&ledger=summer")


def test_a_url_without_a_host_means_the_socket_of_this_machine() -> None:
    for text, host in (("postgresql:///db", None), ("postgresql://u@/db?host=/run/postgresql", "/run/postgresql")):
        values = conninfo_to_dict(database_url(text).dsn)
        assert (values["dbname"], values.get("host")) == ("db", host)


def test_several_hosts_are_tried_in_turn() -> None:
    url = database_url("postgresql://u:cret@one:5432,two,[::1]:5433/db?target_session_attrs=read-write")
    assert conninfo_to_dict(url.dsn)["host"] == "one,two,::1"
    assert str(url) == "postgresql://one:5432,two,[::1]:5433/db"
    with pytest.raises(ConfigError, match="cannot be read"):
        database_url("postgresql://one:5432,two:x/db")


@pytest.mark.parametrize(
    "place",
    [
        "mysql://u:cret@host/db", "postgresql+psycopg://u:cret@host/db", "sqlite:///cret.db",
        "postgresql:/u:cret@host/db", " postgresql://u:cret@host/db", Path("postgresql://u:cret@host/db"),
        "postgres//u:cret@host/db", "postgresql:u:cret@host/db", "PostgreSQL/u:cret@host/db",
        "jdbc:postgresql://u:cret@host/db", "'postgresql://u:cret@host/db'", "<postgresql://u:cret@host/db>",
        "host=db password=cret", "host=db password = cret",
    ],
)  # fmt: skip
def test_another_url_is_never_taken_for_a_path(place: str | Path) -> None:
    with pytest.raises(ConfigError, match="begins with postgresql://") as told:
        require_path(place)
    assert "cret" not in str(told.value)


def test_an_empty_text_is_not_the_working_folder() -> None:
    with pytest.raises(ConfigError, match="an empty text"):
        require_path("")


@pytest.mark.parametrize(
    "path",
    [
        "my password.txt",
        "jobs.db",
        "/srv/limits",
        "C:/limits",
        "C:\\limits",
        "./a:/b",
        Path("x/y"),
        "postgres/jobs.db",
        "postgres",
    ],
)
def test_a_path_is_a_path(path: str | Path) -> None:
    require_path(path)


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ('FATAL:  password authentication failed for user "u"', "check the user, and the password"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "pg_hba.conf"),
        ("server does not support SSL, but SSL was required", "the server has no TLS"),
        ("cannot execute UPDATE in a read-only transaction", "name the primary server"),
        ("connection timeout expired", "any firewall"),
        ("permission denied for database media", "GRANT CREATE ON DATABASE"),
        ("permission denied for schema public", "SCHEMA public TO"),
        ("permission denied for table mps_aigc_slots", "SELECT, INSERT, UPDATE, DELETE on its tables"),
        ('column "ledger" does not exist', "name another database"),
        ('invalid sslmode value: "on"', "verify-full"),
        ("FATAL:  sorry, too many clients already", "pooler"),
    ],
)
def test_a_failure_is_one_sentence_with_the_fix(message: str, advice: str) -> None:
    url = database_url("postgresql://user:cret@host/db")
    text = failure_text(url, "cannot be reached", psycopg.OperationalError(f"{message}\nsecond line"))
    assert text.startswith("the database postgresql://host/db cannot be reached: ")
    assert advice in text
    assert "\n" not in text
