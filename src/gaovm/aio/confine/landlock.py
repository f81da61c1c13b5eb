"""Landlock: the kernel's own file rules, which any process may lay on itself.

They need no privilege and no namespace. Numbers: include/uapi/linux/landlock.h; what a version of
the kernel's interface knows: Documentation/userspace-api/landlock.rst.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Iterator, Sequence

from gaovm.aio.confine.cage import Bind, Cage

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE, _READ, _READ_DIRECTORY = 1, 2, 4, 8
_REFER, _TRUNCATE, _DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
_ALL_1 = (1 << 13) - 1
_MAKE_DEVICES = 1 << 6 | 1 << 11
#: What can be allowed on a file that is no directory.
_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE_CONTROL
_NETWORK = 3  # TCP bind and connect
_SCOPES = 3  # abstract sockets and signals stay inside

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def version() -> int:
    """The version of the interface; 0: this kernel has none, or it is switched off."""
    if not sys.platform.startswith("linux"):
        return 0
    found: int = _libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), _ASK_VERSION)
    return max(found, 0)


def restrict(cage: Cage, files: Sequence[int], *, paths_are_real: bool) -> None:
    """Allow this process what the cage has, and the opened files again, and no other file.

    ``paths_are_real``: the root is the host's, where signals and abstract sockets of others could
    be reached too. Needs ``no_new_privs``. It stays through exec.

    Raises:
        OSError: the kernel does not take it.
    """
    known = version()
    handled = _ALL_1 | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    handled |= _DEVICE_CONTROL if known >= 5 else 0
    network = _NETWORK if known >= 4 and not cage.network else 0
    scopes = _SCOPES if known >= 6 else 0
    attributes = struct.pack("=QQQ", handled, network, scopes)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    rules = _call(_CREATE, attributes, ctypes.c_size_t(size), 0)
    try:
        for path, allowed in _paths(cage, handled):
            _allow_path(rules, path, allowed)
        for fd in files:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                writes = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
                try:
                    _allow(rules, fd, (_READ | _WRITE | _TRUNCATE if writes else _READ) & handled)
                except OSError as exc:
                    if exc.errno != errno.EBADFD:  # a memfd: it is in no tree, and never refused
                        raise
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _paths(cage: Cage, handled: int) -> Iterator[tuple[str, int]]:
    yield "/proc/self", (_READ | _READ_DIRECTORY) & handled
    for bind in cage.binds:
        yield bind.path, _rights(bind) & handled


def _rights(bind: Bind) -> int:
    if bind.device:
        return _READ | _WRITE | _DEVICE_CONTROL
    if bind.writable:
        return (_ALL_1 | _REFER | _TRUNCATE) & ~_EXECUTE & ~_MAKE_DEVICES
    return _READ | _READ_DIRECTORY | (_EXECUTE if bind.programs else 0)


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
