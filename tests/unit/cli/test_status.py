"""What ``gaovm status`` says of a VM, section by section."""

from __future__ import annotations

from typing import Any

import pytest
from tests.process.cli import fakes

from gaovm.cli.commands import status

GIB = 1 << 30
PORT = {"guest_ip": "::", "guest_port": 80, "host_ip": "::1"}


def said(**changes: Any) -> list[str]:
    """Return the lines about a VM, without the spaces between label and text."""
    return [" ".join(line.split()) for line in status.text(fakes.vm("web", **changes)).splitlines()]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, "web running"),
        ({"detail": "busy"}, "web running (busy)"),
        ({"paused": True}, "web running (`gaovm resume` lets it go on)"),
        ({"state": "interrupted"}, "web interrupted (`gaovm up` waits for it)"),
        ({"state": "stopped", "first_up": "pending"}, "web stopped (`gaovm up` goes on)"),
        (
            {"state": "first-up-failed", "detail": "no boot"},
            "web first-up-failed (no boot; `gaovm up` tries again)",
        ),
    ],
)
def test_the_first_line_says_what_to_do(changes: dict[str, Any], first: str) -> None:
    assert said(**changes)[0] == first


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"cpus": 1, "machine": ""}, "machine 1 CPU, 2.0 GiB memory, 20.0 GiB disk, x86_64"),
        ({"accelerator": {"name": "kvm"}}, "accelerator kvm"),
        ({"usage": {"disk_bytes": GIB}}, "takes 1.0 GiB disk"),
        (
            {"usage": {"disk_bytes": GIB, "processes": 1, "memory_bytes": GIB}},
            "takes 1.0 GiB memory in 1 process, 1.0 GiB disk",
        ),
        (
            {"usage": {"disk_bytes": GIB, "processes": 3, "memory_bytes": GIB}},
            "takes 1.0 GiB memory in 3 processes, 1.0 GiB disk",
        ),
        (
            {"mounts": [{"location": "/a", "mount_point": "/a", "type": "virtiofs"}]},
            "mount /a (read-only; virtiofs)",
        ),
        (
            {"network": {"type": "passt", "reason": "it is there", "host_access": True}},
            "network passt: it is there; the host is open to it (hostAccess)",
        ),
        (
            {"network": {"type": "passt", "reason": "it is there"}},
            "network passt: it is there; the host's 127.0.0.1 is closed",
        ),
        (
            {"network": {"type": "slirp", "reason": "no passt"}},
            "network slirp: no passt; warning: it reaches the host's 127.0.0.1",
        ),
        ({"network": {"type": "passt", "problem": "it ended"}}, "problem it ended"),
        (
            {"ports": [{**PORT, "state": "stopped"}]},
            "port ::1:(free one) -> :::80 in the VM (stopped)",
        ),
        (
            {"ports": [{**PORT, "host_port": 8080, "state": "no_listener"}]},
            "port ::1:8080 -> :::80 in the VM (nobody listens)",
        ),
        ({"confinement": {"in_force": ["ids", "seccomp"]}}, "cage ids, seccomp"),
        ({"confinement": {"missing": {"cage": "no rights"}}}, "missing cage: no rights"),
        (
            {"pending": [{"field": "cpus"}, {"field": "disk"}]},
            "pending cpus, disk (at the next start; see gaovm diff)",
        ),
        (
            {"restarts": {"attempts": 2, "max_attempts": 5, "policy": "always", "due_at": "noon"}},
            "restarts 2 of 5 in a row, the next at noon (policy always)",
        ),
        ({"last_error": {"message": "x", "serial_tail": ["panic"]}}, "console panic"),
        ({"last_error": {"message": "x", "remedy": "one\ntwo"}}, "remedy one"),
        ({"guest": None}, "guest does not answer"),
    ],
)  # fmt: skip
def test_a_section(changes: dict[str, Any], line: str) -> None:
    assert line in said(**changes)


def test_what_is_not_known_is_left_out() -> None:
    known = {"name": "web", "state": "stopped"}
    text = status.text(known)
    labels = [line.split()[0] for line in text.splitlines()]
    assert labels == ["web", "machine"]


def test_what_the_guest_reports() -> None:
    guest = {
        "os": "Debian 12",
        "kernel": "6.1",
        "uptime_s": 90,
        "load": [0.5, 0.25, 0.0],
        "memory": {"available_bytes": GIB, "total_bytes": 2 * GIB},
        "addresses": [{"interface": "eth0", "address": "10.0.2.15/24"}],
        "listeners": [
            {"address": "::", "port": 22, "proto": "tcp"},
            {"address": "::", "port": 53, "proto": "udp"},
        ],
    }
    lines = said(guest=guest)
    start = lines.index("guest Debian 12, kernel 6.1")
    assert lines[start + 2 : start + 6] == [
        "load 0.5 0.25 0.0",
        "memory 1.0 GiB free of 2.0 GiB",
        "addresses eth0 10.0.2.15/24",
        "listening :::22",
    ]
    bare = said(guest={"os": "Debian 12"})
    assert not any(line.startswith(("addresses", "listening")) for line in bare)
