"""Memory as a file that several processes can map, in huge pages.

Linux gives shared memory (memfd) small pages unless an administrator changes
``/sys/kernel/mm/transparent_hugepage/shmem_enabled``. In a tmpfs of our own a mount option decides.
This tmpfs is mounted nowhere and its file has no name: both disappear with the last descriptor.

fsopen(2), fsconfig(2) and fsmount(2), Linux 5.2, need CAP_SYS_ADMIN. Python has no names for them;
their numbers are the same on every architecture (include/uapi/asm-generic/unistd.h).
"""

from __future__ import annotations

import ctypes
import os

from gaovm import errors
from gaovm.platform import system

#: The size of a huge page on x86_64, and on arm64 with pages of 4 KiB.
HUGE_PAGE = 2 << 20

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC: include/uapi/linux/mount.h, as the next ones
_SET_STRING, _CREATE = 1, 6
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8


def available() -> bool:
    """Whether ``create`` works for this process, here. Takes some 70 µs."""
    try:
        os.close(create(HUGE_PAGE))
    except errors.HostError:
        return False
    return True


def create(size_bytes: int) -> int:
    """Return a descriptor of a file of this size, all zero; the caller closes it.

    The kernel backs each whole huge page of the file with one, if it finds some free.

    Raises:
        errors.HostError: not permitted, or this kernel cannot do it.
    """
    if not system.LINUX:
        raise errors.HostError("no memory in huge pages: this is no Linux")
    # A tmpfs holds at most the size it was made with; a part of a page counts as a whole page.
    limit = -(-size_bytes // HUGE_PAGE) * HUGE_PAGE
    try:
        mount = _mount({"size": str(limit), "huge": "within_size", "mode": "0700"})
        try:
            fd = os.open(f"/proc/self/fd/{mount}", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        finally:
            os.close(mount)
        try:
            os.ftruncate(fd, size_bytes)
        except BaseException:
            os.close(fd)
            raise
    except OSError as exc:
        raise errors.HostError(f"no memory in huge pages: {exc.strerror}") from exc
    return fd


def _mount(options: dict[str, str]) -> int:
    """Make a tmpfs with these options, mounted nowhere; return the descriptor of its root."""
    context = _call(_FSOPEN, b"tmpfs", _CLOEXEC)
    try:
        for key, value in options.items():
            _call(_FSCONFIG, context, _SET_STRING, key.encode(), value.encode(), 0)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        return _call(_FSMOUNT, context, _CLOEXEC, _NOSUID | _NODEV | _NOEXEC)
    finally:
        os.close(context)


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(number: int, *arguments: int | bytes | None) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
