"""`redo`: requests of a ledger are made again, as new versions."""

import shlex
import tempfile
from pathlib import Path

import typer

from ..ledger.snapshot import LEDGER_FILE
from ..model.contents import line_of
from ..model.errors import InvalidRequest
from .batch_source import JsonLines
from .batch_versions import requests_in
from .edits import Edits
from .ledgers import ledger_file, named_file_or_database
from .options import config_for_creates
from .orders import Orders
from .run import run_batch
from .screen import program


def redo(*, ids: list[str], out: Path, config: Path | None, ledger: str | None) -> None:
    """Make requests again, from their latest content: shot-001@2.png beside shot-001.png. The former files stay."""
    named = ledger_file(out / LEDGER_FILE) if ledger is None else named_file_or_database(ledger)
    named.require_present()
    names = list(dict.fromkeys(ids))
    with named.snapshot() as snapshot:
        requests = requests_in(snapshot, names)
    if len(requests) > len({request.id for request in requests}):
        raise InvalidRequest("name each request once")
    words = [*program().split(" "), "redo", *names, *(["--config", str(config)] if config else []), "--out", str(out)]
    with tempfile.TemporaryDirectory(prefix="mps-aigc-") as folder:
        batch = Path(folder, "redo.jsonl")
        batch.write_text("".join(f"{line_of(request.id or '', request)}\n" for request in requests), encoding="utf-8")
        code = run_batch(
            JsonLines(batch),
            config_for_creates(config),
            out,
            how_to_go_on=f"go on with the same command: {shlex.join(words)}{'' if ledger is None else named.option}",
            orders=Orders(edits=Edits(redo=names), has_places=False),
            ledger=named,
        )
    raise typer.Exit(code)
