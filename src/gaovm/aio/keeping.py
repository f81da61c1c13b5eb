"""Programs that a keeper starts (``platform.confine.keeper``), owned like all others."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from gaovm.aio import process
from gaovm.platform.confine import keeper, launch


class Keeper:
    """Starts a keeper's programs; ``fork`` makes it."""

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


@contextlib.asynccontextmanager
async def fork(recipes: Mapping[str, keeper.Recipe]) -> AsyncIterator[Keeper]:
    """Run a keeper for the length of a block; it ends with this process, whatever happens."""
    pid, kept = keeper.fork(recipes)
    with contextlib.closing(kept):
        async with process.adopt(pid, grace_s=keeper.LIMIT_S):
            yield Keeper(kept)
