"""`run` from its file to its folder: finished, continued, failed, refused."""

import json
import os
from pathlib import Path

import av
from PIL import Image

from mps_aigc_async.emulator import Emulator

from .conftest import SECRET_ID, Json, Shell, chain, image


def created(emulator: Emulator) -> dict[str, int]:
    return dict(emulator.statistics().created)


def test_a_batch_is_made_and_the_same_command_makes_nothing_more(shell: Shell, emulator: Emulator) -> None:
    config = shell.configure(emulator.url)
    batch = shell.batch(chain("a"), image("b"), b"", {"video": {"prompt": "rain", "duration": 1}})
    command = ["run", batch, "--config", str(config), "--out", "made"]

    first = shell.call(*command)

    assert first.exit_code == 0, first.output
    assert created(emulator) == {"image": 2, "video": 2, "audio": 0}
    with Image.open("made/a.png") as picture:
        picture.load()
    videos = [path for path in Path("made").iterdir() if path.suffix == ".mp4"]
    assert len(videos) == 2
    for path in videos:
        with av.open(str(path)) as film:
            assert next(film.decode(video=0)).width > 0
    assert "a: done: made/a.png, made/a.mp4" in first.stdout
    assert "report page: made/index.html\n" in first.stdout
    assert '<video class="media" src="a.mp4"' in Path("made/index.html").read_text(encoding="utf-8")
    assert rows(first.stdout) == {"images": [2, 0, 0, 0, 0, 2, 0, 0], "videos": [2, 0, 0, 0, 0, 2, 0, 0]}

    again = shell.call(*command)

    assert again.exit_code == 0, again.output
    assert created(emulator) == {"image": 2, "video": 2, "audio": 0}
    assert rows(again.stdout) == rows(first.stdout)
    assert "a: kept: made/a.png, made/a.mp4\n" in again.stdout
    assert "\n3 requests kept, " in again.stdout

    models: dict[str, Json] = {"imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"}}
    shell.configure(emulator.url, mps=models)
    with_another_default = shell.call(*command)
    note, change = with_another_default.stderr.splitlines()[:2]
    assert note.startswith("note: the config's defaults have changed since kept results were made; `--redo ID`")
    assert change.startswith("  image: model_name was left to the service, and is Hunyuan now (")
    assert created(emulator) == {"image": 2, "video": 2, "audio": 0}


def rows(stdout: str) -> dict[str, list[int]]:
    """The table's rows: total, planned, blocked, running, done, saved, failed, unknown."""
    words = [line.split() for line in stdout.splitlines()]
    return {
        line[0]: [int(word) for word in line[1:]]
        for line in words
        if line and line[0] in {"images", "videos", "audios"}
    }


def test_a_link_that_is_set_anew_in_mid_run_parts_no_files_from_their_ledger(shell: Shell, emulator: Emulator) -> None:
    caps: dict[str, Json] = {"maxImageTasks": 1, "pollIntervalMs": 100}
    shell.configure(emulator.url, concurrency=caps)
    one, other, link = (shell.folder / name for name in ("one", "other", "link"))
    one.mkdir()
    other.mkdir()
    link.symlink_to(one)
    with shell.start("run", shell.batch(*(image(name) for name in "abc")), "--out", "link") as process:
        assert process.stdout is not None
        assert ": done: one/" in process.stdout.readline()  # of whichever: one file may come slower than the next task
        link.unlink()
        link.symlink_to(other)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert {"a.png", "b.png", "c.png", "ledger.db", "index.html"} <= {path.name for path in one.iterdir()}
    assert list(other.iterdir()) == []
    assert "report page: one/index.html" in stdout


def test_a_batch_from_stdin(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    result = shell.call("run", "-", "--out", "made", stdin=json.dumps(image("b")) + "\n")
    assert result.exit_code == 0, result.output
    assert Path("made/b.png").is_file()


def test_a_batch_from_a_pipe_that_can_be_read_only_once(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    reading, writing = os.pipe()
    os.write(writing, json.dumps(image("b")).encode())
    os.close(writing)
    try:
        result = shell.call("run", f"/dev/fd/{reading}", "--out", "made")
    finally:
        os.close(reading)
    assert result.exit_code == 0, result.output
    assert Path("made/b.png").is_file()


def test_a_batch_of_chains_with_their_sound(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    lines: list[dict[str, Json]] = [
        {**chain("a"), "audio": {"prompt": "wind"}},
        {"audio": {"prompt": "a waltz", "scene_type": "music"}},
    ]
    result = shell.call("run", shell.batch(*lines), "--out", "made")
    assert result.exit_code == 0, result.output
    table = rows(result.stdout)
    assert (table["images"], table["audios"]) == ([1, 0, 0, 0, 0, 1, 0, 0], [2, 0, 0, 0, 0, 2, 0, 0])
    assert "<audio " in Path("made/index.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_a_note(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    Path("made").mkdir()
    Path("made/index.html").write_text("<h1>mine</h1>", encoding="utf-8")
    result = shell.call("run", shell.batch(image("a")), "--out", "made")
    assert result.exit_code == 0
    assert "note: there is no report page: made/index.html is no report of mps-aigc" in result.stderr
    assert Path("made/index.html").read_text(encoding="utf-8") == "<h1>mine</h1>"


def test_failures_are_grouped_and_exit_1(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    blocked = [image(f"bad-{number}", "forbidden-content") for number in range(7)]
    failing = {**chain("late"), "video": {"prompt": "fail-later"}}
    result = shell.call("run", shell.batch(*blocked, failing, image("good")), "--out", "made")
    assert result.exit_code == 1
    assert rows(result.stdout) == {"images": [9, 0, 0, 0, 0, 2, 7, 0], "videos": [1, 0, 0, 0, 0, 0, 1, 0]}
    assert "7 need attention: InvalidParameter.ViolationContent" in result.stdout
    assert ", …\n  change the prompt" in result.stdout
    assert "1 needs attention: The model could not generate" in result.stdout
    assert result.stdout.count("bad-0: failed: ") == 1
    # What failed stays failed, and is told again.
    before = created(emulator)
    again = shell.call("run", "batch.jsonl", "--out", "made")
    assert again.exit_code == 1
    assert rows(again.stdout) == rows(result.stdout)
    assert created(emulator) == before
    # Unless it is asked for: of the chain only the video, and nothing that was blocked is accepted this time either.
    anew = shell.call("run", "batch.jsonl", "--out", "made", "--retry-failed")
    assert rows(anew.stdout) == rows(result.stdout)
    assert created(emulator) == {**before, "video": before["video"] + 1}


def test_an_unknown_outcome_is_told_and_exits_1(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
    result = shell.call("run", shell.batch(image("lost")), "--out", "made")
    assert result.exit_code == 1
    assert "lost: unknown: " in result.stdout
    assert rows(result.stdout)["images"] == [1, 0, 0, 0, 0, 0, 0, 1]
    assert "it is not sent again by itself" in result.stdout
    assert "then run `mps-aigc settle DIR`" in result.stdout
    assert created(emulator) == {"image": 1, "video": 0, "audio": 0}


def test_a_refused_account_exits_3_and_nothing_is_lost(shell: Shell, emulator: Emulator) -> None:
    config = shell.configure(emulator.url)
    batch = shell.batch(*(image(f"shot-{number}") for number in range(3)))
    right = config.read_text()
    config.write_text(right.replace(SECRET_ID, "AKIDOFSOMEBODYELSE"))
    refused = shell.call("run", batch, "--out", "made")
    assert refused.exit_code == 3
    assert "AuthFailure" in refused.stderr
    assert "check the SecretId in the console" in refused.stderr
    alone = shell.call("image", "a lake")
    assert alone.exit_code == 3
    assert "\nadvice: check the SecretId in the console" in alone.stderr
    assert "after that is fixed: go on with the same command: mps-aigc run batch.jsonl --out made" in refused.stderr
    assert rows(refused.stdout)["images"] == [3, 3, 0, 0, 0, 0, 0, 0]
    assert created(emulator) == {"image": 0, "video": 0, "audio": 0}


def test_the_ledger_of_another_account_is_refused_by_name(shell: Shell, emulator: Emulator) -> None:
    config = shell.configure(emulator.url)
    batch = shell.batch(image("a"))
    assert shell.call("run", batch, "--out", "made").exit_code == 0
    before = created(emulator)
    config.write_text(config.read_text().replace("{", '{"account": "another", ', 1))
    result = shell.call("run", batch, "--out", "made")
    assert result.exit_code == 2
    assert "'another'" in result.stderr
    assert created(emulator) == before


def test_the_examples_bucket_is_one_note(shell: Shell, emulator: Emulator) -> None:
    bucket = "your-bucket-name-1234567890"
    shell.configure(emulator.url, cosOutput={"bucket": bucket, "region": "ap-guangzhou"})
    result = shell.call("run", shell.batch(image("a")), "--out", "made")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: cosOutput.bucket")
    assert result.stderr.count(bucket) == 1


def test_lines_have_no_colour_whatever_a_ci_sets(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    with shell.start("run", shell.batch(image("a")), "--out", "made", environment={"FORCE_COLOR": "1"}) as process:
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert "\x1b" not in stdout + stderr
    assert "a: done: made/a.png" in stdout.splitlines()


def test_an_encoding_that_lacks_the_characters_costs_nothing(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    with shell.start(
        "run", shell.batch(image("镜头")), "--out", "made", environment={"PYTHONIOENCODING": "latin-1"}
    ) as process:
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert r"\u955c\u5934: done" in stdout


def test_an_input_that_could_not_be_looked_at_is_a_note(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, checkInputs=True)
    url = "http://127.0.0.1:1/a.png"  # no server listens at port 1
    result = shell.call(
        "run", shell.batch({"image": {"prompt": "a", "images": [f"{url}?sign=s3cr3t"]}}), "--out", "made"
    )
    assert result.exit_code == 0
    assert result.stderr.count(f"note: images.0: {url} could not be looked at: ClientConnectorError") == 1
    assert "CatalogWarning" not in result.stderr
    assert "s3cr3t" not in result.output + result.stderr
