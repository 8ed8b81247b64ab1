"""The judgement whether a member's process has ended, where the system shows all processes and where it hides some."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mps_aigc_async.sharing import member as member_module
from mps_aigc_async.sharing.member import Member

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, members are judged by their heartbeats")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def _of(process: subprocess.Popen[bytes]) -> Member:
    return replace(Member.here(), pid=process.pid, started=member_module._started(process.pid))


def _shown(folder: Path, *, self: str) -> Path:
    """A /proc that shows this process alone, and says that its number is `self`."""
    (folder / self).symlink_to(f"/proc/{os.getpid()}")
    (folder / "self").symlink_to(self)
    return folder


def test_a_process_is_there_until_it_dies_though_nobody_has_waited_for_it(other: subprocess.Popen[bytes]) -> None:
    member = _of(other)
    assert member.has_ended() is False
    assert replace(member, started="1").has_ended() is True, "another process has got the number"
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert member.has_ended() is True
    other.wait()
    assert member.has_ended() is True


def test_a_process_that_the_system_hides_is_not_taken_for_gone(
    other: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = _of(other)
    monkeypatch.setattr(member_module, "_PROC", _shown(tmp_path, self=str(os.getpid())))
    assert member.has_ended() is None, "its heartbeat tells"
    assert Member.here().has_ended() is False
    other.kill()
    other.wait()
    assert member.has_ended() is True


def test_the_proc_of_another_namespace_tells_nothing(
    other: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_module, "_PROC", _shown(tmp_path, self="1"))
    (tmp_path / str(other.pid)).symlink_to(f"/proc/{os.getpid()}")  # a stranger has the number there
    member = _of(other)
    assert member.started == ""
    assert member.has_ended() is None
    assert Member.here().has_ended() is None


def test_a_process_of_another_user_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert Member.here().has_ended() is False
