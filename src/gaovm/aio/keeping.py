"""Programs that a keeper starts (``platform.confine.keeper``), owned like all others."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence

from gaovm.aio import process
from gaovm.platform.confine import keeper, launch


class Keeper:
    """Starts a keeper's programs; ``run`` makes it."""

    def __init__(self, kept: keeper.Keeper) -> None:
        self._kept = kept

    @contextlib.asynccontextmanager
    async def start(
        self, name: str, fds: Sequence[int], *, output: int, grace_s: float
    ) -> AsyncIterator[process.Child]:
        """Run a program for the length of a block; ``output`` gets its stdout and stderr.

        Raises:
            errors.ProgramMissing, errors.HostError: the program did not start.
        """
        pid, said = self._kept.start(name, fds, output)
        async with process.adopt(pid, grace_s=grace_s) as child:
            if said:
                raise launch.error(name, said)
            yield child


#: Forked by ``fork_ahead``, and not used yet.
_ahead: list[tuple[int, keeper.Keeper]] = []


def fork_ahead() -> None:
    """Fork the process that the next ``run`` uses.

    Two processes share the pages that neither has written since the fork. A driver writes most of
    its pages before it can say which programs to start, so it forks long before that: this saves
    2 MiB per VM.
    """
    with contextlib.suppress(OSError):  # ``run`` then tries again, and reports the failure
        _ahead.append(keeper.fork())


def discard() -> None:
    """End the process of ``fork_ahead`` unless a ``run`` uses it. Idempotent.

    Call this before the process may be taken over: until ``run`` seals it, it starts any program.
    """
    while _ahead:
        pid, kept = _ahead.pop()
        kept.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextlib.asynccontextmanager
async def run(recipes: Mapping[str, keeper.Recipe]) -> AsyncIterator[Keeper]:
    """Run a keeper for the length of a block; it ends with this process, whatever happens.

    Raises:
        errors.HostError: it has ended, or the command lines are too long.
    """
    pid, kept = _ahead.pop() if _ahead else keeper.fork()
    with contextlib.closing(kept):
        async with process.adopt(pid, grace_s=keeper.LIMIT_S):
            kept.seal(recipes)
            yield Keeper(kept)
