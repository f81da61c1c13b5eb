"""Changes below a directory, by one inotify watch for each directory in it.

Whoever writes the tree may be hostile, such as a guest that shares it. So this module walks it name
by name, follows no symbolic link, and limits depth and number of watches.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections import deque
from collections.abc import Iterator

from gaovm import errors
from gaovm.platform.changes import Change, Kind, Taken
from gaovm.platform.linux.inotify import EVENT, Inotify

# From sys/inotify.h. IN_CLOSE_WRITE counts after IN_MODIFY or IN_CREATE only: alone it comes when a
# program opens a file for writing and writes nothing, as the guest's agent does.
_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _Q_OVERFLOW, _IGNORED = 0x100, 0x200, 0x4000, 0x8000
_ONLYDIR, _ISDIR = 0x01000000, 0x40000000
_MASK = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR
_CHUNK = 64 << 10
#: A file that is written is told once it is closed, so that nobody reads half of it, or after this.
OPEN_LIMIT_S = 0.04
_MAX_DEPTH = 64
#: Entries of one directory that are looked at, and changes and directories that wait.
_MAX_ENTRIES, _MAX_WAITING = 20_000, 16_384
#: Directories that tools fill and nobody edits: they get what the limit leaves over.
_LAST = frozenset((".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", "target", ".tox"))
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Tree:
    """Implements ``trees.Tree``."""

    def __init__(self, root: str, limit: int) -> None:
        try:
            self._root = os.open(root, _OPEN & ~os.O_NOFOLLOW)
        except OSError as exc:
            raise errors.HostError(f"{root} cannot be watched: {exc.strerror}") from exc
        try:
            self._inotify = Inotify()
        except BaseException:
            os.close(self._root)
            raise
        self._limit = limit
        self._paths: dict[int, str] = {}
        # Directories to look into, and whether what is in them is new.
        self._todo: deque[tuple[str, bool]] = deque([("", False)])
        self._later: deque[tuple[str, bool]] = deque()
        self._found: dict[str, Kind] = {}
        # Files that are being written, and since when.
        self._open_files: dict[str, tuple[Kind, float]] = {}
        #: Directories that are not watched: the limit, or no permission.
        self.unwatched = 0

    @property
    def watched(self) -> int:
        """How many directories are watched."""
        return len(self._paths)

    def fileno(self) -> int:
        """The inotify descriptor; -1 once it is closed."""
        return self._inotify.fileno()

    def walk(self, count: int) -> bool:
        """Look into that many directories; False when none is left."""
        for _ in range(count):
            queue = self._todo or self._later
            if not queue:
                return False
            path, new = queue.popleft()
            self._enter(path, new=new)
        return bool(self._todo or self._later)

    def take(self) -> Taken:
        """Take what has changed, without waiting."""
        lost = False
        try:
            data = os.read(self.fileno(), _CHUNK)
        except BlockingIOError:
            data = b""
        for number, mask, name in _events(data):
            if mask & _Q_OVERFLOW:
                lost = True
            elif mask & _IGNORED:
                self._paths.pop(number, None)
            elif number in self._paths and name:
                self._note(self._paths[number], mask, name)
        self._give_up_waiting()
        if lost:
            # Names that came meanwhile are unknown: look everywhere again.
            self._todo.append(("", False))
            self.unwatched = 0
        found, self._found = self._found, {}
        lost = lost or len(found) + len(self._open_files) >= _MAX_WAITING
        return Taken(tuple(Change(path, kind) for path, kind in found.items()), lost)

    @property
    def waits_s(self) -> float | None:
        """After which time ``take`` has something to report anyway; None: not before an event."""
        return OPEN_LIMIT_S if self._open_files else None

    def directories(self) -> tuple[str, ...]:
        """Return the directories that are watched, relative to the root, which is empty."""
        return tuple(self._paths.values())

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self._inotify.close()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1
        self._paths.clear()

    def _note(self, directory: str, mask: int, name: bytes) -> None:
        try:
            path = _joined(directory, name.decode())
        except UnicodeDecodeError:
            # The protocol's text is UTF-8; the directory stands for such a name.
            self._found[directory] = Kind.CHANGED
            return
        if len(self._found) + len(self._open_files) >= _MAX_WAITING:
            return  # ``take`` reports that changes are lost
        if mask & _CLOSE_WRITE:
            if (waiting := self._open_files.pop(path, None)) is not None:
                self._keep(path, waiting[0])
            return
        if mask & (_CREATE | _MODIFY) and not mask & _ISDIR:
            kind = Kind.MADE if mask & _CREATE else Kind.CHANGED
            self._open_files.setdefault(path, (kind, time.monotonic()))
            return
        if mask & (_DELETE | _MOVED_FROM):
            self._open_files.pop(path, None)
            self._found[path] = Kind.GONE
            if mask & _ISDIR:
                self._forget(path)
        elif mask & (_CREATE | _MOVED_TO):
            self._found[path] = Kind.MADE
            if mask & _ISDIR:
                self._todo.append((path, True))
        else:
            self._keep(path, Kind.CHANGED)

    def _keep(self, path: str, kind: Kind) -> None:
        if kind is not Kind.CHANGED or self._found.get(path) is not Kind.MADE:
            self._found[path] = kind

    def _give_up_waiting(self) -> None:
        """Report files that stay open: a log, a large download."""
        before = time.monotonic() - OPEN_LIMIT_S
        for path, (kind, since) in list(self._open_files.items()):
            if since <= before:
                del self._open_files[path]
                self._keep(path, kind)

    def _enter(self, path: str, *, new: bool) -> None:
        """Watch a directory, then list it: what appears in between is seen twice, never missed."""
        fd = -1
        try:
            fd = self._open(path)
            if not self._watch(path, fd):
                return
            with os.scandir(fd) as entries:
                for entry in itertools.islice(entries, _MAX_ENTRIES):
                    self._see(path, entry, new=new)
        except OSError as exc:
            if exc.errno in (errno.EACCES, errno.EPERM):
                self.unwatched += 1
        finally:
            if fd >= 0:
                os.close(fd)

    def _watch(self, path: str, fd: int) -> bool:
        try:
            number = self._inotify.add(f"/proc/self/fd/{fd}", _MASK)
        except errors.HostError:  # the user's limit of watches (fs.inotify.max_user_watches)
            self.unwatched += 1
            return False
        if number not in self._paths and len(self._paths) >= self._limit:
            self._inotify.remove(number)
            self.unwatched += 1
            return False
        self._paths[number] = path
        return True

    def _see(self, path: str, entry: os.DirEntry[str], *, new: bool) -> None:
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            return
        below = _joined(path, entry.name)
        if new and len(self._found) < _MAX_WAITING:
            self._found[below] = Kind.MADE
        if entry.is_dir(follow_symlinks=False) and below.count("/") < _MAX_DEPTH:
            queue = self._later if entry.name in _LAST else self._todo
            if len(queue) < _MAX_WAITING:
                queue.append((below, new))
            else:
                self.unwatched += 1

    def _open(self, path: str) -> int:
        fd = os.dup(self._root)
        for name in path.split("/") if path else ():
            above = fd
            try:
                fd = os.open(name, _OPEN, dir_fd=above)
            finally:
                os.close(above)
        if not path:
            # a descriptor of its own: a list reads on where the last one of it ended
            above, fd = fd, os.open(".", _OPEN, dir_fd=fd)
            os.close(above)
        return fd

    def _forget(self, path: str) -> None:
        """Drop the watches at and below a directory that was removed or renamed."""
        below = path + "/"
        for number, known in list(self._paths.items()):
            if known == path or known.startswith(below):
                del self._paths[number]
                self._inotify.remove(number)


def _joined(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield watch, mask and name of each event."""
    offset = 0
    while offset < len(data):
        number, mask, _, length = EVENT.unpack_from(data, offset)
        offset += EVENT.size
        yield number, mask, data[offset : offset + length].rstrip(b"\0")
        offset += length
