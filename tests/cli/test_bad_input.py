"""What is wrong is told with its place and its fix, before anything is sent."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mps_aigc_async.cli.batch import check_batch
from mps_aigc_async.cli.batch_source import JsonLines
from mps_aigc_async.cli.refusals import BadBatch
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.model.defaults import Defaults
from mps_aigc_async.model.states import Kind

from .conftest import SECRET_KEY, Json, Line, Shell, image


@pytest.fixture(autouse=True)
def nothing_sent(emulator: Emulator) -> Iterator[None]:
    """Holds for every test here."""
    yield
    assert dict(emulator.statistics().arrivals) == {}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"image": {"prompt": "a"}', "line 2: not valid JSON: Expecting ',' delimiter at column 26"),
        (b'{"image": {"prompt": "a"}},', "at column 27: write each object on one line, without commas between lines"),
        (b"\xff\xfe", "line 2: not UTF-8"),
        (b'{"image": {"prompt": "a", "additional_parameters": {"x": NaN}}}', "line 2: not valid JSON: NaN"),
        (b'{"image": {"prompt": "a", "prompt": "b"}}', "line 2: not valid JSON: the key 'prompt' is there twice"),
        (b"[" * 100_000, "line 2: not valid JSON: "),
        ([1], "line 2: expected an object"),
        ({"image": {"prompt": "a", "promt": "b"}}, "line 2: image.promt: unknown field"),
        ({"video": {"prompt": "a", "duration": 0}}, "line 2: video.duration: Input should be greater"),
        ({"image": {"prompt": " "}}, "line 2: image.prompt is empty"),
        ({"video": {"duration": 5}}, "line 2: video.prompt is empty"),
        ({"images": {}}, "line 2: unknown key 'images'"),
        ({"id": "first", "image": {"prompt": "b"}}, "line 2: id 'first' is on line 1 already"),
        (
            {"video": {"prompt": "a", "first_frame": "here.png"}},
            "line 2: first_frame: 'here.png' is neither a URL nor a file here",
        ),
        (b'{"image": {"prompt": "\\ud800"}}', "line 2: image.prompt: a text was cut in the middle of a character"),
    ],
)
def test_a_faulty_line(shell: Shell, emulator: Emulator, line: Line, told: str) -> None:
    shell.configure(emulator.url)
    result = shell.call("run", shell.batch(image("first"), line), "--out", "made")
    assert result.exit_code == 2
    assert told in result.stderr
    assert not Path("made").exists()


def test_all_faulty_lines_up_to_a_number_are_told(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    result = shell.call("run", shell.batch(b"", *([b"?"] * 25), image("ok")), "--out", "made")
    assert result.exit_code == 2
    assert [line for line in result.stderr.splitlines() if "line 2:" in line]
    assert "line 21:" in result.stderr
    assert "line 22:" not in result.stderr
    assert "and 5 more" in result.stderr


def test_a_disabled_kind(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url, mps={"imageGeneration": {"enabled": False}})
    result = shell.call("run", shell.batch(image("a")), "--out", "made")
    assert result.exit_code == 2
    assert "line 1: image generation is disabled: set mps.imageGeneration.enabled to true" in result.stderr


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_batch(shell: Shell, emulator: Emulator, content: str) -> None:
    shell.configure(emulator.url)
    result = shell.call("run", "-", "--out", "made", stdin=content)
    assert result.exit_code == 2
    assert "the batch is empty" in result.stderr


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_batch_that_cannot_be_read(shell: Shell, emulator: Emulator, name: str) -> None:
    shell.configure(emulator.url)
    result = shell.call("run", name, "--out", "made")
    assert result.exit_code == 2
    assert f"cannot read the batch {name}: " in result.stderr


@pytest.mark.parametrize(
    ("cloud", "told"),
    [
        ({"secretId": ""}, "tencentCloud.secretId is missing"),
        ({"secretKey": "您的 SecretKey"}, "tencentCloud.secretKey is still the example's placeholder"),
        ({"endpoint": "http://mps.example.com"}, "is plain http"),
        ({"secretKeys": SECRET_KEY}, "tencentCloud.secretKeys: unknown key"),
    ],
)
def test_keys_and_endpoint(shell: Shell, emulator: Emulator, cloud: dict[str, Json], told: str) -> None:
    path = shell.configure(emulator.url)
    config = json.loads(path.read_text())
    config["tencentCloud"].update(cloud)
    path.write_text(json.dumps(config))
    result = shell.call("run", shell.batch(image("a")), "--config", str(path), "--out", "made")
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_config_that_is_not_there(shell: Shell) -> None:
    result = shell.call("run", shell.batch(image("a")), "--config", "nowhere.json", "--out", "made")
    assert result.exit_code == 2
    assert "cannot read the config nowhere.json" in result.stderr


def test_a_folder_that_cannot_be_written(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    Path("made").write_text("a file")
    result = shell.call("run", shell.batch(image("a")), "--out", "made")
    assert result.exit_code == 2
    assert f"cannot write into {shell.folder / 'made'}: " in result.stderr


def test_a_ledger_that_is_none(shell: Shell, emulator: Emulator) -> None:
    shell.configure(emulator.url)
    Path("made").mkdir()
    Path("made/ledger.db").write_text("not a database, and long enough to be looked at as one")
    result = shell.call("run", shell.batch(image("a")), "--out", "made")
    assert result.exit_code == 2
    assert "made/ledger.db" in result.stderr


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(image("a")).encode() + b"\r\n")
    assert check_batch(JsonLines(path), Defaults().check).totals == {Kind.IMAGE: 1}


def test_a_file_that_changes_between_its_readings_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_text(json.dumps(image("a")))
    batch = check_batch(JsonLines(path), Defaults().check)
    path.write_text("\n?")
    with pytest.raises(BadBatch, match=r"line 2: not valid JSON: .*has changed"):
        list(batch)


def test_memory_does_not_follow_the_number_of_lines(tmp_path: Path) -> None:
    """Ten thousand ids of a hundred letters are 1.5 MB as Python strings."""
    path = tmp_path / "batch.jsonl"
    with path.open("w") as file:
        for number in range(10_000):
            file.write(json.dumps(image(f"{number:0100}")) + "\n")
    check_batch(JsonLines(path), Defaults().check)  # the first reading fills caches for good
    tracemalloc.start()
    try:
        assert check_batch(JsonLines(path), Defaults().check).totals == {Kind.IMAGE: 10_000}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "image", "video", "prompt", "images", "duration"]) | st.text(), inner)
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(json_texts | st.binary(max_size=30), max_size=4))
def test_any_bytes_are_a_batch_or_refused_by_line(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        batch = check_batch(JsonLines(path), Defaults().check)
    except BadBatch as refused:
        assert "empty" in str(refused) or "line " in str(refused)  # noqa: PT017 — either way is right
    else:
        assert sum(batch.totals.values()) >= len(list(batch)) > 0


def test_two_lines_with_one_session_id_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    options = {"vod": {"session_id": "film-7"}}
    lines = [
        {"id": "a", "image": {"prompt": "x"}, "video": {"prompt": "x", **options}},
        {"id": "b", "image": {"prompt": "y"}},
        {"id": "c", "image": {"prompt": "z", **options}},
    ]
    file = tmp_path / "batch.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(BadBatch, match="line 3: session id 'film-7' is on line 1 already: give each request its own"):
        check_batch(JsonLines(file), lambda _request: None)
