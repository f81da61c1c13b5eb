"""If a guest does not answer, its user learns why and can leave."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.process.cli import conftest, fakes
from tests.process.cli.test_sessions import Terminal


def asked(daemon: fakes.FakeDaemon, status: dict[str, Any], guest: Any = None) -> threading.Event:
    """Let the daemon answer ``vm.status``; the event is set once the guest is asked."""
    event = threading.Event()

    def handler(params: dict[str, Any], call: fakes.Call) -> Any:
        if not params.get("guest"):
            return status
        event.set()
        return {**status, "guest": guest}

    daemon.handlers["vm.status"] = handler
    return event


@contextlib.contextmanager
def running(gaovm: conftest.Gaovm, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        gaovm.argv(*words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=gaovm.project,
        env=gaovm.environment,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_client_of_a_guest_that_does_not_answer(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver, number: int
) -> None:
    driver.mute = True
    asked(daemon, fakes.vm("web-dev"))
    with running(gaovm, "exec", "--", "true") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith(b"gaovm: VM web-dev does not answer") and b"Ctrl-C leaves" in said
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        assert process.stderr.read().endswith(b"(left)\n")


def test_a_signal_leaves_a_guest_that_answers_to_it(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    event = asked(daemon, fakes.vm("web-dev"), {"os": "Debian"})
    script = "trap '' TERM; echo go; read x; echo $x; exit 3"
    with running(gaovm, "exec", "--", "sh", "-c", script) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"go\n"
        process.send_signal(signal.SIGTERM)
        assert event.wait(20)
        process.stdin.write(b"on\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"on\n"
        assert process.wait(20) == 3


def test_a_paused_vm_is_named_with_its_remedy(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    driver.mute = True
    error = {"message": "its disk could\x1b[2J not be written"}
    asked(daemon, fakes.vm("web-2-dev", paused=True, readiness="degraded", last_error=error))
    with running(gaovm, "shell", "--", "true") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith(b"gaovm: VM web-2-dev is paused: its disk could")
        assert b" [2J not be written (gaovm resume web-2-dev) (Ctrl-C leaves)" in said


def test_a_hypervisor_that_was_stopped_is_named(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    driver.mute = True
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        asked(daemon, fakes.vm("web-dev", hypervisor_pid=child.pid))
        with running(gaovm, "exec", "--", "true") as process:
            assert process.stderr is not None
            said = process.stderr.readline().decode()
        child.kill()
    assert f"its hypervisor was stopped (kill -CONT {child.pid})" in said


def test_a_daemon_that_is_gone_is_no_hindrance(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    driver.mute = True
    with running(gaovm, "exec", "--", "true") as process:
        assert process.stderr is not None
        while not driver.started:
            assert process.poll() is None
        daemon.end()
        assert b"the daemon does not answer either" in process.stderr.readline()
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


def test_what_the_daemon_says_while_it_waits_is_shown(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    ticket = daemon.handlers["vm.session"]

    def slow(params: dict[str, Any], call: fakes.Call) -> Any:
        call.progress(phase="session", message="the driver of VM web-dev does not answer")
        return ticket(params, call)

    daemon.handlers["vm.session"] = slow
    done = gaovm("exec", "--", "true")
    assert done.returncode == 0
    assert done.stderr == b"gaovm: the driver of VM web-dev does not answer\n"


def test_tilde_dot_leaves_a_shell_that_stands_still(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    driver.mute = True
    asked(daemon, fakes.vm("web-dev", paused=True))
    terminal = Terminal(gaovm, "shell")
    terminal.expect(b"(gaovm resume web-dev) (~. leaves)\r\n")
    terminal.send(b"ls\r~.")
    terminal.expect(b"gaovm: left\r\n")
    assert terminal.child.wait(20) == 128 + signal.SIGHUP
    terminal.close()


def test_two_tildes_send_one_and_only_at_a_terminal(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    terminal = Terminal(gaovm, "exec", "-t", "--", "sh", "-c", "stty -echo; echo go; cat")
    terminal.expect(b"go\r\n")
    terminal.send(b"~~.\r")
    terminal.expect(b"~.\r\n")
    terminal.send(b"a~.\r~b\r\x04")
    terminal.expect(b"a~.\r\n~b\r\n")
    assert terminal.child.wait(20) == 0
    terminal.close()
    assert gaovm("exec", "--", "cat", stdin=b"~.\n~~\n").stdout == b"~.\n~~\n"


def test_a_terminal_that_goes_away_takes_the_shell_of_a_dead_guest_with_it(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    driver.mute = True
    asked(daemon, fakes.vm("web-dev", paused=True))
    terminal = Terminal(gaovm, "shell")
    terminal.expect(b"(~. leaves)\r\n")
    os.close(terminal.fd)  # like a lost ssh connection: the kernel sends SIGHUP
    try:
        assert terminal.child.wait(20) == 128 + signal.SIGHUP
    finally:
        terminal.child.kill()
        os.close(terminal.side)
