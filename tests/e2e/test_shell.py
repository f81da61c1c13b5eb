"""shell: a real terminal on both sides."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.world import World


class Terminal:
    """A pseudo-terminal with a shell in a VM: ``gaovm shell``, or other words."""

    def __init__(self, world: World, cwd: Path, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.resize(24, 80)
        self.child = subprocess.Popen(
            [*world.command, *(words or ("shell",))],
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=world.environment(TERM="xterm"),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = ""

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        end = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end() :]
                return match
            if not select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0]:
                raise AssertionError(f"{pattern!r} did not come: {self.seen!r}")
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except OSError as exc:
                raise AssertionError(f"{pattern!r} did not come: {self.seen!r}") from exc

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)


@pytest.fixture
def terminal(world: World, vm: Path) -> Iterator[Terminal]:
    terminal = Terminal(world, vm)
    yield terminal
    terminal.close()


def test_shell(terminal: Terminal, vm: Path) -> None:
    terminal.send("stty size; echo dir=$PWD tty=$(tty | cut -c1-9)\r")
    terminal.expect(r"[\r\n]24 80")
    terminal.expect(re.escape(f"dir={vm} tty=/dev/pts/"))
    terminal.resize(40, 100)
    terminal.child.send_signal(signal.SIGWINCH)
    terminal.send("sleep 0.3; stty size\r")
    terminal.expect(r"[\r\n]40 100")
    terminal.send("echo go; sleep 100; echo status=$?\r")
    terminal.expect(r"[\r\n]go\r")
    time.sleep(0.3)
    terminal.send("\x03")
    terminal.send("echo after=$?\r")
    terminal.expect(r"after=130")
    terminal.send("exit 9\r")
    assert terminal.child.wait(30) == 9


def test_hang_up_ends_the_shell(terminal: Terminal, world: World, vm: Path) -> None:
    terminal.send("exec -a marker-shell sleep 1000\r")
    time.sleep(1)
    terminal.child.kill()
    terminal.child.wait()
    script = "for i in $(seq 50); do pgrep -f ^marker-shell >/dev/null || exit 0; sleep 0.1; done"
    world.run("exec", "--", "sh", "-c", script + "; exit 1", cwd=vm)
