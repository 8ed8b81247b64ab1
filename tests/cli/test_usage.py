"""`usage`: both counts as a table."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mps_aigc_async import ServiceUsage, UsageReport
from mps_aigc_async.cli.usage import HEADINGS, _rows
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.model.usage import BILLING_ZONE

from .conftest import Json, Line, Shell, image

VIDEO: Line = {"id": "film", "video": {"prompt": "wind", "duration": 2}}
YESTERDAY = str(datetime.now(BILLING_ZONE).date() - timedelta(days=1))  # a test may run over midnight


def rows_of(stdout: str) -> list[tuple[str, ...]]:
    first, *rows = [tuple(line.split("\t")) for line in stdout.splitlines()]
    assert first == HEADINGS
    return rows


def test_both_counts_by_day_and_in_total(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    batch = shell.batch(image("one"), image("two"), VIDEO, {"id": "bad", "video": {"prompt": "fail-later"}})
    assert shell.call("run", batch, "--out", "made").exit_code == 1
    for ledger in ("made", "made/ledger.db"):
        result = shell.call("usage", "--since", YESTERDAY, "--ledger", ledger)
        assert (result.exit_code, result.stderr) == (0, "")
        rows = rows_of(result.stdout)
        assert rows[-3:] == [
            ("total", "image", "2", "2", "2", "2", "images"),
            ("total", "video", "1", "2", "1", "2", "seconds"),
            ("total", "audio", "-", "-", "0", "0", "seconds"),
        ]
        assert {row[1:] for row in rows[:-3]} >= {("video", "1", "2", "1", "2", "seconds")}


def test_without_a_ledger_only_the_service_counts(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    result = shell.call("usage")
    assert result.exit_code == 0
    assert rows_of(result.stdout)[0] == ("total", "image", "0", "0", "-", "-", "images")
    assert not list(shell.folder.glob("*.db"))


def test_unknown_jobs_and_unknown_lengths_are_notes(shell: Shell, emulator: Emulator) -> None:
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after", times=1)
    shell.configure(emulator.url)
    batch = shell.batch(image("lost"), {"id": "film", "video": {"prompt": "wind"}})
    shell.call("run", batch, "--out", "made")
    notes = shell.call("usage", "--since", YESTERDAY, "--ledger", "made").stderr
    assert "1 jobs of the ledger are unknown" in notes
    assert "`mps-aigc settle made` lists them" in notes
    assert "1 tasks of the ledger have no known length" in notes


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--since", "1.11.2026"], "--since '1.11.2026' is no date: write it as 2026-11-01"),
        (["--until", "2026-02-30"], "--until '2026-02-30' is no date"),
        (["--since", "2020-01-01"], "is more than 365 days ago"),
        (["--ledger", "missing.db"], "there is no ledger missing.db"),
    ],
)
def test_bad_input_is_told_and_creates_no_file(shell: Shell, emulator: Emulator, options: list[str], why: str) -> None:
    shell.configure(emulator.url)
    result = shell.call("usage", *options)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.split())
    assert not Path("missing.db").exists()


def test_the_relay_has_none(shell: Shell, emulator: Emulator) -> None:
    shell.configure(None, backend="relay", relay={"baseUrl": emulator.url, "apiKey": "RELAYEXAMPLE"})
    result = shell.call("usage")
    assert result.exit_code == 2
    assert "the relay reports no use" in result.stderr


def test_on_a_terminal_it_is_a_table(shell: Shell, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")  # no colours
    monkeypatch.setattr("mps_aigc_async.cli.usage.on_terminal", lambda: True)
    shell.configure(emulator.url)
    shown = shell.call("usage").stdout
    assert "\t" not in shown
    assert "service amount" in shown


def test_a_type_that_is_not_known_is_a_row_of_one_line() -> None:
    now = datetime.now(BILLING_ZONE)
    poem = ServiceUsage(type="AIGC\t\x1b[31mPoem\n", kind=None, day=None, tasks=None, amount=2.5)
    report = UsageReport(
        since=now,
        until=now,
        service_kinds=(),
        service=(poem,),
        specifications=(),
        ledger=(),
        unknown_jobs=0,
        ledger_is_durable=False,
    )
    (*_, row) = _rows(report, has_ledger=False)
    assert (row[0], *row[2:]) == ("unknown", "-", "2.5", "-", "-", "-")
    assert row[1].isprintable()


def test_one_of_several_accounts_is_named(shell: Shell, emulator: Emulator) -> None:
    two: Json = {"account": "two", "tencentCloud": {"secretId": "AKIDB", "secretKey": "KEYB"}}
    shell.configure(emulator.url, accounts=[{"account": "one"}, two])
    result = shell.call("usage")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the config has several accounts: name one of them, one, two" in result.stderr
    assert shell.call("usage", "--account", "one").exit_code == 0
