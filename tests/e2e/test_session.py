"""Terminal sessions in a real VM, with the guest's own tmux on a real terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.test_shell import Terminal
from tests.e2e.world import SHORT_BOOT, World

CONFIG = f"""
cpus: 1
memory: 512MiB
vmOpts: {{gaovm: {{{SHORT_BOOT}}}}}
provision:
  - mode: system
    script: |
      #!/bin/sh
      set -eu
      command -v tmux > /dev/null || {{
        apt-get update
        apt-get install -y --no-install-recommends tmux
      }}
"""


@pytest.fixture(scope="module")
def project(world: World) -> Iterator[Path]:
    """Run a project's VM with tmux and a session name, and nothing of tmux's in its home."""
    sysinit = replace(world, command=[str(Path(sys.executable).with_name("sysinit-vm"))])
    project = world.home.parent / "projects" / "kept"
    project.mkdir(parents=True)
    sysinit.run("init", "minimal", cwd=project)
    config = project / ".lima" / "config.yaml"
    config.write_text(config.read_text() + CONFIG)
    sysinit.run("start", cwd=project, timeout=600)
    yield project
    world.run("destroy", "-y", cwd=project)


def attached(world: World, project: Path, *words: str) -> Terminal:
    """Open a terminal, and wait until tmux shows the session in its status line."""
    terminal = Terminal(world, project, *words)
    terminal.expect(r"\[kept\]")
    # else tmux takes two keys within a millisecond for pasted text
    world.run("exec", "--", "tmux", "set-option", "-g", "assume-paste-time", "0", cwd=project)
    return terminal


def leave(terminal: Terminal, key: str) -> None:
    terminal.send("\x01" + key)
    terminal.expect(re.escape("[detached (from session kept)]"))
    assert terminal.child.wait(30) == 0
    terminal.close()


def test_a_session_is_left_and_found_again(world: World, project: Path) -> None:
    """By Ctrl-A D, and by a terminal that is closed; by sysinit-vm and by gaovm."""
    sysinit = replace(world, command=[str(Path(sys.executable).with_name("sysinit-vm"))])
    first = attached(sysinit, project)
    first.send("mine=4; echo m$((mine + 1)) $PWD\r")
    first.expect(re.escape(f"m5 {project}"))
    leave(first, "D")
    second = attached(world, project)
    second.send("echo m$((mine + 3))\r")
    second.expect("m7")
    os.close(second.master)  # the window is closed: the terminal hangs up
    second.child.wait(30)
    second.master = os.open(os.devnull, os.O_RDONLY)
    second.close()
    third = attached(world, project, "shell", "--session")
    third.send("echo m$((mine + 5))\r")
    third.expect("m9")
    leave(third, "d")
    shown = world.run("exec", "--", "tmux", "list-sessions", "-F", "#S", cwd=project).stdout
    assert shown == b"kept\n", "one session, whoever attached"


@pytest.mark.skipif(shutil.which("zellij") is None, reason="this machine has no zellij to lend")
def test_zellij_keeps_a_session_too(world: World, project: Path) -> None:
    """This machine's zellij, copied into the guest: Debian 12 has none."""
    zellij = shutil.which("zellij")
    assert zellij is not None
    world.run("cp", zellij, "vm:/tmp/zellij", cwd=project)
    install = ("install", "-m", "755", "/tmp/zellij", "/usr/local/bin/zellij")
    world.run("exec", "--user", "root", "--", *install, cwd=project)
    for key, sum_ in (("D", 5), ("d", 6)):
        terminal = Terminal(world, project)
        terminal.expect(r"[#$] ", timeout=120)
        terminal.send("mine=$((${mine:-4} + 1)); echo m$mine\r")
        terminal.expect(f"m{sum_}")
        terminal.send("\x01")
        terminal.expect("New")  # the keys of its mode, in the status line
        terminal.send(key)
        terminal.expect("Bye from Zellij!")
        assert terminal.child.wait(30) == 0
        terminal.close()
    terminal = Terminal(world, project)
    terminal.expect(r"[#$] ", timeout=120)
    os.close(terminal.master)  # the window is closed
    terminal.child.wait(30)
    terminal.master = os.open(os.devnull, os.O_RDONLY)
    terminal.close()
    listed = world.run("exec", "--", "zellij", "list-sessions", "--short", cwd=project).stdout
    assert listed == b"kept\n"
    world.run("exec", "--user", "root", "--", "rm", "/usr/local/bin/zellij", cwd=project)


def test_a_plain_shell_is_no_session(world: World, project: Path) -> None:
    terminal = Terminal(world, project, "shell", "--no-session")
    terminal.send('echo "in=${TMUX:-none}"\r')
    terminal.expect(r"in=none[\r\n]")
    terminal.send("exit 4\r")
    assert terminal.child.wait(30) == 4
    terminal.close()


def test_the_users_own_files_stay_as_they_are(world: World, project: Path) -> None:
    look = "ls -A ~ | grep -ci -e tmux -e zellij; ls ~/.config 2>/dev/null | wc -l"
    shown = world.run("exec", "--", "sh", "-c", look, cwd=project).stdout.decode()
    assert shown.split() == ["0", "0"]
