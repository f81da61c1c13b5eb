"""Lend user ids that nobody else on this host uses meanwhile; make user namespaces of them.

The process that borrows a range locks its bytes of a file. The kernel ends the lock however the
process ends, so nothing has to be swept. Only root opens that file, so nobody else can take all
ids. A VM gets the same ids in each run if they are free, as they may own files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import signal
import socket
import struct
from collections.abc import Iterable

from gaovm import errors
from gaovm.platform.confine import calls
from gaovm.platform.confine.cage import Ids

VARIABLE = "GAOVM_UID_RANGE"
#: systemd's list of ids (UIDS-GIDS.md) calls this range unused; systemd's own follow after it.
DEFAULT = "1879048192-2147352575"
COUNT = 65536
#: An empty file; each block is locked from its first id to its last.
LOCK = "/run/gaovm-uids.lock"
# the lock is bound to the open file, so a child's copy is no second holder (fcntl(2)); Linux only
_SET_LOCK: int = getattr(fcntl, "F_OFD_SETLK", 37)
_RANGE = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")
_LAST = 2**32 - 3  # the two above mean "none"


def span() -> tuple[int, int]:
    """Return the first id that may be lent, and how many blocks of ``COUNT`` there are.

    Raises:
        errors.HostError: ``GAOVM_UID_RANGE`` is not such a range.
    """
    text = os.environ.get(VARIABLE) or DEFAULT
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if first < COUNT or last > _LAST or last - first + 1 < COUNT:
        raise errors.HostError(
            f"{VARIABLE}={text!r} is no range of at least {COUNT} user ids from {COUNT} on",
            field=VARIABLE,
            remedy=f"set it to FIRST-LAST, such as {DEFAULT}, or not at all",
        )
    return first, (last - first + 1) // COUNT


def obstacle() -> str:
    """Say why nobody here can have these ids (a container may have few); empty: they can."""
    first, blocks = span()
    last = first + blocks * COUNT - 1
    for path in ("/proc/self/uid_map", "/proc/self/gid_map"):
        with open(path, encoding="ascii") as file:
            ranges = [[int(word) for word in line.split()] for line in file]
        if not any(start <= first and last < start + size for start, _, size in ranges):
            return f"{path} has none of the ids from {first} to {last}"
    return ""


class Lent:
    """A block of ids, ours until ``close`` or until this process ends."""

    def __init__(self, ids: Ids, lock: int) -> None:
        self.ids = ids
        self._lock = lock

    def close(self) -> None:
        """Give the block back. Idempotent."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def lend(key: str) -> Lent:
    """Lend a free block; the same one for the same key, if nobody has it. For root.

    Raises:
        errors.HostError: no block is free, the range is wrong, or ``LOCK`` cannot be opened.
    """
    first, blocks = span()
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    with contextlib.ExitStack() as stack:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open(LOCK, flags, 0o600)
            stack.callback(os.close, lock)
            for offset in range(blocks):
                number = first + (start + offset) % blocks * COUNT
                if _lock(lock, number):
                    stack.pop_all()
                    return Lent(Ids(number, COUNT), lock)
        except OSError as exc:
            raise errors.HostError(
                f"no user ids can be lent to the VM: {LOCK}: {exc.strerror}"
            ) from exc
    raise errors.HostError(
        f"all {blocks} blocks of {VARIABLE} are in use", remedy=f"make {VARIABLE} larger"
    )


def _lock(fd: int, first: int) -> bool:
    """Lock a block, also against one that only overlaps it; False: somebody holds it."""
    # struct flock of a 64-bit Linux: type, whence, start, length, pid
    wanted = struct.pack("@hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, first, COUNT, 0)
    try:
        fcntl.fcntl(fd, _SET_LOCK, wanted)
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def mapping(ids: Ids, owners: Iterable[int]) -> str:
    """Return a uid_map or gid_map: owners keep their number, others are one of ``ids``."""
    lines, at = [], 0
    for owner in sorted(set(owners)):
        if owner >= ids.size:
            continue
        if owner > at:
            lines.append(f"{at} {ids.first + at} {owner - at}")
        lines.append(f"{owner} {owner} 1")
        at = owner + 1
    if at < ids.size:
        lines.append(f"{at} {ids.first + at} {ids.size - at}")
    # numbers above the block, such as those of a directory server
    lines += [f"{owner} {owner} 1" for owner in sorted(set(owners)) if owner >= ids.size]
    return "\n".join(lines) + "\n"


def make_namespace(ids: Ids, owners: Iterable[tuple[int, int]]) -> int:
    """Return a descriptor of a new user namespace with these mappings; the caller closes it.

    Root only.

    Raises:
        OSError: this kernel or its administrator does not allow it.
    """
    pairs = list(owners)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:  # otherwise we would not see the end of the stream
            pid = os.fork()
            if pid == 0:
                _hold(theirs)
        try:
            if ours.recv(1) != b"y":
                raise PermissionError(1, "no user namespace is allowed here")
            for name, numbers in (
                ("uid_map", [uid for uid, _ in pairs]),
                ("gid_map", [gid for _, gid in pairs]),
            ):
                fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(fd, mapping(ids, numbers).encode())
                finally:
                    os.close(fd)
            return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _hold(sock: socket.socket) -> None:
    """In a child: be the first process of a new user namespace until killed."""
    try:
        calls.die_with_parent(signal.SIGKILL)
        calls.unshare(calls.NEWUSER)
        sock.send(b"y")
        signal.pause()
    finally:
        os._exit(1)


def own_namespace() -> None:
    """Move this process, of a plain user and with one thread, into a new user namespace.

    It keeps its user, and may then make the other namespaces.

    Raises:
        OSError: this kernel or its administrator does not allow it.
    """
    uid, gid = os.geteuid(), os.getegid()
    calls.unshare(calls.NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1\n"),
        ("gid_map", f"{gid} {gid} 1\n"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
