from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gaovm.aio import files
from gaovm.cli import main
from gaovm.cli.commands import uninstall, units

# takes a lock, prints a line, and exits when its input ends
HOLDER = """
import sys
from gaovm.aio import files
lock = files.Lock(sys.argv[1])
assert lock.acquire()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home as a daemon leaves it: with a VM, a cache and a unit."""
    path = tmp_path / "home"
    for directory in ("vms/web-dev", "images/ab", "logs", "run"):
        (path / directory).mkdir(parents=True)
    for name in ("gaovmd.lock", "state.db", "state.db-wal", "state.backup.db"):
        (path / name).touch()
    for name in ("vms/web-dev/disk.qcow2", "images/ab/disk.raw"):
        (path / name).write_bytes(b"x" * (1 << 20))
    (path / "vms/web-dev/lock").touch()
    (path / ".state.12.0123abcd").touch()
    for directory in ("images", "packages", "agent"):
        (tmp_path / "cache" / directory / "x").mkdir(parents=True)
    monkeypatch.setattr(units, "is_root", lambda: False)
    for name, value in (("HOME", path), ("CACHE", tmp_path / "cache")):
        monkeypatch.setenv(f"GAOVM_{name}", str(value))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return path


def test_uninstall_removes_everything_of_gaovm(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["daemon", "enable"]) == 0
    unit = units.find(str(home))
    assert unit.enabled
    capsys.readouterr()
    assert main.run(["uninstall", "--yes", "--cache", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["freed_bytes"] >= 2 << 20
    assert (shown["vms"], shown["left"], shown["unit"]) == (["web-dev"], [], str(unit.path))
    assert not home.exists() and not (home.parent / "cache").exists()
    assert not unit.path.exists() and not unit.link.is_symlink()
    assert main.run(["uninstall"]) == 0
    assert "there is nothing of GaoVM" in capsys.readouterr().err


def test_uninstall_keeps_files_of_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = ["notes.txt", ".bash.password", "state.txt", "images.tar"]
    for name in mine:
        (home / name).write_text("mine")
    assert main.run(["uninstall", "-y"]) == 0
    assert sorted(os.listdir(home)) == sorted(mine)
    assert f"left in {home}, as it is not ours: .bash.password" in capsys.readouterr().err
    assert (home.parent / "cache" / "images" / "x").exists()


def test_uninstall_knows_every_documented_file() -> None:
    """``docs/state-dir.md`` lists the daemon's files; uninstall must leave none behind."""
    page = Path(__file__).parents[3] / "docs" / "state-dir.md"
    rows = re.findall(r"^\| `([^`]+)`", page.read_text(), re.MULTILINE)
    assert len(rows) > 15
    for row in rows:
        top = row.split("/")[0]
        assert any(fnmatch.fnmatch(top, pattern) for pattern in uninstall._OF_HOME), row


def test_a_directory_that_was_never_a_home_is_left_alone(home: Path) -> None:
    (home / "gaovmd.lock").unlink()
    assert main.run(["uninstall", "-y"]) == 0
    assert (home / "vms" / "web-dev").exists()


def test_uninstall_asks_for_confirmation(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return "n\n"

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main.run(["uninstall", "--cache"]) == 1
    asked = capsys.readouterr().err
    assert "1 VMs with their disks (web-dev)" in asked and "the cache" in asked
    assert (home / "state.db").exists()
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    assert main.run(["uninstall"]) == 2
    assert "remedy: gaovm uninstall --yes" in capsys.readouterr().err
    assert (home / "state.db").exists()


def test_uninstall_waits_for_a_running_driver(home: Path) -> None:
    disk = home / "vms" / "web-dev" / "disk.qcow2"
    words = [sys.executable, "-c", HOLDER, str(disk.with_name("lock"))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None and driver.stdin is not None
        assert driver.stdout.readline() == b"ready\n"
        script = "import sys; from gaovm.cli import main; sys.exit(main.run(sys.argv[1:]))"
        leaving = subprocess.Popen([sys.executable, "-c", script, "uninstall", "-y"])
        with leaving:
            # it takes the daemon's lock before it waits, and keeps the disk until then
            while files.Lock(home / "gaovmd.lock").holder() != leaving.pid:
                assert leaving.poll() is None
            assert disk.exists()
            driver.stdin.close()
            assert leaving.wait(30) == 0
    assert not home.exists()


def test_a_daemon_that_does_not_answer_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-c", HOLDER, str(home / "gaovmd.lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None and daemon.stdin is not None
        assert daemon.stdout.readline() == b"ready\n"
        assert main.run(["uninstall", "-y"]) == 1
        daemon.stdin.close()
    said = capsys.readouterr().err
    assert f"(process {daemon.pid}) and does not answer" in said
    assert (home / "state.db").exists()
