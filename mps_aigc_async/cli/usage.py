"""`usage`: the service's count for its bill beside a ledger's count, as a table by kind and day."""

import asyncio
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Final

import typer

from ..client import AigcClient
from ..model.errors import InvalidRequest
from ..model.plain_text import visible_line
from ..model.states import Kind
from ..model.usage import BILLING_ZONE, UsageComparison, UsageReport
from .interrupts import Interrupted, Interrupts
from .ledgers import NamedLedger, named_ledger
from .options import client_for, config_from
from .screen import Exit, complain, on_terminal, program, say, say_json
from .tables import print_table

HEADINGS: Final = ("day", "kind", "service tasks", "service amount", "ledger tasks", "ledger amount", "unit")
Row = tuple[str, str, str, str, str, str, str]

UNITS: Final = {Kind.IMAGE: "images", Kind.VIDEO: "seconds", Kind.AUDIO: "seconds"}

NOT_REPORTED: Final = "-"
"""A figure that the service does not report, or that no ledger was read for."""


def usage(
    *, since: str | None, until: str | None, ledger: str | None, account: str | None, as_json: bool, config: Path | None
) -> None:
    """Show the images and seconds that the service has counted for its bill, beside the ledger's (MPS, VOD)."""
    first, last = _day("--since", since) or _first_of_month(), _day("--until", until)
    named = None if ledger is None else named_ledger(ledger)
    if named is not None:
        named.require_present()
    client = client_for(config_from(config))  # without the ledger: a client would resume its jobs
    try:
        report = asyncio.run(_report(client, first, last, named, account))
    except Interrupted:
        raise typer.Exit(Exit.INTERRUPTED) from None
    rows = list(_rows(report, has_ledger=named is not None))
    if as_json:
        say_json([_as_json(row) for row in rows])
    else:
        _print([HEADINGS, *rows])
    if named is not None:
        _print_notes(report, named)


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{option} {text!r} is no date: write it as 2026-11-01") from None


def _first_of_month() -> date:
    return datetime.now(BILLING_ZONE).date().replace(day=1)


async def _report(
    client: AigcClient, first: date, last: date | None, named: NamedLedger | None, account: str | None
) -> UsageReport:
    ledger = None if named is None else named.for_client
    with Interrupts() as interrupts:
        async with client:
            return await interrupts.stoppable(client.usage(first, last, ledger=ledger, account=account))


def _rows(report: UsageReport, *, has_ledger: bool) -> Iterator[Row]:
    for line in (*report.daily, *report.totals):
        tasks, amount = (line.ledger_tasks, line.ledger_amount) if has_ledger else (None, None)
        service, ours = (_figure(line.service_tasks), _figure(line.service_amount)), (_figure(tasks), _figure(amount))
        yield _day_of(line), line.kind, *service, *ours, UNITS[line.kind]
    for other in report.service:  # types that this package does not know
        if other.kind is None:
            day = "unknown" if other.day is None else str(other.day)
            figures = (_figure(other.tasks), _figure(other.amount), NOT_REPORTED, NOT_REPORTED)
            yield day, visible_line(other.type), *figures, NOT_REPORTED


def _as_json(row: Row) -> dict[str, object]:
    day, kind, *figures, unit = (None if cell == NOT_REPORTED else cell for cell in row)
    numbers = [None if figure is None else float(figure) for figure in figures]
    names = (heading.replace(" ", "_") for heading in HEADINGS)
    return dict(zip(names, (day, kind, *numbers, unit), strict=True))


def _day_of(line: UsageComparison) -> str:
    return "total" if line.day is None else str(line.day)


def _figure(number: float | None) -> str:
    return NOT_REPORTED if number is None else f"{number:.15g}"


def _print(rows: list[Row]) -> None:
    if not on_terminal():
        for row in rows:
            say("\t".join(row))
        return
    print_table(rows[0], rows[1:])


def _print_notes(report: UsageReport, ledger: NamedLedger) -> None:
    if without_length := sum(line.without_length for line in report.totals):
        complain(
            f"note: {without_length} tasks of the ledger have no known length: their seconds are not in its amounts"
        )
    if report.unknown_jobs:
        complain(
            f"note: {report.unknown_jobs} jobs of the ledger are unknown: the service may have made and billed their "
            f"tasks; `{program()} settle {ledger.shown}` lists them"
        )
