"""The accelerator probe: what its results mean, its cache, and a real run on this host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gaovm.hostfacts import accelerator, facts, host, kvm_probe
from gaovm.model.facts import AcceleratorFact
from gaovm.platform import processes

VMX = frozenset({"vmx", "fpu"})
GOOD = {"ok": True, "exit": 2, "ms": 0.05, "exceptions": 1}
FACTS = (AcceleratorFact(name="kvm", usable=True, reason="r"),)


def judge(result: Mapping[str, Any], flags: frozenset[str] | None = VMX) -> AcceleratorFact:
    return accelerator.judge_kvm(None, flags, lambda: result)


def test_fast_code_that_survives_an_exception_means_kvm() -> None:
    assert judge(GOOD).usable
    assert judge(GOOD, frozenset()).usable
    assert judge(GOOD, None).usable


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({**GOOD, "exit": 17, "exceptions": 0, "ms": 80.0}, "first exception ended it"),
        ({**GOOD, "exceptions": 0}, "first exception ended it"),
        ({**GOOD, "ms": 80.0}, "interpreted: a short loop took 80 ms"),
        ({"ok": False, "why": "Permission denied (errno 13)"}, "Permission denied"),
        ({"ok": False}, "the probe failed"),
        ({}, "the probe failed"),
    ],
)
def test_any_other_result_means_no_kvm(result: Mapping[str, Any], why: str) -> None:
    fact = judge(result, frozenset())
    assert not fact.usable
    assert why in fact.reason
    assert "neither vmx nor svm" in fact.reason


def test_no_probe_runs_if_the_device_cannot_be_opened() -> None:
    def run() -> Mapping[str, Any]:
        raise AssertionError("the probe ran")

    fact = accelerator.judge_kvm("there is no /dev/kvm", VMX, run)
    assert (fact.usable, fact.reason) == (False, "there is no /dev/kvm")


def test_a_probe_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kvm_probe.py"
    program.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(accelerator, "__file__", str(tmp_path / "accelerator.py"))
    monkeypatch.setattr(accelerator, "_PROBE_LIMIT_S", 0.2)
    assert "did not end" in accelerator.run_probe()["why"]


@pytest.mark.parametrize("body", ["raise SystemExit(3)", "print('[]')", "print('x')"])
def test_a_probe_that_dies_means_no_accelerator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    (tmp_path / "kvm_probe.py").write_text(body + "\n")
    monkeypatch.setattr(accelerator, "__file__", str(tmp_path / "accelerator.py"))
    assert not judge(accelerator.run_probe()).usable


def test_the_cache_is_valid_for_one_boot_and_the_same_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def probe() -> tuple[AcceleratorFact, ...]:
        runs.append(1)
        return FACTS

    monkeypatch.setattr(accelerator, "probe", probe)
    qemu = tmp_path / "qemu"
    qemu.write_text("")
    programs = [str(qemu)]
    home = tmp_path / "home"
    for _ in range(3):
        assert accelerator.measured(home, programs).accelerators == FACTS
    assert len(runs) == 1
    os.utime(qemu, (1, 1))
    accelerator.measured(home, programs)
    assert len(runs) == 2
    monkeypatch.setattr(processes, "boot_id", lambda: "another")
    accelerator.measured(home, programs)
    assert len(runs) == 3
    cache = home / "accelerator.json"
    assert cache.stat().st_mode & 0o777 == 0o600
    for broken in ("", "[]", "{}", '{"key": 1}', "\xff", json.dumps({"accelerators": [1]})):
        cache.write_text(broken)
        assert accelerator.measured(home, programs).accelerators == FACTS
    assert len(runs) == 9


def test_an_unwritable_home_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "probe", lambda: FACTS)
    (tmp_path / "file").write_text("")
    assert accelerator.measured(tmp_path / "file" / "home", []).accelerators == FACTS


def test_the_probe_of_this_host_gives_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-I", kvm_probe.__file__], capture_output=True, timeout=20, check=True
    )
    result = json.loads(done.stdout)
    assert result["ok"] in (True, False)
    (fact,) = accelerator.probe() or (FACTS[0],)
    flags = host.cpu_flags()
    if flags is not None and not flags & {"vmx", "svm"} and "hypervisor" not in flags:
        assert not fact.usable
    if result.get("exit", 2) != 2:
        assert not fact.usable


def test_a_cached_collect_starts_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = facts.collect(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    second = facts.collect(tmp_path)
    assert second.accelerators == first.accelerators
    assert second.programs == first.programs
    assert second.memory_total_bytes > 0
