"""Start a program as the first process of a new PID namespace, and still as this one's child.

``unshare`` would need a way back, which a plain user's process is not allowed to take. So this is
``fork`` with flags: clone(2), with what Python does around each of its own forks.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from gaovm import errors
from gaovm.platform.confine import calls

_CLONE_PARENT = 0x8000
_CLONE = {"x86_64": 56, "aarch64": 220}
_SAID_BYTES = 4096
# Keep the interpreter's lock: nothing else may run between the call and what follows it.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    output: int,
    pass_fds: Sequence[int],
    before_exec: Callable[[], None],
    new_pids: bool = False,
) -> int:
    """Return the pid of a child that executes ``argv``; the caller reaps it.

    The child has no stdin, ``output`` as stdout and stderr, and ``pass_fds`` under their numbers.
    ``before_exec`` runs in it. When this returns, the program runs.

    Raises:
        errors.ProgramMissing: the program does not exist.
        errors.HostError: ``before_exec`` or the start failed; the message says where.
    """
    what = _Program(argv, env, output, pass_fds, before_exec)
    pid, said = _start(what, calls.NEWPID if new_pids else 0)
    if said:
        os.waitpid(pid, 0)
        raise error(argv[0], said)
    return pid


def start_sibling(
    argv: Sequence[str],
    *,
    output: int,
    pass_fds: Sequence[int],
    before_exec: Callable[[], None],
) -> tuple[int, str]:
    """Like ``start``, without environment, and as a child of this process's parent.

    Returns its pid, and what failed, for ``error`` in the parent, which reaps it in either case.

    Raises:
        errors.HostError: the fork failed.
    """
    return _start(_Program(argv, {}, output, pass_fds, before_exec), _CLONE_PARENT)


class _Program(NamedTuple):
    argv: Sequence[str]
    env: Mapping[str, str]
    output: int
    pass_fds: Sequence[int]
    before_exec: Callable[[], None]


def _start(program: _Program, flags: int) -> tuple[int, str]:
    reading, writing = os.pipe()
    try:
        pid = _fork(flags)
        if pid == 0:
            _become(program, writing)
    except OSError as exc:
        os.close(reading)
        raise errors.HostError(f"cannot start {program.argv[0]}: {exc.strerror}") from exc
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return pid, pipe.read(_SAID_BYTES).decode("utf-8", "replace")


def error(program: str, said: str) -> errors.GaoError:
    """Return the error of a start that failed in the child, as the child reports it."""
    where, _, why = said.partition(":")
    if where == "missing":
        return errors.ProgramMissing(f"{program} is not installed")
    doing = "confine" if where == "confine" else "start"
    return errors.HostError(
        f"cannot {doing} {program}: {why}", actions=(errors.Action("check_host"),)
    )


def _fork(flags: int) -> int:
    number = _CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(38, f"unknown machine {os.uname().machine}")
    api = ctypes.pythonapi
    api.PyOS_BeforeFork()
    pid: int = _libc.syscall(
        ctypes.c_long(number), ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None
    )
    error = ctypes.get_errno()
    if pid == 0:
        api.PyOS_AfterFork_Child()
    else:
        api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, f"clone: {os.strerror(error)}")
    return pid


def _become(program: _Program, report: int) -> NoReturn:
    where = "start"
    try:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these
            signal.signal(number, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for source, target in ((null, 0), (program.output, 1), (program.output, 2)):
            os.dup2(source, target)
        for fd in program.pass_fds:
            os.set_inheritable(fd, True)
        where = "confine"
        program.before_exec()
        where = "start"
        close_all_but({0, 1, 2, report, *program.pass_fds})
        os.execve(program.argv[0], list(program.argv), dict(program.env))
    except FileNotFoundError as exc:
        where = "missing" if where == "start" else where
        _tell(report, where, exc)
    except BaseException as exc:
        _tell(report, where, exc)
    finally:
        os._exit(255)


def _tell(report: int, where: str, exc: BaseException) -> None:
    why = exc.strerror if isinstance(exc, OSError) else repr(exc)
    with contextlib.suppress(OSError):
        os.write(report, f"{where}:{why}".encode()[:_SAID_BYTES])


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor of this process but these."""
    for before, after in itertools.pairwise([-1, *sorted(kept), 1 << 20]):
        if after > before + 1:  # Python 3.11 takes an empty range at 0 to mean all descriptors
            os.closerange(before + 1, after)
