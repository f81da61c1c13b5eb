"""Control groups of both versions: where GaoVM makes them, writes limits and removes old ones."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gaovm.platform.confine import groups
from gaovm.platform.confine.cage import Limits

LIMITS = Limits(1 << 30, 1 << 40, 1.5, 99, 100, weight=50, disk=os.makedev(8, 1))
#: The files that the kernel puts into a new group.
FILES = {
    True: ("cgroup.procs", "memory.max", "memory.swap.max", "pids.max", "cpu.max", "io.weight"),
    False: (
        *("cgroup.procs", "memory.limit_in_bytes", "pids.max"),
        *("cpu.cfs_period_us", "cpu.cfs_quota_us", "blkio.throttle.read_bps_device"),
        *("blkio.throttle.write_bps_device", "blkio.throttle.read_iops_device"),
        "blkio.throttle.write_iops_device",
    ),
}


def kernel(monkeypatch: pytest.MonkeyPatch, *, unified: bool) -> None:
    """Play the kernel: a new directory gets a group's files, and loses them when it is removed."""

    def mkdir(path: Path, mode: int = 0o777, *, exist_ok: bool = False) -> None:
        there = path.exists()
        os.makedirs(path, mode, exist_ok=exist_ok)
        if not there:
            for name in (*FILES[unified], "cgroup.subtree_control"):
                (path / name).write_text("")

    def rmdir(path: Path) -> None:
        if any(entry.is_dir() for entry in path.iterdir()):
            raise OSError(39, "not empty")
        for entry in path.iterdir():
            entry.unlink()
        os.rmdir(path)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "rmdir", rmdir)


def tree(root: Path, own: str, *, unified: bool) -> groups.Hierarchy:
    return groups.Hierarchy(root, root / own, unified, groups.CONTROLLERS)


def test_the_unified_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel(monkeypatch, unified=True)
    own = tmp_path / "user.slice" / "session.scope"
    own.mkdir()
    for each in (tmp_path, own.parent, own):
        (each / "cgroup.subtree_control").write_text("memory pids cpu io")
    monkeypatch.setattr(
        groups, "hierarchies", lambda: [tree(tmp_path, "user.slice/session.scope", unified=True)]
    )
    made = groups.make("vm", LIMITS)
    assert made.limited == groups.CONTROLLERS
    assert made.missing == {}
    [group] = (own / "gaovm").glob("*.vm")
    assert (group / "memory.max").read_text() == str(1 << 30)
    assert (group / "memory.swap.max").read_text() == "0"
    assert (group / "pids.max").read_text() == "99"
    assert (group / "cpu.max").read_text() == "150000 100000"
    assert (group / "io.weight").read_text() == "50"
    made.close()
    assert not (own / "gaovm").exists()
    made.close()


def test_the_old_trees(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel(monkeypatch, unified=False)
    monkeypatch.setattr(groups, "hierarchies", lambda: [tree(tmp_path, "", unified=False)])
    made = groups.make("vm", LIMITS)
    assert made.limited == groups.CONTROLLERS
    [group] = (tmp_path / "gaovm").glob("*.vm")
    assert (group / "memory.limit_in_bytes").read_text() == str(1 << 30)
    assert (group / "cpu.cfs_quota_us").read_text() == "150000"
    assert (group / "blkio.throttle.read_bps_device").read_text().endswith(f" {1 << 30}")


def test_unwritable_trees_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "gaovm").write_text("in the way")
    monkeypatch.setattr(groups, "hierarchies", lambda: [tree(tmp_path, "", unified=True)])
    made = groups.make("vm", LIMITS)
    assert made.limited == ()
    assert set(made.missing) == set(groups.CONTROLLERS)
    assert "exists" in made.missing["memory"]
    assert made.files() == ()
    monkeypatch.setattr(groups, "hierarchies", list)
    assert groups.make("vm", LIMITS).missing["pids"] == "no such controller is mounted"


def test_groups_of_killed_processes_are_swept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel(monkeypatch, unified=False)
    monkeypatch.setattr(groups, "hierarchies", lambda: [tree(tmp_path, "", unified=False)])
    live = groups.make("live", LIMITS)
    left, other = tmp_path / "gaovm" / "1.99999999999.left", tmp_path / "gaovm" / "other"
    left.mkdir()
    other.mkdir()
    assert groups.sweep()
    assert not left.exists()
    assert other.exists()
    assert len(live.files()) == 1
    for fd in live.files():
        os.close(fd)


@pytest.mark.parametrize(
    ("number", "clean"), [(errno.EBUSY, False), (errno.EACCES, True), (errno.EROFS, True)]
)
def test_only_groups_in_use_are_swept_again(
    number: int, clean: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(groups, "hierarchies", lambda: [tree(tmp_path, "", unified=False)])
    (tmp_path / "gaovm" / "1.99999999999.left").mkdir(parents=True)

    def rmdir(path: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "rmdir", rmdir)
    assert groups.sweep() is clean


def test_a_mount_that_shows_part_of_the_tree() -> None:
    assert groups._below("/a/b/c", "/") == "a/b/c"
    assert groups._below("/a/b/c", "/a/b") == "c"
    assert groups._below("/a", "/a") == ""
    assert groups._below("/abc", "/a") is None
