"""The machine itself: architecture, boot, CPU flags, kernel."""

from __future__ import annotations

import os
from pathlib import Path

from gaovm import errors
from gaovm.platform import system
from gaovm.spec.boot import Arch

_ARCHES: dict[str, Arch] = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
}


def arch() -> Arch:
    """Return the host's architecture by its Linux name.

    Raises:
        errors.HostError: GaoVM does not know this architecture.
    """
    machine = os.uname().machine.lower()
    if machine not in _ARCHES:
        raise errors.HostError(f"hosts of architecture {machine} are not supported")
    return _ARCHES[machine]


def cpu_flags() -> frozenset[str] | None:
    """Return the first CPU's flags; None if the architecture has no virtualisation flag."""
    if os.uname().machine != "x86_64":
        return None
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        return None
    return frozenset()


def kernel() -> str:
    """Return name and release of the host's kernel."""
    return f"{system.name()} {os.uname().release}"


def closed_user_namespaces() -> str | None:
    """Return the setting that denies user namespaces to users without root; None if none does."""
    for path in (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "/proc/sys/user/max_user_namespaces",
    ):
        try:
            if Path(path).read_text(encoding="ascii").strip() == "0":
                return path
        except OSError:
            continue
    return None
