"""Completion in real shells: bash, zsh and fish, with a daemon that knows VMs and without one."""

from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.cli import conftest, fakes
from tests.process.cli.test_imports import FORBIDDEN

from gaovm.cli import catalog

SHELLS = ("bash", "zsh", "fish")
SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[a-zA-Z]|[=>])")
HALF = re.compile(r"\x1b(?:\[[0-9;?]*)?\Z")
#: These modules load slow ones at once; a machine's owner seldom completes their commands.
RARE = {"uninstall", "units"}
#: A command of each module.
ONE_OF_EACH = {module: name for name, (module, _, _) in catalog.COMMANDS.items()}


@pytest.fixture
def shell_environment(gaovm: conftest.Gaovm, tmp_path: Path) -> dict[str, str]:
    """An environment in which ``gaovm`` is a command."""
    directory = tmp_path / "bin"
    directory.mkdir()
    command = directory / "gaovm"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gaovm "$@"\n')
    command.chmod(0o755)
    path = f"{directory}:{gaovm.environment['PATH']}"
    return {**gaovm.environment, "PATH": path, "LC_ALL": "C.UTF-8"}


@pytest.fixture
def known(daemon: fakes.FakeDaemon) -> fakes.FakeDaemon:
    vms = [fakes.vm("web-dev"), fakes.vm("db-dev")]
    daemon.handlers["vm.list"] = lambda params, call: {"vms": vms}
    images = [{"name": "debian:12", "digest": "sha256:1"}]
    daemon.handlers["image.list"] = lambda params, call: {"images": images}
    return daemon


class Bash:
    """Calls the completion function as bash does, in a bash without a terminal."""

    def __init__(self, gaovm: conftest.Gaovm, environment: dict[str, str]) -> None:
        self._gaovm = gaovm
        self._environment = environment

    def __call__(self, line: str) -> list[str]:
        script = (
            "source <(gaovm completion bash)\n"
            "COMP_LINE=$1 COMP_POINT=${#1}\n"
            "_gaovm\n"
            "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", script, "bash", line],
            cwd=self._gaovm.project,
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""
        return done.stdout.split()


@pytest.fixture
def bash(gaovm: conftest.Gaovm, shell_environment: dict[str, str]) -> Bash:
    return Bash(gaovm, shell_environment)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("gaovm resta", ["restart"]),
        ("gaovm image ", ["ls", "build", "pull", "rm", "prune"]),
        ("gaovm stop ", ["web-dev", "db-dev"]),
        ("gaovm stop --name=w", ["web-dev"]),
        ("gaovm up --wait=", ["agent", "ready"]),
        ("gaovm image rm debian:", ["12"]),
        ("gaovm stop --forc", ["--force"]),
        ("gaovm events --type network.", ["network.back", "network.lost"]),
        ("gaovm exec -- ca", []),
        ("gaovm exec -- .li", [".lima"]),
        ("gaovm no-such ", []),
    ],
)
def test_bash(bash: Bash, known: fakes.FakeDaemon, line: str, found: list[str]) -> None:
    assert bash(line) == found


def test_without_a_daemon_there_are_no_names_and_none_is_started(
    bash: Bash, gaovm: conftest.Gaovm
) -> None:
    assert bash("gaovm stop ") == []
    assert list(gaovm.home.iterdir()) == []


class Terminal:
    """A shell with its own terminal."""

    def __init__(self, argv: list[str], cwd: Path, environment: dict[str, str]) -> None:
        pid, self._fd = pty.fork()
        if pid == 0:
            try:
                os.chdir(cwd)
                os.execvpe(argv[0], argv, environment)
            finally:
                os._exit(127)
        self._pid = pid
        self._shown = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        #: The beginning of an escape sequence whose end has not come yet.
        self._half = ""

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self._pid, 0)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def until(self, wanted: str) -> str:
        """Read until this text is shown; return what came before it."""
        deadline = time.monotonic() + 60
        while wanted not in self._shown:
            ready, _, _ = select.select([self._fd], [], [], deadline - time.monotonic())
            assert ready, f"{wanted!r} was not shown: {self._shown!r}"
            came = self._half + self._decoder.decode(os.read(self._fd, 4096))
            half = HALF.search(came)
            self._half = half[0] if half else ""
            self._shown += SEQUENCE.sub("", came.removesuffix(self._half))
        before, _, self._shown = self._shown.partition(wanted)
        return before


START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='> '; source <(gaovm completion bash)"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "PS1='> '; autoload -U compinit; compinit -D; source <(gaovm completion zsh)",
    ),
    "fish": (
        ["fish", "--no-config", "--interactive"],
        "function fish_prompt; echo -n '> '; end; gaovm completion fish | source",
    ),
}


@pytest.fixture(params=SHELLS)
def terminal(
    request: pytest.FixtureRequest, gaovm: conftest.Gaovm, shell_environment: dict[str, str]
) -> Iterator[Terminal]:
    """Run each shell with its completion in force."""
    argv, begin = START[request.param]
    shell = Terminal(argv, gaovm.project, shell_environment)
    try:
        shell.type(f"{begin}; echo be''gun\n")
        shell.until("begun\r\n")
        yield shell
    finally:
        shell.close()


def test_a_tab_at_a_terminal(terminal: Terminal, known: fakes.FakeDaemon) -> None:
    terminal.until("> ")
    terminal.type("gaovm status we\t")
    terminal.until("status we")
    terminal.until("b-dev ")
    known.handlers["vm.status"] = lambda params, call: fakes.vm("web-dev")
    terminal.type("--js\t\n")
    terminal.until('"name": "web-dev"')


@pytest.mark.parametrize("terminal", ["zsh"], indirect=True)
def test_zsh_describes_only_what_has_a_description(terminal: Terminal) -> None:
    terminal.until("> ")
    terminal.type("gaovm init \t\t")
    assert "-- dev" not in terminal.until("minimal")


def test_fish_shows_what_each_is(
    gaovm: conftest.Gaovm, known: fakes.FakeDaemon, shell_environment: dict[str, str]
) -> None:
    script = (
        "gaovm completion fish | source; complete -C 'gaovm stop '; complete -C 'gaovm up --wait='"
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=gaovm.project,
        env=shell_environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "db-dev\trunning",
        "web-dev\trunning",
        "--wait=agent",
        "--wait=ready",
    ]


PROBE = """
import json, sys
before = set(sys.modules)
from gaovm.cli import main
main.run(["__complete", *sys.argv[2:]])
json.dump(sorted(set(sys.modules) - before), open(sys.argv[1], "w"))
"""


@pytest.mark.parametrize(
    "words",
    [
        ["sto"],
        ["status", ""],
        ["up", "--wait="],
        ["cp", ""],
        ["set", "web-dev", "c"],
        ["events", "--type", ""],
        *([*name.split(), "--"] for module, name in ONE_OF_EACH.items() if module not in RARE),
    ],
    ids=" ".join,
)
def test_an_answer_loads_nothing_slow(
    gaovm: conftest.Gaovm, known: fakes.FakeDaemon, words: list[str]
) -> None:
    result = gaovm.home / "loaded.json"
    subprocess.run(
        [sys.executable, "-S", "-c", PROBE, str(result), *words],
        cwd=gaovm.project,
        env=gaovm.environment,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert set(json.loads(result.read_text())) & FORBIDDEN == set()
