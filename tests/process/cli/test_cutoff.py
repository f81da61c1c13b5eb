"""Ctrl-C of ``gaovm up`` and ``start``: undone before the agent answers, a question after it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

from gaovm import errors


@pytest.fixture
def ready(daemon: fakes.FakeDaemon) -> threading.Event:
    """Serve an ``up`` that answers when this event is set, or ends when it is cancelled."""
    event = threading.Event()

    def answer(method: str) -> fakes.Handler:
        def bring_up(params: dict[str, Any], call: fakes.Call) -> Any:
            call.progress(phase=daemon.phase, message="now")
            while not event.wait(0.02):
                if call.cancelled.is_set():
                    raise errors.Cancelled(f"{method} was cancelled")
            return {"vm": fakes.vm("web-dev"), "created": True, "already": False, "warnings": []}

        return bring_up

    daemon.handlers.update({method: answer(method) for method in ("vm.up", "vm.start")})
    return event


@pytest.fixture(params=["up", "start"])
def command(request: pytest.FixtureRequest) -> str:
    """The commands that start a VM; they behave alike."""
    return str(request.param)


def interrupted(gaovm: conftest.Gaovm, *words: str) -> tuple[int, str]:
    """Send SIGINT to a command as soon as it shows progress; nobody can be asked."""
    child = gaovm.popen(*words)
    assert child.stderr is not None
    child.stderr.readline()
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=30)
    return child.returncode, told.decode()


def then(daemon: fakes.FakeDaemon) -> Any:
    return daemon.params("call.cancel").get("then")


@pytest.mark.parametrize(
    ("phase", "words", "wish", "told"),
    [
        ("boot", (), "undo", "undoing what was begun"),
        ("boot", (), "undo", "interrupted: what was begun is undone"),
        ("boot", ("--keep",), "keep", "keeping the VM"),
        ("provision", (), "keep", "keeping the VM"),
        ("agent", (), "keep", "`gaovm up` waits for it"),
        ("system", (), "keep", "keeping the VM"),
        ("provision", ("--undo",), "undo", "undoing what was begun"),
    ],
)
def test_without_a_terminal(
    gaovm: conftest.Gaovm,
    daemon: fakes.FakeDaemon,
    ready: threading.Event,
    command: str,
    phase: str,
    words: tuple[str, ...],
    wish: str,
    told: str,
) -> None:
    daemon.phase = phase
    code, text = interrupted(gaovm, command, *words)
    assert (code, then(daemon)) == (130, wish)
    assert told in text
    assert gaovm(command, "--undo", "--keep").returncode == 2


@pytest.mark.parametrize(("answer", "wish"), [("u", "undo"), ("", "keep"), ("w", None)])
def test_on_a_terminal_it_asks(
    gaovm: conftest.Gaovm,
    daemon: fakes.FakeDaemon,
    ready: threading.Event,
    command: str,
    answer: str,
    wish: str | None,
) -> None:
    daemon.phase = "provision"
    main, side = pty.openpty()
    child = subprocess.Popen(
        gaovm.argv(command),
        stdin=side,
        stdout=subprocess.DEVNULL,
        stderr=side,
        cwd=gaovm.project,
        env=gaovm.environment,
    )
    os.close(side)
    try:
        until(main, b"now")
        child.send_signal(signal.SIGINT)
        until(main, b"(w)ait on?")
        os.write(main, f"{answer}\n".encode())
        if wish is None:
            ready.set()
        assert child.wait(30) == (0 if wish is None else 130)
    finally:
        os.close(main)
    if wish is not None:
        assert then(daemon) == wish
    else:
        assert "call.cancel" not in dict(daemon.calls)


def until(fd: int, wanted: bytes) -> None:
    """Read what a terminal gets until this text has come."""
    seen = b""
    while wanted not in seen:
        seen += os.read(fd, 4096)


def test_a_time_limit_keeps_where_that_is_wanted(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, ready: threading.Event, command: str
) -> None:
    daemon.phase = "provision"
    done = gaovm(command, "--timeout", "1s", "--keep")
    assert done.returncode == 124 and b"gaovm: not done within 1 s; it goes on" in done.stderr
    assert then(daemon) == "keep"


def test_no_wait(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, ready: threading.Event) -> None:
    daemon.phase = "boot"
    ready.set()
    done = gaovm("up", "--no-wait", "-q")
    assert done.returncode == 0
    assert daemon.params("vm.up")["wait"] == "none"
    assert done.stderr == b"web-dev is running; `gaovm up` waits for it\n"
    assert gaovm("up", "--no-wait", "--wait=agent").returncode == 2


def test_provision_sends_the_file(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    result = {"vm": fakes.vm("web-dev"), "created": False, "already": False, "warnings": ["w"]}
    daemon.handlers["vm.provision"] = lambda params, call: result
    done = gaovm("provision", "-q")
    assert (done.returncode, done.stderr) == (0, b"warning: w\n")
    sent = daemon.params("vm.provision")
    assert sent["of_project"] == str(gaovm.project)
    assert sent["project"]["config_text"].startswith("images:")
    daemon.handlers["vm.list"] = lambda params, call: {"vms": [], "here": ["mine"]}
    daemon.calls.clear()
    assert gaovm("provision", "other").returncode == 0
    assert "project" not in daemon.params("vm.provision")
