"""exec and shell against a fake driver: streams, terminal, signals, exit status."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

from gaovm import errors


def test_exec_keeps_the_streams_apart_and_the_status(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    data = bytes(range(256)) * 3000
    done = gaovm("exec", "--", "sh", "-c", "cat; echo e >&2; exit 42", stdin=data)
    assert (done.returncode, done.stdout, done.stderr) == (42, data, b"e\n")
    assert gaovm("exec", "sh", "-c", "kill -TERM $$").returncode == 128 + 15


def test_exec_sends_what_the_options_say(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    (gaovm.project / "sub").mkdir()
    words = ("exec", "--name", "web", "-u", "root", "-e", "A=1", "-e", "LANG", "--", "true", "-x")
    assert gaovm(*words, cwd=gaovm.project / "sub", env={"LANG": "C"}).returncode == 0
    assert daemon.params("vm.session") == {"name": "web", "kind": "exec"}
    (start,) = driver.started
    assert start["argv"] == ["true", "-x"]
    assert start["env"] == {"A": "1", "LANG": "C"}
    assert start["user"] == "root"
    assert (start["cwd"], start["cwd_home_ok"]) == ("/srv/web/sub", True)
    assert (start["tty"], start["login"]) == (False, False)
    assert gaovm("exec", "-w", "/opt", "--", "true").returncode == 0
    assert (driver.started[1]["cwd"], driver.started[1]["cwd_home_ok"]) == ("/opt", False)


@pytest.mark.parametrize(
    ("code", "status"), [("not-found", 127), ("not-executable", 126), ("no-such-user", 125)]
)
def test_what_the_guest_cannot_start_has_its_own_status(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver, code: str, status: int
) -> None:
    driver.refuse = {"code": code, "message": "it is so"}
    done = gaovm("exec", "--", "x")
    assert done.returncode == status
    assert done.stderr.startswith(b"gaovm: it is so")


def test_own_failures_are_125(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    assert gaovm("exec").returncode == 125
    assert gaovm("exec", "-t", "--", "true").returncode == 125
    assert gaovm("shell", "web", "ls").returncode == 125
    driver.vanish = True
    assert gaovm("exec", "--", "true").returncode == 125

    def stopped(params: dict[str, Any], call: fakes.Call) -> Any:
        raise errors.StateConflict("web-dev is stopped")

    def unknown(params: dict[str, Any], call: fakes.Call) -> Any:
        raise errors.VmNotFound("there is no VM web-dve")

    daemon.handlers["vm.session"] = stopped
    done = gaovm("exec", "--", "true")
    assert done.returncode == 125 and b"remedy: gaovm up\n" in done.stderr
    daemon.handlers["vm.session"] = unknown
    daemon.handlers["vm.list"] = lambda params, call: {"vms": [fakes.vm("web-dev")]}
    done = gaovm("shell", "--name", "web-dve")
    assert done.returncode == 125 and b"did you mean web-dev?" in done.stderr


def test_signals_are_forwarded(gaovm: conftest.Gaovm, driver: fakes.FakeDriver) -> None:
    script = "trap 'echo got; exit 3' TERM; echo go; while :; do sleep 0.1; done"
    process = gaovm.popen("exec", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"go\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (3, b"got\n")


def test_a_shell_without_a_terminal_reads_its_script(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    done = gaovm("shell", stdin=b"echo hi; exit 5\n")
    assert (done.returncode, done.stdout) == (5, b"hi\n")
    (start,) = driver.started
    assert (start["argv"], start["tty"], start["cwd"]) == ([], False, "/srv/web")
    assert gaovm("shell", "--", "true").returncode == 0
    assert driver.started[1]["login"] is True


def test_a_shell_takes_a_name(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    assert gaovm("shell", "web2", "--", "true").returncode == 0
    assert daemon.params("vm.session") == {"name": "web2", "kind": "exec"}
    assert driver.started[0]["argv"] == ["true"]

    def unknown(params: dict[str, Any], call: fakes.Call) -> Any:
        raise errors.VmNotFound("there is no VM ls")

    daemon.handlers["vm.session"] = unknown
    assert b"a command: gaovm shell -- ls\n" in gaovm("shell", "ls").stderr
    done = gaovm("shell", "make", "test")
    assert b"remedy: gaovm shell -- make test\n" in done.stderr


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["ls -l | wc"], b"gaovm exec -- sh -c 'ls -l | wc'"),
        (["echo $HOME"], b"gaovm exec -- sh -c 'echo $HOME'"),
        (["web2", "ls", "-l"], b"gaovm exec --name web2 -- ls -l"),
        (["nothing"], b""),
        (["nothing", "a|b"], b""),
    ],
)
def test_what_was_meant_instead_of_a_program(
    gaovm: conftest.Gaovm,
    daemon: fakes.FakeDaemon,
    driver: fakes.FakeDriver,
    words: list[str],
    remedy: bytes,
) -> None:
    driver.refuse = {"code": "not-found", "message": "no such program"}
    daemon.handlers["vm.list"] = lambda params, call: {"vms": [fakes.vm("web2")]}
    done = gaovm("exec", "--", *words)
    assert done.returncode == 127
    shown = b"  remedy: " + remedy + b"\n" if remedy else b""
    assert done.stderr == b"gaovm: no such program\n" + shown


def test_a_line_for_a_shell_is_explained_to_the_login_shell_too(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver, tmp_path: Path
) -> None:
    assert gaovm("shell", "--", "sh", "-c", "exit 127").stderr == b""
    not_found = tmp_path / "ls | cat"
    not_found.write_text("#!/bin/sh\nexit 127\n")
    not_found.chmod(0o700)
    done = gaovm("shell", "--", str(not_found))
    assert done.returncode == 127
    assert done.stderr.decode().endswith(f"gaovm exec -- sh -c '{not_found}'\n")


class Terminal:
    """A pseudo-terminal with gaovm in it."""

    def __init__(self, gaovm: conftest.Gaovm, *words: str) -> None:
        self.fd, self.side = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.side)
        self.child = subprocess.Popen(
            gaovm.argv(*words),
            stdin=self.side,
            stdout=self.side,
            stderr=self.side,
            cwd=gaovm.project,
            env=gaovm.environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, data: bytes) -> None:
        end = time.monotonic() + 20
        while data not in self.seen:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], self.seen
            self.seen += os.read(self.fd, 65536)
        self.seen = self.seen.partition(data)[2]

    def send(self, data: bytes) -> None:
        os.write(self.fd, data)

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.fd)
        os.close(self.side)


@pytest.fixture
def shell(gaovm: conftest.Gaovm, driver: fakes.FakeDriver) -> Iterator[Terminal]:
    terminal = Terminal(gaovm, "shell")
    yield terminal
    terminal.close()


def test_a_shell_owns_the_terminal(shell: Terminal, driver: fakes.FakeDriver) -> None:
    shell.send(b"PS1='>''>>'; tty; cat\r")
    shell.expect(b"/dev/pts/")
    shell.send(b"hello\r")
    shell.expect(b"hello\r\nhello\r\n")  # once from the terminal's echo, once from cat: it runs
    assert (driver.started[0]["rows"], driver.started[0]["cols"]) == (24, 80)
    assert driver.started[0]["term"] == "xterm"
    shell.send(b"\x03")
    shell.expect(b">>>")  # the interrupt throws away what is typed before the prompt
    shell.send(b"echo status=$?\r")
    shell.expect(b"status=130")
    shell.resize(40, 100)
    with driver.resized:
        assert driver.resized.wait_for(lambda: {"rows": 40, "cols": 100} in driver.resizes, 20)
    shell.send(b"exit 9\r")
    assert shell.child.wait(20) == 9
    assert termios.tcgetattr(shell.side) == shell.before


def test_a_terminal_that_is_closed_types_nothing(shell: Terminal, driver: fakes.FakeDriver) -> None:
    """An end of input there would be a ^D in the guest, and end the shell of a kept session."""
    shell.send(b"echo m$((1 + 1))\r")
    shell.expect(b"m2")
    os.close(shell.fd)
    shell.fd = os.open(os.devnull, os.O_RDONLY)
    assert shell.child.wait(20) == 128 + signal.SIGHUP
    assert driver.ends == 0


def test_destroy_asks_on_a_terminal(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    daemon.handlers["vm.status"] = lambda params, call: fakes.vm("web-dev")
    daemon.handlers["vm.destroy"] = lambda params, call: {"name": "web-dev", "freed_bytes": 1}
    for answer, code in ((b"n\r", 1), (b"y\r", 0)):
        terminal = Terminal(gaovm, "destroy")
        terminal.expect(b"Remove the VM web-dev (running) and everything on its disk? [y/N]")
        assert "vm.destroy" not in dict(daemon.calls)
        terminal.send(answer)
        assert terminal.child.wait(20) == code
        terminal.close()
    assert "vm.destroy" in dict(daemon.calls)


def test_a_terminal_shows_progress_in_place(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, tmp_path: Path
) -> None:
    def handler(params: dict[str, Any], call: fakes.Call) -> Any:
        call.progress(phase="image", message="building")
        call.progress(phase="boot", message="kernel")
        return {"vm": fakes.vm("web-dev"), "created": True, "already": False, "warnings": []}

    daemon.handlers["vm.up"] = handler
    terminal = Terminal(gaovm, "up")
    terminal.expect(b"\r\x1b[Kimage      building")
    terminal.expect(b"\r\x1b[Kimage      done in ")
    terminal.expect(b"\r\x1b[Kboot       done in ")
    terminal.expect(b"web-dev is up")
    assert terminal.child.wait(20) == 0
    terminal.close()
