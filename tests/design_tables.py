"""The tables of docs/design.md, drawn from the code: `python -m tests.design_tables` writes them into the page.

Each table stands between two markers, `<!-- NAME -->` and `<!-- /NAME -->`. `tests/test_design_tables.py` compares.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mps_aigc_async.ledger import fences
from mps_aigc_async.model.states import MOVES, Ending, JobState
from mps_aigc_async.policy.create_endings import Attempt, Decision, Earlier, decide
from mps_aigc_async.policy.retries import CONSEQUENCES

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "design.md"

EXAMPLES: Final[Mapping[Ending, str]] = {
    Ending.NEVER_DELIVERED: "connection refused, DNS, TLS, a connection found unusable before the first byte",
    Ending.UNREACHABLE: "a wrong address, certificate or proxy",
    Ending.REFUSED_FOR_NOW: "over the rate, no room for the task, unavailable",
    Ending.REFUSED: "content, parameters, an input that cannot be fetched",
    Ending.ACCOUNT_REFUSED: "signature, key, arrears, rights, spent quota, a wrong bucket",
    Ending.ACCEPTED_BEFORE: "a create with a session that the service has seen",
    Ending.UNKNOWN: "no answer, a gateway's page, 5xx, InternalError",
}
"""Causes of each ending, in the words of the page."""


def create_endings() -> str:
    """Draw a row for each ending in CONSEQUENCES."""
    lines = [
        "| ending | for example | send a poll again | send a create again | stop creating |",
        "|---|---|---|---|---|",
    ]
    lines += (
        f"| {ending.value} | {EXAMPLES[ending]} | {_yes(row.read_again)} | {_yes(row.create_again)} "
        f"| {_yes(row.stops_creating)} |"
        for ending, row in CONSEQUENCES.items()
    )
    return "\n".join(lines)


def create_decisions() -> str:
    """Draw a row for each ending of a create's attempt, first without and then with an earlier unknown create."""
    lines = [
        "| the attempt | earlier unknown create | the job becomes | its slot | its error |",
        "|---|---|---|---|---|",
    ]
    for ending in (None, *Ending):
        first, second = (decide(Attempt(ending, earlier=earlier)) for earlier in (Earlier.NONE, Earlier.UNKNOWN))
        if first.state is second.state and first.cause is second.cause:
            lines.append(_decision_row(ending, "yes or no", first))
        else:
            lines += [_decision_row(ending, "no", first), _decision_row(ending, "yes", second)]
        if ending is Ending.ACCEPTED_BEFORE:
            of_user = decide(Attempt(ending, is_users_session=True))
            row = _decision_row(ending, "yes or no", of_user)
            lines.append(row.replace(f"| {ending.value} |", "| the same, of a session that the user chose |"))
    return "\n".join(lines)


def _decision_row(ending: Ending | None, earlier: str, decision: Decision) -> str:
    name = "accepted" if ending is None else ending.value
    error = "" if ending is None else "the earlier one" if decision.state is JobState.UNKNOWN else "the attempt's own"
    error_text = f"CreateOutcomeUnknown: {decision.cause.value}" if decision.cause is not None else error
    return f"| {name} | {earlier} | *{decision.state}* | {decision.slot.value} | {error_text} |"


def job_moves() -> str:
    """Draw a row for each state of a job, with the states that may follow."""
    lines = ["| state | may become |", "|---|---|"]
    lines += (f"| *{state}* | {', '.join(_next_states(state))} |" for state in JobState)
    return "\n".join(lines)


def fence_rows() -> str:
    """The table in the text of `ledger.fences`, which `tests/ledger/test_fences.py` compares with the code."""
    return "\n".join(line for line in (fences.__doc__ or "").splitlines() if line.startswith("|"))


def floors() -> str:
    """Draw a row for each layer of the import contract, the top first."""
    lines = ["| floor | folders and modules |", "|---|---|"]
    layers = import_layers()
    lines += (f"| {len(layers) - number} | {_folders(layer)} |" for number, layer in enumerate(layers))
    return "\n".join(lines)


def import_layers() -> list[str]:
    """The layers of the package in the contract "Imports point down"."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == ["mps_aigc_async"])
    return [str(layer) for layer in layers]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _next_states(state: JobState) -> list[str]:
    return [f"*{following}*" for following in JobState if following in MOVES[state]]


def _folders(layer: str) -> str:
    return ", ".join(f"`{name.strip()}`" for name in layer.split("|"))


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "create-endings": create_endings,
    "create-decisions": create_decisions,
    "job-moves": job_moves,
    "fences": fence_rows,
    "floors": floors,
}
"""The name of each table's markers, and the function that draws it."""


def between_markers(text: str, name: str) -> str:
    """The text between the markers of this name. Raises ValueError if the page has not exactly one pair."""
    (content,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, flags=re.DOTALL)
    return str(content)


def redrawn(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """The page with its tables drawn anew."""
    for name, draw in tables.items():
        old = between_markers(text, name)
        text = text.replace(f"<!-- {name} -->\n{old}", f"<!-- {name} -->\n{draw()}")
    return text


def main() -> None:
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
