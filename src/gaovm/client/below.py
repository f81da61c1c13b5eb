"""Open host paths without following a symbolic link that a guest may have made.

A guest can put a link in a share: a link in place of a directory would make a copy write into
``~/.ssh``, or read from there. So this module follows no link below a share. Links outside of
shares come from the host's own users and still work, also when they lead into a share; therefore
the kernel's ``RESOLVE_NO_SYMLINKS``, which covers a whole path, does not fit. This module walks the
path name by name and holds each directory by its descriptor: a rename or replacement during the
walk changes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gaovm import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

# the kernel's own limit of links in one path (include/linux/namei.h, MAXSYMLINKS)
_MAX_LINKS = 40
_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC


class Place(NamedTuple):
    """A name in an open directory. The holder closes the directory; ``path`` is for messages."""

    path: str
    parent: int
    name: str


class _Step(NamedTuple):
    fd: int
    path: str
    inside: bool


class _Walk:
    """Walk a path from the root, one name at a time. The owner calls ``close`` at the end."""

    def __init__(self, shared: Iterable[str]) -> None:
        self._roots = _identities(shared)
        root = os.open("/", _LOOK)
        self._steps = [_Step(root, "/", self._is_shared(os.fstat(root)))]
        self._links = 0

    def close(self) -> None:
        for step in self._steps:
            os.close(step.fd)

    def to(self, path: str) -> int:
        """Walk to the directory at an absolute path and return its descriptor."""
        todo = _parts(path)
        while todo:
            name = todo.pop()
            if name == "..":
                self._up(1)
            else:
                todo += self._over(name)
        return os.dup(self._steps[-1].fd)

    def _up(self, count: int) -> None:
        for _ in range(min(count, len(self._steps) - 1)):
            os.close(self._steps.pop().fd)

    def _over(self, name: str) -> list[str]:
        """Walk one name further; for a link, return the names to walk in its place."""
        at = self._steps[-1]
        here = f"{at.path.rstrip('/')}/{name}"
        try:
            fd = os.open(name, _LOOK, dir_fd=at.fd)
        except OSError as exc:
            exc.filename = here
            raise
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            self._steps.append(_Step(fd, here, at.inside or self._is_shared(found)))
            return []
        os.close(fd)
        if not stat.S_ISLNK(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), here)
        if at.inside:
            raise errors.LinkBelowShare(
                f"{here} is a symbolic link in a directory shared with a VM. The guest may"
                " have made it, so GaoVM does not follow it",
                remedy="name the link's target instead",
            )
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
        leads_to = os.readlink(name, dir_fd=at.fd)
        if leads_to.startswith("/"):
            self._up(len(self._steps))
        return _parts(leads_to)

    def _is_shared(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) in self._roots


def open_directory(path: str | os.PathLike[str], shared: Iterable[str]) -> int:
    """Open a directory and return its descriptor, which the caller closes.

    ``shared`` lists the directories that guests can write. The descriptor serves to look names up;
    the directory itself need not be readable.

    Raises:
        errors.LinkBelowShare: the path uses a symbolic link below one of ``shared``.
        OSError: the directory cannot be opened, as with ``os.open``.
    """
    walk = _Walk(shared)
    try:
        return walk.to(os.fspath(Path.cwd() / path))
    finally:
        walk.close()


def place(path: str | os.PathLike[str], shared: Iterable[str]) -> Place:
    """Return the last name of a path with its open directory.

    A path that ends in no name (such as ``/`` or ``a/..``) gives ``.`` in that directory.

    Raises:
        errors.LinkBelowShare, OSError: as ``open_directory`` of the directory.
    """
    text = os.fspath(path)
    directory, name = os.path.split(text.rstrip("/") or "/")
    if name in ("", ".", ".."):
        return Place(text, open_directory(text, shared), ".")
    return Place(text, open_directory(directory or ".", shared), name)


def is_directory(path: str | os.PathLike[str], shared: Iterable[str]) -> bool:
    """Return whether a path leads to a directory.

    The answer is no for a link that is the last name and leads to no directory.

    Raises:
        errors.LinkBelowShare: the path uses a link that a guest may have made.
    """
    shared = tuple(shared)
    try:
        os.close(open_directory(path, shared))
    except errors.LinkBelowShare:
        if _last_leads_to_directory(path, shared):
            raise
        return False
    except OSError:
        return False
    return True


def write(path: str | os.PathLike[str], data: bytes, shared: Iterable[str]) -> None:
    """Write a file in one step: an interrupted write leaves the old file. A link is replaced.

    Raises:
        errors.LinkBelowShare: as ``open_directory``.
        errors.HostError: the name is a device, a pipe or a directory, or a link to one.
        OSError: the file cannot be written; nothing has changed.
    """
    at = place(path, shared)
    new = f".{at.name}.{secrets.token_hex(4)}"
    try:
        refuse_special(at)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(new, flags, 0o666, dir_fd=at.parent), "wb") as file:
                file.write(data)
            os.replace(new, at.name, src_dir_fd=at.parent, dst_dir_fd=at.parent)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=at.parent)
            raise
    finally:
        os.close(at.parent)


def refuse_special(at: Place) -> None:
    """Refuse to replace a device, a pipe or a directory.

    A plain link is replaced: the guest may have made it in a mount.

    Raises:
        errors.HostError: the name is a device, a pipe or a directory, or a link to one.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(at.name, dir_fd=at.parent).st_mode):
            raise errors.HostError(f"{at.path} exists and is not a regular file")


def _last_leads_to_directory(path: str | os.PathLike[str], shared: Iterable[str]) -> bool:
    """Return whether the last name, which may be a link, leads to a directory.

    A link earlier in the path raises.
    """
    try:
        found = place(path, shared)
        try:
            return stat.S_ISDIR(os.stat(found.name, dir_fd=found.parent).st_mode)
        finally:
            os.close(found.parent)
    except OSError:
        return False  # the link leads to nothing


def _parts(path: str) -> list[str]:
    """Return the names of a path in reverse order, without empty names and ``.``."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _identities(shared: Iterable[str]) -> set[tuple[int, int]]:
    found = set()
    for location in shared:
        try:
            status = Path(location).stat()
        except OSError:
            continue  # no path can go through a directory that does not exist
        found.add((status.st_dev, status.st_ino))
    return found
