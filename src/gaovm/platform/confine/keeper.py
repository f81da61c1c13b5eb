"""A process that keeps rights which its maker drops. It starts a few programs, and no others.

The first message that it receives fixes the programs (``Keeper.seal``). Later it receives only a
name, and descriptors for the program. So an attacker who takes over its maker can have those
programs started, and nothing else. The programs are the maker's own children (CLONE_PARENT): the
maker sees them end and reaps them, as before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

import msgspec

from gaovm import errors
from gaovm.platform import unix_sockets
from gaovm.platform.confine import calls, launch, serving
from gaovm.platform.confine.serving import Confined
from gaovm.platform.linux import proc

#: Its name in a list of processes.
NAME = "gaovm-keeper"
_MAX_MESSAGE = 8192
_MAX_RECIPES = 64 << 10
_MAX_FDS = 8
#: A Unix socket with a listener accepts a connection at once, unless its queue is full.
_CONNECT_S = 1.0
#: A fork takes milliseconds; a keeper that somebody has taken over may never answer.
LIMIT_S = 5.0


class Recipe(NamedTuple):
    """How to start a program.

    ``argv`` is its command line; ``LAST_FD`` in it becomes the number of the last descriptor.
    ``connects``: the path of a Unix socket; the last descriptor is a new connection to it. The
    maker may not be allowed to connect itself. ``stdio``: the last descriptor becomes stdin and
    stdout. ``confined``: limits that the program gets before it is executed.
    """

    argv: tuple[str, ...]
    connects: str = ""
    stdio: bool = False
    confined: Confined | None = None


#: No word of a command line can contain it by itself.
LAST_FD = "\0"


class Keeper:
    """The maker's end; ``fork`` makes it. ``aio.keeping`` owns the programs that it starts.

    Call ``seal`` once, before the maker drops its rights.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._asked = 0

    def fileno(self) -> int:
        """The descriptor of the connection to the process."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the connection: the process ends. Idempotent."""
        self._sock.close()

    def seal(self, recipes: Mapping[str, Recipe]) -> None:
        """Fix the programs that the process starts; it takes no others later.

        Raises:
            errors.HostError: the process has ended, or the command lines exceed 64 KiB.
        """
        message = msgspec.json.encode(recipes)
        if len(message) > _MAX_RECIPES:
            raise errors.HostError("the command lines of the VM's helpers are too long")
        try:
            unix_sockets.send(self._sock, message, ())
        except (OSError, errors.ConnectionLost) as exc:
            raise errors.HostError(f"the keeper of {', '.join(recipes)} is gone: {exc}") from exc

    def start(self, name: str, fds: Sequence[int], output: int) -> tuple[int, str]:
        """Start a program; ``output`` becomes its stdout and stderr.

        Returns its pid, and what failed, for ``launch.error``; the caller reaps it in either case.

        Raises:
            errors.HostError: it did not start.
        """
        try:
            answer = self._ask(name, [*fds, output])
        except (OSError, errors.ConnectionLost) as exc:
            raise errors.HostError(f"the keeper that starts {name} does not answer: {exc}") from exc
        number, _, said = answer.partition(" ")
        if not number.isdecimal():
            raise errors.HostError(f"{name} was not started: {said or 'its keeper has ended'}")
        return int(number), said

    def _ask(self, name: str, fds: Sequence[int]) -> str:
        """Return the answer to this question; skip a late answer to an earlier question."""
        self._asked += 1
        unix_sockets.send(self._sock, f"{self._asked} {name}".encode(), fds)
        while answer := self._sock.recv(_MAX_MESSAGE).decode():
            number, _, said = answer.partition(" ")
            if number == str(self._asked):
                return said
            _end(said.partition(" ")[0])
        return ""


def _end(pid: str) -> None:
    """End and reap a program that started too late: nobody waits for it any more."""
    if pid.isdecimal():
        os.kill(int(pid), signal.SIGKILL)
        os.waitpid(int(pid), 0)


def fork() -> tuple[int, Keeper]:
    """Fork the process; return its pid, for the caller to reap, and the maker's end.

    It ends with this process, whatever happens.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(LIMIT_S)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _serve(theirs, parent)
    theirs.close()
    return pid, Keeper(ours)


def _serve(sock: socket.socket, parent: int) -> NoReturn:
    try:
        calls.die_with_parent(signal.SIGKILL)
        proc.name_self(NAME)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        launch.close_all_but({0, 1, 2, sock.fileno()})
        sealed, _ = unix_sockets.receive(sock, _MAX_RECIPES, 0)
        recipes = msgspec.json.decode(sealed, type=dict[str, Recipe]) if sealed else {}
        while os.getppid() == parent:
            data, fds = unix_sockets.receive(sock, _MAX_MESSAGE, _MAX_FDS)
            if not data:
                break
            number, _, name = data.decode().partition(" ")
            answer = f"{number} {_answer(recipes.get(name), fds)}"
            sock.send(answer.encode()[:_MAX_MESSAGE])
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
            last = str(passed[-1]) if passed else ""
            argv = [word.replace(LAST_FD, last) for word in recipe.argv]
            pid, said = launch.start_sibling(
                argv,
                output=output,
                pass_fds=passed,
                before_exec=_before_exec(recipe, passed),
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


def _before_exec(recipe: Recipe, fds: Sequence[int]) -> Callable[[], None]:
    confine = None if recipe.confined is None else serving.before_exec(recipe.confined)

    def prepare() -> None:
        os.setsid()
        if recipe.stdio:
            os.dup2(fds[-1], 0)
            os.dup2(fds[-1], 1)
        if confine is not None:
            confine()
        # a change of ids takes the death signal away, so set it after that
        calls.die_with_parent(signal.SIGKILL)
        calls.no_new_privileges()

    return prepare
