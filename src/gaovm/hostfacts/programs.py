"""Where programs are. Looks at files only: no process is started on the way to a VM."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from gaovm.hostfacts import host
from gaovm.model.facts import PasstFact, VirtiofsdFact
from gaovm.spec.boot import Arch

# helpers that Debian keeps off the PATH, and the administrator's directories a user may lack
_EXTRA = ("/usr/lib/qemu", "/usr/libexec", "/usr/lib", "/usr/sbin", "/sbin", "/usr/local/bin")
_HOMEBREW = "/opt/homebrew/bin"
ARCHES: tuple[Arch, ...] = ("x86_64", "aarch64")
# the Rust compiler leaves its paths in every binary, for panic messages
_RUST_SIGNS = (b"/rustc/", b"rust_panic")


def find(program: str) -> str | None:
    """The path of an executable: ``PATH`` first, then where distributions keep helpers."""
    for directory in (*os.get_exec_path(), *_EXTRA, _HOMEBREW):
        path = f"{directory}/{program}"
        if directory.startswith("/") and os.access(path, os.X_OK) and Path(path).is_file():
            return path
    return None


def emulators() -> dict[str, str]:
    """The QEMU of each architecture that has one."""
    found = {arch: find(f"qemu-system-{arch}") for arch in ARCHES}
    return {arch: path for arch, path in found.items() if path is not None}


def virtiofsd() -> VirtiofsdFact | None:
    """The best virtiofsd: one that this user can run, else any, else None."""
    facts = []
    for directory in ("/usr/libexec", "/usr/lib/qemu", *os.get_exec_path(), "/usr/lib"):
        path = Path(directory, "virtiofsd")
        if path.is_absolute() and os.access(path, os.X_OK) and path.is_file():
            facts.append(judge_virtiofsd(str(path), is_rust(path), root=os.geteuid() == 0))
    facts.sort(key=lambda fact: not fact.usable)
    return facts[0] if facts else None


def is_rust(path: Path) -> bool:
    """Whether a virtiofsd is the newer one, by traces of its compiler in the file."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return any(data.find(sign) >= 0 for sign in _RUST_SIGNS)
    except (OSError, ValueError):
        return False


def judge_virtiofsd(path: str, rust: bool, *, root: bool) -> VirtiofsdFact:
    """What a virtiofsd is good for: the older one, of QEMU before 8.0, works for root only."""
    if rust:
        return VirtiofsdFact(path=path, flavour="rust", usable=True, reason="it runs as any user")
    reason = "it runs as root" if root else f"{path} works for root only"
    return VirtiofsdFact(path=path, flavour="c", usable=root, reason=reason)


def passt() -> PasstFact | None:
    """The passt that is installed, and whether this user can run it: it confines itself."""
    path = find("passt")
    if path is None:
        return None
    closed = None if os.geteuid() == 0 else host.closed_user_namespaces()
    if closed is not None:
        reason = f"{path} cannot confine itself: {closed} is 0"
        return PasstFact(path=path, usable=False, reason=reason)
    return PasstFact(path=path, usable=True, reason=f"{path} is usable")
