"""`plan`, and `run --dry-run`: what a run would create, cost and take, without sending anything."""

from pathlib import Path
from typing import Final

import typer

from ..client import AigcClient
from ..engine.plan import Plan, Standing
from ..ledger.snapshot import LEDGER_FILE
from ..model.plain_text import visible_line
from ..model.states import Kind
from ..network.folders import absolute
from .batch import Batch
from .batch_source import batch_source
from .edits import plan_edits
from .ledgers import NamedLedger, ledger_file, named_file_or_database
from .options import client_for, config_from, require_folder
from .orders import Orders
from .plan_words import amount_as_json, amounts_in_words, has_cost, model_in_words, spent_in_words
from .run import checked_batch
from .screen import IN_JSON, Exit, counted, say, say_json, warnings_as_notes

MOST_SHOWN: Final = 20
"""Problems and findings that are printed one by one."""

_WORDS: Final = {
    Standing.NEW: "new",
    Standing.CHANGED: "changed: a new version is made",
    Standing.UNDER_WAY: "under way: `run` finishes them",
    Standing.KEPT: "made already: kept",
    Standing.CONFLICT: "in conflict with what is made: add --redo-changed or --keep",
    Standing.FAILED: "failed: add --retry-failed",
    Standing.UNKNOWN: "unknown: settle them",
    Standing.REFUSED: "refused",
    Standing.BEYOND: "beyond the bounds: they stay planned, until a larger bound",
}


def plan(*, batch: Path, out: Path, config: Path | None, ledger: str | None, orders: Orders) -> None:
    """Tell what `run` with the same options would create, cost and take. Sends nothing, and writes nothing."""
    require_folder(out)
    named = ledger_file(absolute(out) / LEDGER_FILE) if ledger is None else named_file_or_database(ledger)
    loaded = config_from(config)
    client = client_for(loaded, named.for_client)
    with batch_source(batch) as source:
        with warnings_as_notes():
            requests = checked_batch(source, loaded, client, orders)
        result = plan_of(client, requests, named, orders)
    _print(result)
    raise typer.Exit(Exit.BAD_INPUT if result.requests.get(Standing.CONFLICT) else Exit.WELL)


def plan_of(client: AigcClient, batch: Batch, ledger: NamedLedger, orders: Orders) -> Plan:
    """The plan of a batch as the command's options want it run."""
    batch, names = plan_edits(batch, ledger, orders.edits)
    return client.plan(
        batch,
        retry_failed=orders.retries.accepts if orders.retries else False,
        redo_changed=orders.edits.redo_changed,
        redo=names,
        budget=orders.budget,
    )


def _print(result: Plan) -> None:
    if IN_JSON.get():
        say_json(plan_as_json(result))
        return
    for standing, number in result.requests.items():
        say(f"{number} {_WORDS[standing]}")
    for work in result.creates:
        size = "" if work.number is None or work.kind is Kind.IMAGE else f", {work.number:g} s"
        cost = "no price" if work.cost is None else f"{work.cost:.2f} {result.currency}"
        say(f"  create {counted(work.tasks, work.kind)} with {model_in_words(work)}{size}: {cost}")
    for kind, number in result.blocked.items():
        say(f"  {counted(number, kind)} blocked: a step before has failed or is unknown")
    for name, reason in result.problems[:MOST_SHOWN]:
        say(f"  {visible_line(name)}: {visible_line(reason)}")
    for finding in result.findings[:MOST_SHOWN]:
        say(f"  note: {visible_line(finding)}")
    for rest in (result.problems[MOST_SHOWN:], result.findings[MOST_SHOWN:]):
        if rest:
            say(f"  and {len(rest)} more")
    if has_cost(result.spent):
        say(f"spent before: {spent_in_words(result.spent, result.currency)}")
    say(amounts_in_words(result))


def plan_as_json(result: Plan) -> dict[str, object]:
    total = result.total
    return {
        "requests": {standing.value.replace(" ", "_"): number for standing, number in result.requests.items()},
        "creates": [
            {"kind": work.kind, "model": work.model, "tasks": work.tasks, "number": work.number, "cost": work.cost}
            for work in result.creates
        ],
        "images": total.images,
        "video_seconds": total.video_seconds,
        "audio_seconds": total.audio_seconds,
        "cost": total.cost,
        "currency": result.currency,
        "spent": amount_as_json(result.spent),
        "unpriced": result.unpriced,
        "blocked": dict(result.blocked),
        "finish_s": result.finish_s,
        "problems": [{"id": name, "reason": reason} for name, reason in result.problems],
        "findings": list(result.findings),
    }
