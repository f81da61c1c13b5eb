"""Sessions of ``sysinit-vm shell`` and ``gaovm shell`` on a terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import conftest, fakes
from tests.process.cli.sysinit import Sysinit, directory
from tests.process.cli.test_sessions import Terminal


@pytest.fixture(autouse=True)
def guest(
    daemon: fakes.FakeDaemon,
    driver: fakes.FakeDriver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Let the fake guest, a child of this process, have a running VM's zellij and its variable."""
    daemon.handlers["vm.status"] = lambda params, call: fakes.vm("web-dev")
    zellij = directory(tmp_path, "programs") / "zellij"
    zellij.write_text('#!/bin/sh\nprintf "<%s>" zellij "$@"\ntty\nexit 6\n')
    zellij.chmod(0o755)
    monkeypatch.setenv("PATH", f"{zellij.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("ZELLIJ_SESSION", "my web")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))  # not the /run of this machine


def test_a_shell_on_a_terminal_attaches(sysinit: Sysinit, driver: fakes.FakeDriver) -> None:
    terminal = Terminal(sysinit, "shell")
    terminal.expect(b"Connecting to web-dev (Zellij will auto-attach)...")
    terminal.expect(b"<zellij><attach><--create><my web>/dev/pts/")
    assert terminal.child.wait(20) == 6
    terminal.close()
    # the agent runs it in the user's login shell, so that it finds the user's own programs
    assert (driver.started[0]["login"], driver.started[0]["tty"]) == (True, True)


def test_gaovm_shell_attaches_when_asked_to(gaovm: conftest.Gaovm) -> None:
    terminal = Terminal(gaovm, "shell", "--session")
    terminal.expect(b"<zellij><attach><--create><my web>/dev/pts/")
    assert terminal.child.wait(20) == 6
    terminal.close()
    done = gaovm("shell", "--session", "--", "true")
    assert (done.returncode, b"exclude each other" in done.stderr) == (125, True)
    assert gaovm("shell", "--session", stdin=b"exit 3\n").returncode == 3


def test_gaovm_shell_attaches_where_the_config_names_a_session(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    """The daemon says so; with words that ask for a plain shell it is none."""
    plain = daemon.handlers["vm.session"]

    def named(params: dict[str, Any], call: Any) -> Any:
        return {**plain(params, call), "session": "my web"}

    def shell(*words: str) -> bool:
        terminal = Terminal(gaovm, "shell", *words)
        terminal.send(b"exit 6\r")  # for a plain shell; the stand-in for zellij reads nothing
        assert terminal.child.wait(20) == 6
        terminal.close()
        return any("ZELLIJ_SESSION" in word for word in driver.started[-1]["argv"])

    assert not shell()
    daemon.handlers["vm.session"] = named
    assert shell()
    assert driver.started[-1]["login"] is True
    assert not shell("--no-session")
    assert not shell("--user", "root")
    assert not shell("--workdir", "/")
    assert shell("--user", "root", "--session")
    assert not shell("--", "sh", "-c", "exit 6")
    assert gaovm("shell", stdin=b"exit 3\n").returncode == 3, "no terminal, no session"
    done = gaovm("shell", "--session", "--no-session")
    assert (done.returncode, b"exclude each other" in done.stderr) == (125, True)
