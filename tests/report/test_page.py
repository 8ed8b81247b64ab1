"""The page as a file: whole, self-contained, and nobody else's."""

import asyncio
import re
import sqlite3
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from mps_aigc_async.ledger import SqliteLedger
from mps_aigc_async.model.errors import ConfigError, LedgerError
from mps_aigc_async.model.states import Kind
from mps_aigc_async.report import page, write

from .batches import NOW, OWNER, chain, done, every_state, planned, saved, sounding, submitted, write_ledger


def written(folder: Path) -> str:
    return write(folder, wall=NOW).read_text(encoding="utf-8")


def test_every_state_is_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "shot-0000.png").touch()
    (tmp_path / "shot-0000.mp4").touch()
    write_ledger(tmp_path, every_state(tmp_path))
    text = written(tmp_path)
    assert re.findall(r'<li id="s(\d)".*data-standing="(\w+)"', text) == [
        ("1", "saved"), ("2", "saved"), ("3", "done"), ("4", "blocked"), ("5", "running"), ("6", "planned"),
        ("7", "failed"), ("8", "unknown"),
    ]  # fmt: skip
    assert "月光下的湖 &lt;b&gt;bold&lt;/b&gt; &amp; &#34;quoted&#34;" in text
    assert "<b>" not in text
    assert "SIGNATURE" not in text
    assert str(tmp_path) not in text


def test_what_is_paid_for_and_not_saved_is_counted(tmp_path: Path) -> None:
    write_ledger(tmp_path, [done(submitted(planned(name, Kind.IMAGE), NOW)) for name in "abc"])
    page = write(tmp_path, wall=NOW).read_text(encoding="utf-8")
    assert "<dt>paid for, not saved</dt><dd>3</dd>" in page


def test_a_sound_is_heard_and_has_lanes_of_its_own(tmp_path: Path) -> None:
    for name in ("a.png", "a.mp4", "a.mp3", "a+sound.mp4"):
        (tmp_path / name).touch()
    write_ledger(tmp_path, sounding("a", tmp_path))
    text = written(tmp_path)
    assert re.findall(r'<audio class="media" src="(.+?)" controls preload="none" aria-label="(.+?)">', text) == [
        ("a.mp3", "a: the audio of a")
    ]
    assert len(re.findall(r"<video ", text)) == 2
    assert 'data-kinds="image video audio"' in text
    assert '<option value="audio">audios</option>' in text
    assert "1 audio tasks, at most 1 at once." in text


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    write_ledger(tmp_path, chain(0, tmp_path))
    text = written(tmp_path)
    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href|poster)=["']?(?:https?:)?//""", text)
    assert "@import" not in text
    assert "url(" not in text


def test_files_are_found_where_the_folder_is_now(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    name = "shot%20#1 镜头.png"
    (before / name).touch()
    outside = tmp_path / "elsewhere.png"
    outside.touch()
    jobs = [
        saved(done(submitted(planned("a", Kind.IMAGE), NOW - 900)), before / name),
        saved(done(submitted(planned("b", Kind.IMAGE), NOW - 900)), outside),
    ]
    write_ledger(before, jobs)
    after = before.rename(tmp_path / "after")
    sources = re.findall(r'<img src="([^"]+)"', written(after))
    assert [unquote(source) for source in sources] == [name, "../elsewhere.png"]


def test_a_file_out_of_reach_is_gone_and_costs_no_page(tmp_path: Path) -> None:
    """Its folder may not be searched, or its name is longer than this file system's."""
    lost = saved(done(submitted(planned("a", Kind.IMAGE), NOW - 900)), tmp_path / ("x" * 300))
    write_ledger(tmp_path, [lost])
    assert "its file is not in its place any more" in written(tmp_path)


def test_it_is_written_again_but_never_over_a_page_of_the_users(tmp_path: Path) -> None:
    write_ledger(tmp_path, chain(0, tmp_path))
    assert written(tmp_path) == written(tmp_path)
    (tmp_path / "index.html").write_text("<h1>mine</h1>", encoding="utf-8")
    with pytest.raises(ConfigError, match="is no report of mps-aigc: move it away"):
        write(tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "<h1>mine</h1>"
    assert not list(tmp_path.glob(".*.part"))


def test_many_shots_are_several_pages_that_know_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PER_PAGE", 3)
    write_ledger(tmp_path, [job for number in range(8) for job in chain(number, tmp_path)])
    first = written(tmp_path)
    others = [(tmp_path / f"index-{number}.html").read_text(encoding="utf-8") for number in (2, 3)]
    assert [re.findall(r'<li id="s(\d+)"', text) for text in (first, *others)] == [
        ["1", "2", "3"], ["4", "5", "6"], ["7", "8"],
    ]  # fmt: skip
    assert "index-3.html#s8" in first
    assert all('<a href="index.html"' in text for text in others)
    assert "Timeline" not in others[0]


def test_a_batch_of_which_nothing_was_sent(tmp_path: Path) -> None:
    write_ledger(tmp_path, [planned("a", Kind.IMAGE)])
    text = written(tmp_path)
    assert "nothing sent yet" in text
    assert "<svg" not in text


def test_too_many_tasks_to_draw_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mps_aigc_async.report.overview.MOST_BARS", 3)
    write_ledger(tmp_path, [job for number in range(2) for job in chain(number, tmp_path)])
    assert "4 tasks are too many to draw one by one" in written(tmp_path)


async def test_it_is_written_while_the_batch_runs(tmp_path: Path) -> None:
    ledger = await SqliteLedger.open(tmp_path / "ledger.db", OWNER)
    try:
        await ledger.put(submitted(planned("a", Kind.IMAGE), NOW - 5))
        text = (await asyncio.to_thread(write, tmp_path)).read_text(encoding="utf-8")
        await ledger.put(planned("b", Kind.IMAGE))
    finally:
        await ledger.close()
    assert "at the service" in text


def test_a_folder_without_a_ledger_and_one_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        write(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("CREATE TABLE notes (text)")
    database.close()
    with pytest.raises(LedgerError, match="SQLite file of another program"):
        write(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ledger(tmp_path, chain(0, tmp_path))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ConfigError, match=r"cannot write the report into .*: No space left on device"):
        write(tmp_path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=re.escape("pip install '.[report]' in a clone of mps-aigc-async")):
        write(tmp_path)
