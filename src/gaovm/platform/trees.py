"""Learn what changes below a directory, at any depth: a descriptor becomes readable.

Only Linux has it here: inotify. The watches are limited, as the kernel's memory is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gaovm import errors
from gaovm.platform import system
from gaovm.platform.changes import Taken


class Tree(Protocol):
    """Readable when there is something to take; ``below`` makes it."""

    unwatched: int

    @property
    def watched(self) -> int:
        """How many directories are watched."""
        ...

    def fileno(self) -> int:
        """The descriptor to wait for."""
        ...

    def walk(self, count: int) -> bool:
        """Look into that many more directories; False when none is left."""
        ...

    def take(self) -> Taken:
        """Take what has changed, without waiting."""
        ...

    @property
    def waits_s(self) -> float | None:
        """After which time ``take`` has something to report anyway; None: not before an event."""
        ...

    def directories(self) -> tuple[str, ...]:
        """Return the directories that are watched."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...


_below: Callable[[str, int], Tree] | None = None
if system.LINUX:
    from gaovm.platform.linux import tree

    _below = tree.Tree


def below(root: str, limit: int) -> Tree:
    """Watch a directory and at most ``limit`` directories in all; call ``walk`` until it is done.

    Raises:
        errors.HostError: it cannot be watched, or this system has no way to.
    """
    if _below is None:
        raise errors.HostError("only Linux can watch a directory with all that is in it")
    return _below(root, limit)
