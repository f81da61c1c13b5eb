"""Files are written whole or not at all; a lock has one holder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.aio import files


def test_a_write_replaces_the_whole_file_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    files.write_atomic(path, b"{}")
    files.write_atomic(path, b'{"a": 1}', mode=0o640)
    assert path.read_bytes() == b'{"a": 1}'
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(errors.HostError, match="cannot write"):
        files.write_atomic(tmp_path / "d", b"x")
    assert os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize("flag", [os.O_TMPFILE, os.O_DIRECTORY])
def test_a_new_file_is_written_whole_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", flag)  # the second flag: a system without O_TMPFILE
    path = tmp_path / "disk"
    files.create_atomic(path, b"first", mode=0o640)
    with pytest.raises(errors.StateConflict):
        files.create_atomic(path, b"second")
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(errors.HostError, match="cannot write"):
        files.create_atomic(tmp_path / "absent" / "disk", b"x")
    assert os.listdir(tmp_path) == ["disk"]


def test_a_full_disk_is_its_own_error() -> None:
    assert isinstance(files.errors_of(OSError(28, "No space"), "x"), errors.DiskFull)
    assert isinstance(files.errors_of(OSError(13, "denied"), "x"), errors.PermissionMissing)


def test_a_lock_has_one_holder_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = (
        "import sys; from gaovm.aio import files; l = files.Lock(sys.argv[1]);"
        "print(l.acquire(), flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == b"True\n"
        lock = files.Lock(path)
        assert not lock.acquire()
        assert lock.holder() == child.pid
        child.kill()
        child.wait()
        assert lock.acquire()
        assert lock.acquire()
    assert lock.held
    other = files.Lock(path)
    assert not other.acquire()
    lock.release()
    lock.release()
    assert other.acquire()
    other.release()


def test_sweeping_removes_only_files_of_dead_writers(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / f".config.json.{gone.pid}.0123abcd"
    kept = [f".config.json.{os.getpid()}.0123abcd", "config.json", ".x.1.2", f".a.{gone.pid}.xyz"]
    for name in (left.name, *kept):
        (tmp_path / name).write_text("{}")
    assert files.sweep(tmp_path) == [left]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
