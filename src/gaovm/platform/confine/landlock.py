"""Landlock: the kernel's file rules, which any process may apply to itself.

They need no privilege and no namespace. Numbers: include/uapi/linux/landlock.h. What each version
of the kernel's interface knows: Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Sequence
from typing import NamedTuple

from gaovm.platform.confine.cage import Bind, Cage

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE, _READ, _READ_DIRECTORY = 1, 2, 4, 8
_REFER, _TRUNCATE, _DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
_ALL_1 = (1 << 13) - 1
_MAKE_DEVICES = 1 << 6 | 1 << 11
#: Rights on a directory: read it; list it; read and execute; or do everything in it except make
#: devices and execute.
READ = _READ | _READ_DIRECTORY
LIST = _READ_DIRECTORY
EXECUTE = READ | _EXECUTE
WRITE = (_ALL_1 | _REFER | _TRUNCATE) & ~_EXECUTE & ~_MAKE_DEVICES
#: What can be allowed on a file that is not a directory.
_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE_CONTROL
_BIND, _CONNECT = 1, 2  # TCP
_SCOPES = 3  # abstract sockets and signals stay inside

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def version() -> int:
    """Return the version of the interface; 0: this kernel has none, or it is switched off."""
    if not sys.platform.startswith("linux"):
        return 0
    found: int = _libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), _ASK_VERSION)
    return max(found, 0)


class Rules(NamedTuple):
    """What a process may still do: these paths with these rights, and open ``files`` again.

    ``connects``: to TCP ports; ``binds``: itself to them; ``scoped``: signals and abstract sockets
    stay among processes under the same rules.
    """

    paths: tuple[tuple[str, int], ...]
    files: tuple[int, ...] = ()
    connects: bool = False
    binds: bool = False
    scoped: bool = True


def of_cage(cage: Cage, files: Sequence[int]) -> Rules:
    """Return the rules that express a cage."""
    paths = [("/proc/self", READ), *((path, _READ) for path, _ in cage.settings)]
    paths += [(bind.path, _rights(bind)) for bind in cage.binds]
    return Rules(tuple(paths), tuple(files), connects=cage.network, binds=cage.network)


def restrict(rules: Rules) -> None:
    """Put this thread, and all that it starts, under rules for good. Needs ``no_new_privs``.

    The kernel does not refuse what its version does not know.

    Raises:
        OSError: the kernel does not accept the rules, or a path does not exist.
    """
    known = version()
    handled = _ALL_1 | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    handled |= _DEVICE_CONTROL if known >= 5 else 0
    network = (0 if rules.binds else _BIND) | (0 if rules.connects else _CONNECT)
    attributes = struct.pack(
        "=QQQ",
        handled,
        network if known >= 4 else 0,
        _SCOPES if known >= 6 and rules.scoped else 0,
    )
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    made = _call(_CREATE, attributes, ctypes.c_size_t(size), 0)
    try:
        for path, allowed in rules.paths:
            _allow_path(made, path, allowed & handled)
        for fd in rules.files:
            _allow_file(made, fd, handled)
        _call(_RESTRICT, made, 0)
    finally:
        os.close(made)


def _rights(bind: Bind) -> int:
    if bind.device:
        return _READ | _WRITE | _DEVICE_CONTROL
    if bind.writable:
        return WRITE
    return READ | (_EXECUTE if bind.programs else 0)


def _allow_file(rules: int, fd: int, handled: int) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    writes = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    try:
        _allow(rules, fd, (_READ | _WRITE | _TRUNCATE if writes else _READ) & handled)
    except OSError as exc:
        if exc.errno != errno.EBADFD:  # a memfd is in no tree, and never refused
            raise


def _allow_path(rules: int, path: str, allowed: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        _allow(rules, fd, allowed if directory else allowed & _FILE)
    finally:
        os.close(fd)


def _allow(rules: int, fd: int, allowed: int) -> None:
    _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", allowed, fd), 0)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"landlock {number}: {os.strerror(error)}")
    return result
