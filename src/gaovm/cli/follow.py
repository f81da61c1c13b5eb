"""Follow logs as they grow and rotate; the system wakes us if it reports changed files.

We watch directories, not files: a rotation renames a file and makes a new one of the same name.
"""

from __future__ import annotations

import contextlib
import time

from gaovm.cli import entries, logfiles
from gaovm.platform import notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# After this time we show a line without an end, such as a prompt.
_PARTIAL_S = 0.3


def raw(path: Path, count: int) -> Iterator[bytes]:
    """Yield the last ``count`` lines, then every new byte, across rotations.

    Wait for a file that does not exist yet. End when somebody removes the directory.
    """
    with (
        contextlib.closing(notices.contents([str(path.parent)])) as told,
        logfiles.LogFile(path) as file,
    ):
        yield from file.last(count)
        with contextlib.closing(file.tail()) as tail:
            going = True
            while going:
                for block, _, _ in tail.blocks():
                    yield block
                going = notices.wait(told)


def merged(
    sources: Sequence[entries.Source], choice: entries.Choice, count: int
) -> Iterator[list[entries.Entry]]:
    """Yield the last ``count`` entries of several logs, then the new ones, sorted by time.

    End when somebody removes one of their directories.
    """
    directories = sorted({str(source.path.parent) for source in sources})
    with contextlib.ExitStack() as stack:
        # before we open the files, so that no later change is missed
        told = stack.enter_context(contextlib.closing(notices.contents(directories)))
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
            going = notices.wait(told, _PARTIAL_S if pending else None)
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
