"""Lookups on the host: programs, limits, user ids, and the processes that listen on ports."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from gaovm.hostfacts import doctor, host, limits, listeners, programs, subids, tsc


def executable(path: Path, data: bytes = b"#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def test_a_program_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = executable(tmp_path / "thing")
    (tmp_path / "data").write_text("")
    (tmp_path / "directory").mkdir()
    monkeypatch.setenv("PATH", f"relative:{tmp_path}")
    assert programs.find("thing") == str(program)
    assert programs.find("data") is None
    assert programs.find("directory") is None


def test_the_flavour_of_virtiofsd_is_read_from_the_file(tmp_path: Path) -> None:
    assert programs.is_rust(executable(tmp_path / "r", b"\x7fELF..panicked at /rustc/abc/core"))
    assert not programs.is_rust(executable(tmp_path / "c", b"\x7fELF..fuse_lowlevel"))
    assert not programs.is_rust(executable(tmp_path / "empty", b""))
    assert not programs.is_rust(tmp_path / "none")


def test_the_older_virtiofsd_needs_root() -> None:
    assert programs.judge_virtiofsd("/v", False, root=True).usable
    assert not programs.judge_virtiofsd("/v", False, root=False).usable
    assert programs.judge_virtiofsd("/v", True, root=False).usable


def test_limits(tmp_path: Path) -> None:
    memory = limits.memory()
    assert 0 < memory.available_bytes <= memory.total_bytes
    assert limits.cpus() >= 1
    free = limits.disk_free_bytes(tmp_path / "not" / "yet")
    assert free > 0


def test_subordinate_ids() -> None:
    text = "ann:100000:65536\n#x\nbob:1:2\n1000:300000:10\nann:x:1\nann\n"
    assert subids.parse(text, "ann", 1000) == [(100000, 65536), (300000, 10)]
    assert subids.parse(text, "eve", 1001) == []
    assert subids.ranges(Path("/nonexistent")) == []


def test_a_listening_process_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        owner = listeners.owner(port) or ""
        assert owner.endswith(f"(pid {os.getpid()})")
    assert listeners.owner(port) is None


def test_a_process_that_listens_over_ipv6_is_named() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this host has no IPv6")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert str(os.getpid()) in (listeners.owner(server.getsockname()[1]) or "")


def test_a_hidden_process_is_named_by_its_user(tmp_path: Path) -> None:
    assert sys.byteorder == "little", "the sample comes from a little-endian machine"
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(
        "  sl  local_address rem_address   st tx rx tr tm retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 4242 0 9 1\n"
        "   1: 0100007F:1F91 00000000:0000 01 00000000:00000000 00:00000000 00000000 4242 0 8 1\n"
        "   2: garbage\n"
    )
    found = listeners.parse((tmp_path / "net" / "tcp").read_text())
    assert found == [("127.0.0.1", 8080, 4242, 9)]
    assert listeners.owner(8080, tmp_path) == "user 4242"
    assert listeners.owner(8081, tmp_path) is None


def test_doctor_has_a_remedy_for_everything_that_is_wrong(tmp_path: Path) -> None:
    checks = doctor.checks(tmp_path)
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    assert {"hypervisor", "accelerator", "kernel", "memory", "disk", "network"} <= set(names)
    for check in checks:
        assert check.found
        assert check.level == "ok" or check.remedy, check


def test_doctor_without_any_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None)
    monkeypatch.setattr(programs, "virtiofsd", lambda: None)
    found = {check.name: check for check in doctor.checks(tmp_path)}
    assert found["hypervisor"].level == "fail"
    assert found["hypervisor"].remedy.startswith("apt-get install qemu-system-")
    assert found["mmdebstrap"].remedy == "apt-get install mmdebstrap"
    assert found["shares"].found.startswith("9p")


def test_passt_needs_namespaces_unless_root_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(host, "closed_user_namespaces", lambda: "/proc/sys/x")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = programs.passt()
    assert found is not None and not found.usable and "/proc/sys/x is 0" in found.reason
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = programs.passt()
    assert found is not None and found.usable


def test_doctor_asks_for_passt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "passt", lambda: None)
    (check,) = [each for each in doctor.checks(tmp_path) if each.name == "network"]
    assert (check.level, check.remedy) == ("warn", "apt-get install passt")
    assert "127.0.0.1" in check.found


def test_two_measurements_of_the_counters_rate_agree() -> None:
    first, second = tsc.khz(), tsc.khz()
    if "constant_tsc" not in (host.cpu_flags() or ()):
        assert first is second is None
        return
    assert first is not None and second is not None
    assert abs(first - second) <= first / 1000


def test_a_counter_without_a_fixed_rate_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "cpu_flags", lambda: frozenset({"tsc"}))
    assert tsc.khz() is None
