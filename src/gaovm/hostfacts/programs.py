"""Find programs and firmware. Looks at files only: the way to a VM starts no process for this."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from gaovm.builder import packages
from gaovm.hostfacts import host
from gaovm.model.facts import PasstFact, UefiFact, VirtiofsdFact
from gaovm.spec.boot import Arch

#: Where our own package is.
PACKAGE = Path(__file__).parents[1]
# the Rust compiler leaves these paths in every binary, for panic messages
_RUST_SIGNS = (b"/rustc/", b"rust_panic")


def find(program: str) -> str | None:
    """Return an executable's path: from ``PATH``, else where distributions keep helpers."""
    for directory in (*os.get_exec_path(), *packages.DIRECTORIES):
        path = f"{directory}/{program}"
        if directory.startswith("/") and os.access(path, os.X_OK) and Path(path).is_file():
            return path
    return None


def yq(arch: Arch) -> Path | None:
    """Return the program that edits files in guests of that architecture; None: there is none."""
    name = f"gaovm-yq-linux-{'arm64' if arch == 'aarch64' else 'amd64'}"
    path = PACKAGE / "cli" / "lima" / "bin" / name
    return path if path.is_file() else None


def find_all(names: Iterable[str]) -> dict[str, str]:
    """Return the path of each of these programs that is installed, by its name."""
    found = {name: find(name) for name in names}
    return {name: path for name, path in found.items() if path is not None}


def virtiofsd() -> VirtiofsdFact | None:
    """Return the best virtiofsd: one that this user can run, else any, else None."""
    facts = []
    for directory in (*packages.HELPERS, *os.get_exec_path(), "/usr/lib"):
        path = Path(directory, "virtiofsd")
        if path.is_absolute() and os.access(path, os.X_OK) and path.is_file():
            facts.append(judge_virtiofsd(str(path), is_rust(path), root=os.geteuid() == 0))
    facts.sort(key=lambda fact: not fact.usable)
    return facts[0] if facts else None


def is_rust(path: Path) -> bool:
    """Whether a virtiofsd is the newer one; its compiler leaves traces in the file."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return any(data.find(sign) >= 0 for sign in _RUST_SIGNS)
    except (OSError, ValueError):
        return False


def judge_virtiofsd(path: str, rust: bool, *, root: bool) -> VirtiofsdFact:
    """Say what a virtiofsd can do: the older one, written in C, works for root only."""
    if rust:
        return VirtiofsdFact(path=path, flavour="rust", usable=True, reason="it runs as any user")
    reason = "it runs as root" if root else f"{path} works for root only"
    return VirtiofsdFact(path=path, flavour="c", usable=root, reason=reason)


def passt() -> PasstFact | None:
    """Return the installed passt and whether this user can run it: it confines itself."""
    path = find("passt")
    if path is None:
        return None
    closed = None if os.geteuid() == 0 else host.closed_user_namespaces()
    if closed is not None:
        reason = f"{path} cannot confine itself: {closed} is 0"
        return PasstFact(path=path, usable=False, reason=reason)
    return PasstFact(path=path, usable=True, reason=f"{path} is usable")


def uefi() -> dict[str, UefiFact]:
    """Return the firmware for guests of each architecture that has one here."""
    found = {}
    for arch, pairs in packages.UEFI.items():
        for code, variables in pairs:
            if Path(code).is_file() and Path(variables).is_file():
                found[arch] = UefiFact(code=code, variables=variables)
                break
    return found
