"""A writer of cpio archives in the ``newc`` form, which the kernel unpacks. Pure and deterministic.

The same entries give the same bytes: the archive is sorted by path, root owns all entries, their
time is 0, and inode numbers count up.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"
_MAX_FILE_BYTES = (1 << 32) - 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file, directory or device node.

    ``mode`` has type and permissions; ``rdev`` is (major, minor).
    """

    path: str
    mode: int
    data: bytes = b""
    rdev: tuple[int, int] = (0, 0)


def file(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    """Make a regular file."""
    return Entry(path=path, mode=stat.S_IFREG | permissions, data=data)


def directory(path: str, permissions: int = 0o755) -> Entry:
    """Make a directory. The archive must have one for every file below it."""
    return Entry(path=path, mode=stat.S_IFDIR | permissions)


def character_node(path: str, major: int, minor: int, permissions: int = 0o600) -> Entry:
    """Make a character device node."""
    return Entry(path=path, mode=stat.S_IFCHR | permissions, rdev=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive with its trailer, padded to 512 bytes as unpackers expect.

    Raises: ValueError for a path that is absolute, not normal or not unique, and for a file above
    4 GiB.
    """
    ordered = sorted(entries, key=lambda entry: entry.path.split("/"))
    paths = [entry.path for entry in ordered]
    if len(set(paths)) != len(paths):
        raise ValueError("a path occurs twice")
    out = bytearray()
    for number, entry in enumerate(ordered, start=1):
        parts = entry.path.split("/")
        if not entry.path.isprintable() or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"not a relative normal path: {entry.path!r}")
        if len(entry.data) > _MAX_FILE_BYTES:
            raise ValueError(f"{entry.path}: too large for newc")
        _append(out, entry, number)
    _append(out, Entry(path=_TRAILER, mode=0), 0)
    return bytes(out) + bytes(-len(out) % 512)


def _append(out: bytearray, entry: Entry, inode: int) -> None:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.rdev, len(name), 0)
    out += (_MAGIC + "".join(f"{field:08x}" for field in fields)).encode()
    out += name
    out += bytes(-len(out) % 4)
    out += entry.data
    out += bytes(-len(out) % 4)
