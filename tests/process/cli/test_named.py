"""A command that a message proposes is about the VM that the user named, wherever it is called."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

from gaovm import errors

CPUS = {"field": "cpus", "from": 2, "to": 4, "restart": True, "live": False}


def answer(daemon: fakes.FakeDaemon, method: str, **result: Any) -> None:
    daemon.handlers[method] = lambda params, call: result


def refuse(daemon: fakes.FakeDaemon, method: str, error: errors.GaoError) -> None:
    def handler(params: dict[str, Any], call: fakes.Call) -> Any:
        raise error

    daemon.handlers[method] = handler


@pytest.mark.parametrize(("words", "name"), [((), ""), (("db",), " db"), (("--name", "db"), " db")])
def test_status_says_how_to_go_on(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, words: tuple[str, ...], name: str
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"paused": True}, f"`gaovm resume{name}` lets it go on"),
        ({"state": "interrupted"}, f"`gaovm up{name}` waits for it"),
        ({"state": "first-up-failed"}, f"`gaovm up{name}` tries again"),
        ({"pending": [CPUS]}, f"cpus (at the next start; see gaovm diff{name})"),
    ]
    for facts, told in cases:
        answer(daemon, "vm.status", **fakes.vm("db", **facts))
        assert told in gaovm("status", *words).stdout.decode()


def test_what_was_brought_up_and_started(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    answer(daemon, "vm.list", vms=[fakes.vm("db")], here=[])
    done: dict[str, Any] = {"created": False, "already": True, "warnings": []}
    answer(daemon, "vm.start", vm=fakes.vm("db"), **done)
    next_step = b"Next:  gaovm shell db   or   gaovm exec --name db -- COMMAND\n"
    assert gaovm("up", "db").stdout.endswith(next_step)
    answer(daemon, "vm.start", vm=fakes.vm("db", paused=True, pending=[CPUS]), **done)
    up = gaovm("up", "db")
    assert up.stdout.endswith(b"Next:  gaovm resume db, for it is paused\n")
    assert b"`gaovm diff db` shows what waits" in up.stderr
    assert b"`gaovm resume db` lets it go on" in gaovm("start", "db").stderr
    answer(daemon, "vm.start", vm=fakes.vm("db"), **{**done, "already": False})
    assert b"`gaovm up db` waits for it" in gaovm("up", "db", "--no-wait").stderr


def test_a_start_that_is_kept(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    def start(params: dict[str, Any], call: fakes.Call) -> Any:
        call.progress(phase="provision", message="now")
        assert call.cancelled.wait(20)
        raise errors.Cancelled("vm.start was cancelled")

    daemon.handlers["vm.start"] = start
    child = gaovm.popen("start", "db")
    assert child.stderr is not None
    child.stderr.readline()
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=30)
    assert b"`gaovm up db` waits for it, `gaovm destroy db` removes it" in told


def test_what_is_set_and_differs(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    vm = fakes.vm("db", project="/elsewhere")
    answer(daemon, "vm.status", **vm)
    answer(daemon, "vm.config.set", vm=vm, applied=[], staged=[CPUS], running=True)
    assert b"Take it back:  gaovm set --discard db\n" in gaovm("set", "db", "cpus=4").stdout
    assert b"Take it back:  gaovm set --discard\n" in gaovm("set", "cpus=4").stdout
    found: dict[str, Any] = {"pending": [], "file": [CPUS], "overrides": {"cpus": "4"}}
    answer(daemon, "vm.config.diff", name="db", state="running", **found)
    text = gaovm("diff", "db").stdout
    assert b"asks for more (gaovm up db takes it over)" in text
    assert b"(gaovm set --discard db drops it)" in text


def test_ports_and_a_display(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    answer(daemon, "vm.ports.list", ports=[])
    answer(daemon, "vm.ports.remove", removed=[])
    assert b"Add one:  gaovm port add 8080 db\n" in gaovm("port", "ls", "db").stderr
    assert b"remedy: gaovm port ls db\n" in gaovm("port", "rm", "81", "db").stderr
    assert b"remedy: gaovm port ls\n" in gaovm("port", "rm", "81").stderr
    headless: dict[str, Any] = {
        "name": "db",
        "enabled": False,
        "open": False,
        "width": 0,
        "height": 0,
    }
    answer(daemon, "vm.display.status", **headless)
    told = gaovm("display", "status", "db").stderr
    assert b"gaovm set db graphics.enabled=true  and a restart" in told
    assert b"gaovm set graphics.enabled=true  and" in gaovm("display", "status").stderr


def test_a_session_that_fails(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    driver.close()
    for words in (("exec", "--name", "web", "--", "true"), ("shell", "web"), ("cp", "web:/x", ".")):
        assert gaovm(*words).stderr.endswith(b"  remedy: gaovm status web\n"), words
    assert gaovm("exec", "true").stderr.endswith(b"  remedy: gaovm status\n")
    error = errors.GuestUnavailable("it is being set up", actions=(errors.Action("wait_for_vm"),))
    refuse(daemon, "vm.session", error)
    assert gaovm("exec", "--name", "web", "--", "true").stderr.endswith(b"  remedy: gaovm up web\n")
    assert gaovm("exec", "--", "true").stderr.endswith(b"  remedy: gaovm up\n")
