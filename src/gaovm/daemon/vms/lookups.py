"""Look-ups in users' directories: a dead network file system blocks only the call that asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gaovm.aio import threads

Result = TypeVar("Result")

#: Directories that do not answer hold a thread each; with all of these held, other users wait.
_LIMIT = 16
_threads = threads.Detached("look-up", _LIMIT)


async def run(function: Callable[..., Result], *args: Any) -> Result:
    """The result of a function that looks at a user's directory, or what it raises."""
    return await _threads.run(function, *args)
