"""`image`, `video` and `status`."""

import re
from pathlib import Path

import av
import pytest
from PIL import Image

from mps_aigc_async import Kind, TaskFailed, Throttled
from mps_aigc_async.cli.single import _Follower
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.model.events import Retried, Submitted

from .conftest import SECRET_ID, SECRET_KEY, Shell, chain, image


def task_in(stdout: str) -> str:
    return str(re.findall(r"^task (\S+)$", stdout, re.MULTILINE)[0])


def test_an_image_is_saved_and_its_task_can_be_asked_about(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    made = shell.call("image", "a lake", "--aspect-ratio", "1:1", "--out", "made")
    assert made.exit_code == 0, made.output
    file, task = made.stdout.splitlines()
    with Image.open(file) as picture:
        assert picture.width == picture.height
    assert task == f"task {task_in(made.stdout)}"

    asked = shell.call("status", "image", task_in(made.stdout))
    assert asked.exit_code == 0, asked.output
    assert f"{task_in(made.stdout)}: DONE (done)" in asked.stdout
    assert "  http://127.0.0.1:" in asked.stdout


def test_a_private_url_is_told_to_be_one(shell: Shell, emulator: Emulator) -> None:
    bucket = {"bucket": "shots-1250000000", "region": "ap-guangzhou", "endpoint": emulator.cos_url}
    shell.configure(emulator.url, cosOutput=dict(bucket))
    made = shell.call("image", "a lake")
    assert made.exit_code == 0, made.output
    assert "private bucket refuses its bare URL: save results with --out DIR" in made.stderr
    assert "own bucket" not in shell.call("image", "a lake", "--out", "made").stderr


def test_a_video_from_an_images_url(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    picture = shell.call("image", "a lake")
    url = picture.stdout.splitlines()[0]
    assert url.startswith(emulator.url)
    options = ["--first-frame", url, "--duration", "1", "--audio", "--model-name", "Kling", "--model-version", "3.0"]
    made = shell.call("video", "wind", *options, "--out", "made")
    assert made.exit_code == 0, made.output
    with av.open(made.stdout.splitlines()[0]) as film:
        assert film.streams.audio


def test_the_sound_of_a_video(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    url = shell.call("video", "waves", "--duration", "1").stdout.splitlines()[0]
    made = shell.call("audio", "surf", "--video", url, "--model-name", "Kling", "--format", "mp3", "--out", "made")
    assert made.exit_code == 0, made.output
    with av.open(made.stdout.splitlines()[0]) as sound:
        assert sound.streams.audio
    asked = shell.call("status", "audio", task_in(made.stdout))
    assert asked.exit_code == 0, asked.output
    assert f"{task_in(made.stdout)}: DONE (done)" in asked.stdout


def test_the_same_image_twice_is_two_files_and_with_a_ledger_one_task(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    for _ in range(2):
        assert shell.call("image", "a lake", "--out", "made").exit_code == 0
    assert len(list(Path("made").glob("*.png"))) == 2
    outputs = {shell.call("image", "a lake", "--out", "kept", "--ledger", "jobs.db").stdout for _ in range(2)}
    assert len(outputs) == 1
    assert emulator.statistics().created["image"] == 3


def test_without_a_config_file_the_guides_models_are_told_once(
    shell: Shell, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("TENCENTCLOUD_SECRET_ID", SECRET_ID),
        ("TENCENTCLOUD_SECRET_KEY", SECRET_KEY),
        ("MPS_AIGC_ENDPOINT", emulator.url),
    ):
        monkeypatch.setenv(name, value)
    made = shell.call("image", "a lake")
    assert made.exit_code == 0, made.output
    assert made.stderr.count("requests that name no model get the guide's, Hunyuan 3.0") == 1
    batch = shell.call("run", shell.batch(image("a"), image("b")), "--out", "made")
    assert batch.stderr.count("note: no config file") == 1
    assert "no config file" not in shell.call("status", "image", task_in(made.stdout)).output
    shell.configure(emulator.url)
    assert "no config file" not in shell.call("image", "a lake").output


def test_additional_parameters_are_json_text(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    ledger = ["--ledger", "jobs.db"]
    for text in ('{"size":"1024x1024"}', '{ "size": "1024x1024" }'):
        made = shell.call("image", "a lake", "--additional-parameters", text, *ledger)
        assert made.exit_code == 0, made.output
    assert emulator.statistics().created["image"] == 1
    refused = shell.call("image", "a lake", "--additional-parameters", "size=1024x1024")
    assert refused.exit_code == 2
    assert "additional_parameters is text that holds no JSON object (line 1, column 1" in refused.stderr


def test_failures(shell: Shell, emulator: Emulator) -> None:
    config = shell.configure(emulator.url)
    blocked = shell.call("image", "forbidden-content")
    assert blocked.exit_code == 1
    assert blocked.stderr.startswith("error: InvalidParameter.ViolationContent: ")
    failed = shell.call("image", "fail-later")
    assert failed.exit_code == 1
    task_id = re.findall(r"task (4-\S+);", failed.stderr)[0]
    asked = shell.call("status", "image", task_id)
    assert asked.exit_code == 1
    assert "FAIL (failed)\n  The model could not" in asked.stdout
    lost = shell.call("status", "video", task_id)
    assert lost.exit_code == 1
    assert "error: ResourceNotFound: " in lost.stderr
    assert "check that it is a task of kind video" in lost.stderr
    assert shell.call("image", " ").exit_code == 2
    config.write_text(config.read_text().replace("AKIDOF", "AKIDNOTOF"))
    assert shell.call("image", "a lake").exit_code == 3


def test_status_of_a_folder_needs_no_keys(shell: Shell, emulator: Emulator) -> None:
    config = shell.configure(emulator.url)
    shell.call("run", shell.batch(chain("a"), image("b")), "--out", "made")
    config.unlink()
    for target in ("made", "made/ledger.db"):
        result = shell.call("status", target)
        assert result.exit_code == 0, result.output
        assert re.search(r"planned +blocked +running +done +saved +failed +unknown", result.stdout)
        assert re.search(r"images +0 +0 +0 +0 +2 +0 +0", result.stdout)
        assert re.search(r"videos +0 +0 +0 +0 +1 +0 +0", result.stdout)


def test_status_says_what_it_needs(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    for target, told in (
        (["nowhere"], "there is no ledger nowhere/ledger.db"),
        (["image"], "mps-aigc status image 4-Aigc"),
        (["picture", "4-AigcImage-1"], "'picture' is no kind of task: image, video or audio"),
        (["config.json"], "config.json cannot be read as a ledger"),
    ):
        result = shell.call("status", *target)
        assert result.exit_code == 2
        assert told in result.stderr


def test_a_task_that_the_model_had_no_room_for_is_not_named_to_go_on_with() -> None:
    follower = _Follower(Kind.VIDEO)
    follower.on_event(Submitted(at=0, job_id="a/video", kind=Kind.VIDEO, task_id="5"))
    for error, named in ((Throttled("RequestLimitExceeded", "slow down"), True), (TaskFailed("no room"), False)):
        follower.on_event(Retried(at=0, job_id="a/video", kind=Kind.VIDEO, error=error, delay_s=20))
        assert ("video 5" in follower.how_to_go_on()) is named
