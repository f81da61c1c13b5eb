"""``set``, ``diff`` and ``plan`` against a fake daemon: what they send and print."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.process.cli import conftest, fakes

from gaovm import errors

CPUS = {"field": "cpus", "from": 2, "to": 4, "restart": True, "live": False}
DISK = {"field": "disk", "from": 20 << 30, "to": 40 << 30, "restart": False, "live": True}
PORTS = {
    "field": "portForwards",
    "from": [{"guest_port": 80}],
    "to": [{"guest_port": 80}, {"guest_port": 81}],
    "restart": False,
    "live": True,
}


def serve(daemon: fakes.FakeDaemon, method: str, **result: Any) -> list[dict[str, Any]]:
    """Answer a method; return what it was asked."""
    asked: list[dict[str, Any]] = []

    def answer(params: dict[str, Any], call: fakes.Call) -> Any:
        asked.append(params)
        return result

    daemon.handlers[method] = answer
    return asked


def test_set_sends_the_words_as_they_are_given(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    asked = serve(
        daemon,
        "vm.config.set",
        vm=fakes.vm("db"),
        applied=[DISK],
        staged=[CPUS],
        running=True,
        overrides={},
        warnings=["look"],
    )
    done = gaovm("set", "db", "cpus=4", "env.A=x=y", "memory=")
    assert done.returncode == 0, done.stderr
    assert asked == [{"name": "db", "changes": {"cpus": "4", "env.A": "x=y", "memory": ""}}]
    lines = done.stdout.decode().splitlines()
    assert lines[:4] == [
        "db: in force now",
        "  disk  20GiB -> 40GiB",
        "db: at the next start",
        "  cpus  2 -> 4",
    ]
    assert "gaovm restart db" in lines[4]
    assert done.stderr == b"warning: look\n"
    assert json.loads(gaovm("set", "cpus=4", "--json").stdout)["staged"] == [CPUS]
    assert asked[1]["name"] == "web-dev"
    assert gaovm("set", "--discard").returncode == 0
    assert asked[2].pop("of_project").endswith("/web")
    assert asked[2] == {"name": "web-dev", "changes": {}, "discard": True}


def test_values_are_shown_as_they_are_written(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    def found(field: str, before: Any, after: Any) -> dict[str, Any]:
        return {"field": field, "from": before, "to": after, "restart": False, "live": True}

    changes = [
        found("stop.grace", 30.0, 0.5),
        found("watchdog.timeout", 30, 60),
        found("autostart", False, True),
        found("cmdline", "", "a=1"),
        found("env.A", None, "x"),
        found("memory", 1 << 31, 1536 << 20),
    ]
    serve(
        daemon,
        "vm.config.set",
        vm=fakes.vm("web-dev"),
        applied=changes,
        staged=[],
        running=False,
        warnings=[],
    )
    lines = gaovm("set", "cpus=4").stdout.decode().splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[1:]] == [
        "30s -> 0.5s",
        "30s -> 60s",
        "false -> true",
        '"" -> a=1',
        "(none) -> x",
        "2GiB -> 1536MiB",
    ]


def test_words_that_are_no_change_are_usage(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    for words, text in (
        (("set",), b"KEY=VALUE is missing"),
        (("set", "db"), b"KEY=VALUE is missing"),
        (("set", "cpus=1", "db"), b"'db' is no KEY=VALUE"),
        (("set", "cpus=1", "cpus=2"), b"cpus is given twice"),
        (("set", "=1"), b"is no KEY=VALUE"),
    ):
        done = gaovm(*words)
        assert done.returncode == 2, words
        assert text in done.stderr
    assert daemon.calls == []


def test_diff_shows_what_is_pending_and_what_the_file_asks(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    vm = fakes.vm("web-dev", project=str(gaovm.project))
    serve(daemon, "vm.status", **vm)
    asked = serve(
        daemon,
        "vm.config.diff",
        name="web-dev",
        state="running",
        running=True,
        pending=[CPUS],
        file=[PORTS],
        overrides={"cpus": "4"},
        warnings=[],
    )
    done = gaovm("diff")
    assert done.returncode == 0, done.stderr
    assert asked[0]["project"]["project_dir"] == str(gaovm.project)
    assert done.stdout.decode().splitlines() == [
        "web-dev (running): the next start changes",
        "  cpus  2 -> 4",
        "web-dev: the project file asks for more (gaovm up takes it over)",
        "  portForwards",
        '    + {"guest_port": 81}',
        "Set over the project file (gaovm set --discard drops it):  cpus=4",
    ]
    serve(daemon, "vm.status", **fakes.vm("db", project="/elsewhere"))
    asked = serve(
        daemon, "vm.config.diff", name="db", state="x", pending=[], file=None, overrides={}
    )
    assert gaovm("diff", "db").stdout == b"db: nothing is pending\n"
    assert asked == [{"name": "db"}]


def test_diff_shows_what_is_pending_although_the_file_is_wrong(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    def diff(params: Any, call: Any) -> Any:
        if "project" in params:
            raise errors.ConfigError("config.yaml:3: memory: expected a size")
        found: dict[str, Any] = {"pending": [CPUS], "file": None, "overrides": {}, "warnings": []}
        return {"name": "web-dev", "state": "running", "running": True, **found}

    serve(daemon, "vm.status", **fakes.vm("web-dev", project=str(gaovm.project)))
    daemon.handlers["vm.config.diff"] = diff
    done = gaovm("diff")
    assert (done.returncode, b"cpus  2 -> 4" in done.stdout) == (0, True)
    assert b"config.yaml:3: memory" in done.stderr


def test_plan_says_whether_it_restarts(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    daemon.handlers["vm.list"] = lambda params, call: {"vms": []}
    plan = {"name": "web-dev", "exists": True, "running": True, "now": [DISK]}
    asked = serve(daemon, "vm.config.plan", **plan, next_start=[CPUS], restart_required=True)
    done = gaovm("plan", "cpus=4", "disk=40GiB")
    assert done.returncode == 0, done.stderr
    assert asked[0]["changes"] == {"cpus": "4", "disk": "40GiB"}
    assert "project" not in asked[0]
    assert "A restart is needed" in done.stdout.decode()
    serve(daemon, "vm.config.plan", **plan, next_start=[], restart_required=False)
    assert "No restart is needed." in gaovm("plan", "disk=40GiB").stdout.decode()
    asked = serve(daemon, "vm.config.plan", **{**plan, "exists": False})
    assert gaovm("plan").stdout == b"web-dev does not exist; gaovm up makes it\n"
    assert asked[0]["project"]["config_text"]


def test_explain_takes_in_what_is_set_over_the_file(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    serve(daemon, "vm.status", **fakes.vm("web-dev", overrides={"cpus": "7", "accel": "tcg"}))
    done = gaovm("explain")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "# set over the project file: cpus, accel" in text
    assert re.search(r"-smp \S*7", text)


def test_status_shows_that_something_is_pending(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    serve(daemon, "vm.status", **fakes.vm("web-dev", pending=[CPUS]))
    text = gaovm("status").stdout.decode()
    assert "pending      cpus (at the next start; see gaovm diff)" in text
