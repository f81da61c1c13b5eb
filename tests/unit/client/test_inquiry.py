"""Why a VM is silent: what the daemon and the kernel say about it, in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import fakes

from gaovm import errors
from gaovm.client import inquiry
from gaovm.platform import processes

VM = {"of_project": "/projects/web"}


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fakes.FakeDaemon]:
    for limit in ("_HELLO_S", "_STATUS_S", "_GUEST_S"):
        monkeypatch.setattr(inquiry, limit, 20.0)
    fake = fakes.FakeDaemon(tmp_path)
    with fakes.closing(fake):
        yield fake


def ask(daemon: fakes.FakeDaemon, **changes: Any) -> inquiry.Finding:
    """Ask about a VM whose status has these changes."""
    known = {**fakes.vm("web", driver_pid=None, hypervisor_pid=None), **changes}
    daemon.handlers["vm.status"] = lambda params, call: known
    return inquiry.ask(str(daemon.home), VM)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"observed": "stopped", "state": "stopped"}, "VM web is not running: it is stopped"),
        ({"paused": True}, "VM web is paused: a user paused it"),
        (
            {"paused": True, "readiness": "degraded", "last_error": {"message": "disk\x1b full"}},
            "VM web is paused: disk  full",
        ),
        ({}, "VM web does not answer, and its agent does not answer either"),
        (
            {"readiness": "degraded", "last_error": {"message": "the agent is silent"}},
            "VM web does not answer: the agent is silent",
        ),
    ],
)
def test_the_daemon_knows(daemon: fakes.FakeDaemon, changes: dict[str, Any], why: str) -> None:
    found = ask(daemon, **changes)
    assert (found.answers, found.why) == (False, why)
    assert [action.code for action in found.actions] == ["resume_vm"] * ("paused" in changes)


def test_a_guest_that_answers_is_only_slow(daemon: fakes.FakeDaemon) -> None:
    assert ask(daemon, guest={"os": "Debian"}).answers
    assert [params for _, params in daemon.calls] == [VM, {**VM, "guest": True}]


def test_a_guest_that_does_not_answer_in_time(
    daemon: fakes.FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiry, "_GUEST_S", 0.1)
    over = threading.Event()

    def status(params: dict[str, Any], call: fakes.Call) -> Any:
        if params.get("guest"):
            over.wait(20)
        return fakes.vm("web", driver_pid=None, hypervisor_pid=None)

    daemon.handlers["vm.status"] = status
    found = inquiry.ask(str(daemon.home), VM)
    over.set()
    assert found.why == "VM web does not answer, and its agent does not answer either"


def test_a_process_that_was_stopped_is_named(daemon: fakes.FakeDaemon) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert processes.is_stopped(child.pid)
        found = ask(daemon, driver_pid=child.pid)
        child.kill()
    assert found.why == (f"VM web stands still: its driver was stopped (kill -CONT {child.pid})")


def test_a_vm_that_is_gone(daemon: fakes.FakeDaemon) -> None:
    def refuse(params: dict[str, Any], call: fakes.Call) -> Any:
        raise errors.VmNotFound("there is no such VM")

    daemon.handlers["vm.status"] = refuse
    assert inquiry.ask(str(daemon.home), VM).why == "the VM no longer exists"


def test_without_a_daemon(tmp_path: Path) -> None:
    found = inquiry.ask(str(tmp_path), VM)
    assert found.why == "the VM is silent, and the daemon does not answer either"
