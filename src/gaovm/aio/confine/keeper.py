"""The process that keeps the rights which its maker drops: it starts a few programs, and no other.

What it can start is fixed when it is forked; later only a name comes, and descriptors for the
program. So who takes its maker over can have those programs started, and nothing else. They are the
maker's own children (CLONE_PARENT): it sees them end and reaps them, as before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from gaovm import errors
from gaovm.aio import process, sockets
from gaovm.aio.confine import calls, launch

#: What it is called in a list of processes.
NAME = "gaovm-keeper"
_MAX_MESSAGE = 8192
_MAX_FDS = 8
#: A Unix socket that somebody listens at takes a connection at once, unless its queue is full.
_CONNECT_S = 1.0
#: It forks, which takes milliseconds; who is taken over itself may say nothing at all.
_LIMIT_S = 5.0


class Recipe(NamedTuple):
    """How a program is started.

    ``command``: its command line, from the numbers of the descriptors that it is given.
    ``connects``: the path of a Unix socket; the last descriptor is a new connection to it. Its
    maker may not be allowed to make one itself.
    """

    command: Callable[[Sequence[int]], Sequence[str]]
    connects: str = ""


class Keeper:
    """The maker's end; made by ``fork``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @contextlib.asynccontextmanager
    async def start(
        self, name: str, fds: Sequence[int], *, output: int, grace_s: float
    ) -> AsyncIterator[process.Child]:
        """A program for the length of a block; ``output`` gets its stdout and stderr.

        Raises:
            errors.ProgramMissing, errors.HostError: it was not started.
        """
        try:
            sockets.send_with_fds(self._sock, name.encode(), [*fds, output])
            answer = self._sock.recv(_MAX_MESSAGE).decode()
        except (OSError, errors.ConnectionLost) as exc:
            raise errors.HostError(f"who starts {name} does not answer: {exc}") from exc
        number, _, said = answer.partition(" ")
        if not number.isdecimal():
            raise errors.HostError(f"{name} was not started: {said or 'its keeper has ended'}")
        async with process.adopt(int(number), grace_s=grace_s) as child:
            if said:
                raise launch.error(name, said)
            yield child


@contextlib.asynccontextmanager
async def fork(recipes: Mapping[str, Recipe]) -> AsyncIterator[Keeper]:
    """A keeper for the length of a block; it ends with this process, whatever happens."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_LIMIT_S)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _serve(theirs, recipes, parent)
    theirs.close()
    with ours:
        async with process.adopt(pid, grace_s=_LIMIT_S):
            yield Keeper(ours)


def _serve(sock: socket.socket, recipes: Mapping[str, Recipe], parent: int) -> NoReturn:
    try:
        calls.die_with_parent(signal.SIGKILL)
        with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(NAME)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        launch.close_all_but({0, 1, 2, sock.fileno()})
        while os.getppid() == parent:
            data, fds = sockets.recv_with_fds(sock, _MAX_MESSAGE, _MAX_FDS)
            if not data:
                break
            sock.send(_answer(recipes.get(data.decode()), fds).encode()[:_MAX_MESSAGE])
            for fd in fds:
                os.close(fd)
    finally:
        os._exit(0)


def _answer(recipe: Recipe | None, fds: list[int]) -> str:
    if recipe is None or not fds:
        return "- no such program"
    *passed, output = fds
    try:
        with contextlib.ExitStack() as stack:
            if recipe.connects:
                passed.append(stack.enter_context(_connected(recipe.connects)).fileno())
            pid, said = launch.start_sibling(
                recipe.command(passed),
                output=output,
                pass_fds=passed,
                before_exec=_before_exec,
            )
    except errors.HostError as exc:
        return f"- {exc.message}"
    except OSError as exc:
        return f"- {recipe.connects}: {exc.strerror or exc}"
    return f"{pid} {said}"


def _connected(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_CONNECT_S)
        sock.connect(path)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def _before_exec() -> None:
    os.setsid()
    calls.die_with_parent(signal.SIGKILL)
    calls.no_new_privileges()
