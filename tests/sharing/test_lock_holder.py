"""The process that holds a lock on a file."""

import sqlite3
from pathlib import Path

import pytest

from mps_aigc_async.sharing import lock_holder as module
from mps_aigc_async.sharing.lock_holder import lock_holder


def test_the_holder_is_named_while_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    holder = lock_holder(file)
    assert holder is not None
    assert "another thread" in holder
    connection.execute("ROLLBACK")
    assert lock_holder(file) is None
    connection.close()


def test_a_system_that_lists_no_locks_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCKS", tmp_path / "missing")
    (tmp_path / "file").touch()
    assert lock_holder(tmp_path / "file") is None
