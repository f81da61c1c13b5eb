"""``gaovm disk`` against a fake daemon: what it sends, prints and returns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.process.cli import conftest, fakes


def disk(name: str, **more: Any) -> dict[str, Any]:
    known = {"size_bytes": 10 << 30, "used_bytes": 1 << 20, "format": "qcow2", "problem": None}
    return {"name": name, "in_use_by": None, "used_by": [], **known, **more}


def calls(daemon: fakes.FakeDaemon, method: str, answer: Any) -> list[dict[str, Any]]:
    """Answer a method, and return the list of the parameters it is called with."""
    seen: list[dict[str, Any]] = []

    def handle(params: dict[str, Any], call: fakes.Call) -> Any:
        seen.append(params)
        return answer

    daemon.handlers[method] = handle
    return seen


def test_disks_are_listed(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    gone = disk("old", problem="its file is gone: /g/disks/old/disk.qcow2")
    busy = disk("data", in_use_by="web-dev", used_by=["db-dev", "web-dev"])
    calls(daemon, "disk.list", {"disks": [busy, gone]})
    done = gaovm("disk", "ls")
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    assert rows[1] == ["data", "10.0", "GiB", "1.0", "MiB", "qcow2", "web-dev", "db-dev", "web-dev"]
    assert b"warning: disk old: its file is gone" in done.stderr
    assert json.loads(gaovm("disk", "ls", "--json").stdout)["disks"] == [busy, gone]


def test_an_empty_list_says_what_to_do(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    calls(daemon, "disk.list", {"disks": []})
    done = gaovm("disk", "ls")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"gaovm disk create data --size 10GiB" in done.stderr


def test_what_is_sent(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    made = calls(daemon, "disk.create", disk("a"))
    grown = calls(daemon, "disk.resize", disk("a"))
    brought = calls(daemon, "disk.import", disk("a"))
    removed = calls(daemon, "disk.remove", {"name": "a", "freed_bytes": 1 << 20})
    assert gaovm("disk", "create", "a", "--size", "1.5GiB").returncode == 0
    gaovm("disk", "create", "a", "--size=1G", "--format", "raw")
    gaovm("disk", "resize", "a", "--size", "2TiB")
    gaovm("disk", "import", "a", "/x/../y")
    assert b"removed a; 1.0 MiB freed" in gaovm("disk", "rm", "a", "b").stderr
    gaovm("disk", "rm", "-f", "a")
    assert made == [
        {"name": "a", "size_bytes": 3 << 29},
        {"name": "a", "size_bytes": 1 << 30, "format": "raw"},
    ]
    assert grown == [{"name": "a", "size_bytes": 2 << 40}]
    assert brought == [{"name": "a", "path": "/x/../y"}]
    assert removed == [{"name": "a"}, {"name": "b"}, {"name": "a", "force": True}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create", "a"), b"--size is missing"),
        (("resize", "a"), b"--size is missing"),
        (("create", "a", "--size", "10"), b"size with no unit"),
        (("create", "a", "--size", "1GiB", "--format", "vmdk"), b"must be one of qcow2, raw"),
        (("delete", "a"), b"did you mean gaovm disk rm?"),
    ],
)
def test_mistakes_reach_no_daemon(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, words: tuple[str, ...], message: bytes
) -> None:
    done = gaovm("disk", *words)
    assert done.returncode == 2
    assert message in done.stderr


def test_unlock_says_who_has_a_disk(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    calls(daemon, "disk.list", {"disks": [disk("free"), disk("busy", in_use_by="web-dev")]})
    free = gaovm("disk", "unlock", "free")
    assert (free.returncode, b"is not locked" in free.stderr) == (0, True)
    busy = gaovm("disk", "unlock", "busy")
    assert busy.returncode == 1
    assert b"gaovm stop web-dev" in busy.stderr
    assert gaovm("disk", "unlock", "none").returncode == 1
