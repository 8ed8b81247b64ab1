"""Each Python and shell block of the pages runs, on an emulator and in a folder of its own."""

import asyncio
import inspect
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import indent

import pytest

from mps_aigc_async.emulator import Emulator, Piece
from mps_aigc_async.ledger.snapshot import open_snapshot

from .blocks import Block, blocks_of, is_notebook, is_test, shell_lines
from .folder import QUICK, Folder, furnish
from .forms import fault_in

SCRIPTS = [block for block in blocks_of("python") if not (is_test(block.text) or "make_app" in block.text)]
(BATCH,) = (block for block in SCRIPTS if "ImageToVideo(" in block.text)
(SHARED,) = (block for block in SCRIPTS if "postgresql://" in block.text and ".run(requests" in block.text)
(QUEUED,) = (block for block in SCRIPTS if "workers import queue" in block.text)
TESTS = [block for block in blocks_of("python") if is_test(block.text)]
SPEED = 1000.0

DOT = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
"""A PNG of one pixel: rendered results would take most of the time."""


def small_result(piece: Piece) -> bytes:
    heads = {"image/png": DOT, "video/mp4": b"\x00\x00\x00\x18ftypmp42", "audio/mpeg": b"ID3\x03"}
    return heads[piece.content_type].ljust(100, b"\x00")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(speed=SPEED, media=small_result) as emulator:
        yield emulator


@pytest.fixture
def folder(tmp_path: Path, emulator: Emulator) -> Folder:
    return furnish(tmp_path, emulator.url)


def as_script(text: str) -> str:
    """A notebook's cell as a script: its `await` needs a function."""
    if not is_notebook(text):
        return text
    return f"import asyncio\n\n\nasync def cell() -> None:\n{indent(text, '    ')}\n\nasyncio.run(cell())\n"


@pytest.mark.parametrize("block", [block for block in SCRIPTS if block not in (BATCH, SHARED, QUEUED)], ids=str)
async def test_a_script_runs(block: Block, folder: Folder, emulator: Emulator) -> None:
    await folder.python(as_script(block.text))
    assert emulator.statistics().created["image"] > 0


@pytest.mark.parametrize("block", TESTS, ids=str)
async def test_a_test_passes(block: Block) -> None:
    """Virtual time has a loop of its own, so such a block runs in a thread, where no other loop runs."""
    names: dict[str, object] = {}
    exec(compile(block.text, str(block), "exec"), names)  # noqa: S102 — the page's own code
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    assert callable(test)
    if inspect.iscoroutinefunction(test):
        await test()
    else:
        await asyncio.to_thread(test)


async def test_the_batch_of_the_page_is_shared_by_two_programs(
    folder: Folder, emulator: Emulator, database: str
) -> None:
    script = SHARED.text.replace("postgresql://app@db.internal/media", database)
    outputs = await asyncio.gather(folder.python(script), folder.python(script))
    assert emulator.statistics().created == {"image": 3, "video": 0, "audio": 0}
    for output in outputs:
        assert sorted(output.splitlines()) == [f"scene-{n} True" for n in range(3)]


async def test_the_queue_of_the_page_is_worked_off(folder: Folder, emulator: Emulator, database: str) -> None:
    for queued in (3, 0):  # the second time, all has ended
        output = await folder.python(QUEUED.text.replace("postgresql://app@db.internal/media", database))
        assert emulator.statistics().created == {"image": 3, "video": 0, "audio": 0}
        first, *outcomes = output.splitlines()
        assert (first, sorted(outcomes)) == (f"{queued} requests queued", [f"scene-{n} True" for n in range(3)])
    assert len(list((folder.path / "out").glob("*.png"))) == 3


async def test_the_batch_of_the_page_continues_when_it_is_run_again(folder: Folder, emulator: Emulator) -> None:
    first = await folder.python(BATCH.text)
    second = await folder.python(BATCH.text)
    assert emulator.statistics().created == {"image": 5, "video": 5, "audio": 0}
    assert len(first.splitlines()) == len(second.splitlines()) == 5
    assert len(list((folder.path / "out").glob("*.mp4"))) == 5


async def test_the_shell_blocks_run_in_the_order_of_the_pages(folder: Folder, emulator: Emulator) -> None:
    """All blocks share a folder: the later ones look at the results of README's batch, whose shots all succeed."""
    blocks = blocks_of("sh")
    assert blocks[0].page == "README.md"
    for block in blocks:
        await folder.shell(block.text)
    assert emulator.statistics().created == {"image": 4, "video": 4, "audio": 3}  # README's lines, and one more image
    results = {file.name for file in (folder.path / "results").iterdir()}
    assert {"shot-001.png", "shot-001.mp4", "shot-004+sound.mp4", "index.html", "ledger.db"} <= results


MODELS = {
    "imageGeneration": {"modelName": "Hunyuan", "modelVersion": "3.0"},
    "videoGeneration": {"modelName": "Kling", "modelVersion": "3.0"},
}


@pytest.mark.parametrize("backend", ["mps", "vod"])
async def test_readmes_batch_is_made_on_each_backend_with_audio(
    folder: Folder, emulator: Emulator, backend: str
) -> None:
    """By the command, and with each scene that the lines leave open."""
    config = {"backend": backend, "mps": MODELS, "concurrency": QUICK}
    (folder.path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    output = await folder.shell("mps-aigc run shots.jsonl --out results && mps-aigc status results")
    assert emulator.statistics().created == {"image": 3, "video": 4, "audio": 3}
    assert emulator.statistics().refused == {}
    made = {file.name for file in (folder.path / "results").iterdir()}
    assert {"shot-004.mp3", "shot-004+sound.mp4", "shot-005.mp3", "shot-005+sound.mp4", "theme.mp3"} <= made
    assert "Warning" not in output
    with open_snapshot(folder.path / "results" / "ledger.db") as snapshot:
        scenes = {
            job.job_id: job.sent_fields()["scene_type"]
            for _, jobs in snapshot.requests()
            for job in jobs
            if job.kind == "audio"
        }
    assert scenes == {"shot-004/audio": "sfx", "shot-005/audio": "music", "theme/audio": "music"}


async def test_a_shot_whose_first_frame_cannot_be_fetched_fails_alone(folder: Folder) -> None:
    """The names of `.example` lead nowhere (RFC 6761), so that the second line of docs/batch.md fails."""
    (lines,) = (block.text for block in blocks_of("json") if block.page == "docs/batch.md")
    (folder.path / "two.jsonl").write_text(lines, encoding="utf-8")
    output = await folder.shell("mps-aigc run two.jsonl --out two || echo exit code $?")
    assert "your-own-site.example" in output
    assert output.endswith("exit code 1\n")
    assert {file.stem for file in (folder.path / "two").iterdir()} == {"index", "lake", "ledger"}


@pytest.mark.parametrize("block", blocks_of("sh"), ids=str)
def test_the_commands_of_a_shell_block_have_a_right_form(block: Block) -> None:
    assert [fault for line in shell_lines(block.text) if (fault := fault_in(line))] == []
