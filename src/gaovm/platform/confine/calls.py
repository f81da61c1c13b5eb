"""System calls that Python 3.11 has no names for. Each raises ``OSError`` that names the call.

Numbers above 400 are the same on every architecture (include/uapi/asm-generic/unistd.h); libc
provides the other calls.
"""

from __future__ import annotations

import ctypes
import os
import struct

from gaovm.platform import system

# include/uapi/linux/sched.h
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
# include/uapi/linux/mount.h
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RDONLY = 2, 4, 8, 1
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_SETATTR = 442
# include/uapi/linux/prctl.h
_SET_PDEATHSIG, _SET_KEEPCAPS, _CAPBSET_DROP = 1, 8, 24
_SET_NO_NEW_PRIVS, _CAP_AMBIENT, _AMBIENT_RAISE = 38, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
if system.LINUX:  # elsewhere this module can be loaded, but none of it works
    _libc.syscall.restype = ctypes.c_long
    _libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
    _libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave these namespaces for new ones."""
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def setns(fd: int, kind: int) -> None:
    """Enter the namespace that a descriptor refers to."""
    _check(_libc.setns(fd, kind), f"setns {kind:#x}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        flags,
        data.encode() or None,
    )
    _check(result, f"mount {target}")


def restrict_mount(path: str, attributes: int, *, recursive: bool) -> None:
    """Add attributes to a mount, and to all below it: mount_setattr(2), Linux 5.12."""
    attr = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    result = _libc.syscall(
        ctypes.c_long(_MOUNT_SETATTR),
        _AT_FDCWD,
        os.fsencode(path),
        flags,
        attr,
        ctypes.c_size_t(len(attr)),
    )
    _check(result, f"mount_setattr {path}")


def detach(path: str) -> None:
    """Remove a mount and all mounts below it."""
    _check(_libc.umount2(os.fsencode(path), _MNT_DETACH), f"umount {path}")


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root; the old root is then at ``old``."""
    numbers = {"x86_64": 155, "aarch64": 41}
    number = numbers.get(os.uname().machine, -1)
    result = _libc.syscall(ctypes.c_long(number), os.fsencode(new), os.fsencode(old))
    _check(result, "pivot_root")


def set_host_name(name: bytes) -> None:
    """Set the host name of this UTS namespace."""
    _check(_libc.sethostname(name, len(name)), "sethostname")


def die_with_parent(number: int) -> None:
    """Ask for a signal at the moment when the thread that forked this process ends."""
    _check(_libc.prctl(_SET_PDEATHSIG, number, 0, 0, 0), "PR_SET_PDEATHSIG")


def no_new_privileges() -> None:
    """Allow no program that is executed from now on more power than this process has."""
    _check(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def keep_capabilities() -> None:
    """Keep the permitted set when the user ids change."""
    _check(_libc.prctl(_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")


def bound_capabilities(kept: frozenset[int]) -> None:
    """Limit what any program executed from now on can have to these capabilities."""
    for capability in range(64):
        if capability in kept:
            continue
        if _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            if ctypes.get_errno() == 22:  # EINVAL: the kernel has no more capabilities
                break
            _check(-1, "PR_CAPBSET_DROP")


def set_capabilities(wanted: frozenset[int], *, passed_on: bool) -> None:
    """Have exactly these of the permitted capabilities; ``passed_on``: keep them through exec."""
    mask = sum(1 << capability for capability in wanted)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    inherited = (low, high) if passed_on else (0, 0)
    data = struct.pack("=6I", low, low, inherited[0], high, high, inherited[1])
    _check(_libc.capset(header, data), "capset")
    for capability in wanted if passed_on else ():
        _check(_libc.prctl(_CAP_AMBIENT, _AMBIENT_RAISE, capability, 0, 0), "PR_CAP_AMBIENT")
