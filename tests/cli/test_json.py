"""`--json` prints JSON alone on stdout, wherever a table or a list is printed."""

import json
from pathlib import Path
from time import time

from mps_aigc_async.emulator import Emulator
from mps_aigc_async.model.states import Kind

from ..report.batches import planned, unknown, write_ledger
from .conftest import Shell, chain, image


def test_a_run_prints_an_object_per_request_and_a_summary(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    failing = {**chain("bad"), "image": {"prompt": "fail-later"}}
    result = shell.call("run", shell.batch(image("a"), failing), "-o", "made", "--json")
    assert result.exit_code == 1
    *ends, last = [json.loads(line) for line in result.stdout.splitlines()]
    good, bad = sorted(ends, key=lambda end: str(end["id"]))
    assert (good["id"], good["state"], good["urls"], good["error"]) == ("a", "saved", [], None)
    assert [Path(file).name for file in good["files"]] == ["a.png"]
    assert (bad["id"], bad["state"], bad["files"]) == ("bad", "failed", [])
    assert bad["error"]["type"] == "TaskFailed"
    assert "--retry-failed" in bad["error"]["advice"]
    jobs = last["summary"]["jobs"]
    assert (jobs["image"]["saved"], jobs["image"]["failed"], jobs["video"]["blocked"]) == (1, 1, 1)
    assert "report page: made/index.html" in result.stderr


def test_models_are_rows(shell: Shell) -> None:
    rows = json.loads(shell.call("models", "image", "--backend", "mps", "--json").stdout)
    assert {(row["kind"], row["backend"]) for row in rows} == {("image", "mps")}
    assert {"model", "versions", "field", "accepts", "source"} <= set(rows[0])


def test_the_list_of_settle_and_the_path_of_the_page(shell: Shell) -> None:
    write_ledger(shell.folder / "made", [unknown(planned("lost", Kind.IMAGE), time())])
    result = shell.call("settle", "made", "--json")
    points = json.loads(result.stdout)
    assert result.exit_code == 1
    assert points["orphans"] == []
    (lost,) = points["unknown"]
    assert (lost["id"], lost["kind"], lost["is_accepted"], lost["prompt"]) == (
        "lost/image", "image", False, "the image of lost",
    )  # fmt: skip
    refused = shell.call("settle", "made", "lost/image", "--drop", "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")
    page = json.loads(shell.call("report", "made", "--json").stdout)["page"]
    assert Path(page).name == "index.html"


def test_limits_and_a_task(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    assert json.loads(shell.call("status", "--limits", "--json").stdout) == {"limit_store": None}
    task_id = shell.call("image", "a lake").stdout.splitlines()[-1].removeprefix("task ")
    task = json.loads(shell.call("status", "image", task_id, "--json").stdout)
    assert (task["kind"], task["task_id"], task["state"]) == ("image", task_id, "done")


def test_usage_has_numbers(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    assert shell.call("image", "a lake").exit_code == 0
    rows = json.loads(shell.call("usage", "--json").stdout)
    (total,) = [row for row in rows if row["day"] == "total" and row["kind"] == "image"]
    assert (total["service_tasks"], total["ledger_tasks"], total["unit"]) == (1, None, "images")
