"""A batch in a table, from its check to its files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from mps_aigc_async.cli.batch import check_batch
from mps_aigc_async.cli.batch_source import batch_source
from mps_aigc_async.emulator import Emulator

from .conftest import Shell
from .test_run import created

HEADER = ["编号", "图片提示词", "图片模型", "图片模型版本", "视频提示词", "视频时长（秒）", "备注"]
ROWS: list[list[Any]] = [
    ["镜头（一）", "湖边的月光", "Hunyuan", 3, "涟漪荡开", 5, "夜景"],
    [2, "山,\n雾", None, None, None, None, None],
    [None, None, None, None, None, None, None],
    ["海浪", None, None, None, "黎明的海浪", 5, None],
]


def table(file: Path, header: Sequence[Any] = HEADER, rows: Sequence[Sequence[Any]] = ROWS) -> str:
    """Write the table in the format of the file's suffix; a CSV file as Excel does in China."""
    if file.suffix == ".xlsx":
        book = openpyxl.Workbook()
        assert book.active is not None
        for row in [header, *rows]:
            book.active.append(list(row))
        book.save(file)
    else:
        cells = [["" if cell is None else str(cell) for cell in row] for row in [header, *rows]]
        quoted = [",".join(f'"{cell}"' if {",", "\n"} & set(cell) else cell for cell in row) for row in cells]
        file.write_bytes("\r\n".join(quoted).encode("gb18030"))
    return file.name


@pytest.mark.parametrize("name", ["镜头表.xlsx", "镜头表.csv"])
def test_a_table_is_planned_and_made_and_goes_on(shell: Shell, emulator: Emulator, name: str) -> None:
    shell.configure(emulator.url)
    batch = table(shell.folder / name)
    plan = json.loads(shell.call("plan", batch, "--out", "made", "--json").stdout)
    assert (plan["requests"], plan["images"], plan["video_seconds"]) == ({"new": 3}, 2, 10)

    first = shell.call("run", batch, "--out", "made")
    assert first.exit_code == 0, first.output
    made = {"image": 2, "video": 2, "audio": 0}
    assert created(emulator) == made
    files = sorted(path.name for path in Path("made").iterdir() if path.suffix in {".png", ".mp4"})
    assert files == ["2.png", "海浪.mp4", "镜头（一）.mp4", "镜头（一）.png"]

    assert shell.call("run", batch, "--out", "made").exit_code == 0
    image = {"prompt": "湖边的月光", "model_name": "Hunyuan", "model_version": "3.0"}
    lines = shell.batch({"id": "镜头（一）", "image": image, "video": {"prompt": "涟漪荡开", "duration": 5}})
    assert shell.call("run", lines, "--out", "made").exit_code == 0
    assert created(emulator) == made, "the same requests, in whichever file"


@pytest.mark.parametrize("name", ["batch.xlsx", "batch.csv"])
def test_all_faults_are_named_by_row_and_column(shell: Shell, emulator: Emulator, name: str) -> None:
    shell.configure(emulator.url)
    rows: list[list[Any]] = [
        ["a", "湖", None, None, "雨", 0, None],
        ["b", None, None, None, "雨", "五", None],
        [None] * 7,
        ["c", "湖", None, None, None, None, None],
        ["c", "湖", None, None, None, None, None],
        ["d", None, "Hunyuan", None, None, None, None],
    ]
    result = shell.call("run", table(shell.folder / name, rows=rows), "--out", "made")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1:] == [
        "  row 2: column F (视频时长（秒）): Input should be greater than or equal to 1",
        "  row 3: column F (视频时长（秒）): expected a whole number, got '五'",
        "  row 6: id 'c' is on row 5 already: give each request its own",
        "  row 7: column B (图片提示词) is empty: write one, or give reference `images`",
    ]
    assert created(emulator) == {"image": 0, "video": 0, "audio": 0}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("batch.csv", b"", "the table is empty"),
        ("batch.csv", b"id,prompt\n1,a lake\n", "column B (prompt) is no field: is image.prompt or video.prompt"),
        ("batch.csv", b"a lake,rain\n", "the first row names no field"),
        ("batch.csv", b"id,image.prompt\n", "the batch is empty: write one request per row, below the header"),
        ("batch.csv", b"\x89PNG\r\n\x1a\n\0\0", "is no text in UTF-8 or GB18030"),
        ("batch.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is encrypted, or an old .xls"),
        ("batch.xlsx", b"id,image.prompt\n1,a lake\n", "is no XLSX file"),
        ("batch.XLSX", b"", "is no XLSX file"),
        ("no-such.xlsx", None, "cannot read the table no-such.xlsx: No such file or directory"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_is_no_table_is_refused_in_one_sentence(
    shell: Shell, emulator: Emulator, command: str, name: str, content: bytes | None, reason: str
) -> None:
    shell.configure(emulator.url)
    if content is not None:
        (shell.folder / name).write_bytes(content)
    result = shell.call(command, name, "--out", "made")
    assert result.exit_code == 2
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_table_that_is_saved_during_a_run_changes_nothing_of_it(shell: Shell) -> None:
    file = shell.folder / "batch.csv"
    table(file)
    with batch_source(file) as source:
        batch = check_batch(source, lambda _: None)
        file.write_bytes(b"")
        assert [request.id for request in batch] == ["镜头（一）", "2", "海浪"]
