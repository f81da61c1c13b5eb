"""The shell lines of ``sysinit-vm``, run by this machine's sh with programs of the test."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from gaovm.cli.commands import attaching
from gaovm.cli.sysinit import lines


def run(
    argv: list[str], home: Path, programs: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a line where only these programs exist; each prints its arguments, one in brackets."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    for name in (*programs.split(), "own-shell"):
        (folder / name).write_text('#!/bin/sh\nprintf "%s" "${0##*/}"; printf "[%s]" "$@"\n')
        (folder / name).chmod(0o755)
    base = {"PATH": str(folder), "HOME": str(home), "SHELL": str(folder / "own-shell")}
    base["XDG_RUNTIME_DIR"] = str(home / "none")  # not the /run of this machine
    return subprocess.run(
        argv, env={**base, **env}, capture_output=True, text=True, check=False, timeout=20
    )


NAME = "my app; $(touch x) '"


@pytest.mark.parametrize("programs", ["zellij", "zellij tmux"])
def test_zellij_attaches_where_the_guest_has_it(tmp_path: Path, programs: str) -> None:
    done = run(attaching.argv(), tmp_path, programs, ZELLIJ_SESSION=NAME)
    assert (done.stdout, done.stderr) == (f"zellij[attach][--create][{NAME}]", "")


def test_zellij_gets_its_keys_in_the_run_time_directory(tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    keys = runtime / "gaovm-zellij.kdl"
    where = {"ZELLIJ_SESSION": "web", "XDG_RUNTIME_DIR": str(runtime)}
    done = run(attaching.argv(), tmp_path, "zellij", **where)
    assert (done.stdout, done.stderr) == (
        f"zellij[--config][{keys}][attach][--create][web]",
        "",
    )
    assert 'bind "d" "D" { Detach; }' in keys.read_text()
    keys.unlink()
    keys.mkdir()
    done = run(attaching.argv(), tmp_path, "zellij", **where)
    assert done.stdout == "zellij[attach][--create][web]", "without its keys it still attaches"


@pytest.mark.parametrize("variable", ["", "ZELLIJ_CONFIG_DIR", "ZELLIJ_CONFIG_FILE"])
def test_zellijs_own_config_stays(tmp_path: Path, variable: str) -> None:
    folder = tmp_path / ("other" if variable else ".config/zellij")
    folder.mkdir(parents=True)
    (folder / "config.kdl").touch()
    own = {"": {}, "ZELLIJ_CONFIG_DIR": {variable: str(folder)}}.get(
        variable, {variable: str(folder / "config.kdl")}
    )
    where = {"ZELLIJ_SESSION": "web", "XDG_RUNTIME_DIR": str(tmp_path), **own}
    done = run(attaching.argv(), tmp_path, "zellij", **where)
    assert done.stdout == "zellij[attach][--create][web]"
    assert not (tmp_path / "gaovm-zellij.kdl").exists()


def test_else_tmux_with_zellijs_keys(tmp_path: Path) -> None:
    done = run(attaching.argv(), tmp_path, "tmux", ZELLIJ_SESSION=NAME)
    assert done.stdout == (
        f"tmux[new-session][-A][-s][{NAME}][;][set-option][-g][prefix][C-a][;]"
        "[bind-key][C-a][send-prefix][;][bind-key][D][detach-client]"
    )


@pytest.mark.parametrize("file", [".tmux.conf", ".config/tmux/tmux.conf"])
def test_the_keys_of_a_users_own_config_stay(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    done = run(attaching.argv(), tmp_path, "tmux", ZELLIJ_SESSION="web")
    assert done.stdout == "tmux[new-session][-A][-s][web]"


def test_else_a_login_shell(tmp_path: Path) -> None:
    assert run(attaching.argv(), tmp_path, ZELLIJ_SESSION="web").stdout == "own-shell[-l]"
    assert run(attaching.argv(), tmp_path, "zellij tmux").stdout == "own-shell[-l]"


class Attached:
    """The attach line on a terminal of its own, with the tmux of this machine."""

    def __init__(self, environment: dict[str, str], name: str) -> None:
        self._ours, side = os.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._child = subprocess.Popen(
            attaching.argv(),
            env={**environment, "ZELLIJ_SESSION": name},
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(side)
        self._read(f"[{name}]")  # tmux drops what comes before its status line
        # else tmux takes two keys within a millisecond for pasted text
        typed = ["tmux", "set-option", "-g", "assume-paste-time", "0"]
        subprocess.run(typed, env=environment, check=True)

    def type(self, keys: str, until: str) -> None:
        """Type, and read the terminal until it shows a text."""
        os.write(self._ours, keys.encode())
        self._read(until)

    def _read(self, until: str) -> None:
        seen = ""
        while until not in seen:
            seen += os.read(self._ours, 65536).decode(errors="replace")

    def detach(self) -> None:
        """Press Ctrl-A and D: the line ends, whatever runs in the session."""
        self.type("\x01D", "[detached (from session")
        assert self._child.wait(20) == 0
        os.close(self._ours)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="this machine has no tmux")
def test_ctrl_a_d_leaves_a_session_that_the_next_attach_finds(tmp_path: Path) -> None:
    """A session whose name begins alike is another one."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SHELL": "/bin/sh",
        "TMUX_TMPDIR": str(tmp_path),
        "TERM": "xterm",
    }
    try:
        first = Attached(environment, "web2")
        first.type("mine=4; echo m$((mine + 1))\n", "m5")
        first.detach()
        other = Attached(environment, "web")
        other.type("echo m$((mine + 2))\n", "m2")
        other.detach()
        again = Attached(environment, "web2")
        again.type("echo m$((mine + 3))\n", "m7")
        again.detach()
    finally:
        subprocess.run(["tmux", "kill-server"], env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("words", "out"),
    [(["printf", "%s", "a b", "$HOME"], "a b$HOME"), (["echo a; echo $((1 + 1))"], "a\n2\n")],
)
def test_one_word_is_a_line(tmp_path: Path, words: list[str], out: str) -> None:
    environment = {"PATH": os.environ["PATH"], "SHELL": "/bin/sh"}
    argv = lines.command(words)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == out


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("home-manager switch", "home-manager"),
        ("sudo nixos-rebuild switch", "nixos-rebuild"),
        ("sudo -E A=b exec make x=y", "make"),
        ("sudo", "sudo"),
        ("", ""),
    ],
)
def test_the_program_of_a_line(line: str, program: str) -> None:
    assert lines.program(line) == program


def test_a_line_whose_program_is_missing_ends_with_127(tmp_path: Path) -> None:
    done = run(lines.if_there("sudo absent --now"), tmp_path, "sudo")
    assert (done.returncode, done.stdout) == (127, "")
    done = run(lines.if_there("sudo there --now"), tmp_path, "sudo there")
    assert done.stdout == "own-shell[-c][sudo there --now]"
