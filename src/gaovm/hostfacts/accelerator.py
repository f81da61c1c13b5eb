"""Find the accelerators that work here. ``/dev/kvm`` proves nothing: the probe runs code in KVM.

``$GAOVM_HOME/accelerator.json`` caches the result. The cache is valid until the host restarts, or
the user, the permissions of ``/dev/kvm`` or a hypervisor change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gaovm import errors
from gaovm.aio import files
from gaovm.hostfacts import homes, host, tsc
from gaovm.model.facts import AcceleratorFact
from gaovm.platform import processes, system

_KVM = Path("/dev/kvm")
_CACHE = "accelerator.json"
_CACHE_VERSION = 3
_CACHE_LIMIT = 64 << 10
# A probe that works takes well under a millisecond in the guest; 2 s leaves room on a busy host.
_PROBE_LIMIT_S = 2.0
_REAP_LIMIT_S = 1.0
# hardware needs microseconds for 20,000 turns of the loop; interpreted ring 0 needs tens of ms
_LOOP_LIMIT_MS = 5.0
_KVM_EXIT_IO = 2

Runner = Callable[[], Mapping[str, Any]]


class Measured(NamedTuple):
    """What GaoVM finds out by running code, once per boot of the host."""

    accelerators: tuple[AcceleratorFact, ...]
    tsc_khz: int | None


def measured(home: Path, programs: Iterable[str]) -> Measured:
    """Return the accelerators of this system and its counter's rate, from a valid cache if any.

    ``programs`` are paths of programs; a change of one makes the cache invalid.

    Without a valid cache this takes up to 3 s, on a usual host 0.1 s. If the cache cannot be
    written, the call still succeeds and the next call probes again.
    """
    key = _key(programs)
    cached = _load(home / _CACHE, key)
    if cached is not None:
        return cached
    found = Measured(probe(), tsc.khz())
    _store(home / _CACHE, key, found)
    return found


def probe() -> tuple[AcceleratorFact, ...]:
    """Probe now, without the cache."""
    if system.name() == "Darwin":
        return (_hvf(),)
    if system.name() == "Linux":
        return (judge_kvm(_permission(), host.cpu_flags(), run_probe),)
    return ()


def judge_kvm(obstacle: str | None, flags: frozenset[str] | None, run: Runner) -> AcceleratorFact:
    """Say what a probe's outcome means. ``flags``: the CPU's flags; None if they say nothing.

    The probe runs only if nothing else rules KVM out.
    """
    if obstacle is not None:
        return AcceleratorFact(name="kvm", usable=False, reason=obstacle)
    outcome = _verdict(run())
    if outcome is None:
        # a hypervisor may hide the flags from us and still offer hardware virtualisation
        return AcceleratorFact(name="kvm", usable=True, reason="code ran in KVM at full speed")
    why = f"/dev/kvm is there, but {outcome}"
    if flags is not None and not flags & {"vmx", "svm"}:
        why += "; the CPU shows neither vmx nor svm"
    return AcceleratorFact(name="kvm", usable=False, reason=why)


def _verdict(result: Mapping[str, Any]) -> str | None:
    """Why a probe's result shows that KVM does not work; None when it does."""
    if not result.get("ok"):
        return f"it cannot be used: {result.get('why', 'the probe failed')}"
    if "exit" not in result:
        return None
    took_ms = float(result.get("ms", 0))
    if result["exit"] != _KVM_EXIT_IO or result.get("exceptions") != 1:
        return (
            f"a guest's first exception ended it (KVM exit {result['exit']}) "
            f"after {took_ms:.0f} ms of a loop that takes microseconds in hardware"
        )
    if took_ms > _LOOP_LIMIT_MS:
        return f"guest code is interpreted: a short loop took {took_ms:.0f} ms"
    return None


def run_probe() -> Mapping[str, Any]:
    """Run the probe in its own child for at most 3 s; leave a child that hangs behind."""
    program = Path(__file__).with_name("kvm_probe.py")
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as exc:
        return {"ok": False, "why": f"the probe did not start: {exc.strerror}"}
    try:
        output, _ = child.communicate(timeout=_PROBE_LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        try:
            child.communicate(timeout=_REAP_LIMIT_S)
        except subprocess.TimeoutExpired:
            return {"ok": False, "why": "guest code hangs in it and cannot be killed"}
        return {"ok": False, "why": f"guest code did not end within {_PROBE_LIMIT_S:.0f} s"}
    try:
        result = json.loads(output)
    except ValueError:
        return {"ok": False, "why": f"the probe died (status {child.returncode})"}
    return result if isinstance(result, dict) else {"ok": False}


def _permission() -> str | None:
    if not _KVM.exists():
        return "there is no /dev/kvm"
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return "this user may not open /dev/kvm (as a rule: add the user to the group kvm)"
    return None


def _hvf() -> AcceleratorFact:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "kern.hv_support"],
            capture_output=True,
            timeout=_PROBE_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return AcceleratorFact(name="hvf", usable=False, reason="kern.hv_support cannot be read")
    if done.stdout.strip() == b"1":
        return AcceleratorFact(name="hvf", usable=True, reason="kern.hv_support is 1")
    return AcceleratorFact(name="hvf", usable=False, reason="kern.hv_support is not 1")


def _key(programs: Iterable[str]) -> dict[str, Any]:
    """Return everything that a result depends on."""
    try:
        status = _KVM.stat()
        device = [status.st_mode, status.st_uid, status.st_gid, status.st_rdev]
    except OSError:
        device = []
    changed = []
    for path in sorted(programs):
        try:
            changed.append([path, Path(path).stat().st_mtime_ns])
        except OSError:
            changed.append([path, 0])
    return {
        "version": _CACHE_VERSION,
        "boot_id": processes.boot_id(),
        "uid": os.geteuid(),
        "groups": sorted(os.getgroups()),
        "kvm": device,
        "programs": changed,
    }


def _load(path: Path, key: Mapping[str, Any]) -> Measured | None:
    if not key["boot_id"]:
        return None
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(_CACHE_LIMIT))
        if data["key"] != key:
            return None
        found = tuple(
            AcceleratorFact(
                name=entry["name"], usable=entry["usable"] is True, reason=str(entry["reason"])
            )
            for entry in data["accelerators"]
            if entry["name"] in ("kvm", "hvf")
        )
        return Measured(found, None if data["tsc_khz"] is None else int(data["tsc_khz"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _store(path: Path, key: Mapping[str, Any], found: Measured) -> None:
    entries = [{"name": f.name, "usable": f.usable, "reason": f.reason} for f in found.accelerators]
    kept = {"key": key, "accelerators": entries, "tsc_khz": found.tsc_khz}
    data = json.dumps(kept, indent=1).encode()
    try:
        homes.check(str(path.parent), write=True)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_atomic(path, data)
    except (OSError, errors.HostError):
        return
