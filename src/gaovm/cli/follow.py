"""Follow logs as they grow and rotate; inotify wakes us, so nothing polls.

We watch directories, not files: a rotation renames a file and makes a new one of the same name.
Linux only; the calls go through ctypes because nothing else in the CLI needs them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import time

from gaovm import errors
from gaovm.cli import entries, logfiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x80, 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_IGNORED, _IN_ONLYDIR = 0x400, 0x800, 0x8000, 0x01000000
_GONE = _IN_DELETE_SELF | _IN_MOVE_SELF
_EVENT = struct.Struct("iIII")
_CHUNK = 64 << 10
# After this time we show a line without an end, such as a prompt.
_PARTIAL_S = 0.3


class Watch:
    """An inotify watch of directories; ``wait`` blocks until something in them changed.

    Raises:
        errors.HostError: one of them cannot be watched.
    """

    def __init__(self, directories: Iterable[str]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_CLOEXEC)
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _GONE
        for directory in directories:
            if (
                self._fd < 0
                or libc.inotify_add_watch(self._fd, os.fsencode(directory), mask | _IN_ONLYDIR) < 0
            ):
                reason = os.strerror(ctypes.get_errno())
                self.close()
                raise errors.HostError(f"{directory} cannot be watched: {reason}")

    def wait(self, limit_s: float | None = None) -> bool:
        """Block until a directory changed, at most ``limit_s``; False when one is gone."""
        if not select.select([self._fd], [], [], limit_s)[0]:
            return True
        data = os.read(self._fd, _CHUNK)
        offset = 0
        while offset < len(data):
            _, mask, _, length = _EVENT.unpack_from(data, offset)
            if mask & (_GONE | _IN_IGNORED):
                return False
            offset += _EVENT.size + length
        return True

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def raw(path: Path, count: int) -> Iterator[bytes]:
    """Yield the last ``count`` lines, then every new byte, across rotations.

    Wait for a file that does not exist yet. End when somebody removes the directory.
    """
    with contextlib.closing(Watch([str(path.parent)])) as watch, logfiles.LogFile(path) as file:
        yield from file.last(count)
        with contextlib.closing(file.tail()) as tail:
            going = True
            while going:
                for block, _, _ in tail.blocks():
                    yield block
                going = watch.wait()


def merged(
    sources: Sequence[entries.Source], choice: entries.Choice, count: int
) -> Iterator[list[entries.Entry]]:
    """Yield the last ``count`` entries of several logs, then the new ones, sorted by time.

    End when somebody removes one of their directories.
    """
    directories = sorted({str(source.path.parent) for source in sources})
    with contextlib.ExitStack() as stack:
        # before we open the files, so that no later change is missed
        watch = stack.enter_context(contextlib.closing(Watch(directories)))
        files = [stack.enter_context(logfiles.LogFile(source.path)) for source in sources]
        yield entries.last_of_all(sources, files, choice, count)
        tails = [stack.enter_context(contextlib.closing(file.tail())) for file in files]
        following = [_Following(*pair) for pair in zip(sources, tails, strict=True)]
        going, late = True, False
        while going:
            came = [entry for each in following for entry in each.come()]
            if late and not came:
                came = [entry for each in following for entry in each.rest()]
            came.sort(key=lambda entry: entry.when or 0)
            yield [entry for entry in came if choice.takes(entry)]
            began = time.monotonic()
            pending = any(each.pending for each in following)
            going = watch.wait(_PARTIAL_S if pending else None)
            late = pending and time.monotonic() - began >= _PARTIAL_S


class _Following:
    """Follow one log as it grows."""

    def __init__(self, source: entries.Source, tail: logfiles.Tail) -> None:
        self._source, self._tail = source, tail
        self._cutter = logfiles.Cutter()
        self._when = time.time()

    @property
    def pending(self) -> bool:
        """Tell whether the last line has no end yet."""
        return self._cutter.pending

    def come(self) -> list[entries.Entry]:
        """Return the entries that came since the last call."""
        lines = [
            line
            for block, inode, offset in self._tail.blocks()
            for line in self._cutter.add(block, inode, offset)
        ]
        return [self._entry(line) for line in lines]

    def rest(self) -> list[entries.Entry]:
        """Return the line that has no end yet, as it is."""
        return [self._entry(line) for line in self._cutter.rest()]

    def _entry(self, line: logfiles.Line) -> entries.Entry:
        entry = self._source.entry(line)
        self._when = entry.when = self._when if entry.when is None else entry.when
        return entry
